from __future__ import annotations

import errno
import json
import math
import os
import resource
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from eco2ai_callbacks.record import Record
from eco2ai_callbacks.runlog import short
from eco2ai_callbacks.runlog.anchors import SPACING
from eco2ai_callbacks.runlog.hashing import is_signed, link_of
from eco2ai_callbacks.runlog.read import lines, records
from eco2ai_callbacks.runlog.verify import verify
from eco2ai_callbacks.runlog.write import MAX_PENDING, Writer

DISK_BYTES = 2000


def record(seq: int = 0, writer: str = "w", **fields: object) -> Record:
    return Record(run="run", writer=writer, seq=seq, event="stage" if seq else "start", **fields)  # type: ignore[arg-type]


def rows(path: Path) -> list[dict[str, object]]:
    """The lines, each of which must be whole."""
    text = path.read_text()
    assert text.endswith("\n")
    return [json.loads(line) for line in text.splitlines()]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "log.jsonl"


@pytest.fixture
def limit() -> Iterator[None]:
    """A disk that is full behind so many bytes, for any user."""
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    # Python ignores the signal, so that the write says EFBIG.
    assert signal.getsignal(signal.SIGXFSZ) == signal.SIG_IGN
    resource.setrlimit(resource.RLIMIT_FSIZE, (DISK_BYTES, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))


def unlimited() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))


class TestLines:
    def test_each_record_is_a_line_that_carries_the_hash_of_the_one_before(self, log: Path):
        writer = Writer(log)
        for seq in range(3):
            writer.append(record(seq))
        lines = log.read_text().splitlines()
        found = [json.loads(line) for line in lines]
        assert [row["seq"] for row in found] == [0, 1, 2]
        assert [row.get("prev") for row in found] == [None, link_of(lines[0]), link_of(lines[1])]
        assert not any("hmac" in row for row in found)

    def test_with_a_key_each_carries_an_hmac_of_its_content(self, log: Path):
        Writer(log, "secret").append(record())
        (line,) = log.read_bytes().splitlines()
        assert is_signed(line, "secret")
        assert not is_signed(line, "other")

    def test_an_empty_key_is_none(self, log: Path):
        Writer(log, "").append(record())
        assert "hmac" not in rows(log)[0]

    def test_text_of_any_language_stays_readable(self, log: Path):
        Writer(log).append(record(project="Проект 計画"))
        assert "Проект 計画" in log.read_text(encoding="utf-8")

    def test_a_name_that_is_no_utf8_is_written_and_comes_back(self, log: Path):
        writer = Writer(log, "k\udcff")
        writer.append(record(0, project="caf\udce9"))
        writer.append(record(1))
        assert records(log)[0].project == "caf\udce9"
        assert rows(log)[1]["prev"] == link_of(log.read_text().splitlines()[0])

    def test_what_stands_there_stays(self, log: Path):
        log.write_text('{"theirs": 1}\n')
        Writer(log).append(record())
        assert log.read_text().startswith('{"theirs": 1}\n{"schema"')

    def test_a_torn_last_line_gets_a_newline_first(self, log: Path):
        log.write_text('{"schema":1,"run":"ru')
        Writer(log).append(record())
        torn, whole = log.read_text().splitlines()
        assert torn == '{"schema":1,"run":"ru'
        assert json.loads(whole)["seq"] == 0

    def test_the_folder_is_made(self, tmp_path: Path):
        Writer(tmp_path / "a" / "b" / "log.jsonl").append(record())
        assert len(rows(tmp_path / "a" / "b" / "log.jsonl")) == 1

    def test_a_number_that_is_none_is_refused_and_breaks_no_chain(self, log: Path):
        writer = Writer(log)
        writer.append(record(0))
        for bad in (math.nan, math.inf):
            with pytest.raises(ValueError, match="Out of range float"):
                writer.append(record(1, seconds=bad))
        writer.append(record(1))
        assert [row["seq"] for row in rows(log)] == [0, 1]
        assert rows(log)[1]["prev"] == link_of(log.read_text().splitlines()[0])

    def test_nothing_kept_writes_nothing(self, log: Path):
        Writer(log).flush()
        assert not log.exists()


