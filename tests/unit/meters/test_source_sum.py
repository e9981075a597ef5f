"""The books of one source, which counters and sampled powers of all makers share."""

from __future__ import annotations

import pytest

from eco2ai_callbacks.meters.gpu.nvml_board import Board
from eco2ai_callbacks.meters.source_sum import FAILED_READS, FAILED_S, SourceSum
from eco2ai_callbacks.meters.tally import Tally

GPU = "hwmon: GPU 0: "


def books(value: float = 0.0, time: float = 0.0) -> SourceSum:
    return SourceSum(origin="hwmon", label="GPU 0", value=value, time=time)


def test_all_sources_of_sensors_keep_them_in_one_place() -> None:
    for kept in (Board, Tally):
        assert issubclass(kept, SourceSum)
        assert not {"fail", "miss", "retire", "add_counted", "add_sampled"} & vars(kept).keys()


@pytest.mark.parametrize(
    ("value", "modulus_j", "joules", "said"),
    [
        (150.0, None, 50.0, []),
        (100.0, None, 0.0, []),
        (20.0, None, 0.0, ["its energy counter was reset, what it used since the read before is not counted"]),
        (20.0, 110.0, 30.0, []),
        (20.0, 10_000.0, 0.0, ["its energy counter was reset, what it used since the read before is not counted"]),
        # 2 s and the second that a driver may be late, at 100 W.
        (400.0, None, 300.0, []),
        (401.0, None, 0.0, ["its energy counter jumped, what it used since the read before is not counted"]),
    ],
    ids=["moved", "still", "fell", "wrapped", "fell below a wrap", "as far as it can", "too far"],
)
def test_a_counter_s_step_counts_where_it_can_be_energy(
    value: float, modulus_j: float | None, joules: float, said: list[str]
) -> None:
    one = books(100.0, 10.0)
    one.add_counted(value, 12.0, 100.0, modulus_j)
    assert one.joules == joules
    assert list(one.failures.values()) == [f"{GPU}{sentence}" for sentence in said]
    assert (one.value, one.time) == (value, 12.0)


def test_power_counts_by_trapezoids_and_a_time_without_samples_widens_the_band() -> None:
    """100 W to 200 W in 2 s: 300 J. Then nothing for 60 s at 200 W: between 0 and 500 W x 60 s = 30000 J."""
    one = books(100.0)
    one.add_sampled(200.0, 2.0, 2.0, (0.9, 1.1), lambda: 500.0)
    assert (one.joules, one.failures) == (300.0, {})
    one.add_sampled(200.0, 62.0, 2.0, (0.9, 1.1), lambda: 500.0)
    assert one.joules == 12_300.0
    assert (one._gaps.below_j, one._gaps.above_j) == pytest.approx((12_000 * 0.9, 30_000 - 12_000 * 1.1))
    assert one.failures["gap"].startswith(f"{GPU}its power was not sampled for 60.0 s in all")


def test_the_mean_power_is_that_of_a_second_or_more() -> None:
    one = books()
    one.add_counted(50.0, 0.5, 1000.0)
    assert one.power_w == 0.0
    one.add_counted(120.0, 1.5, 1000.0)
    assert one.power_w == 80.0


def test_reads_that_fail_are_borne_for_a_minute_and_then_the_source_is_given_up() -> None:
    one = books()
    for number in range(FAILED_READS - 1):
        one.miss("no answer", float(number))
    assert (one.retired, one.behind) == (False, True)
    assert list(one.failures.values()) == [f"{GPU}a read failed (no answer), what was used then is in a later read"]
    one.add_counted(1.0, 20.0, 1000.0)
    assert not one.behind
    for number in range(FAILED_READS):
        one.miss("no answer", 30.0 + number * FAILED_S / (FAILED_READS - 1), "twice")
    assert (one.retired, one.behind) == (True, False)
    assert one.failures == {
        "miss": f"{GPU}a read failed twice (no answer), what was used then is in a later read",
        "retired": f"{GPU}no answer, 10 times in a row; its energy is missing from here on",
    }
