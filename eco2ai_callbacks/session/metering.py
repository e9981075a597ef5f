"""Meters, clock, lock and the one thread, to an immutable reading; a meter that fails is retired here."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType

from eco2ai_callbacks.guard import Guard
from eco2ai_callbacks.meters.meter import Meter
from eco2ai_callbacks.usage import Reading

# A meter that takes this long to answer holds up a training; so much twice in a row retires it.
SLOW_S = 1.0
# No counter needs to be read more often.
SHORTEST_S = 0.01


class Metering:
    """Reads all meters at once, on demand and as often as some meter or the beat needs.

    Args:
        meters: Open meters.
        guard: Records failures.
        clock: Monotonic seconds.
        beat: Called by the thread after each of its readings, with the reading.
        beat_s: The longest time between two beats, in seconds.
        look: Called by the thread more often, without a reading.
        look_s: Seconds between two looks.
        slow_s: How long a meter may take to answer a mark.
    """

    def __init__(
        self,
        meters: Iterable[Meter],
        guard: Guard,
        clock: Callable[[], float] = time.monotonic,
        beat: Callable[[Reading], None] | None = None,
        beat_s: float = math.inf,
        look: Callable[[], None] | None = None,
        look_s: float = math.inf,
        slow_s: float = SLOW_S,
    ) -> None:
        self._slots = [_Slot(meter, guard, clock, slow_s) for meter in meters]
        self._guard = guard
        self._clock = clock
        self._beat = beat
        self._look = look
        self._look_s = look_s if look is not None else math.inf
        self._slow_s = slow_s
        self.period_s = max(SHORTEST_S, min([beat_s, *(slot.meter.max_gap_s for slot in self._slots)]))
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> Reading:
        """Start the thread, if anything needs one, and take the first reading."""
        reading = self.read()
        if math.isfinite(min(self.period_s, self._look_s)):
            self._thread = threading.Thread(target=self._run, name="eco2ai-ticker", daemon=True)
            self._guard.call("ticker", self._thread.start, None)
        return reading

    def read(self) -> Reading:
        """Read every meter; never raises, and waits for none for long."""
        t = self._clock()
        joules: dict[str, float] = {}
        retired: set[str] = set()
        # Only who waits can be held up: the thread may be slow, as a busy machine is.
        waited = threading.current_thread() is not self._thread
        for slot in self._slots:
            slot.read(waited)
            joules |= slot.joules
            retired |= slot.retired
        return Reading(t, MappingProxyType(joules), frozenset(retired))

    def stop(self) -> Reading:
        """Take the last reading, end the thread and close the meters."""
        self._ended.set()
        thread = self._thread
        if thread is not None and thread.is_alive() and thread is not threading.current_thread():
            thread.join(timeout=self._slow_s)
        reading = self.read()
        for slot in self._slots:
            slot.close()
        return reading

    def _run(self) -> None:
        due = time.monotonic() + self.period_s
        while not self._ended.wait(min(self._look_s, max(0.0, due - time.monotonic()), threading.TIMEOUT_MAX)):
            if self._look is not None:
                self._guard.call("watch", self._look, None)
            if self._ended.is_set() or time.monotonic() < due:
                continue
            due = time.monotonic() + self.period_s
            reading = self.read()
            if self._beat is not None and not self._ended.is_set():
                beat = self._beat
                self._guard.call("heartbeat", lambda: beat(reading), None)  # noqa: B023 - called at once


class _Slot:
    """A meter, its lock, and what it last said."""

    def __init__(self, meter: Meter, guard: Guard, clock: Callable[[], float], slow_s: float) -> None:
        self.meter = meter
        self.joules: dict[str, float] = {}
        self.retired: frozenset[str] = frozenset()
        self._guard = guard
        self._clock = clock
        self._slow_s = slow_s
        self._lock = threading.Lock()
        self._reader: int | None = None
        self._dead = False
        self._closed = False
        self._owed = False
        self._slow = 0

    def read(self, waited: bool) -> None:
        """Take the meter's figures over; a meter that fails, is slow or talks nonsense is asked no more.

        Args:
            waited: Whether a training waits for the answer.
        """
        # A signal handler that reads inside a reading of its own thread must do with the figures before.
        if self._dead or self._owed or self._reader == threading.get_ident():
            return
        # Where the other thread hangs inside this meter, training goes on without it.
        if not self._lock.acquire(timeout=self._slow_s):
            self._retire(f"{self.meter.name}: did not answer within {self._slow_s:g} s")
            return
        try:
            self._reader = threading.get_ident()
            began = self._clock()
            alive = self._guard.call(self.meter.name, self._take, False)
            took = self._clock() - began
            if not alive:
                self._retire()
            elif waited:
                self._slow = self._slow + 1 if took > self._slow_s else 0
                if self._slow > 1:
                    self._retire(f"{self.meter.name}: took {took:.1f} s to answer, twice")
        finally:
            self._reader = None
            self._lock.release()
        if self._owed:
            self.close()  # it hung when it was to be closed

    def close(self) -> None:
        """Close the meter; where the other thread hangs inside it, that does so when it comes back."""
        self._owed = not self._closed
        if self._lock.acquire(timeout=self._slow_s):
            if self._owed:
                self._dead, self._closed, self._owed = True, True, False
                self._guard.call(self.meter.name, self.meter.close, None)
            self._lock.release()

    def _take(self) -> bool:
        found = self.meter.read()
        if self._dead:  # given up in the meantime
            return False
        failures = self.meter.failures
        for failure in failures:
            self._guard.record(failure)
        if not self._sound(found):
            self._guard.record(f"{self.meter.name}: gave a figure that is none ({found!r:.80})")
            return False
        lost = self.joules.keys() - found.keys() - self.retired
        if lost and not failures:
            self._guard.record(f"{self.meter.name}: no longer gives {', '.join(sorted(lost))}")
        self.joules |= found
        self.retired |= lost
        return True

    def _retire(self, failure: str | None = None) -> None:
        self._dead = True
        self.retired = frozenset(self.joules)
        if failure:
            self._guard.record(failure)

    def _sound(self, found: Mapping[str, float]) -> bool:
        """Return whether the figures are finite numbers by channel, none lower than before."""
        return isinstance(found, Mapping) and all(
            isinstance(channel, str)
            and isinstance(value, float | int)
            and not isinstance(value, bool)
            and math.isfinite(value)
            and value >= self.joules.get(channel, 0.0)
            for channel, value in found.items()
        )
