"""One sensor's energy, with everything that its figure can do."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from eco2ai_callbacks.meters.source_sum import FAILED_READS
from eco2ai_callbacks.meters.tally import Source, Tally
from eco2ai_callbacks.testing import Clock


class Figure:
    """What a sensor shows: a number, or the error that a read raises."""

    def __init__(self, clock: Clock, value: float | Exception, took_s: float = 0.0) -> None:
        self.value = value
        self._clock, self.took_s = clock, took_s

    def __call__(self) -> float:
        self._clock.advance(self.took_s)
        if isinstance(self.value, Exception):
            raise self.value
        return self.value


def source(read: Callable[[], float], *, counter: bool, modulus_j: float | None = None) -> Source:
    return Source("test", read, counter, (0.9, 1.1), 1000.0, lambda: 300.0, modulus_j)


@pytest.fixture
def clock() -> Clock:
    return Clock()


def opened(clock: Clock, figure: Figure, *, counter: bool = False, modulus_j: float | None = None) -> Tally:
    return Tally("hwmon", "GPU 0", source(figure, counter=counter, modulus_j=modulus_j), clock).open()


def test_power_is_integrated_by_trapezoids(clock: Clock) -> None:
    """100 W to 200 W in 2 s are 300 J; then 1 s at 200 W are 200 J."""
    figure = Figure(clock, 100.0)
    tally = opened(clock, figure)
    clock.advance(2.0)
    figure.value = 200.0
    assert tally.update(2.0)
    assert tally.joules == 300.0
    clock.advance(1.0)
    tally.update(2.0)
    assert tally.joules == 500.0
    assert tally.method().sensor
    assert tally.failures == {}


def test_a_slow_read_belongs_to_the_middle_of_its_time(clock: Clock) -> None:
    """100 W; the first read takes 0 s, the second begins after 1 s and takes 2 s: 2 s in between, 200 J."""
    figure = Figure(clock, 100.0)
    tally = opened(clock, figure)
    figure.took_s = 2.0
    clock.advance(1.0)
    tally.update(10.0)
    assert tally.joules == 200.0


def test_a_time_without_samples_widens_the_band_up_to_the_limit(clock: Clock) -> None:
    """10 s at 100 W count 1000 J; 0 to 3000 J may have been used at a limit of 300 W."""
    figure = Figure(clock, 100.0)
    tally = opened(clock, figure)
    clock.advance(0.5)
    tally.update(0.5)
    clock.advance(10.0)
    tally.update(0.5)
    assert tally.joules == 1050.0
    assert tally.method().gap_j == (1000.0 * 0.9, 3000.0 - 1000.0 * 1.1)
    assert tally.method(share=0.5).gap_j == (450.0, 950.0)
    assert tally.failures["gap"].startswith("hwmon: GPU 0: its power was not sampled for 10.0 s")


@pytest.mark.parametrize(
    "value",
    [OSError(5, "Input/output error"), ValueError("not a number"), 0.0, -1.0, float("nan"), float("inf"), 5000.0],
    ids=["unreadable", "garbage", "zero", "negative", "nan", "inf", "impossible"],
)
def test_a_power_that_is_none_is_a_gap_and_no_zero(clock: Clock, value: float | Exception) -> None:
    figure = Figure(clock, 100.0)
    tally = opened(clock, figure)
    clock.advance(1.0)
    figure.value = value
    assert tally.update(0.5)
    assert tally.behind
    assert tally.joules == 0.0
    assert tally.failures["miss"].startswith("hwmon: GPU 0: a read failed (")
    figure.value = 100.0
    clock.advance(1.0)
    tally.update(0.5)
    assert not tally.behind
    assert tally.joules == 200.0


def test_a_sensor_that_stays_away_is_given_up_after_a_minute(clock: Clock) -> None:
    figure = Figure(clock, 100.0)
    tally = opened(clock, figure)
    figure.value = FileNotFoundError(2, "No such file or directory")
    for _ in range(FAILED_READS):
        assert tally.update(0.5)
        clock.advance(6.6)
    assert not tally.update(0.5)
    assert tally.retired
    assert not tally.sampled
    assert "No such file or directory, 11 times in a row; its energy is missing" in tally.failures["retired"]
    figure.value = 100.0
    assert not tally.update(0.5)


def test_marks_in_quick_succession_do_not_give_a_sensor_up(clock: Clock) -> None:
    figure = Figure(clock, 100.0)
    tally = opened(clock, figure)
    figure.value = OSError(5, "Input/output error")
    for _ in range(3 * FAILED_READS):
        clock.advance(0.01)
        assert tally.update(0.5)


def test_a_counter_counts_what_it_moves(clock: Clock) -> None:
    figure = Figure(clock, 7000.0)
    tally = opened(clock, figure, counter=True)
    clock.advance(2.0)
    figure.value = 7500.0
    tally.update(0.5)
    assert tally.joules == 500.0
    assert tally.power_w == 250.0
    assert tally.method().edge_j == pytest.approx(25.0)
    assert tally.method().counter


def test_what_a_counter_counted_while_it_could_not_be_read_is_in_the_next_read(clock: Clock) -> None:
    figure = Figure(clock, 7000.0)
    tally = opened(clock, figure, counter=True)
    for value in (OSError(5, "Input/output error"), ValueError("not a number"), 7900.0):
        clock.advance(1.0)
        figure.value = value
        tally.update(0.5)
    assert tally.joules == 900.0
    assert not tally.behind


def test_a_counter_wraps_where_its_range_is_known(clock: Clock) -> None:
    """From 4000 J of 4096 J to 54 J: 150 J."""
    figure = Figure(clock, 4000.0)
    tally = opened(clock, figure, counter=True, modulus_j=4096.0)
    clock.advance(1.0)
    figure.value = 54.0
    tally.update(0.5)
    assert tally.joules == 150.0
    assert tally.failures == {}


@pytest.mark.parametrize("modulus_j", [None, 1e9], ids=["no range", "too far for a wrap"])
def test_a_counter_that_fell_was_reset_and_counts_on_from_there(clock: Clock, modulus_j: float | None) -> None:
    figure = Figure(clock, 4000.0)
    tally = opened(clock, figure, counter=True, modulus_j=modulus_j)
    for value in (10.0, 60.0):
        clock.advance(1.0)
        figure.value = value
        tally.update(0.5)
    assert tally.joules == 50.0
    assert "was reset" in tally.failures["reset"]


def test_a_counter_that_jumps_counts_on_from_there(clock: Clock) -> None:
    figure = Figure(clock, 4000.0)
    tally = opened(clock, figure, counter=True)
    for value in (1e9, 1e9 + 50.0):
        clock.advance(1.0)
        figure.value = value
        tally.update(0.5)
    assert tally.joules == 50.0
    assert "jumped" in tally.failures["jump"]


def test_a_counter_that_stands_still_is_missing_and_not_zero(clock: Clock) -> None:
    figure = Figure(clock, 4000.0)
    tally = opened(clock, figure, counter=True)
    for _ in range(9):
        clock.advance(1.0)
        tally.update(0.5)
        assert not tally.behind
    clock.advance(1.0)
    tally.update(0.5)
    assert tally.behind
    assert "has not moved for 10 s, nothing is counted" in tally.failures["still"]
    clock.advance(1.0)
    figure.value = 4100.0
    tally.update(0.5)
    assert not tally.behind
    assert tally.joules == 100.0


def beside_power(clock: Clock, counter: Figure, watts: Figure) -> Tally:
    power = opened(clock, watts)
    return Tally("hwmon", "GPU 0", source(counter, counter=True), clock, power).open()


def test_a_counter_counts_once_it_has_agreed_with_the_power(clock: Clock) -> None:
    """Ten seconds at 200 W count 2000 J by power; the counter, at 180 W, counts from there on: 90 J in 0.5 s."""
    counter, watts = Figure(clock, 4000.0), Figure(clock, 200.0)
    tally = beside_power(clock, counter, watts)
    for seconds in range(1, 11):
        assert tally.sampled
        assert not tally.method().counter
        clock.advance(1.0)
        counter.value = 4000.0 + 180.0 * seconds
        tally.update(1.0)
        assert tally.joules == 200.0 * seconds
    assert not tally.sampled
    clock.advance(0.5)
    counter.value = 4000.0 + 180.0 * 10.5
    tally.update(1.0)
    assert tally.joules == 2090.0
    assert tally.method().counter
    assert tally.failures == {}


@pytest.mark.parametrize(
    ("factor", "shown"), [(0.0, "0 J"), (0.4, "800 J"), (2.5, "5000 J")], ids=["stuck", "too slow", "too fast"]
)
def test_a_counter_that_disagrees_is_never_used(clock: Clock, factor: float, shown: str) -> None:
    """Eleven seconds at 200 W are 2200 J, whatever the counter shows."""
    counter, watts = Figure(clock, 4000.0), Figure(clock, 200.0)
    tally = beside_power(clock, counter, watts)
    for seconds in range(1, 12):
        clock.advance(1.0)
        counter.value = 4000.0 + 200.0 * factor * seconds
        tally.update(1.0)
    assert tally.joules == 2200.0
    assert tally.sampled
    assert not tally.method().counter
    assert tally.failures["proof"] == (
        f"hwmon: GPU 0: its energy counter shows {shown} where its power gives 2000 J in 10 s, "
        "its power is sampled instead"
    )


def test_a_counter_is_compared_over_times_with_samples_alone(clock: Clock) -> None:
    counter, watts = Figure(clock, 4000.0), Figure(clock, 200.0)
    tally = beside_power(clock, counter, watts)
    clock.advance(1.0)
    tally.update(1.0)
    clock.advance(60.0)  # what the counter has moved meanwhile is not what two samples of power tell
    counter.value = 50_000.0
    tally.update(1.0)
    for seconds in range(1, 11):
        clock.advance(1.0)
        counter.value = 50_000.0 + 200.0 * seconds
        tally.update(1.0)
    assert tally.method().counter
    assert set(tally.failures) == {"gap"}


def test_a_counter_counts_alone_where_the_power_is_lost(clock: Clock) -> None:
    counter, watts = Figure(clock, 4000.0), Figure(clock, 200.0)
    tally = beside_power(clock, counter, watts)
    assert tally.power is not None
    tally.power.retired = True
    clock.advance(1.0)
    counter.value = 4100.0
    assert tally.update(1.0)
    assert tally.method().counter
    clock.advance(1.0)
    counter.value = 4150.0
    tally.update(1.0)
    assert tally.joules == 50.0


def test_a_device_without_counter_and_power_is_given_up(clock: Clock) -> None:
    counter, watts = Figure(clock, 4000.0), Figure(clock, 200.0)
    tally = beside_power(clock, counter, watts)
    assert tally.power is not None
    counter.value = OSError(5, "Input/output error")
    tally.power.retired = True
    assert not tally.update(1.0)
    assert tally.retired


def test_a_counter_that_cannot_be_read_while_it_is_compared_is_not_used(clock: Clock) -> None:
    counter, watts = Figure(clock, 4000.0), Figure(clock, 200.0)
    tally = beside_power(clock, counter, watts)
    counter.value = OSError(5, "Input/output error")
    for _ in range(11):
        clock.advance(1.0)
        tally.update(1.0)
    assert tally.joules == 2200.0
    assert not tally.method().counter


def test_a_first_figure_that_is_none_raises(clock: Clock) -> None:
    with pytest.raises(ValueError, match="shows 0 W"):
        opened(clock, Figure(clock, 0.0))


def test_a_device_that_is_switched_off_is_not_woken_up_and_draws_nothing(clock: Clock) -> None:
    """100 W for 1 s, off for 10 s between samples of 0 W, and on again: 50 J at each edge."""
    figure, state = Figure(clock, 100.0), {"off": False}
    power = Source("test", figure, False, (0.9, 1.1), 1000.0, off=lambda: state["off"])
    tally = Tally("hwmon", "GPU 0", power, clock).open()
    for off in (False, True, True, False):
        state["off"] = off
        figure.value = OSError(1, "Operation not permitted") if off else 100.0
        clock.advance(1.0)
        tally.update(1.0)
    assert tally.joules == 200.0
    assert tally.failures == {}
    state["off"] = True
    assert Tally("hwmon", "GPU 0", power, clock).open().value == 0.0


def test_a_counter_of_a_device_that_is_off_waits_until_it_is_on(clock: Clock) -> None:
    figure, state = Figure(clock, 4000.0), {"off": False}
    counter = Source("test", figure, True, (0.9, 1.1), 1000.0, off=lambda: state["off"])
    tally = Tally("hwmon", "GPU 0", counter, clock).open()
    state["off"] = True
    for _ in range(3 * FAILED_READS):
        clock.advance(10.0)
        assert tally.update(0.5)
        assert tally.behind
    state["off"], figure.value = False, 4100.0
    tally.update(0.5)
    assert tally.joules == 100.0
    assert tally.failures == {}


def test_a_counter_is_compared_anew_after_its_device_was_off(clock: Clock) -> None:
    """5 s at 200 W, off for 10 s, 11 s at 200 W: the counter is judged by the last ten alone."""
    counter, watts, state = Figure(clock, 4000.0), Figure(clock, 200.0), {"off": False}
    power = Tally("hwmon", "GPU 0", Source("power", watts, False, (0.9, 1.1), 1e3, off=lambda: state["off"]), clock)
    energy = Source("energy", counter, True, (0.9, 1.1), 1e3, off=lambda: state["off"])
    tally = Tally("hwmon", "GPU 0", energy, clock, power.open()).open()
    for second in range(26):
        state["off"] = 5 <= second < 15
        clock.advance(1.0)
        counter.value = OSError(1, "asleep") if state["off"] else 200.0 * second
        tally.update(1.0)
    assert tally.method().name == "energy"
    assert tally.failures == {}
