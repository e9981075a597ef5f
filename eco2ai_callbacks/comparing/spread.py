"""How far a difference of two means may be off, by resampling of the runs."""

from __future__ import annotations

import math
import random
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import NormalDist, fmean, variance

LEVEL = 0.95
# Logarithms of ratios whose ratio is still a float.
_MOST_LOG = 700.0
# Draws of one interval: a second or two. A group of thousands of runs is resampled less often.
_MOST_DRAWS = 4_000_000
_MOST_SAMPLES, _LEAST_SAMPLES = 5_000, 400
# From so many degrees of freedom on, Student's distribution is the normal one to three digits.
_NORMAL_FROM = 200


@dataclass(frozen=True, slots=True)
class Change:
    """The change from one mean to another; relative to the first, -0.12 is 12 % less.

    Args:
        value: The change.
        low: Lower end of its interval.
        high: Upper end of its interval.
    """

    value: float
    low: float
    high: float

    @property
    def holds_zero(self) -> bool:
        """Whether no change is among what the interval allows."""
        return self.low <= 0.0 <= self.high


def relative_change(before: Sequence[float], after: Sequence[float], seed: int = 0) -> Change | None:
    """Return the change of the mean with its 95 % interval; ``None`` where a sample has fewer than two values.

    The interval is a percentile bootstrap of the logarithm of the ratio. A plain one is too narrow for few values:
    it is widened by n/(n - 1) and by Student's quantile over the normal one (Hesterberg, "What Teachers Should Know
    about the Bootstrap", The American Statistician 69, 2015), with Welch's degrees of freedom.

    Args:
        before: Values above 0.
        after: Values above 0.
        seed: Seed of the resampling: the same values and seed give the same interval.
    """
    if min(len(before), len(after)) < 2:
        return None
    logs = [[math.log(value) for value in values] for values in (before, after)]
    found = _change(before, after, math.log, student(*logs), seed)
    return Change(*(math.expm1(min(each, _MOST_LOG)) for each in (found.value, found.low, found.high)))


def difference(before: Sequence[float], after: Sequence[float], seed: int = 0) -> Change | None:
    """Return the difference of the means with its 95 % interval, for values of any sign; see :func:`relative_change`.

    Args:
        before: Values.
        after: Values.
        seed: Seed of the resampling.
    """
    if min(len(before), len(after)) < 2:
        return None
    return _change(before, after, lambda mean: mean, student(before, after), seed)


def _change(
    before: Sequence[float], after: Sequence[float], scale: Callable[[float], float], wide: float, seed: int
) -> Change:
    """Return the difference of two means on a scale, with an interval that is ``wide`` times as wide."""
    rng = random.Random(seed)
    count = max(_LEAST_SAMPLES, min(_MOST_SAMPLES, _MOST_DRAWS // (len(before) + len(after))))

    def offs(values: Sequence[float]) -> list[float]:
        """Return by how much the mean of each sample that is drawn from the values is off."""
        size, mean = len(values), scale(fmean(values))
        more = wide * math.sqrt(size / (size - 1))
        return [more * (scale(fmean(rng.choices(values, k=size))) - mean) for _ in range(count)]

    value = scale(fmean(after)) - scale(fmean(before))
    found = sorted(its - mine for mine, its in zip(offs(before), offs(after), strict=True))
    low, high = (value + quantile(found, share) for share in ((1 - LEVEL) / 2, (1 + LEVEL) / 2))
    return Change(value, low, high)


def student(one: Sequence[float], other: Sequence[float]) -> float:
    """Return by how much an interval of these two samples is wider than one of known variances."""
    parts = [variance(values) / len(values) for values in (one, other)]
    total = sum(parts)
    if total <= 0:
        return 1.0
    freedom = total**2 / sum(part**2 / (len(values) - 1) for part, values in zip(parts, (one, other), strict=True))
    return t_quantile((1 + LEVEL) / 2, max(1, int(freedom))) / NormalDist().inv_cdf((1 + LEVEL) / 2)


def quantile(ordered: Sequence[float], share: float) -> float:
    """Return a quantile of values in their order, between neighbours where it falls between them."""
    place = share * (len(ordered) - 1)
    left = int(place)
    right = min(left + 1, len(ordered) - 1)
    return ordered[left] + (place - left) * (ordered[right] - ordered[left])


def t_quantile(share: float, freedom: int) -> float:
    """Return a quantile of Student's distribution.

    Args:
        share: The part of the distribution below it; from 0.5 to below 1.
        freedom: Degrees of freedom, from 1.

    Example:
        >>> round(t_quantile(0.975, 4), 3)
        2.776
    """
    if freedom > _NORMAL_FROM:
        return NormalDist().inv_cdf(share)
    # In steps of a quarter of a turn / 2**20 of the angle whose tangent is t / sqrt(freedom).
    steps = 2**40
    place = bisect_left(range(steps), 2 * share - 1, key=lambda step: _within(step * math.pi / 2 / steps, freedom))
    return math.tan(place * math.pi / 2 / steps) * math.sqrt(freedom)


def _within(angle: float, freedom: int) -> float:
    """Return the part of Student's distribution between -t and t (Abramowitz and Stegun 26.7.3 and 26.7.4)."""
    sine, cosine = math.sin(angle), math.cos(angle)
    if freedom == 1:
        return 2 * angle / math.pi
    odd = freedom % 2
    term = cosine if odd else 1.0
    total = term
    for place in range(3 if odd else 2, freedom - 1, 2):
        term *= cosine**2 * (place - 1) / place
        total += term
    return 2 / math.pi * (angle + sine * total) if odd else sine * total
