"""Sums of readings: since the last mark, per epoch and stage, and in total."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable

from eco2ai_callbacks.usage import Reading, Usage

# How many segments' sums are kept, the latest marked: an epoch asks for its own when it ends. So many validations and
# stages are in no epoch, and a run of a million epochs needs no more memory than one of ten.
KEPT = 256


class Ledger:
    """The sums of a session's usage; holds numbers only, and reads no clock and no file.

    Args:
        opening: The reading at the start.
        emissions: Returns the grams of CO2e of joules that were used in the seconds since the last mark.
        cost: Returns the cost of such joules; ``None`` without a price.
        before: Usage of earlier sessions of the run.
    """

    def __init__(
        self,
        opening: Reading,
        emissions: Callable[[float, float], float],
        cost: Callable[[float, float], float | None] | None = None,
        before: Usage | None = None,
    ) -> None:
        self._cost = cost
        self._emissions = emissions
        self._marked = opening
        self._sums: dict[Hashable, Usage] = {}
        self._total = before or Usage()

    @property
    def marked(self) -> Reading:
        """The reading at the last mark."""
        return self._marked

    @property
    def total(self) -> Usage:
        """Usage of the run up to the last mark, earlier sessions included."""
        return self._total

    def since(self, reading: Reading) -> Usage:
        """Return the usage between the last mark and this reading."""
        marked = self._marked
        joules, seconds = reading.since(marked), max(0.0, reading.t - marked.t)
        beyond_s = reading.beyond(marked) if reading.last_read or marked.last_read else {}
        if not joules:
            return Usage(seconds, beyond_s=beyond_s)
        total = math.fsum(joules.values())
        cost = None if self._cost is None else self._cost(total, seconds)
        return Usage(seconds, joules, self._emissions(total, seconds), cost, beyond_s)

    def mark(self, reading: Reading, segment: Hashable) -> Usage:
        """Close the time since the last mark as a segment, and return its usage."""
        usage = self.since(reading)
        self._marked = reading
        self._total += usage
        known = self._sums.pop(segment, None)  # the latest marked is the last
        self._sums[segment] = usage if known is None else known + usage
        if len(self._sums) > KEPT:
            del self._sums[next(iter(self._sums))]
        return usage

    def sum(self, segment: Hashable) -> Usage | None:
        """Return the usage of all marks of this segment; ``None`` where there is none, or none of late."""
        return self._sums.get(segment)
