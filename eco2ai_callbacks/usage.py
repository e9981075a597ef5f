"""Usage in a segment of time: seconds, joules per channel, grams of CO2e, money; and the only unit conversions."""

from __future__ import annotations

import importlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

JOULES_PER_KWH = 3.6e6
GRAMS_PER_KG = 1000.0
# Two sums of times that differ by less, in seconds, are the same: it is rounding.
SAME_S = 1e-6
_NOTHING: Mapping[str, float] = MappingProxyType({})
_set = object.__setattr__


def kwh(joules: float) -> float:
    """Return joules as kilowatt-hours."""
    return joules / JOULES_PER_KWH


def component_of(channel: str) -> str:
    """Return the component that a channel belongs to: ``gpu`` for ``gpu:GPU-6f...``, ``cpu`` for ``cpu``."""
    return channel.partition(":")[0]


Scope = Literal["job", "machine", "device"]

# What the figure of a whole scope includes, as records write it.
_WHOLE: Mapping[Scope, str] = {"job": "job's process tree", "machine": "whole machine", "device": "whole device"}


@dataclass(frozen=True, slots=True)
class Method:
    """A measuring method: how the joules of a channel are obtained, how accurate they are and whose they are.

    Args:
        name: The method as records name it: ``rapl``, ``nvml-energy``, ``cpu-model:vm``, ``ram-model``, ...
        low: Lower end of the band, as a factor on the joules.
        high: Upper end of the band, as a factor on the joules.
        edge_j: Joules of uncertainty that each edge of an interval adds on both sides (a counter's step, a clock's
            tick).
        counter: Whether the joules come from a hardware energy counter.
        sensor: Whether the joules are the integral of a hardware power sensor.
        scope: Whose joules they are: the job's, or those of all processes on the machine or the device.
        part: The part of the scope, where it is not the whole: ``MIG 1/7 of device``.
        note: What else limits the attribution: ``15 W per busy thread``, ``shared with other processes``.
        gap_j: Joules by which times without a sample and unknown shares widen the band, below and above, since opening.

    Example:
        >>> Method("nvml-energy", 0.95, 1.05, counter=True, scope="device", part="MIG 1/7 of device").attribution
        'MIG 1/7 of device'
    """

    name: str
    low: float
    high: float
    edge_j: float = 0.0
    counter: bool = False
    sensor: bool = False
    scope: Scope = "machine"
    part: str = ""
    note: str = ""
    gap_j: tuple[float, float] = (0.0, 0.0)

    @property
    def measured(self) -> bool:
        """Whether the joules come from hardware, a counter or a sensor; they are an estimate otherwise."""
        return self.counter or self.sensor

    @property
    def attribution(self) -> str:
        """Whose joules they are, as one phrase for records and people; decisions use ``scope``."""
        whose = self.part or _WHOLE[self.scope]
        return f"{whose}, {self.note}" if self.note else whose

    def band(self, joules: float) -> tuple[float, float]:
        """Return the lower and upper end of the band, in joules, around ``joules`` read by this method."""
        edges_j, (below_j, above_j) = 2 * self.edge_j, self.gap_j
        return max(0.0, joules * self.low - (edges_j + below_j)), joules * self.high + (edges_j + above_j)

    def since(self, earlier: Method | None) -> Method:
        """Return the method for what was used since an earlier moment: with the gaps since then alone.

        Args:
            earlier: The method at that moment; ``None`` where the channel was not there yet.
        """
        if earlier is None or self.gap_j == (0.0, 0.0):
            return self
        below_j, above_j = (now - then for now, then in zip(self.gap_j, earlier.gap_j, strict=True))
        return replace(self, gap_j=(max(0.0, below_j), max(0.0, above_j)))


class Reading(NamedTuple):
    """All counters at one moment.

    Args:
        t: Monotonic seconds.
        joules: Cumulative joules per channel, with the last value of those that could not be read.
        retired: The channels that could not be read, at this moment or for good.
        last_read: When these were last read, in the seconds of ``t``.
    """

    t: float
    joules: Mapping[str, float] = _NOTHING
    retired: frozenset[str] = frozenset()
    last_read: Mapping[str, float] = _NOTHING

    def since(self, earlier: Reading) -> dict[str, float]:
        """Return joules per channel between two readings; a channel that could not be read at the later one is absent.

        A channel that could not be read at the earlier one and can be again has the joules since it was last read.
        """
        found: dict[str, float] = {}
        before, retired = earlier.joules, self.retired
        for channel, value in self.joules.items():
            used = value - before.get(channel, 0.0)
            if used > 0.0:
                found[channel] = used
            elif channel not in retired:
                # Two threads' readings may overlap: where the earlier one read a channel later, it is no energy.
                found[channel] = 0.0
        return found

    def beyond(self, earlier: Reading) -> dict[str, float]:
        """Return by how many seconds more, or fewer, each channel's joules are of than the two readings are apart.

        A channel that could not be read at one of them has joules of another interval; one that is read as usual is
        absent.
        """
        found: dict[str, float] = {}
        for channel in self.last_read.keys() | earlier.last_read.keys():
            late, early = self.last_read.get(channel, self.t), earlier.last_read.get(channel, earlier.t)
            found[channel] = (late - early) - (self.t - earlier.t)
        return found


