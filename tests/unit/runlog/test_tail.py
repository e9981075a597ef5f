"""Lines of a file from its end."""

from __future__ import annotations

from pathlib import Path

import pytest

from eco2ai_callbacks.runlog.tail import lines_from_end, record_in


def found(path: Path, needle: bytes) -> list[bytes]:
    return [line for _, line in lines_from_end(path, needle) if line is not None]


@pytest.mark.parametrize("length", [1, 100, 2**16 - 1, 2**16, 300_000], ids=str)
@pytest.mark.parametrize("end", [b"\n", b""], ids=["whole", "torn"])
def test_every_line_comes_once_from_the_last(tmp_path: Path, length: int, end: bytes) -> None:
    path = tmp_path / "log"
    lines = [b"a%d " % number + b"x" * length for number in range(7)]
    path.write_bytes(b"\n".join(lines) + end)
    assert found(path, b"a") == lines[::-1]
    assert found(path, b"a3") == [lines[3]]
    assert found(path, b"nothing") == []


def test_a_needle_that_lies_across_two_blocks_is_found(tmp_path: Path) -> None:
    path = tmp_path / "log"
    for shift in range(12):
        path.write_bytes(b"begin needle end\n" + b"y" * (2**16 - 12 + shift) + b"\n")
        assert found(path, b"needle") == [b"begin needle end"]


def test_who_stops_early_has_read_the_last_block_alone(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"line\n" * 100_000)
    distance, line = next(lines_from_end(path, b"line"))
    assert (distance, line) == (2**16, b"line")


def test_an_empty_file_has_no_line(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"")
    assert list(lines_from_end(path, b"x")) == []


def test_a_line_that_is_no_record_has_no_fields() -> None:
    good = b'{"run":"r","writer":"w","seq":0,"event":"start"}'
    assert record_in(good) == {"run": "r", "writer": "w", "seq": 0, "event": "start"}
    assert record_in(good[:-1]) is None
    assert record_in(b"\xff") is None
    assert record_in(b"{}") is None
