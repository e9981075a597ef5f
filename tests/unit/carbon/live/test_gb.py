"""Great Britain's Carbon Intensity API, by the replies of its documentation."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from eco2ai_callbacks.carbon.live.gb import CarbonIntensityGB
from eco2ai_callbacks.carbon.live.source import Unusable
from eco2ai_callbacks.carbon.series import Span
from eco2ai_callbacks.errors import SettingsError

NOON = datetime(2018, 1, 20, 12, tzinfo=UTC).timestamp()
# The example of the documentation, and a half-hour that has only a forecast.
REPLY = {
    "data": [
        {
            "from": "2018-01-20T12:00Z",
            "to": "2018-01-20T12:30Z",
            "intensity": {"forecast": 266, "actual": 263, "index": "moderate"},
        },
        {
            "from": "2018-01-20T12:30Z",
            "to": "2018-01-20T13:00Z",
            "intensity": {"forecast": 250, "actual": None, "index": "moderate"},
        },
        {"from": "2018-01-20T13:00Z", "to": "2018-01-20T13:30Z", "intensity": {"forecast": None, "actual": None}},
    ]
}


def test_what_was_counts_before_the_forecast() -> None:
    assert CarbonIntensityGB("GB").spans(REPLY) == [
        Span(NOON, NOON + 1800, 263.0),
        Span(NOON + 1800, NOON + 3600, 250.0),
    ]


def test_the_day_before_and_two_days_ahead_are_asked_for() -> None:
    found = CarbonIntensityGB("GB", base="https://x").requests(NOON + 17 * 60, "", forecast=False)
    assert [request.url for request in found] == [
        "https://x/intensity/2018-01-20T12:00Z/fw48h",
        "https://x/intensity/2018-01-20T12:00Z/pt24h",
    ]
    assert not [request for request in found if request.secret]


@pytest.mark.parametrize("region", ["GB", "GB-SCT", "London", "aws:eu-west-2", "azure:uksouth"])
def test_places_in_great_britain_are_known(region: str) -> None:
    found = CarbonIntensityGB(region)
    assert (found.kind, found.key, found.token_names) == ("direct", "carbon-intensity-gb", ())


@pytest.mark.parametrize("region", ["FR", "GB-NIR", "World"])
def test_other_places_are_refused(region: str) -> None:
    with pytest.raises(SettingsError, match="knows Great Britain alone"):
        CarbonIntensityGB(region)


def test_another_kind_is_refused() -> None:
    with pytest.raises(SettingsError, match="has direct figures"):
        CarbonIntensityGB("GB", "lifecycle")


@pytest.mark.parametrize(
    "row", [{}, {"intensity": 5}, {"intensity": {"forecast": "low"}}, {"from": 1, "intensity": {"actual": 1}}], ids=str
)
def test_garbage_is_of_no_use(row: dict[str, Any]) -> None:
    with pytest.raises(Unusable):
        CarbonIntensityGB("GB").spans({"data": [row]})
