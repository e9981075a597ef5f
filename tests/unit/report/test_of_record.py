"""What a record adds beside joules, whatever its line holds there."""

from __future__ import annotations

from typing import Any

from eco2ai_callbacks.record import Record
from eco2ai_callbacks.report.fields import spread_of
from eco2ai_callbacks.report.of_record import beside_of, grams_band_of, measured_of, plus


def record(**fields: Any) -> Record:
    return Record(run="r", writer="w", event="stop", **fields)


def test_figures_beside_are_the_known_ones() -> None:
    assert beside_of(record()) == {}
    found = beside_of(record(beside={"wall_kwh": 1, "water_on_site_l": 2.0, "news": 3.0, "market_co2_kg": None}))
    assert found == {"water_on_site_l": 2.0, "wall_kwh": 1.0}


def test_sums_of_figures_have_those_of_either() -> None:
    one, other = {"wall_kwh": 1.0}, {"wall_kwh": 2.0, "market_co2_kg": 3.0}
    assert plus(one, other) == {"wall_kwh": 3.0, "market_co2_kg": 3.0}
    assert plus({}, one) is one
    assert plus(one, {}) is one


def test_measured_joules_and_the_grid_s_band() -> None:
    assert measured_of(record(joules={"cpu": 10.0}, measured_share=0.5)) == 5.0
    assert measured_of(record(joules={"cpu": 10.0})) is None
    grid = {"g_per_kwh": 100.0, "low": 50.0, "high": 200.0}
    assert grams_band_of(record(co2_kg=1.0, intensity=grid)) == (500.0, 2000.0)
    assert spread_of("DE") == (1.0, 1.0)
