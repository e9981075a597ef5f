"""From readings to what was used: since the last mark, per epoch and stage, and in all."""

from __future__ import annotations

import math
from collections.abc import Hashable

from eco2ai_callbacks.usage import Reading, Usage, kwh


class Ledger:
    """Sums up what was used; holds numbers only, and reads no clock and no file.

    Args:
        opening: The reading at the start.
        g_per_kwh: Carbon intensity of the grid, in grams of CO2e per kWh.
        pue: Overhead of the data centre, which CO2 includes and energy does not.
        before: What earlier sessions of the run have used.
    """

    def __init__(self, opening: Reading, g_per_kwh: float, pue: float = 1.0, before: Usage | None = None) -> None:
        self._g_per_kwh = g_per_kwh * pue
        self._marked = opening
        self._sums: dict[Hashable, Usage] = {}
        self._total = before or Usage()

    @property
    def marked(self) -> Reading:
        """The reading at the last mark."""
        return self._marked

    @property
    def total(self) -> Usage:
        """The run up to the last mark, earlier sessions included."""
        return self._total

    def since(self, reading: Reading) -> Usage:
        """What was used between the last mark and this reading."""
        joules = reading.since(self._marked)
        grams = kwh(math.fsum(joules.values())) * self._g_per_kwh if joules else None
        return Usage(max(0.0, reading.t - self._marked.t), joules, grams)

    def mark(self, reading: Reading, segment: Hashable) -> Usage:
        """Close the time since the last mark under a name, and return what was used in it."""
        usage = self.since(reading)
        self._marked = reading
        self._total += usage
        self._sums[segment] = self._sums.get(segment, Usage()) + usage
        return usage

    def sum(self, segment: Hashable) -> Usage | None:
        """What all marks of this name have used; ``None`` where there is none."""
        return self._sums.get(segment)
