"""Integrate the power of the processors of a machine, where the board has sensors of it."""

from __future__ import annotations

import dataclasses
import errno
from collections.abc import Callable, Sequence

from eco2ai_callbacks.errors import MeterUnavailable
from eco2ai_callbacks.meters.cpu.floor import IdleFloor
from eco2ai_callbacks.meters.meter import Device
from eco2ai_callbacks.meters.tally import Source, Tally
from eco2ai_callbacks.usage import Method


class SensorCpu:
    """The energy of all processors of the machine by one power sensor each.

    Args:
        name: The source's name.
        tallies: The open sensors.
        sample_s: Seconds between two reads.
        floor: Splits off the idle energy; without one all is active.
        covers: The components that the sensors include.
    """

    def __init__(
        self,
        name: str,
        tallies: Sequence[Tally],
        sample_s: float,
        floor: IdleFloor | None = None,
        covers: frozenset[str] = frozenset({"cpu"}),
    ) -> None:
        self.name = name
        self.covers = covers
        self._tallies = tuple(tallies)
        self._floor = floor
        self._joules = 0.0
        self.max_gap_s = sample_s

    @property
    def method(self) -> Method:
        """The method now.

        Times without samples widen the band by their part of all joules so far: as factors, which hold for a job's
        part of the processors' energy too.
        """
        methods = [tally.method(scope="machine") for tally in self._tallies]
        below_j, above_j = (sum(method.gap_j[side] for method in methods) for side in (0, 1))
        first, joules = methods[0], max(self._joules, 1.0)
        return dataclasses.replace(
            first, low=max(0.0, first.low - below_j / joules), high=first.high + above_j / joules, gap_j=(0.0, 0.0)
        )

    @property
    def failures(self) -> tuple[str, ...]:
        """What failed, one sentence each."""
        return tuple(failure for tally in self._tallies for failure in tally.failures.values())

    def interval(self, busy_s: float, seconds: float) -> tuple[float, float]:
        """Return the active and idle joules of the processors since the last call.

        Raises ``OSError`` once one of them can no longer be read: the others' would look like all of them.

        Args:
            busy_s: Busy core-seconds of the machine since the last call.
            seconds: Seconds since then.
        """
        whole = True
        for tally in self._tallies:
            if not tally.update(self.max_gap_s):
                raise FileNotFoundError(errno.ENOENT, f"{tally.label} can no longer be read")
            whole = whole and not tally.behind
        joules = sum(tally.joules for tally in self._tallies)
        step_j, self._joules = joules - self._joules, joules
        return (step_j, 0.0) if self._floor is None else self._floor.split(step_j, busy_s, seconds, learn=whole)

    def close(self) -> None:
        """Do nothing: nothing is held between reads."""


class SensorRam:
    """The energy of the machine's memory by a power sensor.

    Args:
        name: The source's name.
        tally: The open sensor.
        sample_s: Seconds between two reads.
    """

    covers: frozenset[str] = frozenset({"ram"})
    devices: tuple[Device, ...] = ()

    def __init__(self, name: str, tally: Tally, sample_s: float) -> None:
        self.name = name
        self._tally = tally
        self.max_gap_s = sample_s

    @property
    def methods(self) -> dict[str, Method]:
        """The method of the one channel."""
        return {"ram": self._tally.method(scope="machine")}

    @property
    def behind(self) -> frozenset[str]:
        """The channel, where its figure is older than the last read."""
        return frozenset({"ram"}) if self._tally.behind else frozenset()

    @property
    def failures(self) -> tuple[str, ...]:
        """What failed, one sentence each."""
        return tuple(self._tally.failures.values())

    def read(self) -> dict[str, float]:
        """Return the joules since the meter was opened; raises ``OSError`` once it can no longer be read."""
        if not self._tally.update(self.max_gap_s):
            raise FileNotFoundError(errno.ENOENT, f"{self._tally.label} can no longer be read")
        return {"ram": self._tally.joules}

    def close(self) -> None:
        """Do nothing: nothing is held between reads."""


def opened(name: str, label: str, source: Source, clock: Callable[[], float], hint: str | None = None) -> Tally:
    """Open one sensor; raises ``MeterUnavailable`` where it cannot be read.

    Args:
        name: The source's name.
        label: What the sensor is called.
        source: What is read.
        clock: Monotonic seconds.
        hint: What would enable it.
    """
    try:
        return Tally(name, label, source, clock).open()
    except (OSError, ValueError) as error:
        why = (isinstance(error, OSError) and error.strerror) or str(error)
        denied = isinstance(error, PermissionError)
        raise MeterUnavailable(f"unreadable: {label}: {why}", hint if denied else None) from None
