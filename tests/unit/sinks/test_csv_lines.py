"""The cells of a CSV file in any encoding."""

from __future__ import annotations

from pathlib import Path

import pytest

from eco2ai_callbacks.sinks.csv_lines import NoCsv, cells, head_of

TEXT = 'name,note\r\nProjekt ä,"two\nlines"\n\nb,c\n'
ROWS = [(1, ["name", "note"]), (2, ["Projekt ä", "two\nlines"]), (5, ["b", "c"])]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be mark"])
def test_what_programs_save_is_read(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "a.csv"
    data = b"\xfe\xff" + TEXT.encode("utf-16-be") if encoding == "utf-16-be mark" else TEXT.encode(encoding)
    path.write_bytes(data)
    assert list(cells(path)) == ROWS
    assert head_of(path).removeprefix(b"\xef\xbb\xbf") == TEXT.encode()
    assert head_of(path).startswith(b"\xef\xbb\xbf") == (encoding != "utf-8")


def test_bytes_that_are_no_text_and_zeros_cost_no_row(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"a;b\n\xe4;\0c\n")
    assert list(cells(path, ";")) == [(1, ["a", "b"]), (2, ["�", "c"])]


def test_a_cell_without_an_end_is_named_by_its_line(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b'a\n"b\nc"\n"' + b"x" * 2**18)
    found = []
    with pytest.raises(NoCsv, match="line 4: field larger than") as error:
        found.extend(each for each in cells(path))
    assert error.value.line == 4
