from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from smbios_table import END, processor, structure, table

from eco2ai_callbacks.host.smbios import processor_version


def test_version_and_part_number_of_the_first_processor_are_read() -> None:
    both = processor("Ampere(R) Altra(R) Processor", "Q80-30") + processor("second", "other") + END
    assert processor_version(structure(0, bytes(20), "Vendor") + both) == "Ampere(R) Altra(R) Processor Q80-30"


def test_one_text_in_both_fields_is_read_once() -> None:
    assert processor_version(table("AWS Graviton4", "AWS Graviton4")) == "AWS Graviton4"


def test_a_structure_of_the_oldest_version_has_no_part_number() -> None:
    fields = bytearray(0x1A - 4)
    fields[0x10 - 4] = 1
    assert processor_version(structure(4, bytes(fields), "Old") + END) == "Old"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        END,
        structure(1, bytes(23), "a system") + END,
        END + processor("after the end", "x"),
        processor("cut", "off")[:40],
        bytes([4, 0, 0, 0]) + b"\0\0",
        structure(4, bytes(4)) + END,
        structure(4, bytes([9] * 44), "one text of nine") + END,
    ],
    ids=["empty", "end", "no processor", "after the end", "cut off", "no length", "short", "no such text"],
)
def test_a_table_without_a_processor_s_name_gives_none(content: bytes) -> None:
    assert processor_version(content) == ""


@given(st.binary(max_size=300))
def test_any_bytes_are_read_without_an_error(content: bytes) -> None:
    assert isinstance(processor_version(content), str)
    processor_version(table("x")[:-6] + content)
