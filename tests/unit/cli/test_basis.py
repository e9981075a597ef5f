"""What a record is counted again with."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eco2ai_callbacks.carbon.grid import Grid
from eco2ai_callbacks.carbon.intensity import user, world
from eco2ai_callbacks.carbon.price import Price
from eco2ai_callbacks.cli.basis import Basis
from eco2ai_callbacks.record import Record
from eco2ai_callbacks.usage import Usage

OLD = Record(
    run="run", writer="w", event="stage", start="2026-01-01T12:00:00.000+00:00", seconds=3600.0,
    joules={"cpu": 3.6e6}, energy_kwh=1.0, co2_kg=0.06, cost=0.24, pue=1.2, intensity={"g_per_kwh": 50.0},
)  # fmt: skip


def basis(g_per_kwh: float = 100.0, pue: float = 1.5, price: float | None = None, factors: bool = True) -> Basis:
    return Basis(Grid(user(g_per_kwh), pue, "setting", None if price is None else Price(price)), factors)


def test_new_factors_count_the_joules() -> None:
    assert basis().co2_kg(OLD) == pytest.approx(1.0 * 100 * 1.5 / 1000)
    assert basis().co2_kg(dataclasses.replace(OLD, joules={}, co2_kg=None)) is None


def test_without_new_factors_co2_follows_the_overhead() -> None:
    assert basis(factors=False).co2_kg(OLD) == pytest.approx(0.06 * 1.5 / 1.2)
    assert basis(factors=False).co2_kg(dataclasses.replace(OLD, co2_kg=None)) is None


def test_a_price_counts_the_energy_and_without_one_the_cost_follows_the_overhead() -> None:
    assert basis(price=0.4).cost(OLD) == pytest.approx(1.0 * 1.5 * 0.4)
    assert basis().cost(OLD) == pytest.approx(0.24 * 1.5 / 1.2)


@pytest.mark.parametrize("start", ["", "yesterday", "0000-00-00T00:00:00.000+00:00"])
def test_a_record_without_a_time_is_counted_with_the_static_figure(start: str) -> None:
    assert basis(price=0.4).co2_kg(dataclasses.replace(OLD, start=start)) == pytest.approx(0.15)
    assert basis(price=0.4).cost(dataclasses.replace(OLD, start=start)) == pytest.approx(0.3)


def test_usage_of_unknown_hours_is_counted_with_the_static_figure_and_the_days_mean_price() -> None:
    usage = Usage(60.0, {"carried": 3.6e6}, 60.0, 0.24)
    assert basis(price=0.4).unplaced(usage, OLD) == Usage(
        60.0, {"carried": 3.6e6}, pytest.approx(150.0), 0.6000000000000001
    )
    kept = basis(factors=False).unplaced(usage, OLD)
    assert (kept.grams, kept.cost) == (pytest.approx(75.0), pytest.approx(0.3))


def test_the_band_of_a_new_factor_is_that_of_the_energy_and_of_the_factor() -> None:
    total = {"energy_kwh": 1.0, "energy_band_kwh": (0.5, 2.0), "co2_kg": 1.0, "co2_band_kg": (0.1, 9.0)}
    assert basis().band(total, 2.0) == pytest.approx((1.0, 4.0))
    assert basis(factors=False).band(total, 2.0) == pytest.approx((0.2, 18.0))
    low, high = Basis(Grid(world(), 1.0, "", None), True).band(total, 2.0)
    assert low < 1.0
    assert high > 4.0


@settings(max_examples=25, deadline=None)
@given(st.floats(0.0, 1e9), st.floats(0.0, 5000.0), st.floats(1.0, 10.0), st.floats(0.0, 1.0))
def test_splitting_a_records_energy_changes_nothing(joules: float, g_per_kwh: float, pue: float, share: float) -> None:
    found = basis(g_per_kwh, pue)
    parts = [dataclasses.replace(OLD, joules={"cpu": joules * part}) for part in (share, 1.0 - share)]
    whole = found.co2_kg(dataclasses.replace(OLD, joules={"cpu": joules}))
    assert sum(found.co2_kg(part) or 0.0 for part in parts) == pytest.approx(whole, abs=1e-9)
