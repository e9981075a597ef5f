"""The health of GPUs: what a driver reports at one moment, and shares and means over a segment of time."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

# No value of a record is as large: what is, another program has written.
_MOST = 10**15
# Digits after the point that a record keeps.
_DIGITS = 4


@dataclass(frozen=True, slots=True)
class GpuLook:
    """What a driver reports of one GPU at one moment; ``None`` where it does not report a value.

    Args:
        uuid: The GPU's id.
        index: Its number, as the maker's tools show it.
        channels: The channels of its energy.
        t: Monotonic seconds.
        busy: Share of the time just before in which a kernel ran, from 0 to 1.
        memory_busy: Share of that time in which its memory was read or written.
        clock_mhz: Clock of its multiprocessors.
        max_clock_mhz: The highest clock that they can have.
        temperature_c: Its temperature.
        power_limit_w: The limit of its power that is enforced.
        reasons: Why its clock is lower than it could be; empty where it is not.
        slowed_s: Seconds for which it was slowed down so far, by reason, where the driver counts them.
    """

    uuid: str
    index: int
    channels: tuple[str, ...]
    t: float
    busy: float | None = None
    memory_busy: float | None = None
    clock_mhz: float | None = None
    max_clock_mhz: float | None = None
    temperature_c: float | None = None
    power_limit_w: float | None = None
    reasons: frozenset[str] | None = None
    slowed_s: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuHealth:
    """The state of one GPU over a segment of time; ``None`` where the driver did not report a value.

    Args:
        index: Its number, as the maker's tools show it.
        seconds: The time that was looked at.
        busy: Share of the time in which a kernel ran.
        memory_busy: Share of the time in which its memory was read or written.
        clock_mhz: Mean clock of its multiprocessors.
        max_clock_mhz: The highest clock that they can have.
        temperature_c: Mean temperature.
        hottest_c: Highest temperature.
        power_limit_w: The limit of its power at the end.
        throttled: Share of the time in which it was slowed down, for whatever reason.
        throttle: The same for each reason that occurred; reasons may coincide.
        idle: Share of the time in which no kernel ran.
        idle_j: Joules of that time.
    """

    index: int
    seconds: float
    busy: float | None = None
    memory_busy: float | None = None
    clock_mhz: float | None = None
    max_clock_mhz: float | None = None
    temperature_c: float | None = None
    hottest_c: float | None = None
    power_limit_w: float | None = None
    throttled: float | None = None
    throttle: Mapping[str, float] = field(default_factory=dict)
    idle: float | None = None
    idle_j: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for a record; what is not known is left out."""
        values = {name: getattr(self, name) for name in _NUMBERS}
        known = {name: round(float(value), _DIGITS) for name, value in values.items() if value is not None}
        throttle = {reason: round(share, _DIGITS) for reason, share in self.throttle.items()}
        return {"index": self.index, **known, **({"throttle": throttle} if throttle else {})}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> GpuHealth | None:
        """Return the inverse of :meth:`to_dict`; ``None`` where the values are of something else.

        Args:
            values: A record's values, which any program may have written.
        """
        index, seconds = values.get("index"), _number(values.get("seconds"))
        if type(index) is not int or not 0 <= index < _MOST or seconds is None or seconds <= 0:
            return None
        found = {name: _number(values.get(name)) for name in _NUMBERS if name != "seconds"}
        throttle = values.get("throttle")
        shares = throttle.items() if isinstance(throttle, Mapping) else ()
        known = {reason: share for reason, value in shares if (share := _number(value)) is not None}
        return cls(index=index, seconds=seconds, throttle=known, **found)

    def __add__(self, other: GpuHealth) -> GpuHealth:
        """Return the state over both segments, of which the other one is the later."""
        means = {name: _mean(self, other, name) for name in _MEANS}
        weights = [(each.throttle, each.seconds) for each in (self, other) if each.throttled is not None]
        whole = math.fsum(seconds for _, seconds in weights)
        throttle = {
            reason: math.fsum(shares.get(reason, 0.0) * seconds for shares, seconds in weights) / whole
            for reason in dict.fromkeys(reason for shares, _ in weights for reason in shares)
        }
        idle_j = [value for value in (self.idle_j, other.idle_j) if value is not None]
        hottest = [value for value in (self.hottest_c, other.hottest_c) if value is not None]
        return GpuHealth(
            index=other.index,
            seconds=self.seconds + other.seconds,
            max_clock_mhz=self.max_clock_mhz if other.max_clock_mhz is None else other.max_clock_mhz,
            power_limit_w=self.power_limit_w if other.power_limit_w is None else other.power_limit_w,
            hottest_c=max(hottest, default=None),
            throttle=throttle,
            idle_j=math.fsum(idle_j) if idle_j else None,
            **means,
        )


_NUMBERS = tuple(each.name for each in fields(GpuHealth) if each.name not in ("index", "throttle"))
_MEANS = ("busy", "memory_busy", "clock_mhz", "temperature_c", "throttled", "idle")
# By the GPU's id.
Health = Mapping[str, GpuHealth]


def joined(one: Health, other: Health) -> dict[str, GpuHealth]:
    """Return the health of GPUs over two segments, one after the other.

    Args:
        one: The earlier one.
        other: The later one.
    """
    found = dict(one)
    for uuid, health in other.items():
        held = found.get(uuid)
        found[uuid] = health if held is None else held + health
    return found


def plain(health: Health) -> dict[str, dict[str, Any]] | None:
    """Return the health of GPUs as a record holds it; ``None`` where there is none."""
    return {uuid: each.to_dict() for uuid, each in health.items()} or None


def stated(found: object) -> dict[str, GpuHealth]:
    """Return the health of GPUs as a record states it; what is none is left out."""
    values = found if isinstance(found, Mapping) else {}
    each = ((uuid, GpuHealth.from_dict(of)) for uuid, of in values.items() if isinstance(of, Mapping))
    return {uuid: health for uuid, health in each if health is not None}


def mean_over(health: Iterable[GpuHealth], name: str) -> float | None:
    """Return the mean of a value over GPUs that have it; ``None`` where none has.

    Args:
        health: The GPUs.
        name: The value.
    """
    known = [value for each in health if (value := getattr(each, name)) is not None]
    return math.fsum(known) / len(known) if known else None


def _mean(one: GpuHealth, other: GpuHealth, name: str) -> float | None:
    known = [(value, each.seconds) for each in (one, other) if (value := getattr(each, name)) is not None]
    whole = math.fsum(seconds for _, seconds in known)
    return math.fsum(value * seconds for value, seconds in known) / whole if whole > 0 else None


def _number(value: object) -> float | None:
    good = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < _MOST
    return float(value) if good else None  # type: ignore[arg-type]
