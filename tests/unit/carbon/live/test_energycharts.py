"""Energy-Charts, by replies of the form that it documents."""

from __future__ import annotations

from typing import Any

import pytest

from eco2ai_callbacks.carbon.live.energycharts import EnergyCharts
from eco2ai_callbacks.carbon.live.source import Unusable
from eco2ai_callbacks.carbon.series import Span
from eco2ai_callbacks.errors import SettingsError

NOON = 1_800_000_000


def reply(**lists: Any) -> dict[str, Any]:
    return {
        "unix_seconds": [NOON, NOON + 900, NOON + 1800],
        "co2eq": [300.5, None, None],
        "co2eq_forecast": [None, 280, None],
        "deprecated": False,
    } | lists


def test_what_was_counts_before_the_forecast() -> None:
    assert EnergyCharts("DE").spans(reply()) == [Span(NOON, NOON + 900, 300.5), Span(NOON + 900, NOON + 1800, 280.0)]


def test_hours_last_an_hour_and_a_single_row_a_quarter() -> None:
    hours = reply(unix_seconds=[NOON, NOON + 3600, NOON + 7200])
    assert EnergyCharts("DE").spans(hours)[0] == Span(NOON, NOON + 3600, 300.5)
    single = reply(unix_seconds=[NOON], co2eq=[300], co2eq_forecast=[None])
    assert EnergyCharts("DE").spans(single) == [Span(NOON, NOON + 900, 300.0)]
    assert EnergyCharts("DE").spans(reply(unix_seconds=[], co2eq=[], co2eq_forecast=[])) == []


@pytest.mark.parametrize(
    "bad",
    [
        *([], None, {}, reply(co2eq=[1]), reply(co2eq=None), reply(unix_seconds=["a", "b", "c"])),
        *(reply(unix_seconds=[True, 1, 2]), reply(co2eq=["low", 1, 2]), reply(unix_seconds=[-1, 900, 1800])),
    ],
    ids=lambda value: str(value)[:60],
)
def test_garbage_is_of_no_use(bad: Any) -> None:
    with pytest.raises(Unusable):
        EnergyCharts("DE").spans(bad)


@pytest.mark.parametrize(("region", "country"), [("DE", "de"), ("SE3", "se"), ("aws:eu-west-3", "fr"), ("DE-LU", "de")])
def test_the_place_s_country_is_asked_for(region: str, country: str) -> None:
    found = EnergyCharts(region, base="https://x")
    (request,) = found.requests(0.0, "", forecast=True)
    assert (request.url, request.params) == ("https://x/co2eq", {"country": country})
    assert found.title.endswith(country.upper())


def test_a_place_in_no_country_and_a_kind_are_refused() -> None:
    with pytest.raises(SettingsError, match="is in none"):
        EnergyCharts("World")
    with pytest.raises(SettingsError, match="no intensity_kind='direct' can be asked for"):
        EnergyCharts("DE", "direct")
