"""Power and water usage effectiveness (PUE, WUE) of data centres, as their providers publish it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from eco2ai_callbacks.carbon import places, tables
from eco2ai_callbacks.errors import SettingsError


@dataclass(frozen=True, slots=True)
class Pue:
    """A power usage effectiveness with its origin.

    Args:
        pue: Energy of the whole data centre per energy of its machines; at least 1.
        region: The cloud region that it describes; ``aws:*`` is the provider's whole fleet.
        year: The year that it describes, where the provider states it.
        source: Publisher and publication.
    """

    pue: float
    region: str
    year: int | None
    source: str


@dataclass(frozen=True, slots=True)
class Wue:
    """A water usage effectiveness with its origin.

    Args:
        value: Litres of water for each kWh of the data centre's machines.
        region: The cloud region that it describes; ``aws:*`` is the provider's whole fleet.
        year: The year that it describes, where the provider states it.
        source: Publisher and publication.
    """

    value: float
    region: str
    year: int | None
    source: str


def provider_pue(region: str) -> Pue | None:
    """Return the published PUE of a cloud region, else of its provider's whole fleet; ``None`` where there is none.

    Args:
        region: A cloud region, in any spelling of the intensity table.

    Example:
        >>> provider_pue("aws:eu-central-1").pue
        1.35
    """
    for value, described, year, source in _published("pue", region):
        return Pue(value, described, year, source)
    return None


def provider_wue(region: str) -> Wue | None:
    """Return the published WUE of a cloud region, else of its provider's whole fleet; ``None`` where there is none.

    Args:
        region: A cloud region, in any spelling of the intensity table.

    Example:
        >>> provider_wue("aws:us-east-1").value
        0.12
    """
    for value, described, year, source in _published("wue", region):
        return Wue(value, described, year, source)
    return None


def _published(table: str, region: str) -> Iterator[tuple[float, str, int | None, str]]:
    """Return a table's figures for a place: value, the region that it describes, year, source."""
    try:
        around = places.chain(places.resolve(region))
    except SettingsError:
        return
    for spot in around:
        for candidate in (spot.id, f"{spot.id.partition(':')[0]}:*"):
            for _, value, year, source in tables.rows(table, candidate):
                yield float(value), candidate, int(year) if year else None, source
