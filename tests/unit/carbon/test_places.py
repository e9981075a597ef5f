"""Which place a text means."""

from __future__ import annotations

import pytest

from eco2ai_callbacks.carbon import places


@pytest.mark.parametrize(
    ("text", "folded"),
    [
        ("Côte d’Ivoire", "cote divoire"),
        ("  The   Netherlands ", "netherlands"),
        ("Guinea-Bissau", "guinea bissau"),
        ("Bosnia & Herzegovina", "bosnia and herzegovina"),
        ("Łódź", "lodz"),
        ("Ørsted/Æbelø", "orsted aebelo"),
        ("STRASSE", "strasse"),
        ("Straße", "strasse"),
        ("Алтайский", "алтаискии"),
        ("Ёлка", "елка"),
        ("aws:eu-west-3", "aws:eu west 3"),
        ("|=x|", "x"),
        ("", ""),
    ],
)
def test_spellings_that_differ_in_case_accents_or_punctuation_are_one(text: str, folded: str) -> None:
    assert places.fold(text) == folded
    assert places.fold(folded) == folded


def test_a_place_lies_in_what_is_around_it() -> None:
    assert [spot.id for spot in places.chain(places.place("aws:us-east-1"))] == [
        "aws:us-east-1",
        "eGRID:SRVC",
        "US",
        "WORLD",
    ]
    assert [spot.id for spot in places.chain(places.place("vercel:cdg1"))] == [
        "vercel:cdg1",
        "aws:eu-west-3",
        "FR",
        "WORLD",
    ]
    assert places.country_of(places.place("DE-BY")) == "DE"
    assert places.country_of(places.place("EU27")) == places.country_of(places.place("WORLD")) == ""


def test_an_id_is_known_in_its_own_spelling_only() -> None:
    assert places.exists("FR")
    assert places.exists("DE-BY")
    assert not places.exists("fr")
    assert not places.exists("France")
    with pytest.raises(KeyError):
        places.place("nowhere")


def test_a_label_says_where_a_part_lies() -> None:
    assert places.place("US-GA").label == "US-GA (Georgia, United States)"
    assert places.place("GE").label == "GE (Georgia)"


def test_clouds_are_near_only_to_what_looks_like_one() -> None:
    assert all(spot.level != "region" for spot in places.nearest("Frankfurd"))
    assert places.nearest("aws:eu-west-33")[0].id == "aws:eu-west-3"
    assert all(spot.id.startswith("US") for spot in places.nearest("Texass", within="US"))


def test_a_country_has_a_code_of_three_letters() -> None:
    assert [places.alpha3(country) for country in ("FR", "DE", "GB", "US-CA", "nowhere")] == [
        "FRA",
        "DEU",
        "GBR",
        "",
        "",
    ]
