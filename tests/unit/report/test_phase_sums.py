"""Sums by phase, which add up to the whole."""

from __future__ import annotations

import math
from typing import Any

import pytest

from eco2ai_callbacks.record import Record
from eco2ai_callbacks.report.of_record import Deriver, Figures
from eco2ai_callbacks.report.phase_sums import PhaseSums
from eco2ai_callbacks.report.sums import Part, Sum
from eco2ai_callbacks.usage import Usage

WHOLE = Sum(
    Usage(4.0, {"cpu": 30.0, "ram": 10.0}, 8.0, 2.0), {("cpu", "rapl"): Part(30.0, 27.0, 33.0)}, 30.0, (6.0, 10.0)
)


def figures(**values: Any) -> Figures:
    fixed = {"run": "r", "writer": "w", "event": "stage", "stage": "train", "seconds": 2.0}
    used = {"joules": {"cpu": 15.0, "ram": 5.0}, "co2_kg": 0.004, "cost": 1.0}
    return Deriver().figures(Record(**fixed | used | values))


def test_phases_add_up_to_the_whole_with_its_bands() -> None:
    sums = PhaseSums()
    sums.add(figures(phases={"data": (1.5, 5.0), "train": (0.5, 15.0)}))
    sums.add(figures())
    found = sums.sums(WHOLE)
    assert {name: (each.seconds, each.usage.total_j) for name, each in found.items()} == {
        "data": (1.5, 5.0),
        "train": (0.5, 15.0),
        "other": (2.0, 20.0),
    }
    assert found["train"].usage.grams == pytest.approx(3.0)
    assert found["train"].cost == pytest.approx(0.75)
    assert found["other"].parts == {("cpu", "rapl"): Part(15.0, 13.5, 16.5)}
    assert found["other"].measured_j == 15.0
    assert [math.fsum(each.grams_band[end] for each in found.values()) for end in (0, 1)] == [6.0, 10.0]


def test_two_files_add_up_and_what_was_carried_is_of_no_phase() -> None:
    one, other = PhaseSums(), PhaseSums()
    one.add(figures(event="start", joules={}, seconds=0.0, carried={"energy_kwh": 1.0, "co2_kg": 0.5, "seconds": 9.0}))
    other.add(figures(phases={"data": (1.5, 5.0), "train": (0.5, 15.0)}))
    one.plus(other)
    one.plus(other)
    found = one.sums(Sum(Usage(13.0, {"carried": 3.6e6, "cpu": 40.0})))
    assert {name: each.seconds for name, each in found.items()} == {"carried": 9.0, "data": 3.0, "train": 1.0}
    assert found["carried"].usage.total_j == pytest.approx(3.6e6)
    assert (found["data"].usage.grams, found["data"].measured_j) == (None, None)


def test_where_nothing_was_measured_the_seconds_are_told() -> None:
    sums = PhaseSums()
    sums.add(figures(joules={}, co2_kg=None, cost=None, phases={"data": (2.0, 0.0)}))
    assert sums.sums(Sum(Usage(2.0)))["data"].usage == Usage(2.0)
    assert sums.sums(Sum(Usage(2.0, {}, 0.0)))["data"].grams_band == (0.0, 0.0)


def test_phases_without_end_do_not_fill_the_memory() -> None:
    sums = PhaseSums()
    for number in range(200):
        sums.add(figures(phases={f"p{number}": (2.0, 20.0)}))
    found = sums.sums(WHOLE)
    assert len(found) <= 65
    assert sum(each.seconds for each in found.values()) == 400.0
