"""France's éCO2mix, by replies of the form of its dataset."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from eco2ai_callbacks.carbon.live.eco2mix import Eco2Mix
from eco2ai_callbacks.carbon.live.source import Unusable
from eco2ai_callbacks.carbon.series import Span
from eco2ai_callbacks.errors import SettingsError

BEGIN = datetime(2026, 1, 5, 22, 45, tzinfo=UTC).timestamp()


def test_quarters_have_a_figure() -> None:
    results = [
        {"date_heure": "2026-01-05T23:00:00+00:00", "taux_co2": None},
        {"date_heure": "2026-01-05T22:45:00+00:00", "taux_co2": 23},
    ]
    assert Eco2Mix("FR").spans({"total_count": 2, "results": results}) == [Span(BEGIN, BEGIN + 900, 23.0)]


@pytest.mark.parametrize(
    "bad", [[], {}, {"results": [{"taux_co2": "23"}]}, {"results": [{"taux_co2": 23}]}], ids=lambda value: str(value)
)
def test_garbage_is_of_no_use(bad: Any) -> None:
    with pytest.raises(Unusable):
        Eco2Mix("FR").spans(bad)


def test_the_newest_figures_are_asked_for() -> None:
    (request,) = Eco2Mix("aws:eu-west-3", base="https://x").requests(0.0, "", forecast=False)
    assert request.url == "https://x/api/explore/v2.1/catalog/datasets/eco2mix-national-tr/records"
    assert request.params["order_by"] == "date_heure desc"


def test_other_places_and_kinds_are_refused() -> None:
    with pytest.raises(SettingsError, match="knows France alone"):
        Eco2Mix("DE")
    with pytest.raises(SettingsError, match="has direct figures"):
        Eco2Mix("FR", "lifecycle")
