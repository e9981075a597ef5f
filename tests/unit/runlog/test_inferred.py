"""Fields that follow from others."""

from __future__ import annotations

from typing import Any

import pytest

from eco2ai_callbacks.record import banded, measured
from eco2ai_callbacks.runlog.inferred import (
    epoch_total,
    full_total,
    methods_of,
    segment_fields,
    short_total,
    spread_of,
)
from eco2ai_callbacks.usage import Method, Usage

METHODS = {
    "cpu": Method("cpu-model:vm", 1 / 3, 2.0, scope="job"),
    "gpu:a": Method("nvml-energy", 0.95, 1.05, edge_j=0.1, counter=True, scope="device"),
}
USAGE = Usage(2.0, {"cpu": 36.123, "gpu:a": 400.7}, 3.0)


def test_methods_come_back_from_what_records_hold() -> None:
    held = measured(USAGE, METHODS)
    methods = methods_of(held["method"], held["accuracy"])
    assert segment_fields(USAGE.joules, methods) == {name: held[name] for name in ("band", "measured_share")}
    assert methods_of({"cpu": "rapl"}, {}) == {}
    assert segment_fields({}, METHODS) == {"band": {}, "measured_share": None}


@pytest.mark.parametrize("own", [["cpu", "gpu:a"], ["gpu:a", "cpu"], ["cpu"]], ids=["same", "order", "fewer"])
@pytest.mark.parametrize("more", [{}, {"energy_band_kwh": (0.0, 9.0)}, {"cost": 0.5}], ids=["plain", "band", "cost"])
def test_a_total_comes_back_from_its_short_form(own: list[str], more: dict[str, Any]) -> None:
    joules, grid = dict.fromkeys(own, 1.0), (0.9, 1.1)
    total = banded(USAGE, METHODS, grid) | {"joules": dict(USAGE.joules)} | more
    short = short_total(total, joules, METHODS, grid)
    assert isinstance(short["joules"], list) is (own == ["cpu", "gpu:a"])
    assert ("energy_band_kwh" in short) is ("energy_band_kwh" in more)
    assert full_total(short, joules, METHODS, grid) == total


def test_a_total_without_the_bands_that_would_follow_says_so() -> None:
    total = {"energy_kwh": 1.0, "co2_kg": 0.5, "seconds": 2.0, "joules": {"cpu": 3.6e6}}
    short = short_total(total, {"cpu": 1.0}, METHODS, (0.9, 1.1))
    assert short["energy_band_kwh"] is None
    assert full_total(short, {"cpu": 1.0}, METHODS, (0.9, 1.1)) == total
    nothing = {"energy_kwh": None, "co2_kg": None, "seconds": 0.0}
    assert short_total(nothing, {}, {}, (1.0, 1.0)) == {"seconds": 0.0}
    assert full_total({"seconds": 0.0}, {}, {}, (1.0, 1.0)) == nothing


def test_the_sum_of_an_epoch_with_one_mark_is_that_mark() -> None:
    assert epoch_total("stage", 1.0, 0.5, 2.0, None) is None
    assert epoch_total("epoch", 1.0, 0.5, 2.0, None) == {"energy_kwh": 1.0, "co2_kg": 0.5, "seconds": 2.0}
    assert epoch_total("epoch", 1.0, 0.5, 2.0, 0.1)["cost"] == 0.1


def test_a_grid_without_a_band_has_the_factors_one() -> None:
    assert spread_of(None) == spread_of({"g_per_kwh": 0.0, "low": 1.0, "high": 1.0}) == (1.0, 1.0)
    assert spread_of({"g_per_kwh": 400.0, "low": 300.0, "high": 500.0}) == (0.75, 1.25)
