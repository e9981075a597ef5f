"""Times without a sample: what counts as one, and how far they widen a band."""

from __future__ import annotations

import pytest

from eco2ai_callbacks.meters.gaps import Gaps, is_gap


@pytest.mark.parametrize(
    ("seconds", "period_s", "found"),
    [(2.5, 0.5, False), (2.6, 0.5, True), (1.0, 0.1, False), (1.1, 0.1, True), (6.0, 2.0, False)],
)
def test_a_gap_is_several_periods_and_a_second_at_least(seconds: float, period_s: float, found: bool) -> None:
    assert is_gap(seconds, period_s) is found


def test_a_gap_widens_the_band_from_nothing_to_the_limit() -> None:
    gaps = Gaps()
    gaps.add(600.0, 12.0, (0.85, 1.15), 300.0)
    assert (600.0 * 0.85 - gaps.below_j, 600.0 * 1.15 + gaps.above_j) == pytest.approx((0.0, 3600.0))
    gaps.add(300.0, 3.0, (0.85, 1.15), 100.0)  # more than its limit: the sensor's own band holds it
    assert (900.0 * 0.85 - gaps.below_j, 900.0 * 1.15 + gaps.above_j) == pytest.approx((0.0, 3600.0 + 300.0 * 1.15))
    assert str(gaps).startswith("its power was not sampled for 15.0 s in all, for 12.0 s at a time")
