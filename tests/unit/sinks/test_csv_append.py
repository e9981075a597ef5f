"""One write for each line, under a lock."""

from __future__ import annotations

import csv
import errno
import os
from pathlib import Path

import pytest

from eco2ai_callbacks.sinks import csv_append as module
from eco2ai_callbacks.sinks.csv_append import append, holds, replace
from eco2ai_callbacks.sinks.csv_form import COLUMNS, Form, Row

VALUES = dict.fromkeys(COLUMNS, "a") | {"id": "run", "project_name": "demo", "experiment_description": 'say "a"'}


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "emission.csv"


@pytest.mark.parametrize(
    "torn",
    ['run,"de', 'run,"say ""a""', "run,de", 'run,"demo"'],
    ids=["in quotes", "in quotes, behind some", "outside", "behind quotes"],
)
def test_a_torn_line_takes_in_nothing_of_the_next(path: Path, torn: str):
    append(path, Row(VALUES))
    with path.open("a") as file:
        file.write(torn)
    append(path, Row(VALUES))
    found = rows(path)
    assert [row["experiment_description"] for row in found] == ['say "a"', None, 'say "a"']


def test_one_byte_decides_whether_a_line_is_torn(path: Path, monkeypatch: pytest.MonkeyPatch):
    append(path, Row(VALUES))
    monkeypatch.setattr(module, "_is_quoted", pytest.fail)  # would read the whole file
    append(path, Row(VALUES))
    assert len(rows(path)) == 2


def test_another_name_is_returned_and_said(path: Path, caplog: pytest.LogCaptureFixture):
    path.write_text("{}\n")
    beside = append(path, Row(VALUES)).path
    assert beside.name == "emission.eco2ai.csv"
    assert append(beside, Row(VALUES)).path == beside
    assert caplog.messages == [f"{path} is no CSV of eco2AI, so the rows go to {beside}"]


def fixed(**values: object) -> Row:
    return Row({**VALUES, "duration(s)": 1.0, "cost": 0.0, **values}, fixed=True)


@pytest.mark.parametrize("header", ["", ",".join(COLUMNS[1:-1]) + "\n"], ids=["own", "an older one"])
@pytest.mark.parametrize("torn", ["", 'a,"b'], ids=["whole", "torn"])
def test_a_line_takes_the_place_of_one_that_is_as_long(path: Path, header: str, torn: str):
    path.write_text(header + torn if header else "")
    before = append(path, fixed())
    append(path, fixed(id="other"))
    after = replace(before, fixed(**{"duration(s)": 1.5e-07}))
    assert after is not None
    assert replace(before, fixed()) is None  # it is no longer as it was written
    latest = replace(after, fixed(**{"duration(s)": 12345.678}))
    assert latest is not None
    assert [row["duration(s)"][:10] for row in rows(path)[-2:]] == ["12345.6780", "1.00000000"]
    assert holds(latest, b"nobody")


def test_a_line_that_was_moved_or_is_of_another_length_is_not_replaced(path: Path):
    written = append(path, fixed())
    whole = path.read_bytes()
    assert replace(written, fixed(project_name="longer than that")) is None
    assert replace(written, fixed(project_name="a")) is None
    assert path.read_bytes() == whole
    path.write_bytes(b"{}\n" + whole)
    assert replace(written, fixed()) is None
    path.write_bytes(Form().header() + Form().row({**VALUES, "id": "other"}) + whole.splitlines(keepends=True)[1])
    assert replace(written, fixed()) is None
    assert holds(written, b"nobody")
    path.unlink()
    assert replace(written, fixed()) is None
    assert not holds(written, b"run")
    assert not path.exists()


@pytest.fixture
def no_links(monkeypatch: pytest.MonkeyPatch) -> None:
    def link(*args: object, **options: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", link)


@pytest.mark.usefixtures("no_links")
def test_where_links_are_not_supported_the_file_is_written_all_the_same(path: Path):
    for _ in range(2):
        append(path, Row(VALUES))
    assert len(rows(path)) == 2
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("code", [errno.ENOSYS, errno.ENOLCK])
def test_where_locks_are_not_supported_nothing_waits(path: Path, code: int, monkeypatch: pytest.MonkeyPatch):
    def lock(file: int) -> bool:
        raise OSError(code, os.strerror(code))

    def sleep(seconds: float) -> None:
        raise AssertionError

    monkeypatch.setattr(module, "_lock", lock)
    monkeypatch.setattr(module.time, "sleep", sleep)
    append(path, Row(VALUES))
    assert len(rows(path)) == 1


def test_a_lock_that_another_holds_for_ever_delays_a_row_and_no_more(path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "LOCK_S", 0.01)
    append(path, Row(VALUES))
    with path.open("ab") as file:
        assert module._lock(file.fileno())
        append(path, Row(VALUES))
        assert len(rows(path)) == 2
        module._unlock(file.fileno())
    with path.open("ab") as file:
        assert module._lock(file.fileno())


def test_the_lock_is_given_back_though_a_child_holds_the_file(path: Path, monkeypatch: pytest.MonkeyPatch):
    copies = []
    write = os.write

    def fork(file: int, data: bytes) -> int:
        copies.append(os.dup(file))  # as a child does that is forked here
        return write(file, data)

    monkeypatch.setattr(os, "write", fork)
    append(path, Row(VALUES))
    with path.open("ab") as file:
        assert module._lock(file.fileno())
    os.close(copies[0])


def test_a_row_that_still_grows_is_not_torn(path: Path, monkeypatch: pytest.MonkeyPatch):
    append(path, Row(VALUES))
    with path.open("ab") as file:
        file.write(b"run,de")

    def sleep(seconds: float) -> None:
        with path.open("ab") as file:
            file.write(b"mo\n")

    monkeypatch.setattr(module.time, "sleep", sleep)
    append(path, Row(VALUES))
    assert [line[:8] for line in path.read_text().splitlines()[1:]] == ["run,demo", "run,demo", "run,demo"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux's /dev/full")
def test_a_device_that_gives_bytes_without_end_is_read_no_further_than_its_size(
    path: Path, monkeypatch: pytest.MonkeyPatch
):
    path.symlink_to("/dev/full")
    reads: list[int] = []
    plain = os.read

    def read(file: int, size: int) -> bytes:
        reads.append(size)
        assert len(reads) < 10
        return plain(file, size)

    monkeypatch.setattr(os, "read", read)
    with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
        append(path, Row(VALUES))
    assert sum(reads) == 0
