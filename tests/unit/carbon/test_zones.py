"""Availability zones, each by its provider's naming."""

from __future__ import annotations

import pytest

from eco2ai_callbacks.carbon import intensity, places
from eco2ai_callbacks.carbon.zones import regions_of_zone
from eco2ai_callbacks.errors import SettingsError


@pytest.mark.parametrize(
    ("zone", "region"),
    [
        ("gcp:us-central1-a", "gcp:us-central1"),
        ("GCP:Europe-West9-B", "gcp:europe-west9"),
        ("us-east4-c", "gcp:us-east4"),
        ("aws:us-east-1a", "aws:us-east-1"),
        ("eu-west-3b", "aws:eu-west-3"),
        ("aws:us-gov-west-1c", "aws:us-gov-west-1"),
        ("aws:use1-az1", "aws:us-east-1"),
        ("apne1-az4", "aws:ap-northeast-1"),
        ("AWS:euc1-az2", "aws:eu-central-1"),
        ("usgw1-az1", "aws:us-gov-west-1"),
        ("azure:westeurope-1", "azure:westeurope"),
        ("eastus2-3", "azure:eastus2"),
        ("oci:eu-frankfurt-1-AD-1", "oci:eu-frankfurt-1"),
        ("xyz:EU-FRANKFURT-1-AD-2", "oci:eu-frankfurt-1"),
        ("scaleway:fr-par-2", "scaleway:fr-par"),
        ("hetzner:hel1-dc2", "hetzner:hel1"),
        ("alibaba:cn-beijing-h", "alibaba:cn-beijing"),
        ("alibaba:us-east-1b", "alibaba:us-east-1"),
        ("yandex:ru-central1-d", "yandex:ru-central1"),
        ("ibm:eu-de-2", "ibm:eu-de"),
    ],
)
def test_a_zone_is_its_region(zone: str, region: str) -> None:
    assert places.resolve(zone).id == region
    assert intensity.lookup(zone) == intensity.lookup(region)


@pytest.mark.parametrize(
    "text",
    [
        "aws:us-east-1-bos-1a",
        "aws:eu-nowhere-1a",
        "aws:xxe1-az1",
        "gcp:use1-az1",
        "gcp:us-central1-1",
        "fly:ams-a",
        "gcp:aws:us-east-1a",
        "hel1-dc2",
    ],
)
def test_what_is_no_zone_of_a_known_region_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match="is no place of the table"):
        places.resolve(text)


def test_a_zone_of_several_providers_is_refused_with_each() -> None:
    assert set(regions_of_zone("us-east-1a")) >= {"aws:us-east-1", "alibaba:us-east-1"}
    with pytest.raises(SettingsError, match=r"several places: .*alibaba:us-east-1 .*aws:us-east-1 "):
        places.resolve("us-east-1a")
