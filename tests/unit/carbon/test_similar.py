"""Suggestions for a text that names no place."""

from __future__ import annotations

import pytest

from eco2ai_callbacks.carbon import places
from eco2ai_callbacks.carbon.similar import Similarity


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("SE9", "SE"),
        ("NO7", "NO"),
        ("DK3", "DK"),
        ("FR-99X", "FR"),
        ("JP_TOKYO", "JP-13"),
        ("Republic of Frnace", "FR"),
        ("Kingdom of Narway", "NO"),
        ("Bavarai", "DE-BY"),
        ("France, somewhere", "FR"),
        ("Frankfurt", "aws:eu-central-1"),
        ("aws:us-est-1", "aws:us-east-1"),
        ("fly:amss", "fly:ams"),
        ("Germany West", "DE"),
    ],
)
def test_what_is_meant_comes_first(text: str, first: str) -> None:
    found = [spot.id for spot in places.nearest(text)]
    assert found[0] == first
    assert len(found) == 3


def test_a_bidding_zone_that_is_not_there_is_answered_with_those_of_its_country() -> None:
    assert [spot.id for spot in places.nearest("SE9")] == ["SE", "SE1", "SE2"]
    assert [spot.id for spot in places.nearest("SE9", count=5)][3:] == ["SE3", "SE4"]


def test_a_provider_is_answered_with_its_own_regions() -> None:
    assert all(spot.id.startswith("scaleway:") for spot in places.nearest("scaleway:nl-ams-x"))


def test_a_text_of_ranks_alone_is_compared_as_it_is() -> None:
    similarity = Similarity("republic", ())
    assert similarity.score("CZ", "country", ["czech republic"]) > similarity.score("FR", "country", ["france"])


def test_a_region_of_a_cloud_is_none_where_nothing_points_to_clouds() -> None:
    assert Similarity("parsi", ()).score("aws:eu-west-3", "region", ["aws eu west 3 paris"]) < 0
    assert Similarity("paris", ()).score("aws:eu-west-3", "region", ["aws eu west 3 paris"]) > 0
