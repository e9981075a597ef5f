"""Carbon intensity over time: a file, a function of the user or a live source, and the static figure in their gaps."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from eco2ai_callbacks.carbon.hours_file import read_hours
from eco2ai_callbacks.carbon.intensity import Intensity
from eco2ai_callbacks.carbon.series import KINDS, MARGINAL, Known, Mean, mean_of
from eco2ai_callbacks.errors import SettingsError
from eco2ai_callbacks.guard import Guard

# A function is asked for the start of each quarter of an hour: no market's interval is shorter. The figure counts for
# the whole quarter, so that the parts of a mark add up to the whole.
QUARTER_S = 900.0
# How many quarters' figures are kept, so that one figure counts for each: ten days.
_KEPT = 1000
# The highest figure that is no mistake of the unit: lignite is at some 1,200 g/kWh.
HIGHEST_G = 5000.0


class Asked:
    """The figures of a function of the user.

    Args:
        function: Returns grams of CO2e per kWh at a moment in UTC; ``None`` where it knows none. Its attributes
            ``kind`` and ``source``, where it has them, name the kind and the origin of its figures.
        guard: Records failures of the function.

    Raises:
        SettingsError: Its attribute ``kind`` is no kind.
    """

    def __init__(self, function: Callable[[datetime], float | None], guard: Guard) -> None:
        self.kind: Any | str = getattr(function, "kind", "unstated")
        name = getattr(function, "__qualname__", type(function).__qualname__)
        self.source: str = str(getattr(function, "source", f"function {name}"))
        if self.kind not in KINDS:
            raise SettingsError(f"{self.source} has the kind {self.kind!r}; accepted are {', '.join(KINDS)}")
        self._function = function
        self._guard = guard
        self._kept: OrderedDict[float, float] = OrderedDict()

    def mean(self, begin_s: float, end_s: float) -> Mean:
        """Return the mean over a period; see :meth:`eco2ai_callbacks.carbon.series.Known.mean`."""
        if end_s <= begin_s:
            at = self._figure(begin_s // QUARTER_S * QUARTER_S)
            return Mean(0.0, 0.0, begin_s) if at is None else Mean(at, 1.0)
        parts: list[tuple[float, float]] = []
        gap_s: float | None = None
        low = begin_s
        while low < end_s:
            quarter = low // QUARTER_S * QUARTER_S
            high = min(quarter + QUARTER_S, end_s)
            figure = self._figure(quarter)
            if figure is not None:
                parts.append((high - low, figure))
            elif gap_s is None:
                gap_s = low
            low = high
        return mean_of(parts, end_s - begin_s, gap_s)

    def _figure(self, quarter_s: float) -> float | None:
        """Return the figure of a quarter; ``None`` where the function fails or has none."""
        if quarter_s not in self._kept:
            moment = datetime.fromtimestamp(quarter_s, UTC)
            figure = self._guard.call("intensity", lambda: _number(self._function(moment)), None)
            if figure is None:
                return None
            self._kept[quarter_s] = figure
            if len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        return self._kept[quarter_s]


def _number(figure: Any) -> float | None:
    if figure is None or (isinstance(figure, float) and math.isnan(figure)):
        return None
    number = float(figure)
    if not 0 <= number <= HIGHEST_G:
        raise ValueError(f"{number!r} is no intensity; accepted are numbers from 0 to {HIGHEST_G:.0f} in g/kWh")
    return number


class OverTime:
    """The factors that a run is counted with: those over time, and the static one where they have a gap.

    Args:
        known: The figures over time.
        static: The static figure.
        guard: Records gaps.
    """

    def __init__(self, known: Known, static: Intensity, guard: Guard) -> None:
        self.known = known
        self._static = static
        self._guard = guard
        self._named = False

    def mean(self, start: datetime, seconds: float) -> float:
        """Return the mean factor of a period in g/kWh; a gap is filled, and the first is recorded."""
        found = self._mean(start, seconds)
        # Each record tells the share of its time that has no figure: one sentence is enough.
        if found.gap_s is not None and seconds > 0 and not self._named:
            self._named = True
            gap = datetime.fromtimestamp(found.gap_s, UTC).isoformat(timespec="minutes")
            self._guard.record(
                f"intensity: {self.known.source} has no figure at {gap}; "
                f"such times are counted with the static {self._static.g_per_kwh:g} g/kWh"
            )
        return self._filled(found)

    def facts(self, start: datetime, seconds: float, used: float | None = None) -> dict[str, Any]:
        """Return what the field ``intensity`` of a record holds beyond the static figure's facts.

        Args:
            start: Start of the record's segment.
            seconds: Its length.
            used: The mean factor that its CO2e was computed with; by default that of the period.
        """
        found = self._mean(start, seconds)
        static = self._static
        gap = {} if found.gap_s is None else {"static_share": 1.0 - found.known}
        return {
            "g_per_kwh": self._filled(found) if used is None else used,
            "dataset": "over time",
            "year": None,
            "kind": self.known.kind,
            "source": self.known.source,
            "static_g_per_kwh": static.g_per_kwh,
            "static_dataset": static.dataset,
            "static_year": static.year,
            "static_kind": static.kind,
            **gap,
        }

    def _mean(self, start: datetime, seconds: float) -> Mean:
        begin_s = start.timestamp()
        return self.known.mean(begin_s, begin_s + max(0.0, seconds))

    def _filled(self, found: Mean) -> float:
        if found.gap_s is None:
            return found.g_per_kwh
        return found.g_per_kwh * found.known + self._static.g_per_kwh * (1.0 - found.known)


def known_of(intensity: object, region: str | None, kind: str, guard: Guard) -> Known:
    """Return the figures over time that the setting ``intensity`` names.

    Args:
        intensity: The setting: a file, a function or a live source.
        region: The place that is set, by which the rows of a file of several zones are chosen.
        kind: The setting ``intensity_kind``.
        guard: Records failures of a function.

    Raises:
        SettingsError: The file is not there or does not hold such figures, or they are marginal.
    """
    known = _known(intensity, region, kind, guard)
    _check_average(intensity, known.kind)
    if kind != known.kind and {kind, known.kind} == {"lifecycle", "direct"}:
        raise SettingsError(
            f"intensity={str(intensity)!r} holds {known.kind} figures, and intensity_kind={kind!r} asks for others; "
            "accepted are figures of one kind"
        )
    return known


def _check_average(intensity: object, kind: str) -> None:
    if kind == MARGINAL:
        raise SettingsError(
            f"intensity={str(intensity)!r} holds marginal figures, which are no part of a footprint: they are for "
            "'eco2ai when', which shows when a job causes least; accepted are average figures"
        )


def _known(intensity: object, region: str | None, kind: str, guard: Guard) -> Known:
    if callable(intensity):
        return Asked(intensity, guard)
    if str(intensity).startswith("live:"):
        # Off by default: what opens sockets is imported only here.
        from eco2ai_callbacks.carbon.live.sources import feed, source

        # Before a token is asked for that would not be used.
        _check_average(intensity, source(str(intensity), region, kind).kind)
        return feed(str(intensity), region, kind, guard)
    return read_hours(Path(str(intensity)), region, kind)
