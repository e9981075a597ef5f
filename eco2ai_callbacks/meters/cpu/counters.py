"""Sum energy from hardware counters that wrap, restart, vanish and cannot always be read."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from eco2ai_callbacks.meters.cpu.powercap import Zone, describe, is_gone

UJ_PER_J = 1e6

# The smallest range of the known units: 2^32 - 1 steps of 2^-16 J. Used where a zone's range cannot be read.
_SMALLEST_RANGE_UJ = 65532610987

# Half of the time in which 1000 W run through the smallest range, rounded down.
_LONGEST_GAP_S = 30.0

# Counters are updated about every millisecond (Intel SDM volume 3, RAPL interfaces). Two reads close together may have
# a whole update between them, so a bound on power needs two of them.
_SHORTEST_SPAN_S = 0.002

# Suspend is what CLOCK_BOOTTIME counts and CLOCK_MONOTONIC does not; the two are read one after the other.
_ASLEEP_S = 1.0

# Failed reads in a row, over so many seconds, after which a zone is given up: marks may be milliseconds apart.
_MISSES, _MISSED_S = 3, 1.0

# Errors of a read that say nothing of the zone, but that the process or the machine is short of something just now.
_SHORTAGES = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN, errno.EINTR})


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
    if seconds * zone.cap_w * UJ_PER_J > (zone.range_uj or _SMALLEST_RANGE_UJ):
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


def _between(zone: Zone, old: Sample, new: Sample) -> int:
    """Return the distance of two samples of a counter in either direction, over the wrap if that is shorter."""
    apart = abs(new.energy_uj - old.energy_uj)
    return apart if zone.modulus_uj is None else min(apart, zone.modulus_uj - apart)


class Failures:
    """Sentences about zones, one per zone and kind of failure, with the number of times."""

    def __init__(self) -> None:
        self._seen: dict[tuple[str, str], tuple[int, float]] = {}

    def add(self, zone: Zone, clause: str, lost_s: float = 0.0) -> None:
        times, lost = self._seen.get((zone.label, clause), (0, 0.0))
        self._seen[zone.label, clause] = times + 1, lost + lost_s

    @property
    def sentences(self) -> tuple[str, ...]:
        return tuple(
            f"RAPL: {label} {clause}"
            + (f" ({times} times)" if times > 1 else "")
            + (f", {lost_s:.1f} s not measured" if lost_s else "")
            for (label, clause), (times, lost_s) in self._seen.items()
        )


@dataclass(slots=True, eq=False)
class _Counter:
    """One counter of the hardware, with the zones that contain it: one, or several dies of an AMD package."""

    zones: list[Zone]
    last: Sample
    # The last sample of each zone, to distinguish a zone's misread from one that differs from the others.
    shown: dict[Zone, Sample]
    continuous: bool = True


@dataclass(slots=True)
class Counters:
    """The sum of zones that do not contain each other.

    Args:
        zones: The zones.
        merge: Whether dies of a package with the same value share one counter.
        clock: Monotonic seconds.
        slept: Seconds that the machine has been suspended.
    """

    zones: Iterable[Zone]
    merge: bool
    clock: Callable[[], float]
    slept: Callable[[], float]
    failures: Failures = field(default_factory=Failures)
    refused: list[tuple[Zone, OSError | ValueError]] = field(default_factory=list)
    _counters: list[_Counter] = field(default_factory=list)
    # Of each zone: when its first failed read in a row was, and how many there are.
    _misses: dict[Zone, tuple[float, int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for zone in self.zones:
            try:
                sample = self._sample(zone)
            except (OSError, ValueError) as error:
                self.refused.append((zone, error))
                self.failures.add(zone, f"cannot be read ({describe(error)}) and is not measured")
                continue
            for counter in self._counters:
                lead = counter.zones[0]
                if self.merge and lead.package == zone.package and self._same(lead, counter.last, sample):
                    counter.zones.append(zone)
                    counter.shown[zone] = sample
                    break
            else:
                self._counters.append(_Counter([zone], sample, {zone: sample}))

    def __bool__(self) -> bool:
        return bool(self._counters)

    @property
    def max_gap_s(self) -> float:
        """The longest that the zones may go unread, in seconds: half of the shortest time in which one wraps."""
        zones = [zone for counter in self._counters for zone in counter.zones]
        spans = [(zone.range_uj or _SMALLEST_RANGE_UJ) / (zone.cap_w * UJ_PER_J) for zone in zones]
        return min([_LONGEST_GAP_S, *(span / 2 for span in spans)])

    def read_uj(self) -> int:
        """Return the microjoules of all counters since the last call; raises ``OSError`` once none is left."""
        energy_uj = sum([self._advance(counter) for counter in tuple(self._counters)])
        if not self._counters:
            # As its error number says, for good.
            raise FileNotFoundError(errno.ENOENT, "no energy counter can be read any more")
        return energy_uj

    def _advance(self, counter: _Counter) -> int:
        """Read a counter through each of its zones, and return the microjoules since its last read."""
        continuous = counter.continuous
        samples = {zone: sample for zone in tuple(counter.zones) if (sample := self._try(counter, zone)) is not None}
        if not counter.zones:
            self._counters.remove(counter)
        if not samples:
            return 0
        lead, sample = next(iter(samples.items()))
        step = step_uj(lead, counter.last, sample, continuous=continuous)
        if isinstance(step, str):
            self.failures.add(lead, step, sample.after_s - counter.last.before_s)
            step = 0
        else:
            self._part(counter, lead, samples)
        counter.last, counter.continuous = sample, True
        counter.shown |= samples
        return step

    def _try(self, counter: _Counter, zone: Zone) -> Sample | None:
        """Return a zone's sample; ``None`` where it cannot be read. After too many failures give the zone up."""
        try:
            sample = self._sample(zone)
        except (OSError, ValueError) as error:
            self.failures.add(zone, f"could not be read ({describe(error)})")
            counter.continuous = counter.continuous and not is_gone(error)
            if not (isinstance(error, OSError) and error.errno in _SHORTAGES):
                self._miss(counter, zone)
            return None
        self._misses.pop(zone, None)
        return sample

    def _miss(self, counter: _Counter, zone: Zone) -> None:
        now = self.clock()
        since, misses = self._misses.get(zone, (now, 0))
        self._misses[zone] = since, misses + 1
        if misses + 1 >= _MISSES and now - since >= _MISSED_S:
            counter.zones.remove(zone)
            lost = "" if counter.zones else " and is no longer measured"
            self.failures.add(zone, f"was given up after {misses + 1} failed reads{lost}")

    def _part(self, counter: _Counter, lead: Zone, samples: Mapping[Zone, Sample]) -> None:
        """Split off each die whose value differs from the lead's, where neither was misread."""
        for zone, sample in samples.items():
            sound = isinstance(step_uj(zone, counter.shown[zone], sample), int)
            if zone is not lead and sound and not self._same(lead, samples[lead], sample):
                counter.zones.remove(zone)
                self._counters.append(_Counter([zone], sample, {zone: sample}))
                self.failures.add(zone, f"parted from {lead.label}: until then counted as one, as two from then on")

    def _same(self, lead: Zone, first: Sample, second: Sample) -> bool:
        """Return whether two zones, read one after the other, share a counter; true in doubt, lest it count twice."""
        if _between(lead, first, second) <= lead.cap_w * (second.after_s - first.before_s) * UJ_PER_J:
            return True
        # The counter may have been updated between the two reads: then the lead has that value by now.
        try:
            third = self._sample(lead)
        except (OSError, ValueError):
            return True
        part, whole = step_uj(lead, first, second), step_uj(lead, first, third)
        return isinstance(part, int) and isinstance(whole, int) and part <= whole

    def _sample(self, zone: Zone) -> Sample:
        before_s = self.clock()
        energy_uj = zone.read_uj()
        return Sample(energy_uj, before_s, self.clock(), self.slept())
