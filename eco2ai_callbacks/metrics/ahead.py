"""What the remaining work of a training will cost, from the past epochs: mean, spread and trend."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right, insort
from itertools import combinations

# A prior: epochs of one training are assumed to differ by 5 %, with the weight of four epochs. Both are assumptions:
# two epochs alone give next to no estimate of their spread.
PRIOR_SPREAD = 0.05
PRIOR_WEIGHT = 4
# The remaining work may cost 5 % more or less per step than the past work, as machines warm up and trainings change: an
# assumption too. It shrinks with the share of the work that remains.
DRIFT = 0.05
# The band should hold the final figure in about nine of ten cases: 5 % of the normal distribution are above this.
_QUANTILE = 1.6448536269514722
# A rise (or fall) so steady that chance causes it once in 60 cases: five epochs in a row, each above the last.
_FEWEST_FOR_TREND = 5
_CLEAR_TREND = 2.2
# Relative difference below which two costs are equal.
_SAME = 1e-6


def expected_ahead(works: list[float], costs: list[float], ahead: float) -> tuple[float, float]:
    """Return the expected cost of the remaining work, and its error.

    Uses the mean, not the median: costs of some epochs only (a validation every fifth) are part of it. The variance of
    an epoch's cost is proportional to its work. It is estimated from the past epochs and, as long as these are few,
    from the prior. The distance between a trend and the mean is added to the error, in quadrature.

    Args:
        works: Work of each past epoch.
        costs: Its cost.
        ahead: The remaining work.
    """
    behind = math.fsum(works)
    rate = math.fsum(costs) / behind
    squares = math.fsum([(cost - rate * work) ** 2 / work for work, cost in zip(works, costs, strict=True)])
    usual = (PRIOR_SPREAD * rate) ** 2 * behind / len(costs)
    freedom = PRIOR_WEIGHT + len(costs) - 1
    variance = (PRIOR_WEIGHT * usual + squares) / freedom
    drift = DRIFT * rate * ahead * math.sqrt(ahead / (ahead + behind))
    off = _student(freedom) * math.hypot(math.sqrt(variance * (ahead + ahead**2 / behind)), drift)
    trend = _trend(works, costs)
    if trend is None:
        return rate * ahead, off
    rest = _continued(*trend, behind, ahead)
    return rest, math.hypot(off, rest - rate * ahead)


def _trend(works: list[float], costs: list[float]) -> tuple[float, float] | None:
    """Return the present level and the slope of costs per work that clearly rise or fall; ``None`` for others.

    Uses the Mann-Kendall test and the Theil-Sen slope, which are robust to single outliers.
    """
    count = len(costs)
    if count < _FEWEST_FOR_TREND:
        return None
    rates = [cost / work for work, cost in zip(works, costs, strict=True)]
    if abs(_rises(rates)) - 1 < _CLEAR_TREND * math.sqrt(count * (count - 1) * (2 * count + 5) / 18):
        return None
    points: list[tuple[float, float]] = []
    behind = 0.0
    for work, rate in zip(works, rates, strict=True):
        points.append((behind + work / 2, rate))
        behind += work
    pairs = combinations(points, 2)
    slope = _median([(later[1] - earlier[1]) / (later[0] - earlier[0]) for earlier, later in pairs])
    # The mean level, not the median one: see :func:`expected_ahead`.
    return math.fsum(rate - slope * place for place, rate in points) / count + slope * behind, slope


def _rises(rates: list[float]) -> int:
    """Return in how many pairs the later rate is the higher one, less those where it is the lower one.

    Costs are differences of growing sums, so none is negative, and the rounding error between equal ones is no step.
    """
    score = 0
    before: list[float] = []  # sorted: each rate is looked up, not compared one by one
    for rate in rates:
        score += bisect_left(before, rate * (1 - _SAME)) + bisect_right(before, rate / (1 - _SAME)) - len(before)
        insort(before, rate)
    return score


def _median(values: list[float]) -> float:
    ordered = sorted(values)  # the module statistics is slow to import
    middle = len(ordered) // 2
    return (ordered[middle] + ordered[~middle]) / 2


def _continued(now: float, slope: float, behind: float, ahead: float) -> float:
    """Return the cost of the remaining work, where a trend continues for as long as it was observed and then levels.

    Most changes at the start of a training (temperature, caches, a growing batch) come to an end.
    """
    now = max(0.0, now)
    sloping = min(behind, ahead)
    if slope < 0:
        sloping = min(sloping, now / -slope)
    end = max(0.0, now + slope * sloping)
    return (now + end) / 2 * sloping + end * (ahead - sloping)


def _student(freedom: int) -> float:
    """Return Student's t for the band's level by the Cornish-Fisher expansion: within 0.1 % from 4 degrees on."""
    z = _QUANTILE
    return (
        z
        + (z**3 + z) / (4 * freedom)
        + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)
        + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * freedom**3)
    )
