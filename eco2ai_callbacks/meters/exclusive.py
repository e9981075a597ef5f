"""Count a channel that several ranks of a host can read in one of them only."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

from eco2ai_callbacks.host.gpu_health import GpuLook
from eco2ai_callbacks.meters.meter import Device, Meter, behind_of, look_at, looks_of, refresh_of
from eco2ai_callbacks.usage import Method


class ExclusiveMeter:
    """A wrapper of a meter that counts each channel only while this process owns it.

    An interval between two reads counts if the channel was owned at both. Where another process took the channel over
    in between, the part before that counts. So nothing counts twice, and at most the interval in which the other
    process ended is lost.

    Args:
        meter: The meter to wrap.
        taken: Returns since when another process counts a channel, in seconds of the host's monotonic clock; ``None``
            where this process owns it.
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
        self.name: str = meter.name

    @property
    def covers(self) -> frozenset[str]:
        """The components that the wrapped meter's figures include."""
        return self._meter.covers

    @property
    def max_gap_s(self) -> float:
        """The longest that the wrapped meter may go unread now, in seconds."""
        return self._meter.max_gap_s

    @property
    def refresh_s(self) -> float:
        """How often the wrapped meter's figures change, in seconds."""
        return refresh_of(self._meter)

    @property
    def methods(self) -> Mapping[str, Method]:
        """The method of each channel that is or was owned."""
        return {c: m for c, m in self._meter.methods.items() if self._ours.get(c, True) or c in self._joules}

    @property
    def devices(self) -> Sequence[Device]:
        """The devices of the wrapped meter."""
        return self._meter.devices

    @property
    def failures(self) -> tuple[str, ...]:
        """What failed in the wrapped meter."""
        return self._meter.failures

    @property
    def behind(self) -> frozenset[str]:
        """The channels of the wrapped meter whose figures are older than its last read."""
        return behind_of(self._meter)

    def read(self) -> Mapping[str, float]:
        """Return the joules of each channel while it was owned, since this meter was opened."""
        found, now = self._meter.read(), self._clock()
        for channel, joules in found.items():
            since = self._taken(channel)
            if self._ours.get(channel, True) and (part := _part(since, self._t, now)) > 0:
                grown = joules - self._seen.get(channel, 0.0)
                self._joules[channel] = self._joules.get(channel, 0.0) + grown * part
            self._ours[channel] = since is None
        self._seen, self._t = dict(found), now
        return {channel: self._joules[channel] for channel in found if channel in self._joules}

    @property
    def looks(self) -> bool:
        """Whether the wrapped meter has something to report of its GPUs beside their energy."""
        return looks_of(self._meter)

    def look(self) -> Sequence[GpuLook]:
        """Return the state of the GPUs of which this process counts a channel."""
        ours = self._ours
        return [look for look in look_at(self._meter) if any(ours.get(channel, True) for channel in look.channels)]

    def close(self) -> None:
        """Close the wrapped meter."""
        self._meter.close()


def _part(since: float | None, begin: float, end: float) -> float:
    """Return the fraction of an interval that is before a moment."""
    if since is None or since >= end:
        return 1.0
    return max(0.0, since - begin) / (end - begin) if end > begin else 0.0
