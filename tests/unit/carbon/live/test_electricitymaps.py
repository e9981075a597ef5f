"""Electricity Maps, by the replies of its documentation."""

from __future__ import annotations

import doctest
from datetime import UTC, datetime
from typing import Any

import pytest

from eco2ai_callbacks.carbon.live import electricitymaps as module
from eco2ai_callbacks.carbon.live.electricitymaps import ElectricityMaps
from eco2ai_callbacks.carbon.live.source import Unusable
from eco2ai_callbacks.carbon.series import Span
from eco2ai_callbacks.errors import SettingsError

BEGIN = datetime(2019, 5, 21, tzinfo=UTC).timestamp()
LATEST: dict[str, Any] = {
    "zone": "DE",
    "carbonIntensity": 322,
    "datetime": "2019-05-21T00:00:00.000Z",
    "updatedAt": "2022-04-07T15:32:21.002Z",
    "createdAt": "2022-02-08T06:20:31.772Z",
    "emissionFactorType": "lifecycle",
    "isEstimated": False,
    "estimationMethod": None,
}


def test_the_examples_in_the_docstrings_hold() -> None:
    assert doctest.testmod(module).failed == 0


@pytest.mark.parametrize(
    "reply",
    [
        LATEST,
        {
            "zone": "DE",
            "history": [LATEST, {**LATEST, "carbonIntensity": None, "datetime": "2019-05-21T01:00:00.000Z"}],
        },
        {"zone": "DE", "forecast": [{"carbonIntensity": 322, "datetime": "2019-05-21T00:00:00.000Z"}]},
    ],
    ids=["latest", "history", "forecast"],
)
def test_each_reply_is_hours(reply: dict[str, Any]) -> None:
    assert ElectricityMaps("DE").spans(reply) == [Span(BEGIN, BEGIN + 3600, 322.0)]


@pytest.mark.parametrize(
    "reply",
    [
        {**LATEST, "zone": "PL"},
        {**LATEST, "emissionFactorType": "direct"},
        {"zone": "DE", "history": [{**LATEST, "zone": "PL"}]},
        {"error": "no such zone"},
        {"zone": "DE", "history": None},
        [],
    ],
    ids=["another place", "another kind", "a row of another place", "an error", "no list", "no object"],
)
def test_a_reply_for_something_else_is_of_no_use(reply: Any) -> None:
    with pytest.raises(Unusable):
        ElectricityMaps("DE").spans(reply)


@pytest.mark.parametrize(
    ("region", "zone"),
    [
        ("FR", "FR"),
        ("gcp:us-central1", "US"),
        ("SE3", "SE-SE3"),
        ("DK1", "DK-DK1"),
        ("IT-SICI", "IT-SIC"),
        ("DE-LU", "DE"),
        ("PJM", "US-MIDA-PJM"),
        ("CA-ON", "CA-ON"),
        ("NSW1", "AU-NSW"),
        ("aws:eu-west-3", "FR"),
        ("London", "GB"),
    ],
)
def test_the_zone_is_the_smallest_around_the_place(region: str, zone: str) -> None:
    found = ElectricityMaps(region)
    assert found.title == f"Electricity Maps v3, {zone}"
    (history, latest) = found.requests(BEGIN, "abc", forecast=False)
    assert history.params == {"zone": zone, "emissionFactorType": "lifecycle"}
    assert latest.secret == {"auth-token": "abc"}


def test_the_kind_that_is_asked_for_is_asked_for() -> None:
    found = ElectricityMaps("FR", "direct", "https://x/v3")
    (request,) = found.requests(BEGIN, "abc", forecast=True)
    assert request.url == "https://x/v3/carbon-intensity/forecast"
    assert request.params["emissionFactorType"] == found.kind == "direct"


def test_a_place_without_a_zone_is_refused() -> None:
    with pytest.raises(SettingsError, match="has no zone for region='World'"):
        ElectricityMaps("World")
