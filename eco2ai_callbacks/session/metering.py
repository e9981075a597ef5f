"""Readings of all meters; a meter that fails for good is retired here."""

from __future__ import annotations

import math
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from types import MappingProxyType

from eco2ai_callbacks.errors import Eco2AIError
from eco2ai_callbacks.guard import Guard
from eco2ai_callbacks.host.gpu_health import GpuLook
from eco2ai_callbacks.meters.meter import Meter, behind_of, look_at, looks_of, refresh_of
from eco2ai_callbacks.session.siblings import Member
from eco2ai_callbacks.usage import Method, Reading

# A meter that takes this long to answer, in seconds, twice in a row, delays a training and is named.
SLOW_S = 1.0
# A wait for a driver or a file system looks like a wait for the interpreter's lock or a core: on a busy machine a
# read of a working meter takes seconds. Only this multiple of the above, twice in a row, retires a meter.
HOPELESS = 10.0
# One failed read does not predict the next: a process may have no file descriptor left while it starts its workers.
# Figures are cumulative, so that a meter which answers again has lost none. So many failures in a row (a few marks may
# be milliseconds apart), over so many seconds (more than workers take to start), retire a meter.
FAILED_READS, FAILED_S = 10, 60.0
# By these a meter reports that its source no longer exists.
GONE = (Eco2AIError, FileNotFoundError, ProcessLookupError)
# Shortest period, in seconds: no counter needs to be read more often.
SHORTEST_S = 0.01
_NONE: frozenset[str] = frozenset()
_NEVER: Mapping[str, float] = MappingProxyType({})


class Metering:
    """The reader of all meters at once.

    Args:
        meters: Open meters.
        guard: Records failures.
        clock: Monotonic seconds.
        outside: Returns a context for what may be stuck, such as a driver.
        slow_s: Seconds that a meter may take to answer a mark.
    """

    def __init__(
        self,
        meters: Iterable[Meter],
        guard: Guard,
        clock: Callable[[], float] = time.monotonic,
        outside: Callable[[], AbstractContextManager[None]] = nullcontext,
        slow_s: float = SLOW_S,
    ) -> None:
        self._slots = [_Slot(meter, guard, clock, slow_s) for meter in meters]
        # Those that may have something to report of GPUs.
        self._looking = [slot for slot in self._slots if hasattr(slot.meter, "look")]
        self._guard = guard
        self._clock = clock
        self._outside = outside
        # Returns the tracker's part, where others of its process divide the figures with it.
        self.share: Member | None = None

    def period_s(self, heartbeat_s: float = math.inf) -> float:
        """Return how often the meters must be read, in seconds.

        Args:
            heartbeat_s: Longest time between two readings for another reason.
        """
        for slot in self._slots:
            heartbeat_s = min(heartbeat_s, slot.meter.max_gap_s)
        return max(SHORTEST_S, heartbeat_s)

    @property
    def refresh_s(self) -> float:
        """How often all figures have changed, in seconds: over less, some of them show nothing or a whole step."""
        return max((refresh_of(slot.meter) for slot in self._slots if not slot.dead), default=0.0)

    def now(self) -> float:
        """Return monotonic seconds, as readings have them."""
        return self._clock()

    def read(self, *, waited: bool = True) -> Reading:
        """Read every meter, and return the tracker's part of their figures.

        Never raises, and does not wait long for a meter that another thread reads.

        Args:
            waited: Whether a program waits for the answer: only that can be delayed.
        """
        with self._outside():
            return self.own(waited) if self.share is None else self.share(waited)

    def own(self, waited: bool) -> Reading:
        """Read every meter, and return their figures undivided; from any thread.

        Args:
            waited: Whether a program waits for the answer.
        """
        t = self._clock()
        joules: dict[str, float] = {}
        retired, last_read = _NONE, _NEVER
        for slot in self._slots:
            slot.read(waited, t)
            joules |= slot.joules
            if slot.retired:
                retired |= slot.retired
                last_read = {**last_read, **{channel: slot.read_at.get(channel, t) for channel in slot.retired}}
        return Reading(t, MappingProxyType(joules), retired, last_read)

    def looks(self) -> bool:
        """Return whether some meter has something to report of its GPUs beside their energy."""
        return bool(self._looking) and any(looks_of(slot.meter) for slot in self._looking if not slot.dead)

    def look(self) -> list[GpuLook]:
        """Return the state of the GPUs now; never raises, and holds up no reading: it takes no lock of theirs."""
        found: list[GpuLook] = []
        with self._outside():
            for slot in self._looking:
                if not slot.dead and looks_of(slot.meter):
                    found += self._guard.call("GPU health", lambda slot=slot: look_at(slot.meter), ())  # type: ignore[misc]
        return found

    def close(self) -> None:
        """Close the meters."""
        with self._outside():
            for slot in self._slots:
                slot.close()


