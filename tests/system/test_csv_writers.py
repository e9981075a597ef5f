"""Processes that write to one CSV at once."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from eco2ai_callbacks.record import Record
from eco2ai_callbacks.sinks import csv_append as module
from eco2ai_callbacks.sinks.csv import CsvFile
from eco2ai_callbacks.sinks.csv_form import COLUMNS

WRITERS = 8
ROWS = 25
ROUNDS = 10


def write_rows(path: Path, writer: int) -> None:
    """Write the rows of one process, of different lengths."""
    sink = CsvFile(path)
    for epoch in range(ROWS):
        description = "x" * (epoch % 5) * 2000
        sink.write(
            Record(run=f"w{writer}", writer="w", event="epoch", stage="train", epoch=epoch, description=description)
        )


def at_once(work: Callable[[int], None]) -> None:
    """Do the work in processes that begin at the same moment."""
    go_out, go_in = os.pipe()
    children = []
    for number in range(WRITERS):
        pid = os.fork()
        if pid == 0:
            try:
                os.close(go_in)
                os.read(go_out, 1)
                work(number)
                os._exit(0)
            finally:
                os._exit(1)
        children.append(pid)
    os.close(go_out)
    os.close(go_in)
    assert [os.waitpid(pid, 0)[1] for pid in children] == [0] * WRITERS


def check(path: Path, blank: bool) -> None:
    """Check that the header stands once, at the top, and that every row is there and whole.

    Args:
        path: The file.
        blank: Whether there may be blank lines, which every reader passes over.
    """
    header, *lines = path.read_text().split("\n")
    assert tuple(header.split(",")) == COLUMNS
    assert lines.pop() == ""
    if blank:
        lines = [line for line in lines if line]
    rows = [line.split(",") for line in lines]
    assert {len(row) for row in rows} == {len(COLUMNS)}
    for writer in range(WRITERS):
        mine = [row for row in rows if row[0] == f"w{writer}"]
        assert [row[3] for row in mine] == [f"epoch: {epoch}" for epoch in range(ROWS)]
        assert [row[2] for row in mine] == ["x" * (epoch % 5) * 2000 for epoch in range(ROWS)]
    assert len(rows) == WRITERS * ROWS
    assert list(path.parent.iterdir()) == [path]


def refuse(*args: object, **options: object) -> None:
    raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))


# Libraries that other tests load have threads; these children use nothing of them.
@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_rows_of_several_writers_go_beside_a_file_of_something_else(tmp_path: Path) -> None:
    other = tmp_path / "emission.csv"
    other.write_text("timestamp,project_name,run_id\n")
    at_once(partial(write_rows, other))
    assert other.read_text() == "timestamp,project_name,run_id\n"
    other.unlink()
    check(tmp_path / "emission.eco2ai.csv", blank=False)


# Libraries that other tests load have threads; these children use nothing of them.
@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
@pytest.mark.parametrize(
    ("is_there", "lacks"),
    [(False, ""), (True, ""), (False, "links"), (True, "links"), (False, "locks")],
    ids=["new", "empty", "new, without links", "empty, without links", "new, without locks"],
)
def test_one_header_and_whole_rows(is_there: bool, lacks: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if lacks == "links":
        monkeypatch.setattr(os, "link", refuse)
    if lacks == "locks":
        monkeypatch.setattr(module, "_lock", refuse)
    for number in range(ROUNDS):
        path = tmp_path / str(number) / "emission.csv"
        if is_there:
            path.parent.mkdir()
            path.touch()
        at_once(partial(write_rows, path))
        # Without locks a row that another writer is slow to append is taken to be torn.
        check(path, blank=lacks == "locks")
