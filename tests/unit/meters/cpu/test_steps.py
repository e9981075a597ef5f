"""The energy between two samples of a counter is certain, or it is none."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from rapl_machines import COARSE, FINE, MEMORY

from eco2ai_callbacks.meters.cpu.powercap import Zone
from eco2ai_callbacks.meters.cpu.steps import Sample, between, step_uj

ZONE = Zone(0, None, "package", Path("intel-rapl:0"), COARSE, 1000.0)


def step(old: int, new: int, seconds: float, zone: Zone = ZONE, **options) -> int | str:
    return step_uj(zone, Sample(old, 0.0, 0.0), Sample(new, seconds, seconds), **options)


def test_the_worked_wrap():
    # 262143328850 + 61 - 262143000000 + 100000: from the highest value it is one step, 61 µJ, to 0.
    assert step(262143000000, 100000, 1.0) == 428911


@pytest.mark.parametrize(("range_uj", "unit_uj"), [(COARSE, 61), (FINE, 15), (MEMORY, 15)])
def test_a_wrap_is_one_step_longer_than_the_range(range_uj, unit_uj):
    zone = dataclasses.replace(ZONE, range_uj=range_uj)
    assert step(range_uj, 0, 1.0, zone) == unit_uj
    assert step(range_uj - 1000, 500, 1.0, zone) == 1500 + unit_uj


def test_the_cap_is_what_tells_a_reset_from_a_wrap():
    old = COARSE - 900_000_000  # 900 J below the range
    assert step(old, 0, 1.0) == 900_000_061
    assert step(old, 0, 0.8) == "was reset"
    assert step(old, 0, 1.0, continuous=False) == "was reset"


def test_a_forward_step_above_the_cap_is_none():
    assert step(0, 1_000_000_000, 1.0) == 1_000_000_000
    assert step(0, 1_000_000_001, 1.0) == "rose faster than at 1000 W"


def test_reads_a_moment_apart_may_see_a_whole_step_of_the_counter():
    # 400 W for a millisecond, seen within 10 µs
    assert step(0, 400_000, 1e-5) == 400_000
    assert step(0, 2_000_001, 1e-5) == "rose faster than at 1000 W"


def test_an_interval_in_which_the_counter_could_pass_itself_is_a_gap():
    assert step(0, 1, 262.1) == 1
    assert step(0, 1, 262.2) == "went unread for too long"
    unknown = dataclasses.replace(ZONE, range_uj=None)
    assert step(0, 1, 65.5, unknown) == 1
    assert step(0, 1, 65.6, unknown) == "went unread for too long"


def test_without_a_range_every_backward_step_is_a_gap():
    unknown = dataclasses.replace(ZONE, range_uj=None)
    assert step(5, 4, 1.0, unknown) == "fell back, its range is unreadable"
    assert step(4, 5, 1.0, unknown) == 1


def test_a_thread_held_up_between_clock_and_counter_loses_no_energy():
    # read at 0.0, looked at the clock at 0.5 only: 100 J until 0.51 are 196 W, not 10 kW
    old, new = Sample(0, 0.0, 0.5), Sample(100_000_000, 0.51, 0.51)
    assert step_uj(ZONE, old, new) == 100_000_000


@pytest.mark.parametrize(
    "range_uj",
    [2**64 - 1, 2**63, 2**48 - 1, 10**18],
    ids=["64 bits", "63 bits", "48 bits", "a round number"],
)
def test_a_range_that_is_no_32_bit_counter_s_has_no_long_steps(range_uj):
    """2^64 - 1 µJ in 2^32 - 1 steps would be 4,295 J each."""
    zone = dataclasses.replace(ZONE, range_uj=range_uj)
    assert step(range_uj - 1000, 500, 1.0, zone) == 1501


@pytest.mark.parametrize("unit_uj", [0.1, 15.3, 61.03515625, 976.5625])
def test_the_step_at_the_wrap_is_the_unit_of_a_32_bit_counter(unit_uj):
    zone = dataclasses.replace(ZONE, range_uj=int((2**32 - 1) * unit_uj))
    assert step(zone.range_uj, 0, 0.01, zone) == round(unit_uj)


def test_two_samples_are_apart_by_the_shorter_way_around():
    assert between(ZONE, Sample(5, 0.0, 0.0), Sample(45, 0.0, 0.0)) == 40
    assert between(ZONE, Sample(COARSE, 0.0, 0.0), Sample(39, 0.0, 0.0)) == 100
    unknown = dataclasses.replace(ZONE, range_uj=None)
    assert between(unknown, Sample(COARSE, 0.0, 0.0), Sample(0, 0.0, 0.0)) == COARSE
