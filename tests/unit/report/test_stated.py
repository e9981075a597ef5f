"""Carbon intensities and forecasts, as records state them."""

from __future__ import annotations

from typing import Any

from eco2ai_callbacks.record import Record
from eco2ai_callbacks.report.stated import Factor, expected, factor_of


def record(**values: Any) -> Record:
    return Record(**{"run": "r", "writer": "w", "event": "stage"} | values)


def test_a_forecast_has_its_bands() -> None:
    metrics = {"energy_kwh": 1.0, "energy_band_kwh": (0.5, 2.0), "seconds": 60.0, "done": 1, "planned": 5}
    found = expected(record(event="forecast", epoch=0, metrics=metrics))
    assert (found.energy_kwh, found.energy_band_kwh, found.seconds) == (1.0, (0.5, 2.0), 60.0)
    assert (found.co2_kg, found.done, found.planned, found.epoch) == (None, 1.0, 5.0, 0)


def test_a_factor_has_its_origin() -> None:
    grid = {"g_per_kwh": 56, "region": "FR", "name": "France", "dataset": "Ember", "year": 2025, "kind": "lifecycle"}
    assert factor_of(record(intensity=grid, pue=1.2)) == Factor(
        56.0, "FR", "France", "Ember", 2025, "lifecycle", "", 1.2
    )
    assert factor_of(record(intensity={"year": "last", "g_per_kwh": "x"})) == Factor(None)
