"""The table of places, and the lookup of a place by code or name."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache

from eco2ai_callbacks.carbon import tables
from eco2ai_callbacks.errors import SettingsError

WORLD = "WORLD"


@dataclass(frozen=True, slots=True)
class Spot:
    """One place of the table.

    Args:
        id: ``FR``, ``US-CA``, ``eGRID:CAMX``, ``aws:eu-west-3``, ``WORLD``.
        level: Kind of place: ``region`` (of a cloud), ``bidding zone``, ``balancing authority``,
            ``eGRID subregion``, ``subdivision``, ``country``, ``group of countries``, ``world``.
        parent: Id of the place that contains it, whose figure replaces a missing one; empty for the world.
        name: English name.
    """

    id: str
    level: str
    parent: str
    name: str

    @property
    def label(self) -> str:
        """The place as messages name it: ``US-GA (Georgia, United States)``."""
        around = f", {place(self.parent).name}" if self.level == "subdivision" else ""
        return f"{self.id} ({self.name}{around})"


def fold(text: str) -> str:
    """Return a normalised spelling, equal for texts that differ only in case, accents or punctuation.

    Example:
        >>> fold("  Côte d’Ivoire ")
        'cote divoire'
    """
    return re.sub(r"[\s\-_,;/()|=–—]+", " ", _plain(text)).strip().removeprefix("the ")


def _plain(text: str) -> str:
    """Return a text in lower case, without accents and apostrophes."""
    if not text.isascii():
        text = re.sub("[\u0300-\u036f]", "", unicodedata.normalize("NFKD", text))
        text = unicodedata.normalize("NFC", text)
    return text.casefold().translate(_PLAIN)


# Apostrophes and quotes, and letters without a decomposition in Unicode.
_PLAIN = str.maketrans(
    dict.fromkeys("'’ʼ‘`ʻʹ´.\"“”«»", "")
    | {"ø": "o", "ł": "l", "đ": "d", "ð": "d", "ı": "i", "þ": "th", "æ": "ae", "œ": "oe", "&": " and "}
)


def place(place_id: str) -> Spot:
    """Return the place with this id.

    Raises:
        KeyError: There is none.
    """
    for row in tables.rows("places", place_id):
        return _spot(row)
    for row in tables.rows("subdivisions", place_id):
        return _part(row)
    raise KeyError(place_id)


def exists(place_id: str) -> bool:
    """Return whether a text is exactly the id of a place."""
    return any(next(tables.rows(table, place_id), None) for table in ("places", "subdivisions"))


def chain(spot: Spot) -> list[Spot]:
    """Return the place and all places that contain it, the smallest first."""
    found = [spot]
    while found[-1].parent:
        found.append(place(found[-1].parent))
    return found


def country_of(spot: Spot) -> str:
    """Return the id of the country that a place is in; empty for the world and groups of countries."""
    return next((around.id for around in chain(spot) if around.level == "country"), "")


def alpha3(country: str) -> str:
    """Return the code of three letters of a country (ISO 3166-1); empty where it has none.

    Args:
        country: Its id, of two letters.
    """
    codes = (code for row in tables.rows("places", country) for code in _codes(row))
    return next((code.upper() for code in codes if len(code) == 3), "")


def resolve(text: str, *, within: str = "") -> Spot:
    """Return the one place that a text names.

    Args:
        text: A code or a name, in any case.
        within: Id of a country to search in; empty for all countries.

    Raises:
        SettingsError: No place has this name, or several have.
    """
    for meant in _meanings(text, within):
        spots = {spot.id: spot for spot in meant}
        if len(spots) == 1:
            return next(iter(spots.values()))
        if spots:
            raise SettingsError(f"region={text!r} names several places: {_labels(spots.values())}; write a code")
    raise SettingsError(
        f"region={text!r} is no place of the table; nearest: {_labels(nearest(text, within=within))}; "
        "accepted are codes and names like 'FR', 'US-CA', 'France', 'aws:eu-west-3'"
    )


def _meanings(text: str, within: str) -> Iterator[list[Spot]]:
    """Return the matching places, one list for each way to match: code, name, other spelling, name of a subdivision."""
    key = fold(text)
    if not key:
        return
    if within:
        # Within a country the second half of a code is a code, and names are valid that mean another place elsewhere.
        part = f"={within.lower()} {key}|"
        yield [place(row[0]) for table in ("places", "spellings") for row in tables.rows_with(table, f"|{part}")]
    for meant in _everywhere(text, key):
        yield [spot for spot in meant if not within or _lies_in(spot, within)]


def _lies_in(spot: Spot, country: str) -> bool:
    """Return whether a place lies in a country, or has the code of a part of it although it is a country as well."""
    if country_of(spot) == country or spot.id.startswith(f"{country}-"):
        return True
    return any(f"|={country.lower()} " in row[4] for row in tables.rows("places", spot.id))


def _everywhere(text: str, key: str) -> Iterator[list[Spot]]:
    yield _coded(key)
    yield _named(key)
    yield [_part(row) for row in tables.rows("subdivisions", text.strip().upper())]
    yield [place(row[0]) for row in tables.rows_with("spellings", f"|{key}|")]
    yield [_part(row) for row in _parts_called(key)]
    from eco2ai_callbacks.carbon.zones import regions_of_zone  # for a text that is no code and no name

    yield [place(region) for region in regions_of_zone(text) if exists(region) and _is_named(region, text)]
    yield from _displayed(text)


def _coded(key: str) -> list[Spot]:
    return [_spot(row) for row in tables.rows_with("places", f"|={key}|")]


def _named(key: str) -> list[Spot]:
    return [_spot(row) for row in tables.rows_with("places", f"|{key}|")]


def _is_named(region: str, text: str) -> bool:
    """Return whether a text names a region's provider, or the region is known without it."""
    bare = fold(region.partition(":")[2])
    return ":" in text or any(spot.id == region for spot in _named(bare))


