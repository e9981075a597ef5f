"""Sums of records with their bands."""

from __future__ import annotations

from typing import Any

import pytest

from eco2ai_callbacks.record import Record
from eco2ai_callbacks.report.of_record import Deriver, Figures
from eco2ai_callbacks.report.sums import MOST_CHANNELS, Adder, Sum, in_turn, parallel
from eco2ai_callbacks.usage import Usage


def record(**values: Any) -> Record:
    return Record(**{"run": "r", "writer": "w", "event": "stage", "seconds": 2.0} | values)


def figures(**values: Any) -> Figures:
    return Deriver().figures(record(**values))


def added(*records: Record) -> Sum:
    adder, deriver = Adder(), Deriver()
    for each in records:
        adder.add(deriver.figures(each))
    return adder.sum


CPU = {"joules": {"cpu": 10.0}, "method": {"cpu": "model"}, "band": {"cpu": (5.0, 20.0)}}
GPU = {"joules": {"gpu:1": 30.0}, "method": {"gpu:1": "nvml-energy"}, "band": {"gpu:1": (27.0, 33.0)}}


def test_errors_of_one_method_add_up_and_those_of_two_combine_in_quadrature() -> None:
    alone = added(record(**CPU), record(**CPU))
    assert alone.energy_band_kwh == pytest.approx((10 / 3.6e6, 40 / 3.6e6))
    both = added(record(**CPU), record(**GPU))
    below, above = (5**2 + 3**2) ** 0.5, (10**2 + 3**2) ** 0.5
    assert both.energy_band_kwh == pytest.approx(((40 - below) / 3.6e6, (40 + above) / 3.6e6))


def test_a_channel_that_changes_its_method_keeps_both_bands() -> None:
    found = added(record(**CPU), record(**CPU | {"method": {"cpu": "rapl"}, "band": {"cpu": (10.0, 10.0)}}))
    assert found.methods == {"model": 10.0, "rapl": 10.0}
    assert found.energy_band_kwh == pytest.approx((15 / 3.6e6, 30 / 3.6e6))


def test_energy_without_a_band_has_the_relative_band_of_the_rest() -> None:
    found = added(record(joules={"cpu": 10.0, "ram": 10.0}, band={"cpu": (5.0, 20.0)}, method={"cpu": "model"}))
    assert found.energy_band_kwh == pytest.approx((10 / 3.6e6, 40 / 3.6e6))
    assert added(record(joules={"ram": 10.0})).energy_band_kwh is None


def test_the_band_of_co2_holds_that_of_the_factor_too() -> None:
    grid = {"g_per_kwh": 100.0, "low": 50.0, "high": 200.0}
    exact = {"joules": {"cpu": 10.0}, "method": {"cpu": "rapl"}, "band": {"cpu": (10.0, 10.0)}}
    found = added(record(**exact, co2_kg=1.0, intensity=grid), record(**exact, co2_kg=1.0, intensity=grid))
    assert found.co2_band_kg == pytest.approx((1.0, 4.0))


def test_the_measured_share_is_that_of_the_energy() -> None:
    found = added(record(joules={"cpu": 10.0}, measured_share=1.0), record(joules={"cpu": 30.0}, measured_share=0.0))
    assert found.measured_share == pytest.approx(0.25)
    assert added(record(joules={"cpu": 10.0})).measured_share is None
    assert Sum().measured_share is None


def test_parallel_sums_have_the_seconds_of_the_first_and_following_ones_those_of_all() -> None:
    one, other = added(record(**CPU)), added(record(**CPU | {"seconds": 3.0}))
    assert parallel([one, other]).seconds == 2.0
    assert in_turn([one, other]).seconds == 5.0
    assert (one + other).seconds == 5.0
    assert parallel([one, other]).joules == in_turn([one, other]).joules == (one + other).joules == {"cpu": 20.0}
    assert in_turn([]).energy_kwh is None


def test_each_gpu_counts_its_own_time() -> None:
    other = GPU | {"joules": {"gpu:2": 1.0}, "method": {"gpu:2": "nvml-power"}, "band": {"gpu:2": (0.5, 2.0)}}
    moved = added(record(**GPU, seconds=5.0), record(**other, seconds=3.0), record(**CPU, seconds=9.0))
    assert moved.gpu_seconds == 8.0  # one card after the other, as where a job is started again
    assert parallel([moved, added(record(**GPU))]).gpu_seconds == 10.0
    adder = Adder()
    for _ in range(2):
        more = Adder()
        more.add(figures(**GPU))
        adder.plus(more)
    assert adder.sum.gpu_seconds == 4.0
    assert added(record(**CPU)).gpu_seconds is None


def test_a_component_has_its_share_of_co2_and_cost() -> None:
    found = added(record(joules={"gpu:1": 10.0, "gpu:2": 10.0, "cpu": 20.0}, co2_kg=4.0, cost=2.0))
    gpu = found.of("gpu")
    assert (gpu.joules, gpu.co2_kg, gpu.cost) == ({"gpu:1": 10.0, "gpu:2": 10.0}, 2.0, 1.0)
    assert found.components == {"gpu": 20.0, "cpu": 20.0}
    assert Sum().of("cpu").energy_kwh is None


def test_what_a_checkpoint_carried_over_counts() -> None:
    found = added(record(event="start", seconds=0.0, carried={"energy_kwh": 1.0, "co2_kg": 2.0, "seconds": 3.0}))
    assert (found.energy_kwh, found.co2_kg, found.seconds) == (1.0, 2.0, 3.0)
    assert found.joules == {"carried": 3.6e6}


def test_two_files_parts_add_up() -> None:
    one, other = Adder(), Adder()
    one.add(figures(**CPU, co2_kg=1.0, measured_share=0.5))
    other.add(figures(**GPU, co2_kg=2.0))
    both = added(record(**CPU, co2_kg=1.0, measured_share=0.5), record(**GPU, co2_kg=2.0))
    one.plus(other)
    assert one.sum.usage == both.usage
    assert (one.sum.parts, one.sum.measured_j, one.sum.grams_band) == (both.parts, both.measured_j, both.grams_band)


def test_channels_without_end_do_not_fill_the_memory() -> None:
    found = added(
        *(record(joules={f"c{n}": 1.0}, band={f"c{n}": (1.0, 1.0)}) for n in range(2 * MOST_CHANNELS)),
    )
    assert len(found.parts) <= MOST_CHANNELS + 1
    assert len(found.joules) <= MOST_CHANNELS + 1
    assert sum(found.joules.values()) == 2 * MOST_CHANNELS


@pytest.mark.parametrize(
    "fields",
    [
        {"band": ["cpu"], "method": 7},
        {"band": {"cpu": "wide"}, "method": {"cpu": 7}},
        {"band": {"cpu": (1.0, None)}, "intensity": "DE", "measured_share": "all"},
        {"intensity": {"g_per_kwh": 0.0, "low": 1.0, "high": 2.0}},
    ],
    ids=["no mappings", "no bands", "no numbers", "no factor"],
)
def test_fields_of_another_form_cost_no_energy(fields: dict[str, Any]) -> None:
    found = added(record(joules={"cpu": 10.0}, co2_kg=1.0, **fields))
    assert found.usage == Usage(2.0, {"cpu": 10.0}, 1000.0)
    assert found.energy_band_kwh is None
