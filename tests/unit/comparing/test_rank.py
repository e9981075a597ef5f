"""The rank test."""

from __future__ import annotations

from itertools import combinations

import hypothesis
import hypothesis.strategies as st
import pytest

from eco2ai_callbacks.comparing import rank
from eco2ai_callbacks.comparing.rank import holm, least_p, mann_whitney


@pytest.mark.parametrize(
    ("one", "other", "p"),
    [
        ([1, 2, 3, 4], [5, 6, 7, 8], 2 / 70),
        ([1, 3, 5], [2, 4, 6], 0.7),
        ([1.1, 2.2, 3.3, 4.4, 5.5], [0.5, 6.0], 1.0),
        ([1, 1, 1], [1, 1, 1], 1.0),
    ],
    ids=["apart", "mixed", "around", "the same"],
)
def test_small_samples_are_exact(one: list[float], other: list[float], p: float) -> None:
    assert mann_whitney(one, other) == pytest.approx(p)
    assert mann_whitney(other, one) == pytest.approx(p)


def counted(one: list[int], other: list[int]) -> float:
    """All arrangements one by one, by the definition of U."""
    values = one + other

    def off(places: tuple[int, ...]) -> float:
        rest = [values[n] for n in range(len(values)) if n not in places]
        u = sum((values[n] > each) + (values[n] == each) / 2 for n in places for each in rest)
        return abs(u - len(places) * len(rest) / 2)

    found = [off(places) for places in combinations(range(len(values)), len(one))]
    return sum(each >= off(tuple(range(len(one)))) - 1e-9 for each in found) / len(found)


@hypothesis.settings(max_examples=25)
@hypothesis.given(
    one=st.lists(st.integers(0, 4), min_size=1, max_size=4), other=st.lists(st.integers(0, 4), min_size=1, max_size=4)
)
def test_ties_are_counted_as_all_arrangements_are(one: list[int], other: list[int]) -> None:
    assert mann_whitney(one, other) == pytest.approx(counted(one, other))


def test_large_samples_are_close_to_exact(monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = [float(n) for n in range(0, 24, 2)], [float(n) + 3.5 for n in range(0, 24, 2)]
    exact = mann_whitney(one, other)
    monkeypatch.setattr(rank, "MOST_EXACT", 0)
    assert mann_whitney(one, other) == pytest.approx(exact, abs=0.01)
    assert mann_whitney([1.0] * 20, [1.0] * 20) == 1.0


def test_no_value_is_no_test() -> None:
    assert mann_whitney([], [1.0]) is None


def test_four_of_each_can_show_a_difference_and_three_cannot() -> None:
    assert least_p(3, 3) == pytest.approx(0.1)
    assert least_p(4, 4) < 0.05
    assert least_p(5000, 5000) == 0.0


def test_several_tests_are_held_to_more() -> None:
    assert holm([0.01, None, 0.04, 0.03]) == [pytest.approx(0.03), None, pytest.approx(0.06), pytest.approx(0.06)]
    assert holm([0.9, 0.8]) == [1.0, 1.0]
