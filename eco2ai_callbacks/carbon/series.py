"""A time series of carbon intensities, and its mean over a period."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

from eco2ai_callbacks.errors import SettingsError

# Kinds of figures over time. A marginal one is that of the power plant that answers to more demand: it tells when to
# run, and is no share of what a grid emits, so it is never added to or put in the place of an average one.
MARGINAL = "marginal"
KINDS = ("lifecycle", "direct", "average", "unstated", MARGINAL)


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """A carbon intensity for a span of time.

    Args:
        begin_s: Its begin in Unix seconds.
        end_s: Its end in Unix seconds, not part of it.
        g_per_kwh: Grams of CO2e per kWh.
    """

    begin_s: float
    end_s: float
    g_per_kwh: float


@dataclass(frozen=True, slots=True)
class Mean:
    """The mean over a period.

    Args:
        g_per_kwh: Mean over the part with figures; 0 where there is none.
        known: Share of the period that has figures, from 0 to 1.
        gap_s: First moment without one, in Unix seconds; ``None`` where all of it has figures.
    """

    g_per_kwh: float
    known: float
    gap_s: float | None = None


class Known(Protocol):
    """What knows carbon intensities over time: a series, a function of the user, a live source."""

    @property
    def source(self) -> str:
        """Where the figures come from, as records name it."""
        ...

    @property
    def kind(self) -> str:
        """One of :data:`KINDS`."""
        ...

    def mean(self, begin_s: float, end_s: float) -> Mean:
        """Return the mean over a period, in Unix seconds; the figure at its begin where its length is 0."""
        ...


class Series:
    """Figures over time, in order and without overlaps. There may be gaps.

    Args:
        spans: The figures, in any order.
        source: Where they come from.
        kind: One of :data:`KINDS`.

    Raises:
        SettingsError: Two of them are for the same time.

    Example:
        >>> hours = Series([Span(0, 3600, 100.0), Span(3600, 7200, 50.0)], "hours.csv", "average")
        >>> hours.mean(1800, 5400)
        Mean(g_per_kwh=75.0, known=1.0, gap_s=None)
    """

    def __init__(self, spans: Iterable[Span], source: str, kind: str) -> None:
        self.source = source
        self.kind = kind
        self.spans: tuple[Span, ...] = tuple(sorted(set(spans)))
        for one, other in pairwise(self.spans):
            if other.begin_s < one.end_s:
                raise SettingsError(f"{source} has two figures for the same time: {one} and {other}")
        self._begins = [span.begin_s for span in self.spans]

    def mean(self, begin_s: float, end_s: float) -> Mean:
        """Return the mean over a period; see :meth:`Known.mean`."""
        if end_s <= begin_s:
            at = self._at(begin_s)
            return Mean(0.0, 0.0, begin_s) if at is None else Mean(at.g_per_kwh, 1.0)
        parts: list[tuple[float, float]] = []
        gap_s: float | None = None
        done = begin_s
        for span in self.spans[max(0, bisect_right(self._begins, begin_s) - 1) :]:
            if span.begin_s >= end_s:
                break
            low, high = max(span.begin_s, begin_s), min(span.end_s, end_s)
            if high <= low:
                continue
            if low > done and gap_s is None:
                gap_s = done
            parts.append((high - low, span.g_per_kwh))
            done = high
        if done < end_s and gap_s is None:
            gap_s = done
        return mean_of(parts, end_s - begin_s, gap_s)

    def _at(self, moment_s: float) -> Span | None:
        place = bisect_right(self._begins, moment_s) - 1
        found = self.spans[place] if place >= 0 else None
        return found if found is not None and moment_s < found.end_s else None


def mean_of(parts: Iterable[tuple[float, float]], seconds: float, gap_s: float | None) -> Mean:
    """Return the mean of parts of a period.

    Args:
        parts: Seconds and figure of each part that has one.
        seconds: Length of the period.
        gap_s: First moment without a figure.
    """
    parts = list(parts)
    covered = math.fsum(length for length, _ in parts)
    if not covered:
        return Mean(0.0, 0.0, gap_s)
    mean = math.fsum(length * g_per_kwh for length, g_per_kwh in parts) / covered
    return Mean(mean, 1.0 if gap_s is None else min(1.0, covered / seconds), gap_s)
