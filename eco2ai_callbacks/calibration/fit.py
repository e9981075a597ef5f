"""Fit the power of a machine's processors over its busy threads, and how wrong that is on points left out."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from eco2ai_callbacks.calibration.solve import least_deviations

# Fewer points leave no doubt to compute with four parameters.
LEAST_POINTS = 6
# The form's bend is searched at these parts of all threads.
_BENDS = tuple(number / 20 for number in range(2, 20))
# The part of points that the band holds.
HELD = 0.9
# Points below this part of the highest power do not widen the band: near 0 W every factor is large, and few joules
# depend on it.
_LOW_PART = 0.1
# The narrowest band: what counters are themselves known to (Intel 5 %), and loads that the fit has not seen.
LEAST_FACTOR = 1.1
# A fit with a wider band says nothing.
_MOST_FACTOR = 10.0


@dataclass(frozen=True, slots=True)
class Point:
    """The mean power of all processors under one load.

    Args:
        busy: Busy threads of the machine, its mean.
        watts: The power.
    """

    busy: float
    watts: float


@dataclass(frozen=True, slots=True)
class CpuFit:
    """Two straight lines over the busy threads: power rises steeply up to a bend, and less steeply from there on.

    Of the forms that are compared by ``tools/cpu_calibration/compare.py`` this one has the smallest error on left-out
    points of the published sweeps.

    Args:
        threads: Hardware threads of the machine.
        idle_w: Where the first line begins, in watts; below 0 where power rises more steeply at first than later.
        thread_w: Watts of each busy thread up to the bend.
        bend: Busy threads at the bend.
        beyond_w: Watts of each busy thread from there on.
        error: Mean error on points left out, as a part of the mean power.
        factor: The band: the factor on either side within which the power of 90 % of left-out points lies.
        points: How many points it was fit to.
        most_w: The highest power among them.
    """

    threads: int
    idle_w: float
    thread_w: float
    bend: float
    beyond_w: float
    error: float
    factor: float
    points: int
    most_w: float

    def watts(self, busy: float) -> float:
        """Return the power at so many busy threads; never below 0 W.

        Example:
            >>> fit = CpuFit(8, 5.0, 6.0, 4.0, 2.0, 0.05, 1.1, 12, 37.0)
            >>> [fit.watts(busy) for busy in (0, 4, 8, 99)]
            [5.0, 29.0, 37.0, 37.0]
        """
        lines = Lines(self.idle_w, self.thread_w, self.bend, self.beyond_w)
        return lines(min(max(busy, 0.0), float(self.threads)))

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON."""
        return {name: rounded(getattr(self, name)) for name in _FIELDS}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> CpuFit:
        """Return the inverse of :meth:`to_dict`; raises ``ValueError`` where the values make no sense."""
        found = {name: values.get(name) for name in _FIELDS}
        for name, value in found.items():
            if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
                raise ValueError(f"{name}={value!r} is no number")
        fit = cls(**found)  # type: ignore[arg-type]
        if not (fit.threads >= 1 and fit.factor >= 1 and fit.error >= 0 and 0 <= fit.bend <= fit.threads):
            raise ValueError("its figures contradict each other")
        ends = fit.watts(0.0), fit.watts(fit.bend), fit.watts(fit.threads)
        # No machine of so many threads draws a kilowatt for each; a figure of that size is damaged.
        if not 0 < max(ends) <= 1000.0 * fit.threads or max(ends) <= ends[0]:
            raise ValueError("its power does not rise with the load, or is no processor's")
        return fit


_FIELDS = ("threads", "idle_w", "thread_w", "bend", "beyond_w", "error", "factor", "points", "most_w")


class FitError(Exception):
    """The points allow no fit; the message is a sentence for the user."""


