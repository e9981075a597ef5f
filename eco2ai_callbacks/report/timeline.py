"""Power over time: a bounded number of intervals, however long a run is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from eco2ai_callbacks.report.of_record import Figures
from eco2ai_callbacks.usage import component_of

# Intervals that are kept: a chart has no more pixels to show. Beyond, neighbours are put together.
MOST_INTERVALS = 512
# Components that are kept apart.
_MOST_COMPONENTS = 8


@dataclass(frozen=True, slots=True)
class Interval:
    """Energy in an interval of time.

    Args:
        begins: Seconds since 1970, of the label of its first record.
        seconds: Length that records cover.
        ends: Seconds since 1970.
        joules: Energy per component.
    """

    begins: float
    seconds: float
    ends: float
    joules: Mapping[str, float]

    @property
    def power_w(self) -> float:
        """Mean power over the seconds that records cover."""
        return sum(self.joules.values()) / self.seconds if self.seconds > 0 else 0.0


class _Open:
    """An interval to which more may be added: an :class:`Interval` for each record would take longer than its sums."""

    __slots__ = ("begins", "ends", "joules", "seconds")

    def __init__(self, begins: float, seconds: float, ends: float, joules: dict[str, float]) -> None:
        self.begins = begins
        self.seconds = seconds
        self.ends = ends
        self.joules = joules

    def add(self, begins: float, seconds: float, ends: float, joules: Mapping[str, float]) -> None:
        """Put another interval to this one."""
        held = self.joules
        for name, value in joules.items():
            key = name if name in held or len(held) < _MOST_COMPONENTS else "other"
            held[key] = held.get(key, 0.0) + value
        self.seconds += seconds
        if begins < self.begins:
            self.begins = begins
        if ends > self.ends:
            self.ends = ends


class Timeline:
    """The intervals of one process, in the order of its records."""

    __slots__ = ("_intervals", "_least")

    def __init__(self) -> None:
        self._intervals: list[_Open] = []
        self._least = 0.0

    @property
    def intervals(self) -> tuple[Interval, ...]:
        """The intervals, in the order of their times."""
        ordered = sorted(self._intervals, key=lambda each: each.begins)
        return tuple(Interval(each.begins, each.seconds, each.ends, dict(each.joules)) for each in ordered)

    def add(self, figures: Figures) -> None:
        """Add a record that counts."""
        record, begins = figures.record, figures.began
        if record.seconds <= 0 or not record.joules or begins is None:
            return
        joules: dict[str, float] = {}
        for channel, value in record.joules.items():
            name = component_of(channel)
            name = name if name in joules or len(joules) < _MOST_COMPONENTS else "other"
            joules[name] = joules.get(name, 0.0) + value
        self._add(begins, record.seconds, begins + record.seconds, joules)

    def plus(self, other: Timeline) -> None:
        """Add what another file holds of the same process."""
        self._least = max(self._least, other._least)
        for each in other.intervals:
            self._add(each.begins, each.seconds, each.ends, dict(each.joules))

    def _add(self, begins: float, seconds: float, ends: float, joules: dict[str, float]) -> None:
        found = self._intervals
        last = found[-1] if found else None
        # A pause between two sessions is no interval of low power.
        if last is not None and last.seconds < self._least and abs(begins - last.ends) <= max(1.0, self._least):
            last.add(begins, seconds, ends, joules)
            return
        found.append(_Open(begins, seconds, ends, joules))
        if len(found) > MOST_INTERVALS:
            self._shorten()

    def _shorten(self) -> None:
        """Put neighbours together."""
        found = self._intervals
        lengths = sorted(each.seconds for each in found)
        self._least = max(2 * self._least, 2 * lengths[len(lengths) // 2])
        kept: list[_Open] = []
        for each in found:
            if kept and kept[-1].seconds < self._least:
                kept[-1].add(each.begins, each.seconds, each.ends, each.joules)
            else:
                kept.append(each)
        self._intervals = kept
