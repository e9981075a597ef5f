"""A time series of carbon intensities: its mean is that of its parts, and gaps are known."""

from __future__ import annotations

import doctest

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eco2ai_callbacks.carbon import series as module
from eco2ai_callbacks.carbon.series import Mean, Series, Span
from eco2ai_callbacks.errors import SettingsError

H = 3600.0


def hours(*figures: float | None) -> Series:
    spans = [Span(i * H, (i + 1) * H, g) for i, g in enumerate(figures) if g is not None]
    return Series(spans, "hours.csv", "average")


def test_the_examples_in_the_docstrings_hold() -> None:
    assert doctest.testmod(module).failed == 0


def test_a_mark_over_several_hours_is_split_evenly_by_time() -> None:
    # A quarter of 100, an hour of 200, half an hour of 40: (15 * 100 + 60 * 200 + 30 * 40) / 105.
    found = hours(100.0, 200.0, 40.0).mean(0.75 * H, 2.5 * H)
    assert found == Mean(pytest.approx(140.0), 1.0)


def test_the_order_of_the_spans_does_not_matter() -> None:
    assert Series([Span(H, 2 * H, 2.0), Span(0.0, H, 1.0)], "x", "average").mean(0.0, 2 * H) == Mean(1.5, 1.0)


@pytest.mark.parametrize(
    ("begin", "end", "mean"),
    [
        (0.0, 3.0, Mean(200.0, 2 / 3, 1.0 * H)),
        (0.5, 1.5, Mean(100.0, 0.5, 1.0 * H)),
        (1.25, 1.75, Mean(0.0, 0.0, 1.25 * H)),
        (-1.0, 1.0, Mean(100.0, 0.5, -1.0 * H)),
        (2.0, 4.0, Mean(300.0, 0.5, 3.0 * H)),
        (7.0, 8.0, Mean(0.0, 0.0, 7.0 * H)),
    ],
    ids=["in the middle", "at the end", "wholly", "before the first", "after the last", "beyond"],
)
def test_a_gap_is_left_out_of_the_mean_and_its_first_moment_is_told(begin: float, end: float, mean: Mean) -> None:
    found = hours(100.0, None, 300.0).mean(begin * H, end * H)
    assert found == Mean(pytest.approx(mean.g_per_kwh), pytest.approx(mean.known), mean.gap_s)


def test_a_moment_has_the_figure_of_its_span() -> None:
    found = hours(100.0, 200.0)
    assert found.mean(H, H) == Mean(200.0, 1.0)
    assert found.mean(H - 1, H - 1) == Mean(100.0, 1.0)
    assert found.mean(2 * H, 2 * H) == Mean(0.0, 0.0, 2 * H)
    assert found.mean(-1.0, -1.0) == Mean(0.0, 0.0, -1.0)


def test_two_figures_for_one_time_are_refused() -> None:
    with pytest.raises(SettingsError, match="two figures for the same time"):
        Series([Span(0.0, 2 * H, 1.0), Span(H, 3 * H, 2.0)], "x", "average")


FIGURES = st.lists(st.one_of(st.none(), st.floats(0.0, 1500.0)), min_size=1, max_size=8)
MOMENTS = st.floats(-2 * H, 10 * H)


@settings(max_examples=40, deadline=None)
@given(FIGURES, MOMENTS, MOMENTS, MOMENTS)
def test_splitting_a_period_changes_nothing(figures: list[float | None], one: float, two: float, three: float) -> None:
    begin, cut, end = sorted((one, two, three))
    known = hours(*figures)

    def grams(low: float, high: float) -> float:
        found = known.mean(low, high)
        return found.g_per_kwh * found.known * (high - low)

    assert grams(begin, cut) + grams(cut, end) == pytest.approx(grams(begin, end), rel=1e-9, abs=1e-6)


@settings(max_examples=30, deadline=None)
@given(st.floats(0.0, 1500.0), st.floats(0.0, 5 * H), st.floats(1.0, 5 * H))
def test_a_constant_factor_over_time_is_the_static_one(g_per_kwh: float, begin: float, length: float) -> None:
    found = hours(*[g_per_kwh] * 10).mean(begin, begin + length)
    assert found.g_per_kwh == pytest.approx(g_per_kwh, rel=1e-12)
    assert (found.known, found.gap_s) == (1.0, None)
