from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from eco2ai_callbacks.bands import combined_band

JOULES = st.just(0.0) | st.floats(1e-9, 1e12)


def test_parts_of_one_method_add_linearly():
    assert combined_band([("rapl", 100.0, (90.0, 110.0)), ("rapl", 50.0, (45.0, 55.0))]) == (135.0, 165.0)


def test_different_methods_add_in_quadrature():
    # 150 J: sqrt(3² + 4²) = 5 below, sqrt(6² + 8²) = 10 above
    assert combined_band([("rapl", 100.0, (97.0, 106.0)), ("ram-model", 50.0, (46.0, 58.0))]) == (145.0, 160.0)


def test_it_does_not_go_below_zero():
    assert combined_band([("a", 1.0, (-4.0, 2.0)), ("b", 1.0, (0.0, 1.0))])[0] == 0.0


def test_of_nothing_it_is_nothing():
    assert combined_band([]) == (0.0, 0.0)


@given(st.lists(st.tuples(st.sampled_from("abc"), JOULES, st.floats(0, 1), st.floats(1, 3)), min_size=1))
def test_it_holds_the_sum_and_is_no_wider_than_all_parts_together(parts):
    low, high = combined_band([(name, j, (j * below, j * above)) for name, j, below, above in parts])
    total = sum(j for _, j, _, _ in parts)
    assert low <= total * (1 + 1e-12)
    assert high >= total * (1 - 1e-12)
    assert low >= sum(j * below for _, j, below, _ in parts) * (1 - 1e-9) - 1e-9 * total
    assert high <= sum(j * above for _, j, _, above in parts) * (1 + 1e-9)
