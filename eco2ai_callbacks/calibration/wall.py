"""Fit what a meter at the wall shows to what was measured of the components: wall = a + b x measured."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from eco2ai_callbacks.calibration.fit import held, rounded
from eco2ai_callbacks.usage import kwh

LEAST_RUNS = 4
# A fit whose left-out runs are off by more than this is called poor.
POOR = 0.10
# How far the measured power may lie outside of the fit's before the figure is called extrapolated, as a part of that
# range.
_BEYOND = 0.10
# The narrowest band: plugs and PDUs are themselves known to some 2 % (Shelly Plug S 1 %, IEC 62053-21 class 2).
_LEAST_BAND = 0.02


@dataclass(frozen=True, slots=True)
class WallRun:
    """What the components used by measurement in some time, and what the meter at the wall showed.

    Args:
        seconds: The time.
        measured_j: Joules of the measured components.
        wall_j: Joules by the meter.
    """

    seconds: float
    measured_j: float
    wall_j: float


@dataclass(frozen=True, slots=True)
class WallEnergy:
    """Energy at the wall as the fit has it, to be reported beside the components' energy and never instead of it.

    Args:
        kwh: The energy.
        low: Lower end of the band, in kWh.
        high: Upper end of the band, in kWh.
        warning: Why the figure is not to be relied on; empty where there is no reason.
    """

    kwh: float
    low: float
    high: float
    warning: str = ""


@dataclass(frozen=True, slots=True)
class WallFit:
    """The power at the wall over the power of the measured components.

    Args:
        base_w: Watts at the wall beside those in proportion to what is measured: board, disks, fans.
        slope: Watts at the wall for each watt that is measured: losses of the power supply, and what rises with load.
        error: Median error of single runs that were left out, as a part of the meter's figure.
        band: The part of the meter's figure within which 90 % of left-out runs lie.
        runs: How many runs it was fit to.
        least_w: The lowest measured power among them.
        most_w: The highest.
        methods: The methods that measured, by component; with others the fit does not hold.
    """

    base_w: float
    slope: float
    error: float
    band: float
    runs: int
    least_w: float
    most_w: float
    methods: Mapping[str, str]

    def watts(self, measured_w: float) -> float:
        """Return the power at the wall for a measured power."""
        return max(0.0, self.base_w + self.slope * measured_w)

    def energy(self, measured_j: float, seconds: float, methods: Mapping[str, str] | None = None) -> WallEnergy | None:
        """Return the energy at the wall of a run of the whole machine; ``None`` where no time has passed.

        Args:
            measured_j: Joules of all measured components.
            seconds: The run's duration.
            methods: The methods that measured the run, by component; not compared where they are left out.

        Example:
            >>> fit = WallFit(50.0, 1.1, 0.03, 0.05, 10, 40.0, 300.0, {"gpu": "nvml-energy"})
            >>> fit.energy(720000.0, 3600.0).kwh
            0.27
        """
        if seconds <= 0:
            return None
        warnings = []
        margin = _BEYOND * (self.most_w - self.least_w)
        mean_w = measured_j / seconds
        if not self.least_w - margin <= mean_w <= self.most_w + margin:
            warnings.append(
                f"extrapolated: {mean_w:.0f} W were measured, the calibration has {self.least_w:.0f} to "
                f"{self.most_w:.0f} W"
            )
        if self.error > POOR:
            warnings.append(f"poor fit: single runs are off by {self.error:.0%}")
        if methods is not None and dict(methods) != dict(self.methods):
            warnings.append(f"calibrated for {_named(self.methods)}, measured by {_named(methods)}")
        wall_kwh = kwh(self.watts(mean_w) * seconds)
        return WallEnergy(wall_kwh, wall_kwh * max(0.0, 1 - self.band), wall_kwh * (1 + self.band), "; ".join(warnings))

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON."""
        return {**{name: rounded(getattr(self, name)) for name in _FIELDS}, "methods": dict(self.methods)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> WallFit:
        """Return the inverse of :meth:`to_dict`; raises ``ValueError`` where the values make no sense."""
        found = {name: values.get(name) for name in _FIELDS}
        for name, value in found.items():
            if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
                raise ValueError(f"{name}={value!r} is no number")
        methods = values.get("methods")
        if not isinstance(methods, dict) or not all(isinstance(text, str) for pair in methods.items() for text in pair):
            raise ValueError("methods must be names by component")
        fit = cls(**found, methods=methods)  # type: ignore[arg-type]
        if fit.slope <= 0 or fit.least_w > fit.most_w or fit.band < 0 or fit.error < 0 or fit.watts(fit.most_w) <= 0:
            raise ValueError("its figures contradict each other")
        return fit


_FIELDS = ("base_w", "slope", "error", "band", "runs", "least_w", "most_w")


class WallFitError(Exception):
    """The runs allow no fit; the message is a sentence for the user."""


def fit_wall(runs: Sequence[WallRun], methods: Mapping[str, str] | None = None) -> WallFit:
    """Return the fit of the wall's power.

    Args:
        runs: Runs of the whole machine at different loads.
        methods: The methods that measured them, by component.

    Raises:
        WallFitError: There are too few runs, they are too much alike, or the meter does not follow what is measured.
    """
    usable = [run for run in runs if run.seconds > 0 and run.wall_j > 0 and run.measured_j >= 0]
    if len(usable) < LEAST_RUNS:
        raise WallFitError(f"{len(usable)} usable runs are too few: {LEAST_RUNS} are needed")
    powers = [run.measured_j / run.seconds for run in usable]
    if max(powers) - min(powers) < 0.05 * max(powers):
        raise WallFitError(
            f"the measured power of all runs lies between {min(powers):.1f} and {max(powers):.1f} W: runs at idle and "
            "at full load are needed"
        )
    line = _line(usable)
    if line is None or line[1] <= 0:
        raise WallFitError("the meter does not rise with what is measured: it may show another machine, or lag behind")
    errors = []
    for number, run in enumerate(usable):
        rest = _line([other for place, other in enumerate(usable) if place != number])
        if rest is not None:
            wall_j = max(0.0, rest[0] * run.seconds + rest[1] * run.measured_j)
            errors.append(abs(wall_j / run.wall_j - 1))
    error = sorted(errors)[len(errors) // 2]
    band = max(_LEAST_BAND, held(errors))
    return WallFit(line[0], line[1], error, band, len(usable), min(powers), max(powers), dict(methods or {}))


def _line(runs: Sequence[WallRun]) -> tuple[float, float] | None:
    """Return base and slope by the median of the slopes between all pairs of runs (Theil and Sen).

    A meter's jumps and repeated readings then move the line little, up to more than a quarter of the runs.
    """
    points = [(run.measured_j / run.seconds, run.wall_j / run.seconds) for run in runs]
    slopes = [
        ((wall - other_wall) / (measured - other), abs(measured - other))
        for number, (measured, wall) in enumerate(points)
        for other, other_wall in points[:number]
        if measured != other
    ]
    if not slopes:
        return None
    slope = _weighted_median(slopes)
    return _weighted_median([(wall - slope * measured, 1.0) for measured, wall in points]), slope


def _weighted_median(pairs: Sequence[tuple[float, float]]) -> float:
    half, reached = math.fsum(weight for _, weight in pairs) / 2, 0.0
    ordered = sorted(pairs)
    for place, (value, weight) in enumerate(ordered):
        reached += weight
        if reached > half:
            return value
        if reached == half:
            return (value + ordered[min(place + 1, len(ordered) - 1)][0]) / 2
    return ordered[-1][0]


def _named(methods: Mapping[str, str]) -> str:
    return ", ".join(f"{component} by {method}" for component, method in sorted(methods.items())) or "nothing"
