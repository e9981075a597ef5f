"""What providers publish about their data centres' overhead."""

from __future__ import annotations

import pytest
from each_row import each_row

from eco2ai_callbacks.carbon import places, tables
from eco2ai_callbacks.carbon.pue import provider_pue, provider_wue


@pytest.mark.parametrize(
    ("region", "pue", "described", "year"),
    [
        ("aws:us-east-1", 1.15, "aws:us-east-1", 2024),
        ("aws:eu-central-1", 1.35, "aws:eu-central-1", 2024),
        ("AWS:EU-CENTRAL-1", 1.35, "aws:eu-central-1", 2024),
        ("gcp:us-west1", 1.07, "gcp:us-west1", 2024),
        ("azure:westeurope", 1.14, "azure:westeurope", 2023),
        # No figure of its own: the provider's fleet
        ("aws:eu-west-3", 1.14, "aws:*", 2025),
        ("gcp:europe-west9", 1.09, "gcp:*", 2024),
        ("azure:francecentral", 1.16, "azure:*", 2024),
        # A platform on another's machines
        ("vercel:iad1", 1.15, "aws:us-east-1", 2024),
    ],
)
def test_a_cloud_region_has_its_providers_figure(region: str, pue: float, described: str, year: int) -> None:
    found = provider_pue(region)
    assert found is not None
    assert (found.pue, found.region, found.year) == (pue, described, year)
    assert found.source


@pytest.mark.parametrize("region", ["FR", "World", "US-CA", "hetzner:fsn1", "fly:ams", "nowhere", "us-east-1", ""])
def test_where_nobody_publishes_one_there_is_none(region: str) -> None:
    assert provider_pue(region) is None


@each_row(list(tables.every("pue")), lambda row: row[0])
def test_each_row_is_sound(row: list[str]) -> None:
    region, pue, year, source = row
    assert 1.0 <= float(pue) <= 2.0
    assert 2020 <= int(year) <= 2026
    assert source
    assert region.endswith(":*") or places.exists(region)


@pytest.mark.parametrize(
    ("region", "wue", "described"),
    [
        ("aws:us-east-1", 0.12, "aws:us-east-1"),
        ("azure:westeurope", 0.08, "azure:westeurope"),
        # No figure of its own: the provider's fleet
        ("aws:eu-west-99", None, ""),
        ("azure:francecentral", 0.27, "azure:*"),
        ("gcp:us-west1", None, ""),
        ("FR", None, ""),
    ],
    ids=["AWS", "Azure", "no region", "fleet", "Google", "country"],
)
def test_water_is_that_of_the_region_or_of_the_provider(region: str, wue: float | None, described: str) -> None:
    found = provider_wue(region)
    assert (wue, described) == (None, "") if found is None else (found.value, found.region) == (wue, described)


def test_each_row_of_water_is_sound() -> None:
    found = list(tables.every("wue"))
    assert len(found) > 50
    for region, wue, year, source in found:
        assert 0.0 <= float(wue) <= 10.0
        assert 2020 <= int(year) <= 2026
        assert source
        assert region.endswith(":*") or places.exists(region)
