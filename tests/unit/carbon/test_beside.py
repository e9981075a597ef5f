"""Water, the making of the hardware and market-based CO2e: beside the location-based figure, worked out by hand."""

from __future__ import annotations

import doctest

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eco2ai_callbacks.carbon import beside as module
from eco2ai_callbacks.carbon.beside import Beside, beside_for
from eco2ai_callbacks.carbon.grid import check
from eco2ai_callbacks.errors import SettingsError
from eco2ai_callbacks.settings import resolve

ALL = Beside(
    pue=1.2,
    wue=1.8,
    wue_source="setting",
    water_intensity=3.0,
    embodied_kg=1752.0,
    lifetime_h=35040.0,
    share=0.5,
    market_intensity=50.0,
    market_label="wind contract",
)


def test_the_examples_in_the_docstrings_hold() -> None:
    assert doctest.testmod(module).failed == 0


def test_ten_kilowatt_hours_in_two_hours() -> None:
    assert ALL.figures(10.0, 7200.0) == {
        "water_on_site_l": pytest.approx(18.0),  # 10 kWh of the machines x 1.8 L
        "water_off_site_l": pytest.approx(36.0),  # 12 kWh from the grid x 3 L
        "market_co2_kg": pytest.approx(0.6),  # 12 kWh x 50 g
        "embodied_co2_kg": pytest.approx(0.05),  # 1752 kg x 2 h / 35040 h x 0.5
    }


def test_nothing_asked_nothing_given_and_nothing_measured_has_no_water() -> None:
    assert Beside().figures(10.0, 7200.0) == {}
    assert Beside().facts() is None
    assert ALL.figures(None, 7200.0).keys() == {"embodied_co2_kg"}
    assert ALL.figures(10.0, 0.0).keys() == {"water_on_site_l", "water_off_site_l", "market_co2_kg"}


@settings(max_examples=25)
@given(st.floats(0, 1e6), st.floats(1e-3, 1e8), st.floats(0, 1))
def test_splitting_a_time_changes_nothing(energy_kwh: float, seconds: float, at: float) -> None:
    whole = ALL.figures(energy_kwh, seconds)
    parts = [ALL.figures(energy_kwh * part, seconds * part) for part in (at, 1 - at)]
    for name, value in whole.items():
        assert sum(part.get(name, 0.0) for part in parts) == pytest.approx(value, rel=1e-9, abs=1e-12)


def test_the_facts_name_each_factor_with_its_source() -> None:
    assert ALL.facts() == {
        "wue": 1.8,
        "wue_source": "setting",
        "water_intensity": 3.0,
        "embodied_kg": 1752.0,
        "lifetime_h": 35040.0,
        "embodied_share": 0.5,
        "market_intensity": 50.0,
        "market_label": "wind contract",
    }


def test_a_provider_s_water_is_that_of_the_region_or_none() -> None:
    found = resolve({"wue": "provider"}, environ={}, site_files=())
    known = beside_for(found, "aws:us-east-1", 1.0)
    assert known.wue == 0.12
    assert "provider disclosure" in known.wue_source
    why = "no provider's figure is known for"
    assert beside_for(found, "FR", 1.0).facts() == {"wue": None, "wue_source": f"{why} FR"}
    assert beside_for(found, "", 1.0).facts() == {"wue": None, "wue_source": f"{why} an unknown place"}
    assert beside_for(found, "FR", 1.0).figures(10.0, 7200.0) == {}


def test_ranks_on_one_machine_divide_its_making_among_them() -> None:
    found = resolve({"embodied_kg": 1000, "embodied_share": 0.5}, environ={}, site_files=())
    assert beside_for(found, "", 1.0, ranks=4).share == 0.125


@pytest.mark.parametrize(
    ("args", "why"),
    [
        ({"market_intensity": 0.0}, r"market_intensity=0 needs the name .* \(market_intensity is from argument\)"),
        ({"market_label": "wind"}, r"market_label='wind' names no figure: set market_intensity"),
    ],
    ids=["no label", "no figure"],
)
def test_a_market_based_figure_has_a_label(args: dict[str, object], why: str) -> None:
    with pytest.raises(SettingsError, match=why):
        check(resolve(args, environ={}, site_files=()))
    check(resolve({"market_intensity": 0.0, "market_label": "wind"}, environ={}, site_files=()))
