from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eco2ai_callbacks.calibration.solve import least_deviations, least_squares


@settings(max_examples=20)
@given(st.lists(st.floats(-50.0, 50.0), min_size=3, max_size=3))
def test_points_on_a_curve_give_its_coefficients(truth: list[float]) -> None:
    rows = [(1.0, x, x * x) for x in (0.0, 0.3, 0.7, 1.0, 2.0)]
    values = [math.fsum(c * x for c, x in zip(truth, row, strict=True)) for row in rows]
    assert least_squares(rows, values) == pytest.approx(truth, abs=1e-6)
    found = least_deviations(rows, values)
    assert found is not None
    assert found[0] == pytest.approx(truth, abs=1e-6)
    assert found[1] == pytest.approx(0.0, abs=1e-6)


def test_what_the_points_do_not_determine_is_none() -> None:
    assert least_squares([(1.0, 2.0), (1.0, 2.0)], [1.0, 1.0]) is None
    assert least_squares([], []) is None
    assert least_deviations([], []) is None
    assert least_deviations([(1.0, 2.0), (1.0, 2.0)], [1.0, 1.0]) is None


def test_heavy_points_count_more() -> None:
    found = least_squares([(1.0,), (1.0,)], [0.0, 10.0], [1.0, 9.0])
    assert found == pytest.approx([9.0])


def test_one_point_far_off_moves_squares_and_hardly_moves_deviations() -> None:
    rows = [(1.0, float(x)) for x in range(10)]
    values = [2.0 + 3.0 * x for x in range(10)]
    values[7] = 500.0
    squares, deviations = least_squares(rows, values), least_deviations(rows, values)
    assert squares is not None
    assert deviations is not None
    assert abs(squares[1] - 3.0) > 5.0
    assert deviations[0] == pytest.approx([2.0, 3.0], abs=0.6)
