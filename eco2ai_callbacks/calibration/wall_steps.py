"""Measure steps beside a meter at the wall, and make runs of them that a fit can use."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence

from eco2ai_callbacks.calibration.http_meter import MeterError
from eco2ai_callbacks.calibration.readings import Reading, is_power, step_watts
from eco2ai_callbacks.calibration.sweep import Step
from eco2ai_callbacks.calibration.wall import LEAST_RUNS, WallFit, WallFitError, WallRun, fit_wall

POLL_S = 1.0
# As many readings in a row may fail: a BMC that restarts its web server is back within half a minute.
MOST_FAILURES = 10
# Seconds by which a meter may lag: a BMC shows means of up to half a minute; a logger's clock may be off either way.
LAGS_S = tuple(float(lag) for lag in range(31))
CLOCK_LAGS_S = tuple(float(lag) for lag in range(-120, 121, 2))

# Misfits that differ by less are the same: no meter is as exact.
_SAME_MISFIT = 1e-4


class Poller:
    """Waits as the steps ask for, and reads the meter meanwhile.

    Args:
        read: Returns the watts now, or raises :class:`MeterError`.
        clock: Monotonic seconds, the steps' own.
        sleep: Waits.

    Attributes:
        readings: What was read so far.
        failures: What failed so far, and readings that can be no power, one sentence each.
    """

    def __init__(
        self,
        read: Callable[[], float],
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._read, self._clock, self._sleep = read, clock, sleep
        self._in_a_row = 0
        self.readings: list[Reading] = []
        self.failures: list[str] = []

    def wait(self, seconds: float) -> None:
        """Read the meter once a second for so long.

        Args:
            seconds: How long.

        Raises:
            MeterError: The meter has given no power for too long.
        """
        until = self._clock() + seconds
        while True:
            self._poll()
            rest = until - self._clock()
            if rest <= 0:
                return
            self._sleep(min(POLL_S, rest))

    def _poll(self) -> None:
        try:
            # The reading is of the moment at which it was asked for, not of that at which it arrived.
            asked = self._clock()
            watts = self._read()
            if not is_power(watts):
                raise MeterError(f"the meter shows {watts:g} W, which is no power of a machine that is on")
        except MeterError as why:
            self.failures.append(str(why))
            self._in_a_row += 1
            if self._in_a_row >= MOST_FAILURES:
                raise MeterError(f"the meter gave no power {self._in_a_row} times in a row: {why}") from None
            return
        self._in_a_row = 0
        self.readings.append(Reading(asked, watts))


def fit_steps(
    steps: Sequence[Step],
    readings: Sequence[Reading],
    settle_s: float,
    methods: dict[str, str],
    lags_s: Sequence[float] = LAGS_S,
) -> tuple[WallFit, float, int]:
    """Return the fit of steps beside a meter that may lag, the lag, and how many steps had no usable reading.

    Of all lags it is the one with the smallest error among those that keep nearly as many steps as any.

    Args:
        steps: The measured steps.
        readings: The meter's readings, in the steps' seconds.
        settle_s: How long before each step its load began.
        methods: The methods that measured the steps, by component.
        lags_s: The lags to try, in seconds.

    Raises:
        WallFitError: No lag allows a fit.
    """
    ordered = sorted(readings, key=lambda reading: reading.t)
    tried = [(lag, runs_of(steps, ordered, settle_s, lag)) for lag in lags_s]
    most = max(len(runs) for _, runs in tried)
    if most < LEAST_RUNS:
        raise WallFitError(
            f"the meter gave a usable reading in {most} of {len(steps)} steps, and {LEAST_RUNS} are needed: it was "
            "silent, or repeated one reading; try without --quick"
        )
    fits: list[tuple[float, float, WallFit, int]] = []
    why: WallFitError | None = None
    for lag, runs in tried:
        if len(runs) < max(LEAST_RUNS, most - 2):
            continue
        try:
            fit = fit_wall(runs, methods)
        except WallFitError as error:
            why = why or error
            continue
        fits.append((lag, _misfit(fit, runs), fit, len(steps) - len(runs)))
    if not fits:
        raise why or WallFitError("no lag of the meter allows a fit")
    least = min(misfit for _, misfit, _, _ in fits)
    # A step's median is the same for several lags where a meter is steady: no lag, or the middle of them.
    equal = [found for found in fits if found[1] <= least + _SAME_MISFIT]
    chosen = next((found for found in equal if found[0] == 0.0), equal[len(equal) // 2])
    return chosen[2], chosen[0], chosen[3]


def runs_of(steps: Sequence[Step], readings: Sequence[Reading], settle_s: float, lag_s: float = 0.0) -> list[WallRun]:
    """Return the steps that have usable readings, as runs.

    Args:
        steps: The measured steps; those in which a read failed are left out.
        readings: The meter's readings, in the order of time.
        settle_s: How long before each step its load began.
        lag_s: By how much the meter is late.
    """
    runs = []
    for number, step in enumerate(steps):
        if step.failures:
            continue
        start, end = step.start + lag_s, step.end + lag_s
        # Before the first load the machine was idle as well: its readings may repeat earlier ones.
        changed = start - settle_s if number else -math.inf
        watts = step_watts(readings, changed, start, end)
        if watts is not None:
            seconds = step.end - step.start
            runs.append(WallRun(seconds, sum(step.watts.values()) * seconds, watts * seconds))
    return runs


def _misfit(fit: WallFit, runs: Sequence[WallRun]) -> float:
    """Return the mean deviation of the runs from the fit, relative: steadier over lags than the median error."""
    parts = [abs(fit.watts(run.measured_j / run.seconds) * run.seconds / run.wall_j - 1) for run in runs]
    return math.fsum(parts) / len(parts)
