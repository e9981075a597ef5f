"""Intervals of differences."""

from __future__ import annotations

import hypothesis
import hypothesis.strategies as st
import pytest

from eco2ai_callbacks.comparing import spread
from eco2ai_callbacks.comparing.spread import difference, quantile, relative_change, t_quantile

SOME = st.lists(st.floats(1e-6, 1e6), min_size=2, max_size=6)


@hypothesis.settings(max_examples=15)
@hypothesis.given(values=SOME, seed=st.integers(0, 5))
def test_identical_groups_have_an_interval_that_holds_zero(values: list[float], seed: int) -> None:
    for change in (relative_change(values, values, seed), difference(values, values, seed)):
        assert change is not None
        assert change.value == 0.0
        assert change.holds_zero


def test_the_same_seed_gives_the_same_interval() -> None:
    one, other = [1.0, 1.1, 0.9, 1.05], [0.8, 0.9, 0.7, 0.85]
    first = relative_change(one, other, 7)
    assert first == relative_change(one, other, 7)
    assert first != relative_change(one, other, 8)
    assert first is not None
    assert first.value == pytest.approx(3.25 / 4.05 - 1)
    assert first.low < first.value < first.high < 0


def test_an_interval_is_as_wide_as_students() -> None:
    # Five and five values: Welch's interval of the difference is 1.306 to 1.694 with 8 degrees of freedom.
    one, other = [1.0, 1.1, 1.2, 1.3, 1.4], [2.5, 2.6, 2.7, 2.8, 2.9]
    found = difference(one, other)
    assert found is not None
    assert (found.low, found.high) == (pytest.approx(1.5 - 0.2306, abs=0.03), pytest.approx(1.5 + 0.2306, abs=0.03))


def test_two_values_tell_little_and_one_tells_nothing() -> None:
    wide = relative_change([1.0, 1.1], [0.8, 0.9])
    assert wide is not None
    assert wide.holds_zero
    assert relative_change([1.0], [0.8, 0.9]) is None
    assert difference([1.0, 2.0], [0.8]) is None


def test_values_that_are_far_apart_have_an_interval_of_numbers() -> None:
    found = relative_change([1e-90, 1e90], [1e90, 1e-90])
    assert found is not None
    assert -1 <= found.low < found.high < float("inf")


def test_values_without_any_spread_have_no_interval_to_speak_of() -> None:
    found = relative_change([2.0, 2.0], [1.0, 1.0])
    assert found is not None
    assert (found.low, found.value, found.high) == pytest.approx((-0.5, -0.5, -0.5))


def test_groups_of_thousands_are_resampled_less_often(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[int] = []

    class Counted(spread.random.Random):
        def choices(self, population, *args, k=1, **kwargs):  # type: ignore[no-untyped-def]
            drawn.append(k)
            return list(population)

    monkeypatch.setattr(spread.random, "Random", Counted)
    monkeypatch.setattr(spread, "_MOST_SAMPLES", 5000)
    values = [1.0 + n / 1e5 for n in range(5000)]
    relative_change(values, values)
    assert sum(drawn) <= spread._MOST_DRAWS
    drawn.clear()
    relative_change(values[:3], values[:3])
    assert sum(drawn) == 6 * spread._MOST_SAMPLES


# Abramowitz and Stegun, table 26.10.
@pytest.mark.parametrize(
    ("share", "freedom", "t"),
    [
        (0.975, 1, 12.706),
        (0.975, 2, 4.303),
        (0.975, 5, 2.571),
        (0.95, 10, 1.812),
        (0.975, 120, 1.980),
        (0.95, 999, 1.645),
    ],
    ids=["1", "2", "5", "10", "120", "normal"],
)
def test_students_quantiles(share: float, freedom: int, t: float) -> None:
    assert t_quantile(share, freedom) == pytest.approx(t, abs=6e-4)


def test_a_quantile_is_between_neighbours() -> None:
    assert quantile([1.0, 2.0, 4.0], 0.75) == 3.0
    assert quantile([1.0], 0.9) == 1.0