@dataclass(frozen=True, slots=True, init=False)
class Usage:
    """Energy and CO2e that were used in a segment of time.

    Args:
        seconds: Length of the segment.
        joules: IT energy per channel (``cpu``, ``ram``, ``gpu:<uuid>``); a channel that was not measured is absent.
        grams: CO2e, with the data centre's overhead (PUE); ``None`` where nothing was measured.
        cost: Money, with the same overhead; ``None`` without a price.
        beyond_s: Seconds that a channel's joules are of beyond ``seconds`` (fewer: below 0), where a read failed at
            the beginning or the end.

    Example:
        >>> (Usage(2.0, {"cpu": 7.2}, 0.9) + Usage(1.0, {"ram": 3.6}, 0.1)).energy_kwh
        3e-06
    """

    seconds: float = 0.0
    joules: Mapping[str, float] = field(default_factory=dict)
    grams: float | None = None
    cost: float | None = None
    beyond_s: Mapping[str, float] = field(default_factory=dict, repr=False)

    def __init__(
        self,
        seconds: float = 0.0,
        joules: Mapping[str, float] = _NOTHING,
        grams: float | None = None,
        cost: float | None = None,
        beyond_s: Mapping[str, float] = _NOTHING,
    ) -> None:
        # Written out, for a mark makes several, and a generated one takes longer.
        _set(self, "seconds", seconds)
        _set(self, "joules", MappingProxyType(dict(joules)))
        _set(self, "grams", grams)
        _set(self, "cost", cost)
        far = {channel: beyond for channel, beyond in beyond_s.items() if abs(beyond) > SAME_S} if beyond_s else None
        _set(self, "beyond_s", MappingProxyType(far) if far else _NOTHING)

    def __hash__(self) -> int:
        return hash((self.seconds, tuple(sorted(self.joules.items())), self.grams, self.cost))

    def __reduce__(self) -> tuple[Any, ...]:
        return Usage, (self.seconds, dict(self.joules), self.grams, self.cost, dict(self.beyond_s))

    @property
    def total_j(self) -> float | None:
        """Joules over all channels; ``None`` where nothing was measured."""
        return math.fsum(self.joules.values()) if self.joules else None

    @property
    def energy_kwh(self) -> float | None:
        """IT energy in kWh; ``None`` where nothing was measured."""
        return math.fsum(self.joules.values()) / JOULES_PER_KWH if self.joules else None

    @property
    def co2_kg(self) -> float | None:
        """CO2e in kg, PUE included; ``None`` where nothing was measured."""
        return None if self.grams is None else self.grams / GRAMS_PER_KG

    @property
    def power_w(self) -> float | None:
        """Mean power in watts, of each channel over the time that its joules are of.

        ``None`` where nothing was measured or no time has passed.
        """
        total = self.total_j
        if total is None or self.seconds <= 0 or not self.beyond_s:
            return None if total is None or self.seconds <= 0 else total / self.seconds
        spans = {channel: self.seconds + self.beyond_s.get(channel, 0.0) for channel in self.joules}
        if min(spans.values()) <= SAME_S:
            return None
        return math.fsum(joules / spans[channel] for channel, joules in self.joules.items())

    def component_kwh(self, name: str) -> float | None:
        """Return the energy of one component (``cpu``, ``gpu``, ``ram``) in kWh; ``None`` if it was not measured."""
        parts = [j for channel, j in self.joules.items() if component_of(channel) == name]
        return kwh(math.fsum(parts)) if parts else None

    def __add__(self, other: Usage) -> Usage:
        """Return the sum of two usages, with the channels of either."""
        joules = dict(self.joules)
        for channel, value in other.joules.items():
            joules[channel] = joules.get(channel, 0.0) + value
        beyond_s = self.beyond_s
        if other.beyond_s:
            beyond_s = dict(beyond_s)
            for channel, seconds in other.beyond_s.items():
                beyond_s[channel] = beyond_s.get(channel, 0.0) + seconds
        grams, cost = _plus(self.grams, other.grams), _plus(self.cost, other.cost)
        return Usage(self.seconds + other.seconds, joules, grams, cost, beyond_s)

    def __sub__(self, other: Usage) -> Usage:
        """Return this usage without ``other``, with the channels of this one."""
        joules = {channel: value - other.joules.get(channel, 0.0) for channel, value in self.joules.items()}
        grams, cost = _minus(self.grams, other.grams), _minus(self.cost, other.cost)
        channels = self.beyond_s.keys() | other.beyond_s.keys()
        beyond_s = {c: self.beyond_s.get(c, 0.0) - other.beyond_s.get(c, 0.0) for c in channels}
        return Usage(self.seconds - other.seconds, joules, grams, cost, beyond_s)

    def _repr_html_(self) -> str:
        # By name: what shows a usage stands above it, and only a notebook needs it.
        return str(importlib.import_module("eco2ai_callbacks.report.notebook").usage_html(self))

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON."""
        values = {"seconds": self.seconds, "joules": dict(self.joules), "grams": self.grams, "cost": self.cost}
        return values | ({"beyond_s": dict(self.beyond_s)} if self.beyond_s else {})

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Usage:
        """Return the inverse of :meth:`to_dict`."""
        return cls(values["seconds"], values["joules"], values["grams"], values.get("cost"), values.get("beyond_s", {}))


NO_USAGE = Usage()


def _minus(left: float | None, right: float | None) -> float | None:
    return None if left is None else left - (right or 0.0)


def _plus(left: float | None, right: float | None) -> float | None:
    if left is None or right is None:
        return right if left is None else left
    return left + right
