"""Sum energy from hardware counters that wrap, restart, vanish, stand still and cannot always be read."""

from __future__ import annotations

import dataclasses
import errno
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from eco2ai_callbacks.meters.cpu.failures import ZoneFailures
from eco2ai_callbacks.meters.cpu.powercap import BeyondRangeError, Zone, describe, is_gone
from eco2ai_callbacks.meters.cpu.steps import SMALLEST_RANGE_UJ, UJ_PER_J, Sample, between, step_uj

# Failed reads in a row, over so many seconds, after which a zone is given up: marks may be milliseconds apart.
_MISSES, _MISSED_S = 3, 1.0

# Seconds of activity after which a counter without a step stands still: its steps are some 61 µJ (2^-14 J), so that
# a milliwatt would have been seen.
_STILL_S = 10.0

# Errors of a read that say nothing of the zone, but that the process or the machine is short of something just now.
_SHORTAGES = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN, errno.EINTR})

# Who knows the energy between the last two reads: the counter (counted), the counter at its next step (open), or
# nobody but a substitute (lost).
Outcome = Literal["counted", "open", "lost"]


@dataclass(slots=True, eq=False)
class Counter:
    """One counter of the hardware, with the zones that contain it: one, or several dies of an AMD package.

    Args:
        zones: The zones.
        last: The last sample; ``None`` before the first.
        shown: The last sample of each zone, to distinguish a zone's misread from one that differs from the others.
        continuous: Whether the zones have existed since the last sample.
        lost: Whether it was given up or stands still; it is tried again at each read.
        outcome: Who knows the energy between the last two reads.
        missed: Whether the last read failed.
        whole: Whether the last read gave the energy since the read before, and no other.
        moved_s: When its last step was seen.
        still_s: Seconds of activity since then.
    """

    zones: list[Zone]
    last: Sample | None
    shown: dict[Zone, Sample]
    continuous: bool = True
    lost: bool = False
    outcome: Outcome = "counted"
    missed: bool = False
    whole: bool = True
    moved_s: float = 0.0
    still_s: float = 0.0


