"""Denmark's Energi Data Service, by replies of the form that it documents."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from eco2ai_callbacks.carbon.live.energinet import EnergiDataService
from eco2ai_callbacks.carbon.live.feed import ask
from eco2ai_callbacks.carbon.live.fetch import Reply
from eco2ai_callbacks.carbon.live.source import Request, Unusable
from eco2ai_callbacks.carbon.series import Span
from eco2ai_callbacks.errors import SettingsError

NOON = datetime(2023, 12, 20, 12, tzinfo=UTC).timestamp()


def reply(*figures: float | None, area: str = "DK1") -> dict[str, Any]:
    records = [
        {"Minutes5UTC": f"2023-12-20T12:{5 * i:02d}:00", "PriceArea": area, "CO2Emission": figure}
        for i, figure in enumerate(figures)
    ]
    return {"total": 1465496, "limit": 4, "dataset": "CO2Emis", "records": records}


def test_five_minutes_have_a_figure() -> None:
    assert EnergiDataService("DK1").spans(reply(94.0, None, 70.0)) == [
        Span(NOON, NOON + 300, 94.0),
        Span(NOON + 600, NOON + 900, 70.0),
    ]


def test_what_was_counts_before_the_prognosis() -> None:
    replies = {"CO2EmisProg": reply(50.0, 60.0), "CO2Emis": reply(94.0)}

    def fetch(request: Request) -> Reply:
        return Reply(replies[request.url.rpartition("/")[2]])

    assert ask(EnergiDataService("DK1"), "", NOON, fetch)[0] == [
        Span(NOON, NOON + 300, 94.0),
        Span(NOON + 300, NOON + 600, 60.0),
    ]


def test_one_zone_is_asked_for() -> None:
    found = EnergiDataService("DK_2", base="https://x").requests(NOON, "", forecast=False)
    assert [request.url for request in found] == ["https://x/dataset/CO2EmisProg", "https://x/dataset/CO2Emis"]
    assert {json.dumps(json.loads(request.params["filter"])) for request in found} == {'{"PriceArea": ["DK2"]}'}
    assert {request.params["limit"] for request in found} == {"0"}


def test_a_reply_for_another_zone_is_of_no_use() -> None:
    with pytest.raises(Unusable, match="is for 'DK2', not for DK1"):
        EnergiDataService("DK1").spans(reply(1.0, area="DK2"))


@pytest.mark.parametrize("region", ["DK", "SE4", "aws:eu-north-1"])
def test_other_places_are_refused(region: str) -> None:
    with pytest.raises(SettingsError, match="knows the zones DK1 and DK2 alone"):
        EnergiDataService(region)


def test_another_kind_is_refused() -> None:
    with pytest.raises(SettingsError, match="has direct figures"):
        EnergiDataService("DK1", "lifecycle")
