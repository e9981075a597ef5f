"""Power over time in a bounded number of intervals."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from eco2ai_callbacks.record import Record
from eco2ai_callbacks.report.of_record import Deriver, Figures
from eco2ai_callbacks.report.timeline import MOST_INTERVALS, Timeline

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)


def figures(second: float, seconds: float = 1.0, **joules: float) -> Figures:
    label = (BEGIN + timedelta(seconds=second)).isoformat()
    used = {"seconds": seconds, "joules": joules or {"cpu": 10.0}}
    return Deriver().figures(Record(run="r", writer="w", event="stage", start=label, **used))


def test_an_interval_has_the_mean_power_of_its_records() -> None:
    line = Timeline()
    line.add(figures(0.0, 2.0, cpu=10.0, **{"gpu:1": 20.0, "gpu:2": 30.0}))
    (found,) = line.intervals
    assert (found.joules, found.power_w) == ({"cpu": 10.0, "gpu": 50.0}, 30.0)
    assert found.begins == BEGIN.timestamp()


@pytest.mark.parametrize(
    "odd",
    [
        Record(run="r", writer="w", event="stage", start="soon", seconds=1.0, joules={"cpu": 1.0}),
        Record(run="r", writer="w", event="stage", start=BEGIN.isoformat(), seconds=0.0, joules={"cpu": 1.0}),
        Record(run="r", writer="w", event="stage", start=BEGIN.isoformat(), seconds=1.0),
    ],
    ids=["no time", "no seconds", "no energy"],
)
def test_what_has_no_power_is_no_interval(odd: Record) -> None:
    line = Timeline()
    line.add(Deriver().figures(odd))
    assert line.intervals == ()


def test_a_long_run_is_put_together_and_loses_no_energy() -> None:
    line = Timeline()
    count = 20 * MOST_INTERVALS
    for second in range(count):
        line.add(figures(second))
    assert MOST_INTERVALS // 8 < len(line.intervals) <= MOST_INTERVALS
    assert sum(each.joules["cpu"] for each in line.intervals) == pytest.approx(10.0 * count)
    assert all(each.power_w == pytest.approx(10.0) for each in line.intervals)
    assert line.intervals[0].begins == BEGIN.timestamp()


def test_what_is_read_stays_as_it_was_while_more_is_added() -> None:
    line, other = Timeline(), Timeline()
    for second in range(MOST_INTERVALS + 1):
        line.add(figures(second))
    before = line.intervals
    said = [(each.seconds, dict(each.joules)) for each in before]
    other.plus(line)
    for second in range(MOST_INTERVALS + 1, 2 * MOST_INTERVALS):
        line.add(figures(second))
        other.add(figures(second))
    assert [(each.seconds, dict(each.joules)) for each in before] == said
    assert line.intervals == other.intervals


def test_a_pause_is_no_interval_of_low_power() -> None:
    line = Timeline()
    for second in (*range(MOST_INTERVALS), *range(10**6, 10**6 + MOST_INTERVALS)):
        line.add(figures(second))
    assert all(each.ends - each.begins < 1000 for each in line.intervals)


def test_intervals_that_all_lie_apart_stay_bounded() -> None:
    line = Timeline()
    for place in range(4 * MOST_INTERVALS):
        line.add(figures(place * 1000.0))
    assert len(line.intervals) <= MOST_INTERVALS


def test_two_files_parts_come_in_the_order_of_time() -> None:
    line, earlier = Timeline(), Timeline()
    line.add(figures(100.0))
    earlier.add(figures(0.0, disk=4.0))
    line.plus(earlier)
    assert [each.joules for each in line.intervals] == [{"disk": 4.0}, {"cpu": 10.0}]
