"""The idle floor: what a counter's energy would be without work, and how far that is certain."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eco2ai_callbacks.meters.cpu.floor import FLOOR_WINDOW_S, QUIET_LOAD, IdleFloor, idle_part
from eco2ai_callbacks.meters.cpu.model import CURVE_ACTIVE, CURVE_IDLE

THREADS = 64
WINDOW = FLOOR_WINDOW_S


@pytest.fixture
def floor() -> IdleFloor:
    return IdleFloor(THREADS)


def feed(
    floor: IdleFloor, watts: float, load: float, seconds: float = WINDOW, part: float = 1.0
) -> tuple[float, float]:
    """Split the energy of some seconds at a power and a load; returns active and idle watts."""
    active, idle = floor.split(watts * seconds, load * THREADS * seconds, seconds, part)
    assert active + idle == pytest.approx(watts * seconds)
    assert 0 <= floor.unsure_j <= active * (1 + 1e-9)
    return active / seconds, idle / seconds


def test_an_idle_machine_s_power_is_all_idle_and_a_busy_one_s_is_parted_as_the_curve_has_it() -> None:
    assert idle_part(0.0) == idle_part(QUIET_LOAD) == 1.0
    assert idle_part(1 + QUIET_LOAD) == idle_part(7.0) == pytest.approx(CURVE_IDLE / (CURVE_IDLE + CURVE_ACTIVE))
    loads = [idle_part(percent / 100) for percent in range(101)]
    assert loads == sorted(loads, reverse=True)


def test_what_an_idle_machine_draws_is_idle_and_stays_the_floor_of_a_busy_one(floor: IdleFloor) -> None:
    assert feed(floor, 90.0, 0.001) == (pytest.approx(0.0), pytest.approx(90.0))
    assert floor.unsure_j == pytest.approx(0.0)
    assert feed(floor, 250.0, 0.8) == (pytest.approx(160.0), pytest.approx(90.0))
    assert floor.unsure_j == pytest.approx(0.0)


def test_a_machine_that_was_always_busy_has_the_floor_that_the_curve_gives_it(floor: IdleFloor) -> None:
    active, idle = feed(floor, 200.0, 1.0)
    assert idle == pytest.approx(200.0 * idle_part(1.0))
    assert floor.unsure_j == pytest.approx(active * WINDOW)  # all of it may be idle: nothing lower was seen


def test_quieter_seconds_correct_the_floor_and_busier_ones_do_not(floor: IdleFloor) -> None:
    feed(floor, 200.0, 1.0)
    feed(floor, 120.0, 0.2)
    assert feed(floor, 200.0, 1.0)[1] == pytest.approx(120.0 * idle_part(0.2))
    assert floor.unsure_j == pytest.approx((120.0 - 120.0 * idle_part(0.2)) * WINDOW)
    feed(floor, 92.0, 0.002)
    assert feed(floor, 200.0, 1.0)[1] == pytest.approx(92.0)


def test_the_floor_is_never_above_the_lowest_power(floor: IdleFloor) -> None:
    feed(floor, 90.0, 0.0)
    feed(floor, 60.0, 0.5)  # as after a lower power limit
    assert feed(floor, 200.0, 1.0)[1] == pytest.approx(60.0)


def test_before_the_first_seconds_are_over_the_floor_is_that_of_the_time_so_far(floor: IdleFloor) -> None:
    assert feed(floor, 100.0, 0.0, 0.1) == (pytest.approx(0.0), pytest.approx(100.0))
    # So far: 30 J in 0.2 s, at half of the load.
    assert feed(floor, 200.0, 1.0, 0.1)[1] == pytest.approx(150.0 * idle_part(0.5))


def test_short_reads_are_learnt_from_together(floor: IdleFloor) -> None:
    for _ in range(round(WINDOW / 0.01)):
        feed(floor, 90.0, 0.0, 0.01)
    for _ in range(50):
        assert feed(floor, 250.0, 0.8, 0.01)[1] == pytest.approx(90.0)


def test_a_late_figure_is_for_the_time_without_one_too(floor: IdleFloor) -> None:
    feed(floor, 90.0, 0.0)
    assert floor.split(0.0, 0.0, 4.0, learn=False) == (0.0, 0.0)
    assert floor.unsure_j == 0.0
    active, idle = floor.split(6.0 * 100.0, 0.0, 2.0, learn=False)
    assert (active, idle) == (pytest.approx(60.0), pytest.approx(540.0))


@pytest.mark.parametrize("part", [0.5, 0.25])
def test_of_a_machine_that_is_counted_in_part_the_floor_is_that_part(floor: IdleFloor, part: float) -> None:
    feed(floor, 90.0, 0.0)
    assert feed(floor, 100.0, 0.5, part=part)[1] == pytest.approx(90.0 * part)
    alone = IdleFloor(THREADS)
    feed(alone, 90.0 * part, 0.0, part=part)
    assert feed(alone, 250.0, 0.8)[1] == pytest.approx(90.0)


def test_what_is_not_known_to_be_of_these_seconds_teaches_nothing(floor: IdleFloor) -> None:
    feed(floor, 90.0, 0.0)
    for _ in range(3):
        floor.split(1.0, 0.0, WINDOW, learn=False)
        floor.split(0.0, 0.0, WINDOW)  # a counter that stands still: not the power of a machine
        feed(floor, 250.0, 0.8)
    assert feed(floor, 250.0, 0.8)[1] == pytest.approx(90.0)


def test_without_time_all_is_active(floor: IdleFloor) -> None:
    assert floor.split(5.0, 0.0, 0.0) == (5.0, 0.0)


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 4000).map(float),
            st.integers(0, 100).map(lambda percent: percent / 100),
            st.integers(1, 8000).map(lambda ms: ms / 1000),
            st.sampled_from([1.0, 0.5, 0.0]),
            st.booleans(),
        ),
        max_size=30,
    )
)
def test_nothing_is_lost_or_made_up(reads: list[tuple[float, float, float, float, bool]]) -> None:
    floor = IdleFloor(THREADS)
    for joules, load, seconds, part, learn in reads:
        active, idle = floor.split(joules if part else 0.0, load * THREADS * seconds, seconds, part, learn=learn)
        assert active + idle == pytest.approx(joules if part else 0.0)
        assert active >= 0
        assert idle >= 0
        assert -1e-9 <= floor.unsure_j <= active + 1e-9
