"""What is kept of one writer."""

from __future__ import annotations

from typing import Any

import pytest

from eco2ai_callbacks.record import Record
from eco2ai_callbacks.report.sessions import Session

LABEL = "2026-01-01T00:00:00+00:00"


def record(seq: int, event: str = "epoch", **values: Any) -> Record:
    return Record(**{"run": "r", "writer": "w", "start": LABEL, "seconds": 2.0} | values, seq=seq, event=event)


def session(*numbers: int) -> Session:
    found = Session(record(numbers[0]))
    for seq in numbers:
        assert found.is_new(seq)
    return found


def test_numbers_that_follow_each_other_are_one_span() -> None:
    assert session(*range(1000)).spans == [[0, 999]]
    found = session(0, 1, 5, 2)
    assert not found.is_new(5)
    assert not found.is_new(1)
    assert found.overlaps([(2, 4)])
    assert not found.overlaps([(3, 4), (6, 9)])


def test_a_session_ends_with_its_last_segment() -> None:
    found = Session(record(0, "start"))
    assert found.take(record(0, "start"))
    assert found.take(record(1, "stop", ended="interrupted", start="2026-01-01T01:00:00+00:00"))
    writer = found.writer("w", continued=False)
    assert (str(writer.started), str(writer.ended)) == ("2026-01-01 00:00:00+00:00", "2026-01-01 01:00:02+00:00")
    assert (writer.state, writer.records) == ("interrupted", 2)


@pytest.mark.parametrize("label", ["", "soon", "x" * 1000])
def test_a_session_without_times_has_none(label: str) -> None:
    found = Session(record(0, start=label))
    found.take(record(0, start=label))
    writer = found.writer("w", continued=False)
    assert (writer.started, writer.ended) == (None, None)


def test_a_segment_beyond_the_end_of_time_has_no_end() -> None:
    found = Session(record(0))
    found.take(record(0, seconds=1e300))
    assert found.writer("w", continued=False).ended is None


@pytest.mark.parametrize("turned", [False, True], ids=["in order", "the later one first"])
def test_two_files_parts_are_put_together(turned: bool) -> None:
    begin, end = Session(record(0, "start")), Session(record(2, start="2026-01-01T01:00:00+00:00"))
    for seq, event in enumerate(("start", "heartbeat")):
        begin.is_new(seq)
        begin.take(record(seq, event))
    for seq, event in ((2, "stage"), (3, "stop")):
        end.is_new(seq)
        end.take(record(seq, event, start="2026-01-01T01:00:00+00:00"))
    one, other = (end, begin) if turned else (begin, end)
    one.plus(other)
    assert one.beat is None
    assert one.spans == [[0, 1], [2, 3]]
    writer = one.writer("w", continued=False)
    assert (str(writer.started), str(writer.ended)) == ("2026-01-01 00:00:00+00:00", "2026-01-01 01:00:02+00:00")
    assert (writer.state, writer.records) == ("finished", 4)
