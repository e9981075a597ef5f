"""Availability zones of cloud providers, and the region that each belongs to, by the providers' naming."""

from __future__ import annotations

import re

# A zone in each provider's spelling, with its region as the group. Sources: the providers' documentation of regions
# and zones. AWS's local zones (us-east-1-bos-1a) stand elsewhere than their region, so they are none of these.
_ZONES = {
    "alibaba": r"(.+?)-?[a-z]",
    "aws": r"(.+-\d)[a-z]",
    "azure": r"(.+)-[1-3]",
    "gcp": r"(.+\d)-[a-z]",
    "hetzner": r"(.+\d)-dc\d+",
    "ibm": r"(.+)-[1-3]",
    "oci": r"(?:\w+:)?(.+-\d)-ad-[1-3]",
    "scaleway": r"(.+)-[1-9]",
    "yandex": r"(.+\d)-[a-z]",
}

# AWS's ids of zones (`use1-az1`) are the same in all accounts, unlike the letters of their names. They begin with the
# region's, shortened. Source: AWS documentation, "AWS Regions and Availability Zones", Availability Zone IDs.
_AWS_ZONE_ID = re.compile(r"(?P<area>[a-z]{2})(?P<gov>g?)(?P<side>ne|se|nw|sw|n|s|e|w|c)(?P<number>\d)-az\d")
_SIDES = {
    **{"n": "north", "s": "south", "e": "east", "w": "west", "c": "central"},
    **{"ne": "northeast", "se": "southeast", "nw": "northwest", "sw": "southwest"},
}


def regions_of_zone(text: str) -> list[str]:
    """Return the ids of the regions that a text may be a zone of; whether there are such regions is not checked.

    Args:
        text: A zone, with its provider or without.

    Example:
        >>> regions_of_zone("gcp:us-central1-a")
        ['gcp:us-central1']
    """
    whole = text.strip().lower()
    found = []
    for provider, pattern in _ZONES.items():
        zone = re.fullmatch(pattern, whole.removeprefix(f"{provider}:"))
        # Another provider's prefix would be a part of the region.
        if zone and ":" not in zone[1]:
            found.append(f"{provider}:{zone[1]}")
    if part := _AWS_ZONE_ID.fullmatch(whole.removeprefix("aws:")):
        gov = "-gov" if part["gov"] else ""
        found.append(f"aws:{part['area']}{gov}-{_SIDES[part['side']]}-{part['number']}")
    return found
