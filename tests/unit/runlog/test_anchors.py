"""Anchors: any run is found from the end of a log, in a number of steps that hardly grows."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eco2ai_callbacks.record import Record
from eco2ai_callbacks.runlog import anchors as module
from eco2ai_callbacks.runlog.anchors import BITS, Anchors, NotFollowed, anchor_in, common_bits, key_of
from eco2ai_callbacks.runlog.write import Writer


def append(log: Path, run: str, writer: str, seq: int = 0, rank: int = 0, size: int = 0) -> None:
    """Append the first line of a session."""
    record = Record(run=run, writer=writer, seq=seq, rank=rank, event="start", description="x" * size)
    Writer(log).append(record)


class Counted:
    """A file of which each read is counted."""

    def __init__(self, log: Path) -> None:
        self.data = log.read_bytes()
        self.reads: list[int] = []

    def read(self, offset: int, size: int) -> bytes:
        self.reads.append(size)
        return self.data[offset : offset + size]

    def anchors(self) -> Anchors:
        return Anchors(self.read, len(self.data))


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "eco2ai.jsonl"


def last_of(anchors: Anchors, run: str) -> dict[int, str]:
    """The session of each rank's last anchor."""
    return {anchor.values.get("rank", 0): anchor.writer for anchor in anchors.of_run(run)}


def test_keys_of_one_run_are_neighbours() -> None:
    assert common_bits(key_of("a", 0), key_of("a", 0)) == BITS
    assert common_bits(key_of("a", 0), key_of("a", 3)) == BITS - 2
    assert common_bits(key_of("a", 0), key_of("b", 0)) < 48


@pytest.mark.parametrize("blocks", [2**10, 2**16], ids=["far", "near"])
def test_every_run_and_rank_is_found_whatever_lies_between(
    log: Path, blocks: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # With small blocks each anchor is reached by offsets, with large ones all of the file is the end that is read.
    monkeypatch.setattr("eco2ai_callbacks.runlog.tail._FIRST", blocks)
    chance = random.Random(1)
    expected: dict[str, dict[int, str]] = {}
    for number in range(300):
        run, rank = f"run{chance.randrange(40)}", chance.randrange(3)
        append(log, run, f"w{number}", rank=rank)
        expected.setdefault(run, {})[rank] = f"w{number}"
    counted = Counted(log)
    anchors = counted.anchors()
    assert anchors.since == 0
    assert {run: last_of(anchors, run) for run in expected} == expected
    assert anchors.of_run("none") == []


def test_the_steps_hardly_grow_with_the_sessions(log: Path) -> None:
    steps = []
    for count in (50, 350):
        for number in range(count):
            append(log, f"run{count}-{number}", f"w{count}-{number}", size=3000)
        counted = Counted(log)
        anchors = counted.anchors()
        counted.reads.clear()
        for run in (f"run{count}-0", "none"):
            anchors.of_run(run)
        steps.append(len(counted.reads))
    assert max(steps) <= 40
    assert log.stat().st_size > 2**19


@settings(max_examples=15, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=1, max_size=25))
def test_anchors_that_were_written_at_the_same_time_are_found_too(
    tmp_path_factory: pytest.TempPathFactory, sessions: list[tuple[int, bool]]
) -> None:
    """A line whose writer read the file's size before others wrote, as between its ``fstat`` and its ``write``."""
    log = tmp_path_factory.mktemp("log") / "log.jsonl"
    expected: dict[str, str] = {}
    late: list[tuple[str, str, bytes]] = []
    for number, (run, waits) in enumerate(sessions):
        name, writer = f"run{run}", f"w{number}"
        before = log.read_bytes() if log.exists() else b""
        append(log, name, writer)
        if waits:
            line = log.read_bytes()[len(before) :]
            log.write_bytes(before)
            late.append((name, writer, line))
            continue
        expected[name] = writer
        for held, by, line in late:
            with log.open("ab") as file:
                file.write(line)
            expected[held] = by
        late.clear()
    for held, by, line in late:
        with log.open("ab") as file:
            file.write(line)
        expected[held] = by
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("eco2ai_callbacks.runlog.tail._FIRST", 2**9)
        anchors = Counted(log).anchors()
        assert {run: last_of(anchors, run)[0] for run in expected} == expected


def test_the_session_before_is_the_latest_other_of_the_same_run_and_rank(log: Path) -> None:
    for number, (run, rank) in enumerate([("a", 0), ("b", 0), ("a", 0), ("a", 1)]):
        append(log, run, f"w{number}", rank=rank)
    anchors = Counted(log).anchors()
    (last, _) = sorted(anchors.of_run("a"), key=lambda anchor: anchor.values.get("rank", 0))
    assert last.writer == "w2"
    other = anchors.other(last)
    assert other is not None
    assert other.writer == "w0"
    assert anchors.other(other) is None


def test_offsets_that_lead_elsewhere_are_not_followed(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("eco2ai_callbacks.runlog.tail._FIRST", 2**9)
    for number in range(50):
        append(log, f"run{number}", f"w{number}")
    data = log.read_bytes()
    middle = data.index(b'"run":"run25"')
    log.write_bytes(data[:middle] + b"#" * 13 + data[middle + 13 :])
    found = 0
    for number in range(50):
        try:
            found += len(Counted(log).anchors().of_run(f"run{number}"))
        except NotFollowed:
            continue
    assert 0 < found < 50


def test_a_log_that_was_cut_off_begins_anew(log: Path) -> None:
    for number in range(50):
        append(log, f"run{number}", f"w{number}")
    whole = log.read_bytes()
    log.write_bytes(whole[len(whole) // 2 :].split(b"\n", 1)[1])
    append(log, "new", "new")
    assert last_of(Counted(log).anchors(), "new") == {0: "new"}


def test_what_stands_before_the_first_anchor_is_named(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_BYTES", 2**18)
    log.write_bytes(b'{"schema":1,"run":"old"}\n' * 30_000)
    size = log.stat().st_size
    append(log, "new", "new")
    anchors = Counted(log).anchors()
    assert 0 < anchors.since <= size
    assert last_of(anchors, "new") == {0: "new"}


@pytest.mark.parametrize(
    "held",
    ['{"to":"x"}', '{"to":-5}', '{"to":1.5}', '{"to":0,"by":3}', '{"to":0,"by":["x"]}', '{"to":0,"other":null}', "3"],
)
def test_a_member_of_another_form_is_no_anchor(held: str) -> None:
    line = f'{{"schema":2,"run":"r","writer":"w","seq":0,"event":"start","anchor":{held}}}'
    assert anchor_in(0, line.encode()) is None


def test_offsets_beyond_the_line_are_not_believed() -> None:
    line = b'{"schema":2,"run":"r","writer":"w","seq":0,"event":"start","anchor":{"to":50,"by":[60],"other":7}}'
    found = anchor_in(10, line)
    assert found is not None
    assert (found.to, found.since, found.by, found.other) == (10, 10, (), -1)


def test_a_long_line_is_read_in_full(log: Path) -> None:
    append(log, "a", "w", size=100_000)
    counted = Counted(log)
    assert counted.anchors().line_at(0) == log.read_bytes().removesuffix(b"\n")
    assert log.stat().st_size > 100_000
