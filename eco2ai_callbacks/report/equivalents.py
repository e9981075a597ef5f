"""CO2e in things that people have a notion of, each with its source."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

TABLE = Path(__file__).parent / "data" / "equivalents.tsv"


@dataclass(frozen=True, slots=True)
class Equivalent:
    """An amount of something that causes, or binds, as much CO2e.

    Args:
        amount: How many of it.
        what: What it is.
        grams: Grams of CO2e of one.
        basis: How the source comes to its figure.
        source: The source.
        url: Its address.
        licence: The licence of the figure.
    """

    amount: float
    what: str
    grams: float
    basis: str
    source: str
    url: str
    licence: str


def equivalents(co2_kg: float) -> list[Equivalent]:
    """Return what causes, or binds, as much CO2e."""
    found = []
    for line in TABLE.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            grams, *texts = line.split("\t")
            what, basis, source, url, licence = texts
            found.append(Equivalent(co2_kg * 1000 / float(grams), what, float(grams), basis, source, url, licence))
    return found