class _Slot:
    """A meter, its lock, and its last figures."""

    def __init__(self, meter: Meter, guard: Guard, clock: Callable[[], float], slow_s: float) -> None:
        self.meter = meter
        # Both are replaced as a whole: the other thread reads them without the lock.
        self.joules: Mapping[str, float] = {}
        self.retired: frozenset[str] = frozenset()
        self.read_at: Mapping[str, float] = {}
        self._guard = guard
        self._clock = clock
        self._slow_s = slow_s
        self._lock = threading.Lock()
        self._reader: int | None = None
        self._lost: frozenset[str] = frozenset()
        self._passed_over = False
        self._dead = False
        self._closed = False
        self._owed = False
        self._took = 0.0  # by the last read that a training has waited for
        self._named_slow = False
        self._failed = 0
        self._failed_since = 0.0

    @property
    def dead(self) -> bool:
        """Whether the meter is read no more."""
        return self._dead

    def read(self, waited: bool, t: float) -> None:
        """Update the figures from the meter; where it fails or does not answer, its channels are missing until it does.

        Args:
            waited: Whether a training waits for the answer.
            t: When the reading began.
        """
        # A signal handler that reads inside a reading of its own thread gets the figures before.
        if self._dead or self._owed or self._reader == threading.get_ident():
            return
        if not (self._lock.acquire(blocking=False) or self._wait(waited)):
            self._miss()
            return
        try:
            if not (self._dead or self._owed):
                self._reader = threading.get_ident()
                self._ask(waited, t)
        finally:
            self._reader = None
            self._lock.release()
        if self._owed:
            self.close()  # it was hanging at its close

    def close(self) -> None:
        """Close the meter; where the other thread hangs inside it, that thread closes it on its return."""
        self._owed = not self._closed
        if self._lock.acquire(timeout=self._slow_s):
            if self._owed:
                self._dead, self._closed, self._owed = True, True, False
                self._guard.call(self.meter.name, self.meter.close, None)
            self._lock.release()

    def _wait(self, waited: bool) -> bool:
        # Where another thread hangs inside this meter, training continues without it, and waits for it only once.
        patience_s = 0.0 if self._passed_over else self._slow_s if waited else HOPELESS * self._slow_s
        if self._lock.acquire(timeout=patience_s):
            return True
        if not self._passed_over:
            self._guard.record(f"{self.meter.name}: did not answer within {patience_s:g} s")
        self._passed_over = True
        return False

    def _ask(self, waited: bool, t: float) -> None:
        began = self._clock()
        answered = self._guard.call(self.meter.name, lambda: self._take(t), False)
        took = self._clock() - began
        self._passed_over = False
        if answered:
            self._failed = 0
        else:
            self._failed_since = self._failed_since if self._failed else began
            self._failed += 1
            lasting = self._failed >= FAILED_READS and began - self._failed_since >= FAILED_S
            self._dead = self._dead or lasting
            self._miss()
        if waited:
            least, self._took = min(self._took, took), took
            if least > self._slow_s:
                self._judge(least)

    def _take(self, t: float) -> bool:
        try:
            found, failures = self.meter.read(), self.meter.failures
        except GONE:
            self._dead = True
            raise
        if self._owed:  # the last reading has been taken in the meantime
            return True
        for failure in failures:
            self._guard.record(failure)
        if not self._sound(found):
            self._dead = True
            self._guard.record(f"{self.meter.name}: gave a figure that is none ({found!r:.80})")
            return False
        behind = behind_of(self.meter)
        if not (self._lost or behind) and self.joules.keys() == found.keys():
            self.joules, self.read_at, self.retired = dict(found), dict.fromkeys(found, t), _NONE
            return True
        lost = self.joules.keys() - found.keys() - self._lost
        if lost and not failures:
            self._guard.record(f"{self.meter.name}: no longer gives {', '.join(sorted(lost))}")
        self._lost |= lost
        self.joules = {**self.joules, **{c: joules for c, joules in found.items() if c not in self._lost}}
        behind &= self.joules.keys()
        self.read_at = {**self.read_at, **dict.fromkeys(self.joules.keys() - behind - self._lost, t)}
        self.retired = self._lost | behind
        return True

    def _judge(self, least: float) -> None:
        """Record a meter that was slow twice in a row, and retire one that was slower by ``HOPELESS``."""
        if least > HOPELESS * self._slow_s:
            self._dead = True
            self._miss()
            self._guard.record(f"{self.meter.name}: took {self._took:.1f} s to answer, twice, and is read no more")
        elif not self._named_slow:
            self._named_slow = True
            self._guard.record(f"{self.meter.name}: took {self._took:.1f} s to answer, twice")

    def _miss(self) -> None:
        self.retired = frozenset(self.joules)

    def _sound(self, found: Mapping[str, float]) -> bool:
        """Return whether the figures are finite numbers by channel, none lower than before."""
        if type(found) is not dict and not isinstance(found, Mapping):
            return False
        before = self.joules
        for channel, value in found.items():
            if type(value) is not float and (not isinstance(value, float | int) or isinstance(value, bool)):
                return False
            if not isinstance(channel, str) or not before.get(channel, 0.0) <= value <= sys.float_info.max:
                return False
        return True


class MethodsNow:
    """The measuring method of each channel now: the same object as long as nothing changes.

    Args:
        meters: Open meters.
    """

    __slots__ = ("_all", "_held", "_meters")

    def __init__(self, meters: Sequence[Meter]) -> None:
        self._meters = meters
        self._held: list[Mapping[str, Method]] = []
        self._all: Mapping[str, Method] = {}

    def __call__(self) -> Mapping[str, Method]:
        """Return the methods."""
        held = [meter.methods for meter in self._meters]
        if held != self._held:
            self._held = [dict(methods) for methods in held]  # a meter may change its own
            self._all = methods_of(self._meters)
        return self._all


def methods_of(meters: Sequence[Meter]) -> Mapping[str, Method]:
    """Return the measuring method of each channel."""
    return {channel: method for meter in meters for channel, method in meter.methods.items()}