class TestWhatCannotBeWritten:
    """The tests may run as root, whom no permission stops: folders and limits stand in the way instead."""

    def test_it_is_kept_and_written_at_the_next_chance(self, log: Path):
        log.mkdir()
        writer = Writer(log)
        for seq in range(3):
            with pytest.raises(IsADirectoryError):
                writer.append(record(seq))
        log.rmdir()
        writer.append(record(3))
        assert [row["seq"] for row in rows(log)] == [0, 1, 2, 3]
        writer.append(record(4))
        assert [row["seq"] for row in rows(log)] == [0, 1, 2, 3, 4]

    def test_a_folder_that_vanishes_is_made_again(self, tmp_path: Path):
        log = tmp_path / "folder" / "log.jsonl"
        writer = Writer(log)
        writer.append(record(0))
        log.unlink()
        log.parent.rmdir()
        writer.append(record(1))
        assert [row["seq"] for row in rows(log)] == [1]

    def test_a_file_in_the_folders_place_says_so(self, tmp_path: Path):
        (tmp_path / "folder").write_text("")
        with pytest.raises(FileExistsError):
            Writer(tmp_path / "folder" / "log.jsonl").append(record())

    def test_a_full_device_says_so_and_takes_nothing(self):
        writer = Writer(Path("/dev/full"))
        with pytest.raises(OSError, match="No space left") as full:
            writer.append(record())
        assert full.value.errno == errno.ENOSPC

    def test_a_part_that_was_written_is_written_again_on_a_line_of_its_own(self, log: Path, limit: None):
        writer = Writer(log)
        writer.append(record(0))
        writer.append(record(1))
        with pytest.raises(OSError, match="No space left on device"):
            writer.append(record(2, description="x" * DISK_BYTES))
        unlimited()
        assert log.stat().st_size == DISK_BYTES
        writer.append(record(3))
        lines = log.read_text().splitlines()
        torn = lines.pop(2)
        assert lines[2].startswith(torn)
        assert [json.loads(line)["seq"] for line in lines] == [0, 1, 2, 3]

    def test_lines_that_are_whole_in_a_part_are_not_written_twice(self, log: Path, limit: None):
        writer = Writer(log)
        for seq in range(4):
            writer.keep(record(seq, description=str(seq) + "x" * (DISK_BYTES // 4)))
        with pytest.raises(OSError, match="No space left on device"):
            writer.flush()
        with pytest.raises(OSError, match="File too large"):
            writer.append(record(4))
        unlimited()
        writer.append(record(5))
        assert [r.seq for r in records(log)] == [0, 1, 2, 3, 4, 5]
        assert len(verify(log).torn) == 1

    def test_a_line_that_lacks_only_its_newline_is_not_written_twice(self, log: Path, limit: None):
        probe = Writer(log.with_name("probe.jsonl"))
        probe.keep(record(0, project="x"))
        probe.append(record(1, project="x"))
        # Two lines and the newline between them fill the disk.
        project = "x" * (DISK_BYTES - (probe.path.stat().st_size - 1) + 1)
        writer = Writer(log)
        writer.keep(record(0, project=project))
        writer.append(record(1, project=project))
        assert log.stat().st_size == DISK_BYTES
        assert log.read_text().endswith("}")
        unlimited()
        writer.append(record(2))
        assert [row["seq"] for row in rows(log)] == [0, 1, 2]

    def test_of_too_many_the_oldest_go_first(self, log: Path):
        writer = Writer(log)
        for seq in range(MAX_PENDING + 3):
            writer.keep(record(seq))
        writer.flush()
        seqs = [row["seq"] for row in rows(log)]
        assert (seqs[0], seqs[-1], len(seqs)) == (3, MAX_PENDING + 2, MAX_PENDING)


class TestCost:
    def test_a_record_costs_one_open_one_write_and_one_close(self, log: Path, monkeypatch: pytest.MonkeyPatch):
        writer = Writer(log)
        writer.append(record(0))
        called: list[str] = []
        for name in ("open", "read", "write", "close", "lseek", "fstat", "stat", "mkdir"):
            plain = getattr(os, name)
            monkeypatch.setattr(
                os, name, lambda *args, name=name, plain=plain, **rest: called.append(name) or plain(*args, **rest)
            )
        for seq in range(1, 4):
            writer.append(record(seq))
        assert called == ["open", "fstat", "write", "close"] * 3

    def test_where_others_write_too_the_last_byte_is_read(self, log: Path, monkeypatch: pytest.MonkeyPatch):
        one, other = Writer(log), Writer(log)
        for writer, name in ((one, "a"), (other, "b")):
            writer.append(record(0, name))
        read: list[int] = []
        plain = os.read
        monkeypatch.setattr(os, "read", lambda file, size: read.append(size) or plain(file, size))
        one.append(record(1, "a"))
        other.append(record(1, "b"))
        assert read == [1, 1]

    def test_what_does_not_change_is_encoded_once(self, log: Path, monkeypatch: pytest.MonkeyPatch):
        encoded: list[str] = []
        plain = short.encoded
        monkeypatch.setattr(short, "encoded", lambda values: encoded.extend(values) or plain(values))
        writer = Writer(log)
        for seq in range(5):
            writer.append(record(seq, project="demo", failures=("lost",), covers={"cpu": ("cpu",)}))
        # As changes of the first line, and as all that holds.
        assert [encoded.count(name) for name in ("project", "failures", "covers", "run")] == [2, 2, 2, 1]


class TestNewFiles:
    """A log that is renamed, removed or cut off while it is written: the next line states all that holds."""

    @pytest.mark.parametrize("what", ["renamed", "removed", "cut off"])
    def test_the_first_line_in_a_file_states_all(self, log: Path, what: str):
        writer = Writer(log)
        for seq in range(3):
            writer.append(record(seq, project="demo", failures=("lost",)))
        if what == "renamed":
            log.rename(log.with_name("older"))
        elif what == "removed":
            log.unlink()
        else:
            log.write_bytes(b"")
        for seq in range(3, 5):
            writer.append(record(seq, project="demo", failures=("lost",)))
        first, second = rows(log)
        assert (first["project"], first["failures"], first["anchor"]) == ("demo", ["lost"], {"to": 0})
        assert "project" not in second
        assert [(line.record.project, line.unknown) for line in lines(log)] == [("demo", ())] * 2
        if what == "renamed":
            assert verify([log, log.with_name("older")]).whole

    def test_after_records_that_were_dropped_all_is_stated_again(self, log: Path):
        writer = Writer(log)
        for seq in range(MAX_PENDING + 2):
            writer.keep(record(seq, project="demo"))
        writer.flush()
        assert records(log)[0].seq == 2
        assert {r.project for r in records(log)} == {"demo"}

    def test_many_records_are_written_in_parts_with_anchors_between(self, log: Path):
        writer = Writer(log)
        for seq in range(8):
            writer.keep(record(seq, metrics={"text": "x" * (SPACING // 4)}))
        writer.flush()
        assert sum("anchor" in row for row in rows(log)) >= 2
        assert verify(log).whole

    def test_a_pipe_gets_each_line_once_and_all_that_holds_once(self, log: Path):
        os.mkfifo(log)
        reader = os.open(log, os.O_RDONLY | os.O_NONBLOCK)
        writer = Writer(log)
        for seq in range(3):
            writer.append(record(seq, project="demo"))
        found = [json.loads(line) for line in os.read(reader, 2**16).splitlines()]
        os.close(reader)
        assert [(row["seq"], row.get("project")) for row in found] == [(0, "demo"), (1, None), (2, None)]


def test_a_session_that_goes_on_is_linked_to_its_line_before(tmp_path: Path) -> None:
    writer = Writer(tmp_path / "log.jsonl", after="the link before")
    assert writer.link == "the link before"
    writer.append(Record(run="run", writer="w", seq=7, event="stage"))
    line = (tmp_path / "log.jsonl").read_text(encoding="utf-8").removesuffix("\n")
    assert json.loads(line)["prev"] == "the link before"
    assert writer.link == link_of(line.encode())
