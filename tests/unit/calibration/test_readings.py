from __future__ import annotations

import pytest

from eco2ai_callbacks.calibration.readings import (
    Reading,
    ReadingError,
    step_watts,
    table_readings,
    table_runs,
    typed_watts,
)


@pytest.mark.parametrize(
    ("text", "watts"),
    [("123", 123.0), (" 123.5 W", 123.5), ("123,5w", 123.5), ("0.12 kW", 120.0), ("", None), ("  ", None)],
)
def test_a_person_types_watts(text: str, watts: float | None) -> None:
    assert typed_watts(text) == watts


@pytest.mark.parametrize("text", ["-5", "0", "a lot", "12 V", "1e3", "999999", "nan"])
def test_what_is_no_power_is_refused_with_what_is_accepted(text: str) -> None:
    with pytest.raises(ReadingError, match=r"is no power: accepted is 123, 123.5 W or 0.12 kW"):
        typed_watts(text)


@pytest.mark.parametrize(
    "text",
    [
        "time,watts\n1700000000,50\n1700000001,60\n",
        "\ufeffTime;Power\n1700000001;60,0\n1700000000;50,0\n",
        "timestamp,note,w\n2023-11-14T22:13:20+00:00,x,50\n2023-11-14T22:13:21Z,y,60\n",
        "date\twatts\n1700000000000\t50\n1700000001000\t60\n1700000002000\tunavailable\n1700000003000\t-1\n\nodd\n",
    ],
    ids=["plain", "semicolons and commas", "iso", "milliseconds and gaps"],
)
def test_a_logger_s_table_is_read(text: str) -> None:
    assert table_readings(text) == [Reading(1_700_000_000.0, 50.0), Reading(1_700_000_001.0, 60.0)]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "no column 'time'"),
        ("time,volts\n1,2\n", "no column 'watts': its first line is 'time,volts'"),
        ("time,watts\n", "no row with a time and a power"),
        ("time,watts\nyesterday,50\n", "no row with a time and a power"),
    ],
)
def test_a_table_without_readings_is_refused(text: str, why: str) -> None:
    with pytest.raises(ReadingError, match=why):
        table_readings(text)


def test_finished_runs_are_read_in_joules_or_kilowatt_hours() -> None:
    [run] = table_runs("seconds,measured_kwh,wall_kwh\n60,0.001,0.002\n")
    assert (run.seconds, run.measured_j, run.wall_j) == (60.0, pytest.approx(3600.0), pytest.approx(7200.0))
    [run] = table_runs("model,seconds,codecarbon_j,meter_j\nx,60,3600,7200\ny,,1,2\n")
    assert (run.seconds, run.measured_j, run.wall_j) == (60.0, 3600.0, 7200.0)
    with pytest.raises(ReadingError, match="no column 'seconds'"):
        table_runs("measured_kwh,wall_kwh\n1,2\n")
    with pytest.raises(ReadingError, match="no row with numbers"):
        table_runs("seconds,measured_kwh,wall_kwh\n")


def each(watts: dict[float, float]) -> list[Reading]:
    return [Reading(t, value) for t, value in watts.items()]


def test_a_step_has_the_median_of_its_readings() -> None:
    readings = each({0: 10, 2: 20, 3: 20, 4: 9000, 5: 20, 6: 21, 9: 50})
    assert step_watts(readings, 1, 2, 6) == 20
    assert step_watts([], 1, 2, 6) is None


def test_readings_that_only_repeat_the_one_before_the_load_do_not_count() -> None:
    repeats = each(dict.fromkeys(range(-2, 7), 10))
    assert step_watts(repeats, 1, 2, 6) is None
    late = each({-1: 10, 0: 10, 1: 10, 2: 10, 3: 10, 3.5: 30, 4: 30, 5: 30, 6: 30})
    assert step_watts(late, 1, 2, 6) == 30
    # At the moment of the change it may already show the new load.
    assert step_watts(each({0: 10, 1: 30, 2: 30, 4: 30, 6: 30}), 1, 2, 6) == 30
    # Once it has moved, an equal reading is a reading.
    back = each({0: 10, 1.5: 30, 2: 10, 4: 10, 6: 10})
    assert step_watts(back, 1, 2, 6) == 10


def test_a_meter_that_was_silent_for_half_of_a_step_has_none() -> None:
    assert step_watts(each({0: 10, 2: 20, 3: 20}), 1, 2, 6) is None
    assert step_watts(each({0: 10, 5: 20, 6: 20}), 1, 2, 6) is None
    assert step_watts(each({0: 10, 3: 20, 4.5: 20}), 1, 2, 6) == 20
