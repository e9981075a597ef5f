"""The health of a session's GPUs, from looks at them: since the last mark, since the last epoch, and in all."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

from eco2ai_callbacks.host.gpu_health import GpuHealth, GpuLook, Health, joined
from eco2ai_callbacks.usage import Reading

# Seconds between two looks: a driver's load is that of the second before at most (nvml.h: nvmlUtilization_t).
LOOK_S = 1.0
# A look stands for the time since the look before, or since the mark, where that is no longer than this.
_STANDS_S = 10 * LOOK_S
# A counter of slowed-down time that has run faster than the clock by this is in another unit.
_FASTER = 1.1


class HealthLedger:
    """The health of GPUs by segment. A mark makes no call of a driver: it sums up what the looks before it have seen.

    Args:
        opening: The reading at the start.
        wanted: Returns whether some GPU has something to report.
    """

    def __init__(self, opening: Reading, wanted: Callable[[], bool]) -> None:
        self._wanted = wanted
        self._read = opening
        self._latest: dict[str, GpuLook] = {}
        # Reasons whose counters have moved, by GPU: the others may be there and stand still.
        self._moving: set[tuple[str, str]] = set()
        self._segment: Health = {}
        self._recent: Health = {}
        self.total: Health = {}

    @property
    def period_s(self) -> float:
        """How often :meth:`take` is to be called, in seconds."""
        return LOOK_S if self._wanted() else math.inf

    def take(self, reading: Reading, looks: Sequence[GpuLook]) -> None:
        """Take a look at the GPUs: it stands for the time since the one before.

        Args:
            reading: The reading, just taken.
            looks: The state of each GPU.
        """
        seconds = reading.t - self._read.t
        used = reading.since(self._read)
        self._read = reading
        for look in looks:
            shares = self._shares(look)
            self._latest[look.uuid] = look
            if 0 < seconds <= _STANDS_S:
                known = [used[channel] for channel in look.channels if channel in used]
                found = _of(look, shares, seconds, math.fsum(known) if known else None)
                self._segment = joined(self._segment, {look.uuid: found})

    def mark(self, reading: Reading) -> Health:
        """Return the health since the last mark, and begin the next segment; empty where nothing was looked at.

        Args:
            reading: The reading of the mark.
        """
        found, self._read = self._segment, reading
        if not found:
            return found
        self._segment = {}
        self._recent, self.total = joined(self._recent, found), joined(self.total, found)
        return found

    def recent(self) -> Health:
        """Return the health over all marks since the last call."""
        recent, self._recent = self._recent, {}
        return recent

    def _shares(self, look: GpuLook) -> dict[str, float] | None:
        """Return the share of the time in which a GPU was slowed down, by reason; ``None`` where nothing reports it.

        A counter gives the share since the look before. Where there is none, or it has never moved, the reason is taken
        to hold as it does at the look.
        """
        shares = dict.fromkeys(look.reasons or (), 1.0)
        before = self._latest.get(look.uuid)
        counted = False
        if before is not None and look.t > before.t:
            for reason, slowed_s in look.slowed_s.items():
                if reason not in before.slowed_s:
                    continue
                share = (slowed_s - before.slowed_s[reason]) / (look.t - before.t)
                if 0 < share <= _FASTER:
                    self._moving.add((look.uuid, reason))
                if (look.uuid, reason) in self._moving and 0 <= share <= _FASTER:
                    shares[reason] = min(1.0, share)
                    counted = True
        return shares if counted or look.reasons is not None else None


def _of(look: GpuLook, shares: Mapping[str, float] | None, seconds: float, joules: float | None) -> GpuHealth:
    """Return the health that a look stands for.

    Args:
        look: The look.
        shares: Share of the time in which the GPU was slowed down, by reason.
        seconds: The time that it stands for.
        joules: What the GPU has used in it.
    """
    idle = None if look.busy is None else float(look.busy == 0)
    return GpuHealth(
        index=look.index,
        seconds=seconds,
        busy=look.busy,
        memory_busy=look.memory_busy,
        clock_mhz=look.clock_mhz,
        max_clock_mhz=look.max_clock_mhz,
        temperature_c=look.temperature_c,
        hottest_c=look.temperature_c,
        power_limit_w=look.power_limit_w,
        # The reasons may coincide: it was slowed down for the longest of them at least.
        throttled=None if shares is None else max(shares.values(), default=0.0),
        throttle={reason: share for reason, share in (shares or {}).items() if share > 0},
        idle=idle,
        idle_j=None if idle is None or joules is None else joules * idle,
    )