def fit_cpu(points: Sequence[Point], threads: int) -> CpuFit:
    """Return the fit of a machine's power.

    Args:
        points: Loads from idle to full, each with its power.
        threads: Hardware threads of the machine.

    Raises:
        FitError: There are too few points, they are too much alike, or the power does not follow the load.
    """
    if len(points) < LEAST_POINTS:
        raise FitError(f"{len(points)} usable points are too few: {LEAST_POINTS} are needed")
    if max(p.busy for p in points) - min(p.busy for p in points) < 0.5 * threads:
        raise FitError(
            f"the loads reach from {min(p.busy for p in points):.1f} to {max(p.busy for p in points):.1f} of {threads} "
            "threads: half of the threads must lie between the lowest and the highest"
        )
    lines = two_lines(points, threads)
    if lines is None or lines(threads) <= max(lines(0.0), 0.0):
        raise FitError("the power does not rise with the load: the counters are not those of this machine's processors")
    error, factor = left_out(points, lambda rest: two_lines(rest, threads))
    return CpuFit(
        threads,
        lines.idle_w,
        lines.thread_w,
        lines.bend,
        lines.beyond_w,
        error,
        factor,
        len(points),
        max(p.watts for p in points),
    )


@dataclass(frozen=True, slots=True)
class Lines:
    """Two straight lines that meet, as :class:`CpuFit` holds them."""

    idle_w: float
    thread_w: float
    bend: float
    beyond_w: float

    def __call__(self, busy: float) -> float:
        """Return the power at so many busy threads."""
        return max(0.0, self.idle_w + self.thread_w * min(busy, self.bend) + self.beyond_w * max(0.0, busy - self.bend))


def two_lines(points: Sequence[Point], threads: int) -> Lines | None:
    """Return the two lines of the smallest sum of absolute deviations; ``None`` where none are determined.

    Args:
        points: Loads and their power.
        threads: Hardware threads of the machine.
    """
    best: tuple[float, Lines] | None = None
    for part in _BENDS:
        bend = part * threads
        rows = [(1.0, min(p.busy, bend), max(0.0, p.busy - bend)) for p in points]
        found = least_deviations(rows, [p.watts for p in points])
        if found is not None and (best is None or found[1] < best[0]):
            (idle_w, thread_w, beyond_w), deviation = found
            best = deviation, Lines(idle_w, thread_w, bend, beyond_w)
    return best[1] if best else None


def left_out(
    points: Sequence[Point], fit: Callable[[list[Point]], Callable[[float], float] | None]
) -> tuple[float, float]:
    """Return a form's error and band on points that it was not fit to, each left out once.

    Args:
        points: Loads and their power.
        fit: Returns the power over busy threads, fit to the points that it gets.

    Returns:
        The mean deviation as a part of the mean power, and the factor that holds 90 % of the points.
    """
    deviations: list[float] = []
    factors: list[float] = []
    loaded: list[float] = []
    most_w = max(p.watts for p in points)
    for number, point in enumerate(points):
        power = fit([p for place, p in enumerate(points) if place != number])
        if power is None:
            continue
        watts = power(point.busy)
        deviations.append(abs(watts - point.watts))
        factors.append(math.inf if min(watts, point.watts) <= 0 else max(watts / point.watts, point.watts / watts))
        if point.watts >= _LOW_PART * most_w:
            loaded.append(factors[-1])
    mean_w = math.fsum(p.watts for p in points) / len(points)
    error = math.fsum(deviations) / len(deviations) / mean_w if deviations and mean_w > 0 else math.inf
    if not loaded:
        return error, _MOST_FACTOR
    # The points near 0 W count as well, but never as its end: with many of them all points under load lie in it.
    holding = sorted(factors)[math.ceil(HELD * len(factors)) - 1]
    return error, min(max(LEAST_FACTOR, min(holding, max(loaded))), _MOST_FACTOR)


def rounded(value: float) -> float:
    """Return a figure as it is stored: with as many digits as any meter has."""
    return value if isinstance(value, int) else round(value, 6)


def held(deviations: Sequence[float]) -> float:
    """Return the deviation that 90 % of further runs will not exceed, by those of runs that were left out.

    With n of them it is the one of rank 0.9 x (n + 1), so that few runs give a wide band.

    Example:
        >>> held([1.1, 1.0, 1.3, 1.2, 1.05, 1.15, 1.0, 1.02, 1.25])
        1.3
    """
    if not deviations:
        return math.inf
    rank = math.ceil(HELD * (len(deviations) + 1))
    return sorted(deviations)[min(rank, len(deviations)) - 1]
