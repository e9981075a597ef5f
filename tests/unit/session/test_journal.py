"""The records of a session, made from usage: what each begins with, and what the console gets."""

from __future__ import annotations

import dataclasses
import time
from datetime import UTC, datetime, timedelta

import pytest

from eco2ai_callbacks.carbon.grid import Grid
from eco2ai_callbacks.carbon.intensity import user
from eco2ai_callbacks.carbon.over_time import Asked, OverTime
from eco2ai_callbacks.guard import Guard
from eco2ai_callbacks.record import Record
from eco2ai_callbacks.session.journal import Alone, Journal, WallClock
from eco2ai_callbacks.session.publishing import Publisher, whole
from eco2ai_callbacks.session.stages import Segment
from eco2ai_callbacks.testing import Clock
from eco2ai_callbacks.usage import Reading, Usage

RECORD = Record(run="run", writer="w", event="start")


class Shown:
    name = "shown"

    def __init__(self) -> None:
        self.records: list[Record] = []

    def write(self, record: Record) -> None:
        self.records.append(record)

    def close(self) -> None: ...


def journal(clock: Clock) -> tuple[Journal, Publisher, Shown]:
    guard, shown = Guard(), Shown()
    publisher = Publisher(None, [], guard, console=shown)
    grid = Grid(user(100.0), 1.0, "setting", None)
    return Journal(RECORD, grid, WallClock(clock), publisher, guard), publisher, shown


def test_a_mark_begins_where_the_last_one_ended() -> None:
    clock = Clock()
    found, _, _ = journal(clock)
    records = []
    for t in (0.2, 0.5):
        clock.advance(t - clock.now)
        records.append(found.mark("stage", Usage(clock.now), Segment(), Reading(t), Usage()))
    begun = [datetime.fromisoformat(record.start).astimezone(UTC) for record in records]
    assert abs((begun[1] - begun[0]).total_seconds() - 0.2) < 0.01


@pytest.mark.parametrize(
    ("zone", "change", "before_h", "after_h"),
    [
        ("CET-1CEST,M3.5.0,M10.5.0/3", datetime(2026, 3, 29, 1, tzinfo=UTC), 1, 2),
        # Newfoundland's until 2011: a minute after midnight.
        ("NST3:30NDT2:30,M3.2.0/0:01,M11.1.0/0:01", datetime(2026, 3, 8, 3, 31, tzinfo=UTC), -3.5, -2.5),
        ("UTC", datetime(2026, 3, 29, 1, tzinfo=UTC), 0, 0),
    ],
)
def test_a_label_has_the_offset_of_its_moment(
    monkeypatch: pytest.MonkeyPatch, zone: str, change: datetime, before_h: float, after_h: float
) -> None:
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        change_s = change.timestamp()
        labels: list[datetime] = []
        monkeypatch.setattr(time, "time", lambda: change_s + len(labels) - 1.5)
        wall = WallClock(Clock())
        for _ in range(3):
            labels.append(wall.label)
            wall.turn(Reading(0.0), 1.0)
        assert [label.timestamp() - change_s for label in labels] == [-1.5, -0.5, 0.5]
        before, after = (timedelta(hours=hours) for hours in (before_h, after_h))
        assert [label.utcoffset() for label in labels] == [before, before, after]
    finally:
        monkeypatch.undo()
        time.tzset()


def test_the_console_gets_the_start_with_all_ranks_usage_and_the_end_once() -> None:
    found, publisher, shown = journal(Clock())
    found.begin(Usage(seconds=30.0), Usage(seconds=10.0))
    found.mark("stop", Usage(5.0), Segment(), Reading(5.0), Usage(15.0), ended="finished")
    publisher.deliver()
    assert [record.event for record in shown.records] == ["start"]
    for _ in range(2):
        found.summary(Usage(45.0), 3)
        publisher.deliver()
    assert [record.event for record in shown.records] == ["start", "stop"]
    totals = [record.total or {} for record in shown.records]
    assert [total["seconds"] for total in totals] == [30.0, 45.0]
    assert totals[1]["ranks"] == 3


def test_a_record_holds_the_mean_factor_of_its_time_and_the_console_that_of_the_run() -> None:
    guard, shown = Guard(), Shown()
    publisher = Publisher(None, [], guard, console=shown)
    over_time = OverTime(Asked(lambda _: 50.0, guard), user(100.0), guard)
    grid = Grid(user(100.0), 2.0, "setting", None, over_time=over_time)
    template = dataclasses.replace(RECORD, intensity=grid.facts(), pue=2.0)
    found = Journal(template, grid, WallClock(Clock()), publisher, guard)
    found.begin(Usage(), Usage())
    half = found.mark("stage", Usage(5.0, {"cpu": 3.6e6}, 100.0), Segment(), Reading(5.0), Usage())
    stop = found.mark("stop", Usage(5.0, {"cpu": 3.6e6}, 160.0), Segment(), Reading(10.0), Usage(), ended="finished")
    found.summary(Usage(10.0, {"cpu": 7.2e6}, 260.0), None)
    publisher.deliver()
    assert [(whole(record).intensity or {})["g_per_kwh"] for record in (half, stop)] == [50.0, 80.0]
    assert (whole(half).intensity or {})["static_g_per_kwh"] == 100.0
    assert (whole(half).intensity or {})["source"].startswith("function ")
    assert [(record.intensity or {})["g_per_kwh"] for record in shown.records] == [50.0, 65.0]


def test_the_runs_that_a_segment_was_divided_with_are_named_until_the_mark_after_their_end() -> None:
    guard, others = Guard(), Alone("around")
    publisher = Publisher(None, [], guard)
    found = Journal(
        RECORD, Grid(user(100.0), 1.0, "setting", None), WallClock(Clock()), publisher, guard, others=others
    )
    found.begin(Usage(), Usage())
    others.divided_with.set(("sibling",))
    others.divided_with.set(())
    marks = [whole(found.mark("stage", Usage(5.0), Segment(), Reading(5.0), Usage())) for _ in range(2)]
    assert [record.siblings for record in marks] == [("sibling",), ()]
    assert {(record.parent, record.shared_with) for record in marks} == {("around", ())}
