from __future__ import annotations

from collections.abc import Callable

import pytest

from eco2ai_callbacks.calibration.http_meter import MeterError
from eco2ai_callbacks.calibration.loads import Load
from eco2ai_callbacks.calibration.readings import Reading
from eco2ai_callbacks.calibration.sweep import Step
from eco2ai_callbacks.calibration.wall import WallFitError
from eco2ai_callbacks.calibration.wall_steps import Poller, fit_steps, runs_of
from eco2ai_callbacks.testing import Clock

SETTLE_S, STEP_S = 2.0, 8.0
WATTS = [10, 30, 25, 60, 45, 90, 75, 120, 100, 140]


def steps() -> list[Step]:
    """Ten steps of 8 seconds, each after 2 seconds of another load."""
    return [
        Step(Load(number), 10.0 * number + SETTLE_S, 10.0 * number + 10.0, number, {"cpu": float(watts)})
        for number, watts in enumerate(WATTS)
    ]


def truth(t: float) -> float:
    """The power at the wall: 40 W and 1.2 times what is measured."""
    return 40.0 + 1.2 * WATTS[min(len(WATTS) - 1, max(0, int(t // 10.0)))]


def meter(shown: Callable[[float], float]) -> list[Reading]:
    return [Reading(float(t), shown(float(t))) for t in range(-60, 200)]


# What a meter shows, and by how much it is late; a small lag need not be found, for old readings are left out.
METERS: dict[str, tuple[Callable[[float], float], float | None]] = {
    "prompt": (truth, 0.0),
    "5 s late": (lambda t: truth(t - 5.0), None),
    "20 s late": (lambda t: truth(t - 20.0), 20.0),
    "a new reading every 3 s": (lambda t: truth(t - t % 3.0), 0.0),
    "a jump each step": (lambda t: 9000.0 if t % 10 == 6 else truth(t), 0.0),
    "whole watts": (lambda t: float(round(truth(t))), 0.0),
}


@pytest.mark.parametrize("kind", METERS)
def test_a_meter_s_habits_do_not_spoil_the_fit(kind: str) -> None:
    shown, lag = METERS[kind]
    fit, found, without = fit_steps(steps(), meter(shown), SETTLE_S, {"cpu": "rapl"})
    assert (fit.base_w, fit.slope) == (pytest.approx(40.0, abs=2.0), pytest.approx(1.2, rel=0.03))
    assert fit.methods == {"cpu": "rapl"}
    assert lag is None or abs(found - lag) <= 3.0
    assert without <= 2


def test_a_logger_s_clock_may_be_off_either_way() -> None:
    lags = [float(lag) for lag in range(-40, 41, 2)]
    for off in (-30.0, 30.0):
        fit, found, _ = fit_steps(steps(), meter(lambda t, off=off: truth(t - off)), SETTLE_S, {}, lags)
        assert fit.slope == pytest.approx(1.2, rel=0.02)
        assert abs(found - off) <= 2.0


def test_a_meter_that_repeats_one_reading_gives_no_fit() -> None:
    with pytest.raises(
        WallFitError, match=r"a usable reading in [01] of 10 steps, and 4 are needed: it was silent, or"
    ):
        fit_steps(steps(), meter(lambda t: 55.0), SETTLE_S, {}, (0.0,))


def test_a_meter_that_goes_silent_leaves_out_those_steps() -> None:
    readings = [reading for reading in meter(truth) if not 35 <= reading.t <= 65]
    fit, _, without = fit_steps(steps(), readings, SETTLE_S, {}, (0.0,))
    assert without == 3
    assert fit.slope == pytest.approx(1.2)


def test_a_meter_of_another_machine_gives_no_fit() -> None:
    with pytest.raises(WallFitError, match="the meter does not rise with what is measured"):
        fit_steps(steps(), meter(lambda t: 300.0 - truth(t)), SETTLE_S, {}, (0.0,))


def test_steps_in_which_a_read_failed_are_left_out() -> None:
    failed = steps()
    failed[3] = Step(Load(3), 32.0, 40.0, 3, {"cpu": 60.0}, ("RAPL: gone",))
    assert len(runs_of(failed, meter(truth), SETTLE_S)) == 9


# --- reading meanwhile ------------------------------------------------------------------------------------------------


def test_the_meter_is_read_once_a_second_while_a_step_waits() -> None:
    clock = Clock(100.0)
    poller = Poller(lambda: clock() / 2, clock, clock.advance)
    poller.wait(3.0)
    assert poller.readings == [Reading(t, t / 2) for t in (100.0, 101.0, 102.0, 103.0)]
    assert clock() == 103.0


def test_single_failures_and_absurd_readings_are_named_and_passed_over() -> None:
    clock = Clock()
    answers: list[float | None] = [50.0, None, 60.0, -1.0, float("nan"), 1e9, 70.0]

    def read() -> float:
        answer = answers.pop(0)
        if answer is None:
            raise MeterError("no answer")
        return answer

    poller = Poller(read, clock, clock.advance)
    poller.wait(6.0)
    assert [reading.watts for reading in poller.readings] == [50.0, 60.0, 70.0]
    assert len(poller.failures) == 4
    assert "the meter shows -1 W, which is no power of a machine that is on" in poller.failures


def test_a_meter_that_stays_silent_ends_the_calibration() -> None:
    clock = Clock()

    def read() -> float:
        raise MeterError("http://plug did not answer: timed out")

    poller = Poller(read, clock, clock.advance)
    with pytest.raises(MeterError, match="no power 10 times in a row: http://plug did not answer: timed out"):
        poller.wait(60.0)
    assert clock() < 15.0
