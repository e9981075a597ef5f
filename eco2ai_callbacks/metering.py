"""Meters, clock, lock and the one thread, to an immutable reading; a meter that fails is retired here."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType

from eco2ai_callbacks.contain import Containment
from eco2ai_callbacks.meters.meter import Meter
from eco2ai_callbacks.usage import Reading

# A meter that takes this long to answer holds up a training; so much twice in a row retires it.
SLOW_S = 1.0


class Metering:
    """Reads all meters at once, on demand and as often as some meter or the beat needs.

    Args:
        meters: Open meters.
        contain: What remembers failures.
        clock: Monotonic seconds.
        beat: Called by the thread after each of its readings, with the reading.
        beat_s: The longest stretch between two beats, in seconds.
    """

    def __init__(
        self,
        meters: Iterable[Meter],
        contain: Containment,
        clock: Callable[[], float] = time.monotonic,
        beat: Callable[[Reading], None] | None = None,
        beat_s: float = math.inf,
    ) -> None:
        self._slots = [_Slot(meter, contain) for meter in meters]
        self._contain = contain
        self._clock = clock
        self._beat = beat
        self.period_s = min([beat_s, *(slot.meter.max_gap_s for slot in self._slots)])
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> Reading:
        """Start the thread, if anything needs one, and take the first reading."""
        reading = self.read()
        if math.isfinite(self.period_s):
            self._thread = threading.Thread(target=self._run, name="eco2ai-ticker", daemon=True)
            self._thread.start()
        return reading

    def read(self) -> Reading:
        """Read every meter; never raises, and waits for none for long."""
        t = self._clock()
        joules: dict[str, float] = {}
        retired: set[str] = set()
        for slot in self._slots:
            slot.read()
            joules |= slot.joules
            retired |= slot.retired
        return Reading(t, MappingProxyType(joules), frozenset(retired))

    def stop(self) -> Reading:
        """Take the last reading, end the thread and close the meters."""
        self._ended.set()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(timeout=SLOW_S)
        reading = self.read()
        for slot in self._slots:
            slot.close()
        return reading

    def _run(self) -> None:
        while not self._ended.wait(self.period_s):
            reading = self.read()
            if self._beat is not None and not self._ended.is_set():
                beat = self._beat
                self._contain.contained("heartbeat", lambda: beat(reading), None)  # noqa: B023 - called at once


class _Slot:
    """A meter, its lock, and what it last said."""

    def __init__(self, meter: Meter, contain: Containment) -> None:
        self.meter = meter
        self.joules: dict[str, float] = {}
        self.retired: frozenset[str] = frozenset()
        self._contain = contain
        self._lock = threading.Lock()
        self._dead = False
        self._slow = 0

    def read(self) -> None:
        """Take the meter's figures over; a meter that fails, is slow or talks nonsense is asked no more."""
        if self._dead:
            return
        # Where the other thread hangs inside this meter, training goes on without it.
        if not self._lock.acquire(timeout=SLOW_S):
            self._retire(f"{self.meter.name}: did not answer within {SLOW_S:g} s")
            return
        try:
            began = time.monotonic()
            found = self._contain.contained(self.meter.name, self.meter.read, None)
            took = time.monotonic() - began
            if self._dead:
                return
            for failure in self.meter.failures:
                self._contain.note(failure)
            if found is None or not self._sound(found):
                self._retire(
                    None if found is None else f"{self.meter.name}: gave a figure that is none ({found!r:.80})"
                )
                return
            self.retired |= self.joules.keys() - found.keys()
            self.joules |= found
            self._slow = self._slow + 1 if took > SLOW_S else 0
            if self._slow > 1:
                self._retire(f"{self.meter.name}: took {took:.1f} s to answer, twice")
        finally:
            self._lock.release()

    def close(self) -> None:
        """Close the meter, unless the other thread hangs inside it."""
        if self._lock.acquire(timeout=SLOW_S):
            self._contain.contained(self.meter.name, self.meter.close, None)
            self._lock.release()

    def _retire(self, failure: str | None) -> None:
        self._dead = True
        self.retired = frozenset(self.joules)
        if failure:
            self._contain.note(failure)

    def _sound(self, found: Mapping[str, float]) -> bool:
        """Whether the figures are finite numbers, none lower than before."""
        return isinstance(found, Mapping) and all(
            isinstance(value, float | int) and math.isfinite(value) and value >= self.joules.get(channel, 0.0)
            for channel, value in found.items()
        )
