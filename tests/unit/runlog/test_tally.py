"""The running sum of records."""

from __future__ import annotations

from eco2ai_callbacks.runlog.tally import Tally, carried_usage
from eco2ai_callbacks.usage import Usage


def add(tally: Tally, event: str, writer: str = "w", joules: float = 36.0) -> None:
    tally.add(writer, event, 2.0, {"cpu": joules}, 0.001, 0.25)


def test_marks_add_up_and_notes_do_not() -> None:
    tally = Tally()
    for event in ("start", "epoch", "stage", "metrics", "forecast", "stop"):
        add(tally, event)
    assert tally.usage == Usage(6.0, {"cpu": 108.0}, 3.0, 0.75)
    assert tally.lines == 6


def test_a_heartbeat_counts_while_it_is_the_last_of_its_writer() -> None:
    tally = Tally()
    add(tally, "heartbeat")
    add(tally, "heartbeat", joules=50.0)
    add(tally, "heartbeat", "other", joules=1.0)
    add(tally, "metrics")
    assert tally.usage.joules == {"cpu": 51.0}
    add(tally, "epoch", joules=60.0)
    assert tally.usage.joules == {"cpu": 61.0}
    add(tally, "stop", "other", joules=2.0)
    assert tally.usage == Usage(4.0, {"cpu": 62.0}, 2.0, 0.5)


def test_what_a_start_carries_over_is_part_of_the_sum() -> None:
    tally = Tally()
    carried = {"energy_kwh": 1.0, "co2_kg": None, "seconds": 5.0}
    tally.add("w", "start", 0.0, {}, None, None, carried)
    tally.add("w", "start", 0.0, {}, None, None, None)
    assert tally.usage == carried_usage(carried) == Usage(5.0, {"carried": 3.6e6})


def test_where_nothing_was_measured_there_is_no_figure() -> None:
    tally = Tally()
    tally.add("w", "epoch", 3.0, {}, None, None)
    assert tally.usage == Usage(3.0)
    assert tally.usage.energy_kwh is None
