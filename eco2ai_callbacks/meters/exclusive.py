"""A meter whose channels several ranks of a host can read, and each of which only one of them may count."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from eco2ai_callbacks.meters.meter import Meter
from eco2ai_callbacks.usage import Method


class ExclusiveMeter:
    """A meter around another one that counts each channel only as long as it is this process's to count.

    A stretch counts if the channel was ours at its beginning and at its end; the part of it before another took the
    channel over counts too. So nothing counts twice, and at most the stretch in which the other ended is lost.

    Args:
        meter: What can be read.
        taken: Since when another process counts a channel, in seconds of the host's monotonic clock; ``None`` where it
            is ours.
        clock: Monotonic seconds.
    """

    def __init__(
        self, meter: Meter, taken: Callable[[str], float | None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._meter = meter
        self._taken = taken
        self._clock = clock
        self._t = clock()
        self._seen: Mapping[str, float] = {}
        self._joules: dict[str, float] = {}
        self._ours = dict.fromkeys(meter.methods, True)
        self.name = meter.name
        self.max_gap_s = meter.max_gap_s

    @property
    def covers(self) -> frozenset[str]:
        """The components that the other meter's figures include."""
        return self._meter.covers

    @property
    def methods(self) -> Mapping[str, Method]:
        """How each channel is known that is or was ours."""
        return {c: m for c, m in self._meter.methods.items() if self._ours.get(c, True) or c in self._joules}

    @property
    def failures(self) -> tuple[str, ...]:
        """What went wrong in the other meter."""
        return self._meter.failures

    def read(self) -> Mapping[str, float]:
        """Joules per channel that were ours since this meter was opened."""
        found, now = self._meter.read(), self._clock()
        for channel, joules in found.items():
            since = self._taken(channel)
            if self._ours.get(channel, True) and (part := _part(since, self._t, now)) > 0:
                grown = joules - self._seen.get(channel, 0.0)
                self._joules[channel] = self._joules.get(channel, 0.0) + grown * part
            self._ours[channel] = since is None
        self._seen, self._t = dict(found), now
        return {channel: self._joules[channel] for channel in found if channel in self._joules}

    def close(self) -> None:
        """Close the other meter."""
        self._meter.close()


def _part(since: float | None, begin: float, end: float) -> float:
    """The part of a stretch that lies before a moment."""
    if since is None or since >= end:
        return 1.0
    return max(0.0, since - begin) / (end - begin) if end > begin else 0.0
