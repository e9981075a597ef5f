"""What lies ahead of a training: the expected cost, its error, and trends."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from eco2ai_callbacks.metrics.ahead import _rises, expected_ahead


def test_what_costs_the_same_each_time_goes_on_so() -> None:
    rest, off = expected_ahead([1.0] * 8, [10.0] * 8, 4.0)
    assert rest == pytest.approx(40.0)
    assert 0 < off < 40.0


def test_work_counts_not_the_number_of_epochs() -> None:
    one, _ = expected_ahead([1.0, 1.0, 2.0], [10.0, 10.0, 20.0], 4.0)
    other, _ = expected_ahead([2.0, 2.0], [20.0, 20.0], 4.0)
    assert one == pytest.approx(other) == pytest.approx(40.0)


@pytest.mark.parametrize("step", [1.0, -1.0], ids=["rising", "falling"])
def test_a_clear_trend_goes_on_and_widens_the_error(step: float) -> None:
    costs = [100.0 + step * place for place in range(12)]
    rest, off = expected_ahead([1.0] * 12, costs, 4.0)
    mean = sum(costs) / len(costs) * 4
    assert (rest - mean) * step > 0
    _, usual = expected_ahead([1.0] * 12, [105.5] * 12, 4.0)
    assert off > usual


def test_nothing_ahead_costs_nothing() -> None:
    assert expected_ahead([1.0, 1.0], [10.0, 12.0], 0.0) == (0.0, 0.0)


@given(st.lists(st.one_of(st.floats(0.0, 1e9), st.sampled_from([0.0, 1.0, 1.0 + 1e-9, 1.1, 2.0])), max_size=32))
def test_rises_are_those_of_all_pairs(rates: list[float]) -> None:
    # Two that differ by rounding alone are no step; how far that goes may be rounded too.
    pairs = list(itertools.combinations(rates, 2))
    assume(all(abs(abs(b - a) - 1e-6 * max(a, b)) > 1e-12 * max(a, b) or a == b for a, b in pairs))
    steps = [(b > a) - (b < a) for a, b in pairs if abs(b - a) > 1e-6 * max(a, b)]
    assert _rises(rates) == sum(steps)
