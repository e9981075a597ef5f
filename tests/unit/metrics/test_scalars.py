from __future__ import annotations

from typing import Any

import pytest

from eco2ai_callbacks.metrics.scalars import (
    forecast_scalars,
    stage_scalars,
    total_scalars,
    train_scalars,
    validation_scalars,
)
from eco2ai_callbacks.usage import Usage

TRAIN = Usage(10.0, {"cpu": 3.6e6, "gpu:a": 1.8e6, "gpu:b": 1.8e6}, 1000.0)
VALIDATION = Usage(2.0, {"cpu": 0.36e6}, 50.0)
TOTAL = Usage(60.0, {"cpu": 36e6}, 5000.0)


def epoch_scalars(train: Usage | None, validation: Usage | None, total: Usage, **options: Any) -> dict[str, float]:
    return train_scalars(train, **options) | validation_scalars(validation) | total_scalars(total)


def test_an_epoch_has_its_training_its_validation_and_the_run():
    assert epoch_scalars(TRAIN, VALIDATION, TOTAL) == {
        "eco2ai/energy_kwh": 2.0,
        "eco2ai/co2_kg": 1.0,
        "eco2ai/val_energy_kwh": pytest.approx(0.1),
        "eco2ai/val_co2_kg": 0.05,
        "eco2ai/total_energy_kwh": 10.0,
        "eco2ai/total_co2_kg": 5.0,
    }


def test_without_a_validation_there_are_no_scalars_of_one():
    assert epoch_scalars(TRAIN, None, TOTAL).keys() == {
        "eco2ai/energy_kwh",
        "eco2ai/co2_kg",
        "eco2ai/total_energy_kwh",
        "eco2ai/total_co2_kg",
    }


def test_what_was_not_measured_is_left_out():
    assert epoch_scalars(Usage(1.0), Usage(1.0), Usage(2.0), level="all", samples=3, tokens=4) == {}
    assert epoch_scalars(None, None, TOTAL, level="all").keys() == {
        "eco2ai/total_energy_kwh",
        "eco2ai/total_co2_kg",
    }


def test_all_adds_components_power_and_efficiency_of_the_training():
    found = epoch_scalars(TRAIN, None, TOTAL, level="all", samples=1000, tokens=72_000)
    assert found["eco2ai/cpu_kwh"] == 1.0
    assert found["eco2ai/gpu_kwh"] == 1.0
    assert "eco2ai/ram_kwh" not in found
    assert found["eco2ai/power_w"] == 720_000.0
    assert found["eco2ai/j_per_sample"] == 7200.0
    assert found["eco2ai/j_per_token"] == 100.0


@pytest.mark.parametrize("samples", [None, 0])
def test_without_samples_there_is_no_efficiency(samples: int | None):
    found = epoch_scalars(TRAIN, None, TOTAL, level="all", samples=samples, tokens=samples)
    assert not {"eco2ai/j_per_sample", "eco2ai/j_per_token"} & found.keys()


def test_a_stage_names_itself_inside_or_before():
    assert stage_scalars(TRAIN) == {"eco2ai/energy_kwh": 2.0, "eco2ai/co2_kg": 1.0}
    assert stage_scalars(TRAIN, "test").keys() == {"eco2ai/test_energy_kwh", "eco2ai/test_co2_kg"}
    assert stage_scalars(TRAIN, prefix="eval_").keys() == {"eval_eco2ai/energy_kwh", "eval_eco2ai/co2_kg"}
    assert stage_scalars(Usage(1.0)) == {}


FORECAST = {
    "energy_kwh": 2.0,
    "energy_band_kwh": (1.0, 3.0),
    "co2_kg": None,
    "seconds": 60.0,
    "seconds_band": [50.0, 70.0],
}


def test_a_forecast_is_of_the_whole_run():
    assert forecast_scalars(FORECAST) == {"eco2ai/forecast_energy_kwh": 2.0, "eco2ai/forecast_seconds": 60.0}
    assert forecast_scalars({}) == {}


def test_all_adds_the_ends_of_its_bands():
    found = forecast_scalars(FORECAST, level="all")
    assert found == {
        "eco2ai/forecast_energy_kwh": 2.0,
        "eco2ai/forecast_energy_low_kwh": 1.0,
        "eco2ai/forecast_energy_high_kwh": 3.0,
        "eco2ai/forecast_seconds": 60.0,
        "eco2ai/forecast_low_seconds": 50.0,
        "eco2ai/forecast_high_seconds": 70.0,
    }
