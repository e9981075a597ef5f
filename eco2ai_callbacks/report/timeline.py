"""Power over time: a bounded number of intervals, however long a run is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from eco2ai_callbacks.record import Record
from eco2ai_callbacks.report.fields import moment
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


class Timeline:
    """The intervals of one process, in the order of its records."""

    __slots__ = ("_intervals", "_least")

    def __init__(self) -> None:
        self._intervals: list[Interval] = []
        self._least = 0.0

    @property
    def intervals(self) -> tuple[Interval, ...]:
        """The intervals, in the order of their times."""
        return tuple(sorted(self._intervals, key=lambda each: each.begins))

    def add(self, record: Record) -> None:
        """Add a record that counts."""
        if record.seconds <= 0 or not record.joules:
            return
        label = moment(record.start)
        if label is None:
            return
        joules: dict[str, float] = {}
        for channel, value in record.joules.items():
            name = component_of(channel)
            name = name if name in joules or len(joules) < _MOST_COMPONENTS else "other"
            joules[name] = joules.get(name, 0.0) + value
        begins = label.timestamp()
        self._add(Interval(begins, record.seconds, begins + record.seconds, joules))

    def plus(self, other: Timeline) -> None:
        """Add what another file holds of the same process."""
        self._least = max(self._least, other._least)
        for interval in other.intervals:
            self._add(interval)

    def _add(self, new: Interval) -> None:
        found = self._intervals
        # A pause between two sessions is no interval of low power.
        if found and found[-1].seconds < self._least and abs(new.begins - found[-1].ends) <= max(1.0, self._least):
            found[-1] = _both(found[-1], new)
        else:
            found.append(new)
        if len(found) > MOST_INTERVALS:
            lengths = sorted(each.seconds for each in found)
            self._least = max(2 * self._least, 2 * lengths[len(lengths) // 2])
            self._intervals = []
            for each in found:
                last = self._intervals[-1] if self._intervals else None
                if last is not None and last.seconds < self._least and len(found) > MOST_INTERVALS // 2:
                    self._intervals[-1] = _both(last, each)
                else:
                    self._intervals.append(each)


def _both(one: Interval, other: Interval) -> Interval:
    joules = dict(one.joules)
    for name, value in other.joules.items():
        key = name if name in joules or len(joules) < _MOST_COMPONENTS else "other"
        joules[key] = joules.get(key, 0.0) + value
    return Interval(min(one.begins, other.begins), one.seconds + other.seconds, max(one.ends, other.ends), joules)
