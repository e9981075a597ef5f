"""Compute the energy between two samples of a hardware counter, or why it is not certain."""

from __future__ import annotations

from dataclasses import dataclass

from eco2ai_callbacks.meters.cpu.powercap import Zone

UJ_PER_J = 1e6

# The smallest range of the known units: 2^32 - 1 steps of 2^-16 J. Used where a zone's range cannot be read.
SMALLEST_RANGE_UJ = 65532610987

# Counters are updated about every millisecond (Intel SDM volume 3, RAPL interfaces). Two reads close together may have
# a whole update between them, so a bound on power needs two of them.
_SHORTEST_SPAN_S = 0.002

# Suspend is what CLOCK_BOOTTIME counts and CLOCK_MONOTONIC does not; the two are read one after the other.
_ASLEEP_S = 1.0


@dataclass(frozen=True, slots=True)
class Sample:
    """One reading of a counter.

    Args:
        energy_uj: Its value.
        before_s: Monotonic time before it was read.
        after_s: Monotonic time after it was read; a thread may be suspended between reading the counter and the clock.
        slept_s: Seconds that the machine has been suspended since boot.
    """

    energy_uj: int
    before_s: float
    after_s: float
    slept_s: float = 0.0


def step_uj(zone: Zone, old: Sample, new: Sample, *, continuous: bool = True) -> int | str:
    """Return the microjoules between two samples, or why they are not certain, as a clause after the zone's name.

    A reset cannot be distinguished from a wrap whose step would be possible, and counts as one. So does a value near
    the end of the range that lost a digit.

    Args:
        zone: The zone of the samples.
        old: The earlier sample.
        new: The later sample.
        continuous: Whether the zone existed all the time; if not, a lower value is no wrap.
    """
    seconds = new.after_s - old.before_s
    if new.slept_s - old.slept_s > _ASLEEP_S:
        return "was read across a suspend of the machine"
    if seconds * zone.cap_w * UJ_PER_J > (zone.range_uj or SMALLEST_RANGE_UJ):
        return "went unread for too long"
    if new.energy_uj >= old.energy_uj:
        step = new.energy_uj - old.energy_uj
        return step if _possible(zone, step, seconds) else f"rose faster than at {zone.cap_w:.0f} W"
    if zone.modulus_uj is None:
        return "fell back, its range is unreadable"
    step = new.energy_uj - old.energy_uj + zone.modulus_uj
    return step if continuous and _possible(zone, step, seconds) else "was reset"


def _possible(zone: Zone, step: int, seconds: float) -> bool:
    return step <= zone.cap_w * max(seconds, _SHORTEST_SPAN_S) * UJ_PER_J


def between(zone: Zone, old: Sample, new: Sample) -> int:
    """Return the distance of two samples of a counter in either direction, over the wrap if that is shorter.

    Args:
        zone: The zone of the samples.
        old: One sample.
        new: The other sample.
    """
    apart = abs(new.energy_uj - old.energy_uj)
    return apart if zone.modulus_uj is None else min(apart, zone.modulus_uj - apart)
