"""The energy of two groups of runs by one measure, and one sentence for it."""

from __future__ import annotations

from dataclasses import dataclass

from eco2ai_callbacks.comparing.rank import least_p
from eco2ai_callbacks.comparing.spread import LEVEL, Change

# A difference counts as shown where the rank test's p-value is below: the level of the intervals.
SIGNIFICANT = 1.0 - LEVEL
# No energy is known to a part in 10,000; sums in another order differ by less.
_LEAST_PERCENT = 0.01


@dataclass(frozen=True, slots=True)
class Comparison:
    """The energy of two groups by one measure.

    Args:
        measure: ``epoch``, ``reach`` or ``run``.
        phrase: The measure in words: ``per epoch``.
        baseline: Name of the first group.
        other: Name of the group that is compared with it.
        before: Joules of each run of the first group.
        after: Joules of each run of the other one.
        value: Relative change of the mean; ``None`` where a group has no figure.
        change: The same with its interval; ``None`` where a group is a single run.
        p: The rank test's p-value, raised for the number of comparisons.
        doubts: Why the difference cannot be told.
        quality: How the other group's metric is, in words.
    """

    measure: str
    phrase: str
    baseline: str
    other: str
    before: tuple[float, ...]
    after: tuple[float, ...]
    value: float | None
    change: Change | None
    p: float | None
    doubts: tuple[str, ...] = ()
    quality: str = ""

    @property
    def is_shown(self) -> bool:
        """Whether the difference is more than what repeats differ by."""
        sure = self.change is not None and not self.change.holds_zero and self.p is not None and self.p < SIGNIFICANT
        return sure and not self.doubts

    @property
    def sentence(self) -> str:
        """The comparison as one sentence."""
        return self.told(self._reason)

    def told(self, reason: str) -> str:
        """Return the comparison as one sentence.

        Args:
            reason: Why the difference cannot be told, where it cannot.
        """
        if self.value is None:
            return f"The energy {self.phrase} of {self.other} and {self.baseline} cannot be compared: {reason}."
        tests = f" ({len(self.after)} and {len(self.before)} runs, {_p(self.p)})" if self.p is not None else ""
        if percent(self.value) == "0" and not self.is_shown:
            same = f"{self.other} used as much energy {self.phrase} as {self.baseline}{self.quality}{tests}"
            if self.doubts:
                return f"{same}, but that it uses as much cannot be told: {reason}."
            return f"{same}{self._left_open}."
        differs = f"{self._differs} energy {self.phrase} than {self.baseline}{self.quality}{tests}"
        if self.is_shown:
            return f"{self.other} uses {differs}."
        return f"{self.other} used {differs}, but that it uses {self._word} cannot be told: {reason}."

    @property
    def _left_open(self) -> str:
        """What equal means leave open, as the end of a sentence."""
        if self.change is None:
            return ""
        return f"; a change of {percent(self.change.low)} % to {percent(self.change.high)} % is left open"

    @property
    def _word(self) -> str:
        return "less" if (self.value or 0.0) <= 0 else "more"

    @property
    def _differs(self) -> str:
        assert self.value is not None
        sign = 1 if self.value > 0 else -1
        if self.change is None:
            return f"{percent(abs(self.value))} % {self._word}"
        low, high = sorted(sign * edge for edge in (self.change.low, self.change.high))
        # The ends of a narrow interval differ only in their third digit.
        digits = 3 if percent(low) == percent(high) else 2
        value, low_said, high_said = (percent(each, digits) for each in (abs(self.value), low, high))
        return f"{value} % [{low_said}, {high_said}] {self._word}"

    @property
    def _reason(self) -> str:
        if self.doubts:
            return "; ".join(self.doubts)
        if least_p(len(self.before), len(self.after)) >= SIGNIFICANT:
            return f"{len(self.after)} and {len(self.before)} runs are too few for the rank test, take 4 of each"
        if self.change is not None and not self.change.holds_zero:
            return "the rank test does not show it"
        return "repeats differ by as much"


def percent(share: float, digits: int = 2) -> str:
    """Return a share in percent, with as many digits as tell something: ``12``, ``1.3``."""
    value = 100 * share
    if abs(value) < _LEAST_PERCENT:
        return "0"
    return f"{value:.0f}" if abs(value) >= 10 ** (digits - 1) else f"{value:.{digits}g}"


def _p(value: float) -> str:
    return f"p = {value:.2g}" if value >= 0.001 else "p < 0.001"
