"""The rank test of Mann and Whitney: whether two samples come from one distribution, whatever its shape."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist

# Values of both samples together up to which all arrangements are counted. Beyond, the normal approximation is within
# 0.01 of it.
MOST_EXACT = 30


def mann_whitney(one: Sequence[float], other: Sequence[float]) -> float | None:
    """Return the two-sided p-value; ``None`` where a sample is empty.

    Small samples are exact, ties included: all arrangements of the ranks are counted. Larger ones take the normal
    approximation with its corrections for ties and continuity.

    Args:
        one: A sample.
        other: The other sample.

    Example:
        >>> mann_whitney([1.0, 2.0, 3.0, 4.0], [5.0, 6.0, 7.0, 8.0])
        0.02857142857142857
    """
    if not one or not other:
        return None
    # Mid-ranks may be halves: twice the rank is a whole number.
    ranks, ties = _doubled_ranks([*one, *other])
    if len(ranks) <= MOST_EXACT:
        return _exact(ranks, len(one))
    return _approximate(ranks, len(one), ties)


def least_p(one: int, other: int) -> float:
    """Return the least p-value that samples of these sizes can have."""
    ways = math.comb(one + other, one)
    return min(1.0, 2.0 / ways) if ways < 2**1000 else 0.0  # beyond, it is no float


def _doubled_ranks(values: Sequence[float]) -> tuple[list[int], list[int]]:
    order = sorted(range(len(values)), key=values.__getitem__)
    ranks = [0] * len(values)
    ties: list[int] = []
    begin = 0
    while begin < len(order):
        end = begin
        while end < len(order) and values[order[end]] == values[order[begin]]:
            end += 1
        for place in order[begin:end]:
            ranks[place] = begin + 1 + end
        ties.append(end - begin)
        begin = end
    return ranks, ties


def _exact(ranks: Sequence[int], size: int) -> float:
    """Return the share of all choices of ``size`` ranks whose sum is as far from the middle as the first ones' sum."""
    ways: list[dict[int, int]] = [{0: 1}, *({} for _ in range(size))]
    for rank in ranks:
        for chosen in range(size, 0, -1):
            into = ways[chosen]
            for total, count in ways[chosen - 1].items():
                into[total + rank] = into.get(total + rank, 0) + count
    # Four times the mean of a sum of ranks, as twice a sum of doubled ranks.
    middle = size * (len(ranks) + 1) * 2
    off = abs(2 * sum(ranks[:size]) - middle)
    far = sum(count for total, count in ways[size].items() if abs(2 * total - middle) >= off)
    return far / math.comb(len(ranks), size)


def _approximate(ranks: Sequence[int], size: int, ties: Sequence[int]) -> float:
    whole, rest = len(ranks), len(ranks) - size
    mean = size * (whole + 1) / 2
    tied = sum(count**3 - count for count in ties) / (whole * (whole - 1))
    variance = size * rest / 12 * (whole + 1 - tied)
    if variance <= 0:  # all values are the same
        return 1.0
    off = max(0.0, abs(sum(ranks[:size]) / 2 - mean) - 0.5) / math.sqrt(variance)
    return min(1.0, 2 * NormalDist().cdf(-off))


def holm(values: Sequence[float | None]) -> list[float | None]:
    """Return p-values of several tests, raised so that any of them is wrong no more often than one alone (Holm 1979).

    Args:
        values: The p-value of each test; ``None`` for one that was not made.
    """
    order = sorted((p, place) for place, p in enumerate(values) if p is not None)
    found: list[float | None] = [None] * len(values)
    least = 0.0
    for done, (p, place) in enumerate(order):
        least = max(least, min(1.0, p * (len(order) - done)))
        found[place] = least
    return found
