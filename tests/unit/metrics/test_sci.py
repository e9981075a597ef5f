"""The SCI score by hand."""

from __future__ import annotations

import doctest

import pytest

from eco2ai_callbacks.metrics import sci
from eco2ai_callbacks.metrics.sci import UNITS, g_per_unit, per_unit, score, units_of


def test_the_examples_in_the_docstrings_hold() -> None:
    assert doctest.testmod(sci).failed == 0


def test_both_parts_are_divided_by_the_units() -> None:
    assert g_per_unit(0.3, 0.1, 8) == pytest.approx(50.0)
    assert per_unit(300.0, 100.0, 8) == pytest.approx(50.0)
    assert g_per_unit(0.3, None, 8) == pytest.approx(37.5)
    assert score("epoch", 8, 0.3, None) == {
        "g_per_unit": pytest.approx(37.5),
        "unit": "epoch",
        "units": 8,
        "operational_kg": 0.3,
        "embodied_kg": 0.0,
    }


@pytest.mark.parametrize(("co2_kg", "units"), [(None, 1.0), (1.0, None), (1.0, 0.0)], ids=["CO2e", "units", "zero"])
def test_what_is_not_known_has_no_score(co2_kg: float | None, units: float | None) -> None:
    assert g_per_unit(co2_kg, 1.0, units) is None
    assert score("run", units, co2_kg, 1.0) is None


def test_units_are_counted_or_not_known() -> None:
    counted = [units_of(unit, epochs=3, samples=640, tokens=0) for unit in UNITS]
    assert counted == [1.0, 3, 640, None]
