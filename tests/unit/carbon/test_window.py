"""When a job causes the least: found among few windows, as good as among all."""

from __future__ import annotations

import doctest

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eco2ai_callbacks.carbon import window as module
from eco2ai_callbacks.carbon.series import Series, Span
from eco2ai_callbacks.carbon.window import Window, best, windows


def series(*figures: float | None) -> Series:
    spans = [Span(float(i), i + 1.0, g) for i, g in enumerate(figures) if g is not None]
    return Series(spans, "hours.csv", "average")


def test_the_examples_in_the_docstrings_hold() -> None:
    assert doctest.testmod(module).failed == 0


def test_the_best_window_by_hand() -> None:
    # Two hours among 300 200 100 100 400: the third and the fourth.
    assert best(windows(series(300, 200, 100, 100, 400), 2.0, 0.0, 5.0)) == Window(2.0, 100.0)


def test_it_may_begin_within_an_hour() -> None:
    # One and a half hours that end with the cheap hour: half of the one before it.
    assert best(windows(series(100, 50, 400), 1.5, 0.0, 3.0)) == Window(0.5, pytest.approx((0.5 * 100 + 50) / 1.5))


def test_of_equal_windows_the_first_is_chosen() -> None:
    assert best(windows(series(50, 50, 50), 1.0, 0.25, 3.0)).begin_s == 0.25


def test_no_window_has_a_gap_or_leaves_what_is_allowed() -> None:
    found = windows(series(100, None, 50, 60, 70, 10), 2.0, 0.5, 5.0)
    assert {window.begin_s for window in found} == {2.0, 3.0}
    assert windows(series(100, None, 50), 2.0, 0.0, 3.0) == []
    assert windows(series(100, 100), 3.0, 0.0, 2.0) == []


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.floats(0.0, 1000.0), min_size=4, max_size=10), st.floats(0.1, 3.5), st.floats(0.0, 1.0),
)  # fmt: skip
def test_no_other_begin_is_better(figures: list[float], length: float, begin: float) -> None:
    known, until = series(*figures), float(len(figures))
    if begin + length > until:
        return
    chosen = best(windows(known, length, begin, until))
    for step in range(200):
        at = begin + (until - length - begin) * step / 199
        assert known.mean(at, at + length).g_per_kwh >= chosen.g_per_kwh - 1e-6
