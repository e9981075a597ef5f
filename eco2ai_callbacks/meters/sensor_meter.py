"""Read devices by their sensors: a channel for each device or part of one."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from eco2ai_callbacks.errors import Eco2AIError
from eco2ai_callbacks.meters.meter import Device
from eco2ai_callbacks.meters.tally import Tally
from eco2ai_callbacks.usage import Method

GPU = frozenset({"gpu"})


@dataclass(frozen=True, slots=True)
class SensedDevice:
    """One channel: a device, and the sensor that its energy is read from.

    Args:
        device: The device.
        tally: Its sensor; two parts of one board share it.
        share: The part of the sensor's energy that is the device's.
        part: That part in words; empty where it is all.
        note: What else limits the attribution.
        covers: The components that the sensor includes.
    """

    device: Device
    tally: Tally
    share: float = 1.0
    part: str = ""
    note: str = ""
    covers: frozenset[str] = GPU

    @property
    def channel(self) -> str:
        """Its channel."""
        return f"gpu:{self.device.uuid}"

    @property
    def method(self) -> Method:
        """Its method now."""
        return self.tally.method(self.share, part=self.part, note=self.note)


class SensorMeter:
    """The energy of some devices since they were opened, by one sensor each.

    Args:
        name: The source, as failures and ``doctor`` name it.
        sensed: The devices with open sensors.
        rule: How they were chosen.
        failures: What failed at opening.
        sample_s: Seconds between two reads where power is sampled.
        gap_s: Seconds that counters may go unread.
        close: Releases what the sensors need; called once.
    """

    def __init__(
        self,
        name: str,
        sensed: Sequence[SensedDevice],
        rule: str,
        failures: Sequence[str] = (),
        *,
        sample_s: float,
        gap_s: float = math.inf,
        close: Callable[[], object] = lambda: None,
    ) -> None:
        self.name = name
        self.rule = rule
        self._sensed = tuple(sensed)
        self._tallies = tuple({id(one.tally): one.tally for one in sensed}.values())
        self._failures = tuple(failures)
        self._sample_s = sample_s
        self._gap_s = gap_s
        self._close = close
        self._pid = os.getpid()
        self._closed = False

    @property
    def covers(self) -> frozenset[str]:
        """The components that the sensors include."""
        return frozenset().union(*(one.covers for one in self._sensed))

    @property
    def max_gap_s(self) -> float:
        """The sampling period where some power is integrated; else how long the counters may go unread."""
        if any(tally.sampled for tally in self._tallies):
            return self._sample_s
        return math.inf if all(tally.retired for tally in self._tallies) else self._gap_s

    @property
    def methods(self) -> Mapping[str, Method]:
        """The method of each channel now."""
        return {one.channel: one.method for one in self._sensed}

    @property
    def devices(self) -> tuple[Device, ...]:
        """The device of each channel, in the order of the channels."""
        return tuple(one.device for one in self._sensed)

    @property
    def behind(self) -> frozenset[str]:
        """The channels whose figures are older than the last read."""
        return frozenset(one.channel for one in self._sensed if one.tally.behind)

    @property
    def failures(self) -> tuple[str, ...]:
        """What failed, one sentence each."""
        return (*self._failures, *(failure for tally in self._tallies for failure in tally.failures.values()))

    @property
    def detail(self) -> str:
        """The devices, how each is read and how they were chosen, for ``doctor`` and the ``start`` record."""
        shown = ", ".join(
            f"{one.device.index}: {one.device.name} ({self._how(one.tally)}, {one.method.attribution})"
            for one in self._sensed
        )
        return f"{shown}; chosen by {self.rule}"

    def read(self) -> Mapping[str, float]:
        """Return the joules of each channel since the meter was opened.

        Raises:
            Eco2AIError: Where no device is left, after :meth:`close`, and in a forked child.
        """
        if os.getpid() != self._pid:
            raise Eco2AIError("opened by another process; a forked child does not measure")
        if self._closed:
            raise Eco2AIError("read after it was closed")
        for tally in self._tallies:
            tally.update(self._sample_s)
        joules = {one.channel: one.tally.joules * one.share for one in self._sensed if not one.tally.retired}
        if not joules:
            raise Eco2AIError("no device is left that can be read")
        return joules

    def close(self) -> None:
        """Release what the sensors need, once, and only in the process that opened them."""
        if not self._closed and os.getpid() == self._pid:
            self._close()
        self._closed = True

    def _how(self, tally: Tally) -> str:
        power = f"power every {self._sample_s:g} s"
        if not tally.source.counter:
            return power
        return "energy counter" if tally.power is None else f"{power}, its energy counter once they agree"
