"""The split of a session's usage over phases: since the last mark, since the last epoch, and in all."""

from __future__ import annotations

import math
from collections.abc import Mapping

from eco2ai_callbacks.phases.clock import PhaseClock
from eco2ai_callbacks.phases.shares import Split, added
from eco2ai_callbacks.phases.times import OTHER
from eco2ai_callbacks.usage import Reading, Usage, component_of

# A GPU's counter alone tells when the energy was used: the split by phases sees it at each look, every so many seconds.
# A look takes some milliseconds where a process has many children, and phases that last are longer.
LOOK_S = 1.0


class PhaseLedger:
    """The phases of a session. Where no phase was named so far, there is nothing to tell, and nothing is kept.

    Args:
        clock: The time spent in each phase.
        opening: The reading at the start.
    """

    def __init__(self, clock: PhaseClock, opening: Reading) -> None:
        self._clock = clock
        self._split = Split()
        self._read, self._spent = opening, clock.spent()
        self._recent: dict[str, tuple[float, float]] = {}
        self._total: dict[str, tuple[float, float]] = {}
        # Seconds and joules of the marks since the last epoch, and of all, before the first phase was named.
        self._unnamed_recent = self._unnamed = (0.0, 0.0)

    @property
    def whole(self) -> dict[str, tuple[float, float]] | None:
        """The split of all marks; ``None`` where no phase was named."""
        return _with(self._total, self._unnamed) if self._clock.used else None

    @property
    def period_s(self) -> float:
        """How often :meth:`take` is to be called, in seconds: CPU time is known without, what a GPU does is not."""
        has_gpu = self._clock.used and any(component_of(channel) == "gpu" for channel in self._read.joules)
        return LOOK_S if has_gpu else math.inf

    def take(self, reading: Reading) -> None:
        """Split what was used since the last reading; the more readings between two marks, the surer is the split.

        Args:
            reading: The reading, just taken.
        """
        if not self._clock.used:
            return  # all of it is of no phase, up to the first that is named
        spent = self._clock.spent()
        self._split.add(reading.since(self._read), spent.since(self._spent))
        self._read, self._spent = reading, spent

    def so_far(self, reading: Reading, usage: Usage) -> dict[str, tuple[float, float]] | None:
        """Return the split since the last mark, which goes on; ``None`` where no phase was named.

        Args:
            reading: The reading, just taken.
            usage: Usage since the last mark.
        """
        if not self._clock.used:
            return None
        self.take(reading)
        found = self._split.closed(usage.seconds, usage.joules)
        return None if found.keys() <= {OTHER} else found

    def mark(self, reading: Reading, usage: Usage) -> dict[str, tuple[float, float]] | None:
        """Return the split since the last mark, and begin the next one.

        Args:
            reading: The reading, just taken.
            usage: Usage since the last mark.
        """
        if not self._clock.used:
            self._read, self._spent = reading, self._clock.spent()
            seconds, joules = usage.seconds, usage.total_j or 0.0
            self._unnamed = self._unnamed[0] + seconds, self._unnamed[1] + joules
            self._unnamed_recent = self._unnamed_recent[0] + seconds, self._unnamed_recent[1] + joules
            return None
        found = self.so_far(reading, usage)
        self._split = Split()
        whole: Mapping[str, tuple[float, float]] = found or {OTHER: (usage.seconds, usage.total_j or 0.0)}
        self._total = added(self._total, whole)
        self._recent = added(self._recent, whole)
        return found

    def recent(self) -> dict[str, tuple[float, float]]:
        """Return the split of all marks since the last call, with each phase that is known; empty where none is."""
        recent, unnamed = self._recent, self._unnamed_recent
        self._recent, self._unnamed_recent = {}, (0.0, 0.0)
        if not self._clock.used:
            return {}
        return _with(added(dict.fromkeys(self._clock.names, (0.0, 0.0)), recent), unnamed)


def _with(split: Mapping[str, tuple[float, float]], unnamed: tuple[float, float]) -> dict[str, tuple[float, float]]:
    """Return a split with what was used before the first phase was named."""
    return added({OTHER: unnamed} if any(unnamed) else {}, split)
