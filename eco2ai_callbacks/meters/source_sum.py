"""Keep the books of one source: its joules since it was opened, its mean power, its gaps and failed reads."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from eco2ai_callbacks.meters.gaps import Gaps, is_gap

# So many failed reads in a row, over so many seconds, and a source is given up: as for a whole meter
# (session/metering.py), for marks may be milliseconds apart, and a counter goes on counting.
FAILED_READS, FAILED_S = 10, 60.0
# Shortest interval for a mean power: ten steps of NVIDIA's counters (arXiv 2312.02741), and one of the longest.
MEAN_S = 1.0
# A step that is longer than a counter's may be by this much is none: calls take up to that long, and drivers cache
# what they show for up to a second (Linux, smu_cmn.c).
LATE_S = 1.0


@dataclass(slots=True, kw_only=True)
class SourceSum:
    """What a source has used since it was opened, by the differences of its readings.

    Args:
        origin: The source, as failures begin with it.
        label: The device, as failures name it.
        value: The last figure: joules of a counter, else watts.
        time: When that was.
        joules: What was used since it was opened.
        power_w: The mean power of the last second or more.
        retired: Whether it is no longer read.
        behind: Whether the last read has given no new figure, so that ``joules`` is older.
        failures: What failed, one sentence of each kind.
    """

    origin: str
    label: str
    value: float = 0.0
    time: float = 0.0
    joules: float = 0.0
    power_w: float = 0.0
    retired: bool = False
    behind: bool = False
    failures: dict[str, str] = field(default_factory=dict)
    _gaps: Gaps = field(default_factory=Gaps)
    _highest_w: float = 0.0
    _read_before: bool = False
    _mean_from: tuple[float, float] | None = None
    _misses: int = 0
    _missed_since: float = 0.0

    def fail(self, kind: str, what: str) -> None:
        """Record what failed; a later failure of the same kind takes the place of the earlier."""
        self.failures[kind] = f"{self.origin}: {self.label}: {what}"

    def add_counted(self, value: float, time: float, most_w: float, modulus_j: float | None = None) -> float:
        """Add what a counter has counted since the last figure, and return it; nothing where that is no energy.

        Args:
            value: Joules of the counter.
            time: When it was read.
            most_w: What the device draws at most: a larger step is an error.
            modulus_j: Joules after which the counter wraps; ``None`` where it does not.
        """
        step_j, seconds = value - self.value, time - self.time
        possible_j = most_w * (seconds + LATE_S)
        if step_j < 0 and modulus_j is not None and step_j + modulus_j <= possible_j:
            step_j += modulus_j
        if step_j < 0:
            self.fail("reset", "its energy counter was reset, what it used since the read before is not counted")
        elif step_j > possible_j:
            self.fail("jump", "its energy counter jumped, what it used since the read before is not counted")
        else:
            self.joules += step_j
        self._took(value, time)
        return step_j

    def add_sampled(
        self, value_w: float, time: float, sample_s: float, band: tuple[float, float], limit_w: Callable[[], float]
    ) -> None:
        """Add what a sampled power stands for since the last figure.

        Args:
            value_w: The power.
            time: When it was read.
            sample_s: The period at which it should be read.
            band: The band of the power, as factors.
            limit_w: Returns what the device may draw at most; asked for where samples are missing.
        """
        seconds = time - self.time
        step_j = (self.value + value_w) / 2.0 * seconds
        self.joules += step_j
        self._highest_w = max(self._highest_w, self.value, value_w)
        # What was used between the opening and the first read belongs to no record.
        if self._read_before and is_gap(seconds, sample_s):
            self._gaps.add(step_j, seconds, band, limit_w())
            self.fail("gap", str(self._gaps))
        self._took(value_w, time)

    def miss(self, why: str, now: float, times: str = "") -> None:
        """Record a failed read, after the last of which the source is given up.

        Args:
            why: Why it failed.
            now: Monotonic seconds.
            times: How often it was tried, in words.
        """
        self.behind = True
        self._missed_since = self._missed_since if self._misses else now
        self._misses += 1
        if self._misses >= FAILED_READS and now - self._missed_since >= FAILED_S:
            self.retire(f"{why}, {self._misses} times in a row")
        else:
            self.fail("miss", f"a read failed{times and ' '}{times} ({why}), what was used then is in a later read")

    def retire(self, why: str) -> None:
        """Give the source up."""
        self.retired, self.behind = True, False
        self.fail("retired", f"{why}; {self.lost} is missing from here on")

    @property
    def lost(self) -> str:
        """What is missing once the source is given up."""
        return "its energy"

    def _took(self, value: float, time: float) -> None:
        """Take a figure as the last one, and the mean power up to it."""
        since, before_j = self._mean_from or (self.time, 0.0)
        if time - since >= MEAN_S:
            self.power_w = (self.joules - before_j) / (time - since)
            since, before_j = time, self.joules
        self._mean_from = since, before_j
        self.value, self.time, self._read_before = value, time, True
        self.behind, self._misses = False, 0