@dataclass(slots=True)
class Counters:
    """The sum of zones that do not contain each other.

    Args:
        zones: The zones.
        merge: Whether dies of a package with the same value share one counter.
        clock: Monotonic seconds.
        slept: Seconds that the machine has been suspended.
        substitute: What counts in place of a counter that is lost (``the CPU model``); empty where nothing does.
    """

    zones: Iterable[Zone]
    merge: bool
    clock: Callable[[], float]
    slept: Callable[[], float]
    substitute: str = ""
    failures: ZoneFailures = field(default_factory=ZoneFailures)
    refused: list[tuple[Zone, OSError | ValueError]] = field(default_factory=list)
    all: list[Counter] = field(default_factory=list)
    # Of each zone: when its first failed read in a row was, and how many there are.
    _misses: dict[Zone, tuple[float, int]] = field(default_factory=dict)
    _began_s: float = 0.0
    _why: str = ""

    def __post_init__(self) -> None:
        still: dict[Zone, Sample] = {}
        for zone in self.zones:
            try:
                sample = self._sample(zone)
            except (OSError, ValueError) as error:
                self.refused.append((zone, error))
                continue
            if not sample.energy_uj:  # Zone.counts explains it
                self.refused.append((zone, ValueError("stands at 0")))
                still[zone] = sample
                continue
            self._began_s = self._began_s or sample.after_s
            for counter in self.all if self.merge else ():
                lead, last = counter.zones[0], counter.shown[counter.zones[0]]
                if lead.package == zone.package and self._same(lead, last, sample):
                    counter.zones.append(zone)
                    counter.shown[zone] = sample
                    break
            else:
                self.all.append(Counter([zone], sample, {zone: sample}, moved_s=sample.after_s))
        for zone, why in self.refused:
            # A die that cannot be read may be the twin of one that can.
            twin = self.merge and any(counter.zones[0].package == zone.package for counter in self.all)
            if not twin:
                shown = {zone: still[zone]} if zone in still else {}
                counter = Counter([zone], still.get(zone), shown, lost=True, outcome="lost", moved_s=self._began_s)
                self.all.append(counter)
            fate = self._fate(None if twin else self.all[-1], "is not measured")
            self.failures.add(zone, f"cannot be read ({describe(why)})", fate)

    def __bool__(self) -> bool:
        """Return whether there is a counter that is not lost."""
        return not all(counter.lost for counter in self.all)

    @property
    def absent_share(self) -> float:
        """The part of the counters that are lost or could not be read the last time, from 0 to 1."""
        return sum(counter.lost or counter.missed for counter in self.all) / len(self.all)

    @property
    def whole(self) -> bool:
        """Whether the last read gave the energy since the read before, and no other, as far as counters were read."""
        return all(counter.whole for counter in self.all if not (counter.lost or counter.missed))

    @property
    def max_gap_s(self) -> float:
        """The longest that the zones may go unread, in seconds: half of the shortest time in which one wraps.

        That is minutes: a range of 2^32 steps of 61 µJ at 1000 W is one of 262 s.
        """
        zones = [zone for counter in self.all for zone in counter.zones]
        return min((zone.range_uj or SMALLEST_RANGE_UJ) / (zone.cap_w * UJ_PER_J) / 2 for zone in zones)

    def read_uj(self, active_s: float | None = None) -> int:
        """Return the microjoules of all counters since the last call.

        Raises ``OSError`` once all counters are lost and nothing takes their place.

        Args:
            active_s: Seconds of activity since then, in which each counter must have moved; by default all of them.
        """
        energy_uj = sum([self._advance(counter, active_s) for counter in tuple(self.all)])
        if not self and not self.substitute:
            # As its error number says, for good. Who gets the error may not ask for the failures.
            raise FileNotFoundError(errno.ENOENT, f"no energy counter can be read any more: {self._why}")
        return energy_uj

    def _advance(self, counter: Counter, active_s: float | None) -> int:
        """Read a counter through each of its zones, and return the microjoules since its last read."""
        continuous, old, late = counter.continuous, counter.last, counter.missed
        samples = {zone: sample for zone in tuple(counter.zones) if (sample := self._try(counter, zone)) is not None}
        counter.missed, counter.whole = not samples, False
        if not samples:
            counter.outcome = "lost" if counter.lost else "open"
            return 0
        lead, sample = next(iter(samples.items()))
        if old is None or (counter.lost and self.substitute):
            return self._resume(counter, lead, samples)
        step = step_uj(lead, old, sample, continuous=continuous)
        if isinstance(step, str):
            fate = f" by {self.substitute}" if self.substitute else " not measured"
            self.failures.add(lead, step, fate, sample.after_s - old.before_s)
            counter.outcome, step = "lost", 0
            counter.moved_s = sample.after_s
        else:
            counter.outcome, counter.whole = "counted", not late
            self._watch(counter, lead, step, sample, sample.after_s - old.after_s if active_s is None else active_s)
            self._part(counter, lead, samples)
        counter.last, counter.continuous = sample, True
        counter.shown |= samples
        return step

    def _watch(self, counter: Counter, zone: Zone, step: int, sample: Sample, active_s: float) -> None:
        """Notice whether a counter moves; without a step its energy is open, until it is known to stand still."""
        if step:
            self._moved(counter, zone, sample)
            return
        counter.still_s += active_s
        counter.outcome = "lost" if counter.lost else "open"
        if counter.still_s >= _STILL_S and not counter.lost:
            self._lose(counter, zone, "stands still")

    def _resume(self, counter: Counter, zone: Zone, samples: Mapping[Zone, Sample]) -> int:
        """Count on from this read, once a lost counter moves; until now the energy is the substitute's."""
        counter.outcome = "lost"
        if counter.last is None or samples[zone].energy_uj != counter.last.energy_uj:
            self._moved(counter, zone, samples[zone])
        counter.last, counter.continuous = samples[zone], True
        counter.shown |= samples
        return 0

    def _moved(self, counter: Counter, zone: Zone, sample: Sample) -> None:
        counter.moved_s, counter.still_s = sample.after_s, 0.0
        if counter.lost:
            counter.lost = False
            self.failures.add(zone, "is read again", f" from {self._after(counter)} on")

    def _lose(self, counter: Counter, zone: Zone, clause: str) -> None:
        counter.lost, counter.outcome, self._why = True, "lost", f"{zone.label} {clause}"
        self.failures.add(zone, clause, self._fate(counter, "is no longer measured"))

    def _fate(self, counter: Counter | None, unmeasured: str) -> str:
        if counter is None or not self.substitute:
            return f" and {unmeasured}"
        return f": from {self._after(counter)} on {self.substitute} counts in its place"

    def _after(self, counter: Counter) -> str:
        seconds = counter.moved_s - self._began_s
        return f"{seconds:.1f} s after the start" if seconds else "the start"

    def _try(self, counter: Counter, zone: Zone) -> Sample | None:
        """Return a zone's sample; ``None`` where it cannot be read. After too many failures give the zone up."""
        try:
            sample = self._sample(zone)
        except (OSError, ValueError) as error:
            counter.continuous = counter.continuous and not is_gone(error)
            if not counter.lost:
                self.failures.add(zone, f"could not be read ({describe(error)})")
                if not (isinstance(error, OSError) and error.errno in _SHORTAGES):
                    self._miss(counter, zone, error)
            return None
        self._misses.pop(zone, None)
        return sample

    def _miss(self, counter: Counter, zone: Zone, error: OSError | ValueError) -> None:
        now = self.clock()
        since, misses = self._misses.get(zone, (now, 0))
        self._misses[zone] = since, misses + 1
        if misses + 1 < _MISSES or now - since < _MISSED_S:
            return
        del self._misses[zone]
        if isinstance(error, BeyondRangeError):
            self._widen(counter, zone)
        elif len(counter.zones) > 1:
            counter.zones.remove(zone)
            self.failures.add(zone, f"was given up after {misses + 1} failed reads")
        else:
            self._lose(counter, zone, f"was given up after {misses + 1} failed reads")

    def _widen(self, counter: Counter, zone: Zone) -> None:
        """Take a zone's range as unknown, where its values show that it states too small a one."""
        wide = dataclasses.replace(zone, range_uj=None)
        counter.zones[counter.zones.index(zone)] = wide
        if zone in counter.shown:
            counter.shown[wide] = counter.shown.pop(zone)
        self.failures.add(zone, "goes beyond its range, which counts as unknown from now on")

    def _part(self, counter: Counter, lead: Zone, samples: Mapping[Zone, Sample]) -> None:
        """Split off each die whose value differs from the lead's, where neither was misread."""
        for zone, sample in samples.items():
            sound = isinstance(step_uj(zone, counter.shown[zone], sample), int)
            if zone is not lead and sound and not self._same(lead, samples[lead], sample):
                counter.zones.remove(zone)
                self.all.append(Counter([zone], sample, {zone: sample}, moved_s=sample.after_s))
                self.failures.add(zone, f"parted from {lead.label}: until then counted as one, as two from then on")

    def _same(self, lead: Zone, first: Sample, second: Sample) -> bool:
        """Return whether two zones, read one after the other, share a counter; true in doubt, lest it count twice."""
        if between(lead, first, second) <= lead.cap_w * (second.after_s - first.before_s) * UJ_PER_J:
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
