"""Sum the energy of one sensor since it was opened: by its counter, or by its sampled power."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from eco2ai_callbacks.meters.gaps import UNKNOWN_FACTOR
from eco2ai_callbacks.meters.source_sum import SourceSum
from eco2ai_callbacks.usage import Method, Scope

# A device that runs draws power: its counter has moved after so many seconds, whatever its step. It is this project's
# figure, and that of the processors' counters too.
STILL_S = 10.0
# A counter whose unit nobody here has checked on the hardware must agree with the power for so long, within a factor
# that no step of either exceeds in that time, and that every wrong unit does. This project's figures.
PROOF_S, PROOF_FACTOR = 10.0, 2.0


@dataclass(frozen=True, slots=True)
class Source:
    """A counter or a power sensor, and how far it is to be trusted.

    Args:
        method: What records call this way of knowing (``amdgpu-power``).
        read: Returns joules of a counter or watts; raises ``OSError`` or ``ValueError`` where there is no value.
        counter: Whether it counts energy; else it shows power.
        band: Lower and upper end of the band, as factors.
        most_w: What no such device draws: a figure above is an error.
        limit_w: Returns what the device may draw at most, for times without a sample; ``None`` where it is unknown.
        modulus_j: Joules after which the counter wraps; ``None`` where it does not.
        step_s: How old the figure may be: the counter's step.
        estimate: Whether what it shows is computed and not measured.
        rests: Whether a working device may use nothing that its sensor shows, so that neither a counter which does not
            move nor a power of 0 W is a failure.
        off: Returns whether the driver has switched the device off to save power: a read would wake it up.
    """

    method: str
    read: Callable[[], float]
    counter: bool
    band: tuple[float, float]
    most_w: float
    limit_w: Callable[[], float | None] = lambda: None
    modulus_j: float | None = None
    step_s: float = 0.1
    estimate: bool = False
    rests: bool = False
    off: Callable[[], bool] = lambda: False

    def value(self) -> float:
        """Return a valid figure; raises ``OSError`` or ``ValueError`` where there is none.

        A device that runs draws something: 0 W is no power but what drivers show that do not know it, unless it rests.
        """
        if not self.counter and self.off():
            return 0.0
        value = self.read()
        if not math.isfinite(value) or value < 0:
            raise ValueError("not a number")
        if not self.counter and value == 0 and not self.rests:
            raise ValueError("shows 0 W")
        if not self.counter and value > self.most_w:
            raise ValueError(f"shows more than {self.most_w:.0f} W")
        return value


@dataclass(slots=True)
class Tally(SourceSum):
    """The energy of one sensor since it was opened.

    Where the device shows its power too, that counts at first. The counter takes its place once both agree, and never
    where it stands still or counts in another unit than it should.

    Args:
        origin: The source, as failures begin with it.
        label: The device, as failures name it.
        source: What is read.
        clock: Monotonic seconds.
        power: The power of the same device, as long as the counter has not agreed with it.
    """

    origin: str
    label: str
    source: Source
    clock: Callable[[], float]
    power: Tally | None = None
    _still_s: float = 0.0
    # When the comparison of counter and power began, with what both showed.
    _proof: tuple[float, float, float] | None = None

    @property
    def counting(self) -> Source:
        """What counts now."""
        return self.source if self.power is None else self.power.source

    @property
    def sampled(self) -> bool:
        """Whether power is sampled now: it must be read in short periods."""
        return not (self.retired or self.counting.counter)

    def open(self) -> Tally:
        """Take the first figure and return the tally; raises ``OSError`` or ``ValueError`` where there is none."""
        self.value, self.time = self._figure()
        if not self.source.counter:
            self.power_w = self._highest_w = self.value
        if self.power is not None:
            self.power_w = self.power.power_w
            self._proof = self.time, self.value, self.power.joules
        return self

    def method(self, share: float = 1.0, scope: Scope = "device", part: str = "", note: str = "") -> Method:
        """Return the method of a part of the joules.

        Args:
            share: The part.
            scope: Whose joules they are.
            part: The part in words.
            note: What else limits the attribution.
        """
        source, gaps = self.counting, self._gaps if self.power is None else self.power._gaps
        return Method(
            source.method,
            *source.band,
            self.power_w * share * source.step_s if source.counter else 0.0,
            counter=source.counter and not source.estimate,
            sensor=not (source.counter or source.estimate),
            scope=scope,
            part=part,
            note=note,
            gap_j=(gaps.below_j * share, gaps.above_j * share),
        )

    def update(self, sample_s: float) -> bool:
        """Add what was used since the last reading, and return whether ``joules`` is still valid.

        Args:
            sample_s: The period at which power should be read.
        """
        if self.retired:
            return False
        if self.power is not None:
            return self._prove(self.power, sample_s)
        if self.source.counter and self.source.off():
            self.behind = True
            return True
        try:
            value, time = self._figure()
        except (OSError, ValueError) as error:
            self.miss((isinstance(error, OSError) and error.strerror) or str(error), self.clock())
            return not self.retired
        if self.source.counter:
            self._count(value, time)
        else:
            self.add_sampled(value, time, sample_s, self.source.band, self._limit_w)
        return not self.retired

    def _figure(self) -> tuple[float, float]:
        """Return a figure and the moment that it belongs to."""
        began = self.clock()
        value = self.source.value()
        return value, (began + self.clock()) / 2

    def _prove(self, power: Tally, sample_s: float) -> bool:
        """Count the power, and decide whether the counter can take its place."""
        gaps_s = power._gaps.seconds
        alive = power.update(sample_s)
        self.joules, self.power_w, self.behind = power.joules, power.power_w, power.behind and alive
        self.failures |= power.failures
        if self.source.off():
            self._proof = None
            return True
        try:
            value, time = self._figure()
        except (OSError, ValueError):
            value, time = -1.0, power.time
        if not alive or power.behind:
            # The counter alone is left, or the next read tells.
            if not alive and value >= 0:
                self._settle(power, value, time)
            self.retired = not alive and value < 0
            return not self.retired
        if self._proof is None or power._gaps.seconds > gaps_s:
            self._proof = (time, value, power.joules) if value >= 0 else None
            return True
        since, first, before_j = self._proof
        if time - since < PROOF_S:
            return True
        shown_j, used_j = max(0.0, value - first), power.joules - before_j
        if used_j / PROOF_FACTOR <= shown_j <= used_j * PROOF_FACTOR and shown_j > 0:
            self._settle(power, value, time)
            return True
        what = f"its energy counter shows {shown_j:.0f} J where its power gives {used_j:.0f} J"
        self.fail("proof", f"{what} in {time - since:.0f} s, its power is sampled instead")
        self.source = power.source
        self._settle(power, power.value, power.time)
        return True

    def _settle(self, power: Tally, value: float, time: float) -> None:
        """Go on from what the power has counted so far."""
        self.power, self.value, self.time = None, value, time
        self._gaps, self._highest_w, self._read_before = power._gaps, power._highest_w, True
        self._mean_from = time, self.joules
        self.failures.pop("retired", None)

    def _count(self, value: float, time: float) -> None:
        seconds = time - self.time
        step_j = self.add_counted(value, time, self.source.most_w, self.source.modulus_j)
        self._still_s = 0.0 if step_j else self._still_s + seconds
        if self._still_s >= STILL_S and not self.source.rests:
            self.behind = True
            self.fail("still", f"its energy counter has not moved for {self._still_s:.0f} s, nothing is counted")

    def _limit_w(self) -> float:
        return self.source.limit_w() or min(self.source.most_w, UNKNOWN_FACTOR * self._highest_w)