def _displayed(text: str) -> Iterator[list[Spot]]:
    """Return the cloud regions that a provider's console shows so, one list for each way to write them.

    Azure's names are its regions in separate words: ``West Europe``, ``(Europe) West Europe``. Others put the region
    into parentheses, or a remark behind it: ``Iowa (us-central1)``, ``us-central1 (Iowa)``.
    """
    words = fold(re.sub(r"^\s*\([^()]*\)", "", text))
    if " " in words:
        yield [spot for spot in _named(words.replace(" ", "")) if spot.id.startswith("azure:")]
    if found := re.fullmatch(r"([^()]+)\(([^()]+)\)\s*", text):
        for half in map(fold, found.groups()):
            yield [spot for spot in (*_coded(half), *_named(half)) if spot.level == "region"]


def nearest(text: str, *, count: int = 3, within: str = "") -> list[Spot]:
    """Return the places that a text may mean, best first, by its country, its words and its spelling.

    Args:
        text: A text that names no place.
        count: The number of places.
        within: Id of a country to search in; empty for all countries.
    """
    from eco2ai_callbacks.carbon.similar import Similarity  # for texts that name no place

    similarity = Similarity(fold(text), {name for row in tables.every("places") for name in _codes(row)})
    scored = [
        (similarity.score(row[0], row[1], row[4].replace("=", "").strip("|").split("|")), _spot(row))
        for row in tables.every("places")
    ]
    names, rows = _parts()
    for row, name in zip(rows, names.strip("\n").split("\n"), strict=True):
        score = similarity.score(row[0], "subdivision", (row[0].lower().replace("-", " "), name))
        # A place that has figures is meant more often.
        scored.append((score - 0.05, _part(row)))
    scored.sort(key=lambda found: -found[0])
    return [spot for score, spot in scored if score >= 0 and (not within or country_of(spot) == within)][:count]


def _codes(row: list[str]) -> list[str]:
    """Return the codes of a country in the table of places."""
    return re.findall(r"(?<=\|=)[a-z]{2,3}(?=\|)", row[4]) if row[1] == "country" else []


def search(text: str) -> list[Spot]:
    """Return the places with a word in their code or name that starts with a text, exact matches first."""
    key = fold(text)
    exact: list[Spot] = []
    others: list[Spot] = []
    for row in tables.every("places"):
        words = row[4].replace("|=", "|").replace("|", "| ")
        if f" {key}" in words:
            (exact if f" {key}|" in words and f"|{key}|" in row[4].replace("=", "") else others).append(_spot(row))
    if not exact and not others:
        others = [_part(row) for row in tables.every("subdivisions") if f" {key}" in f" {fold(row[2])}"]
    return exact + others


def _spot(row: list[str]) -> Spot:
    return Spot(row[0], row[1], row[2], row[3])


def _part(row: list[str]) -> Spot:
    """Return the subdivision of a row in the table of those without figures."""
    return Spot(row[0], "subdivision", row[1] or row[0].partition("-")[0], row[2])


def _parts_called(key: str) -> Iterator[list[str]]:
    """Return the rows of the subdivisions without figures that have this name."""
    names, rows = _parts()
    at = names.find(f"\n{key}\n")
    while at >= 0:
        yield rows[names.count("\n", 0, at)]
        at = names.find(f"\n{key}\n", at + 1)


@cache
def _parts() -> tuple[str, tuple[list[str], ...]]:
    """Return the names of the subdivisions without figures, folded in one pass, one per line; and their rows."""
    rows = tuple(tables.every("subdivisions"))
    names = re.sub(r"[ \-_,;/()|=–—]+", " ", _plain("\n".join(row[2] for row in rows)))
    return "\n" + re.sub(r"^(the )| $", "", names, flags=re.MULTILINE) + "\n", rows


def _labels(spots: Iterable[Spot]) -> str:
    return ", ".join(spot.label for spot in spots)
