from __future__ import annotations

from typing import Any

import pytest

from eco2ai_callbacks.host.gpu_health import GpuHealth
from eco2ai_callbacks.metrics.scalars import (
    UNITS,
    forecast_scalars,
    stage_scalars,
    step_scalars,
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


def test_in_watt_hours_and_grams_every_name_says_so():
    small = Usage(2.0, {"cpu": 180.0}, 0.002)
    units = UNITS["Wh"]
    assert train_scalars(small, level="all", units=units) == {
        "eco2ai/energy_wh": pytest.approx(0.05),
        "eco2ai/co2_g": pytest.approx(0.002),
        "eco2ai/cpu_wh": pytest.approx(0.05),
        "eco2ai/power_w": 90.0,
    }
    assert validation_scalars(small, units).keys() == {"eco2ai/val_energy_wh", "eco2ai/val_co2_g"}
    assert total_scalars(small, units).keys() == {"eco2ai/total_energy_wh", "eco2ai/total_co2_g"}
    assert stage_scalars(small, prefix="eval_", units=units).keys() == {"eval_eco2ai/energy_wh", "eval_eco2ai/co2_g"}
    assert forecast_scalars(FORECAST | {"co2_kg": 0.5, "co2_band_kg": (0.25, 1.0)}, level="all", units=units) == {
        "eco2ai/forecast_energy_wh": 2000.0,
        "eco2ai/forecast_energy_low_wh": 1000.0,
        "eco2ai/forecast_energy_high_wh": 3000.0,
        "eco2ai/forecast_co2_g": 500.0,
        "eco2ai/forecast_co2_low_g": 250.0,
        "eco2ai/forecast_co2_high_g": 1000.0,
        "eco2ai/forecast_seconds": 60.0,
        "eco2ai/forecast_low_seconds": 50.0,
        "eco2ai/forecast_high_seconds": 70.0,
    }


def test_a_price_adds_the_cost():
    priced = Usage(10.0, {"cpu": 3.6e6}, 1.0, 0.25)
    assert train_scalars(priced)["eco2ai/cost"] == 0.25
    assert validation_scalars(priced)["eco2ai/val_cost"] == 0.25
    assert total_scalars(priced)["eco2ai/total_cost"] == 0.25
    assert stage_scalars(priced, "test")["eco2ai/test_cost"] == 0.25


def test_all_adds_the_phases_of_the_epoch():
    phases = {"data": (4.0, 1.8e6), "validation": (0.0, 0.0)}
    found = train_scalars(TRAIN, level="all", phases=phases, units=UNITS["Wh"])
    assert {name: value for name, value in found.items() if "phase" in name} == {
        "eco2ai/phase_data_seconds": 4.0,
        "eco2ai/phase_data_wh": 500.0,
        "eco2ai/phase_validation_seconds": 0.0,
        "eco2ai/phase_validation_wh": 0.0,
    }
    assert not any("phase" in name for name in train_scalars(TRAIN, phases=phases))
    unmeasured = train_scalars(Usage(10.0), level="all", phases={"data": (4.0, 0.0)})
    assert unmeasured == {"eco2ai/phase_data_seconds": 4.0}


def test_a_window_of_steps_has_its_efficiency():
    window = Usage(2.0, {"cpu": 60.0})
    assert step_scalars(window, 3, samples=12, tokens=600) == {
        "eco2ai/step_energy_kwh": 60.0 / 3.6e6,
        "eco2ai/step_power_w": 30.0,
        "eco2ai/step_j_per_step": 20.0,
        "eco2ai/step_j_per_sample": 5.0,
        "eco2ai/step_j_per_token": 0.1,
    }
    assert step_scalars(Usage(2.0), 3, samples=12) == {}
    assert step_scalars(window, 3).keys() == {f"eco2ai/step_{name}" for name in ("energy_kwh", "power_w", "j_per_step")}


def test_all_adds_the_state_of_all_gpus_and_leaves_out_what_is_not_known():
    health = {
        "GPU-a": GpuHealth(
            **{"index": 0, "seconds": 9.0, "busy": 1.0, "clock_mhz": 990.0, "max_clock_mhz": 1980.0, "hottest_c": 70.0},
            **{"idle": 0.0, "idle_j": 0.0},
        ),
        "GPU-b": GpuHealth(index=1, seconds=9.0, busy=0.5, hottest_c=80.0, idle=0.5, idle_j=3.6e3, clock_mhz=700.0),
        "GPU-c": GpuHealth(index=2, seconds=9.0),
    }
    found = train_scalars(TRAIN, level="all", health=health, units=UNITS["Wh"])
    assert {name: value for name, value in found.items() if "gpu_" in name and name != "eco2ai/gpu_wh"} == {
        "eco2ai/gpu_busy": 0.75,
        "eco2ai/gpu_idle": 0.25,
        "eco2ai/gpu_clock_share": 0.5,
        "eco2ai/gpu_hottest_c": 80.0,
        "eco2ai/gpu_idle_wh": 1.0,
    }
    assert train_scalars(TRAIN, health=health) == train_scalars(TRAIN)
