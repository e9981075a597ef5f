"""Build the tables in ``data/`` from the raw files beside this script: ``python build.py [FOLDER]``.

The raw files, their publishers, licences and traps are described in ``README.md``. The result depends on nothing but
them, byte for byte; to add a source, add its file and a function below that yields its factors.
"""

from __future__ import annotations

import csv
import re
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

from eco2ai_callbacks.carbon.places import fold

SOURCES = Path(__file__).parent
RETRIEVED = "2026-11-24"


class Factor(NamedTuple):
    """One figure; ``year`` is ``-`` where the source states none."""

    place: str
    dataset: str
    year: str
    g_per_kwh: str


class Spot(NamedTuple):
    """One place, with its folded codes and names."""

    id: str
    level: str
    parent: str
    name: str
    codes: tuple[str, ...]
    names: tuple[str, ...]


def raw(name: str) -> list[dict[str, str]]:
    """Return the rows of a raw file, every field as text: ``NA`` is Namibia."""
    with (SOURCES / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


# Factors, in order of preference within a place.


def ember() -> Iterator[Factor]:
    """Return the figures of countries by year; a figure of 0 is a missing one, and imputed ones are marked so."""
    by_year = {row["id"]: row for row in raw("countries_by_year_wide")}
    for row in raw("countries_latest"):
        if row["dataset"].startswith("DERIVED"):
            yield Factor(row["id"], "IPCC AR5 (imputed)", row["year"], row["g_per_kwh"])
        figures = {year: figure for year, figure in by_year[row["id"]].items() if year.isdigit() and figure}
        if not row["dataset"].startswith("DERIVED"):
            figures[row["year"]] = row["g_per_kwh"]
        for year, figure in sorted(figures.items()):
            if float(figure) > 0:
                yield Factor(row["id"], "Ember 2026-04", year, figure)


def egrid() -> Iterator[Factor]:
    """Return the figures of subregions and states of the US; the national average is that of ``US`` as well."""
    dataset = {"2023": "eGRID2023 rev2", "2024": "eGRID2024 (EPA Hub 2026)"}
    rows = sorted(raw("us_egrid_subregions"), key=lambda row: -int(row["year"]))
    for row in rows + raw("us_states"):
        yield Factor(row["id"], dataset[row["year"]], row["year"], row["g_per_kwh"])
        if row["id"] == "eGRID:US":
            yield Factor("US", dataset[row["year"]], row["year"], row["g_per_kwh"])


def official() -> Iterator[Factor]:
    """Return the official figures of Canada, Australia, China and the United Kingdom, newest edition first."""
    rows = [row for name in ("ca_provinces", "au_states", "cn_provinces", "national_official") for row in raw(name)]
    for row in sorted(rows, key=lambda row: -int(row["year"])):
        yield Factor(row["id"], _edition(row), row["year"], row["g_per_kwh"])


def _edition(row: dict[str, str]) -> str:
    title, year = row["dataset"], row["year"]
    if title.startswith("ECCC"):
        return "ECCC v4.0" if year == "2024" else "ECCC v3.0"
    if title.startswith("MEE"):
        return {"2023": "MEE 2025 No.47", "2022": "MEE 2024 No.33", "2021": "MEE 2024 No.12"}[year]
    if title.startswith("DCCEEW"):
        return f"NGA {year}"
    return f"DESNZ {year}"


def russia() -> Iterator[Factor]:
    """Return the figures of Russia's regions in eco2AI, which states neither their year nor their kind."""
    for row in raw("ru_regions_eco2ai"):
        yield Factor(row["id"], "eco2AI 0.3.12", "-", row["g_per_kwh"])


def google() -> Iterator[Factor]:
    """Return the provider's own figures, the newest first."""
    regions = {row["id"] for row in raw("cloud_regions")}
    for row in raw("google_regions"):
        if row["id"] in regions:
            yield Factor(row["id"], f"Google {row['year']}", row["year"], row["g_per_kwh"])
    for row in raw("cloud_regions"):
        if row["level"] == "provider":
            yield Factor(row["id"], "Google 2024", row["year"], row["g_per_kwh"])


# Places.

_CONTINENTS = {"EU27", "R-AFRICA", "R-ASIA", "R-EUROPE", "R-NORTH-AMERICA", "R-OCEANIA", "R-SOUTH-AMERICA"}


def world_and_countries() -> Iterator[Spot]:
    """Return the world, groups of countries and all countries of ISO 3166-1, with figures or without."""
    latest = {row["id"]: row for row in raw("countries_latest")}
    names = {row["id"]: row for row in raw("country_names")}
    official = {row["id"]: row for row in raw("official_names")}
    parts = {row["id"]: row["name"] for row in raw("subdivision_names")}
    whole = [row for row in raw("parts_that_are_countries") if row["extent"] == "all"]
    for place_id in ("WORLD", *sorted(_CONTINENTS), *sorted(names)):
        known, called = latest.get(place_id), names.get(place_id)
        published = known["name"] if known else ""
        default = published or (called["name"] if called else "")
        spellings = [published, *(([called["name"], *called["other_names"].split("|")]) if called else [])]
        if place_id in official:
            spellings += _orders(official[place_id]["official_name"], official[place_id]["short_name"])
        as_parts = [row["id"] for row in whole if row["country"] == place_id]
        spellings += [parts[part] for part in as_parts if part in parts]
        codes = [(called and called["alpha3"]) or "", *as_parts]
        level = "world" if place_id == "WORLD" else "group of countries" if place_id in _CONTINENTS else "country"
        yield spot(place_id, level, "" if level == "world" else "WORLD", default, spellings, codes)


def _orders(official: str, short: str) -> list[str]:
    """Return the names of a country in each order of words: ``Kingdom of Norway`` is ``Norway (Kingdom of)`` too.

    Args:
        official: The official name, ``Kingdom of the Netherlands``; empty where it is the short one.
        short: The short name, perhaps with its rank behind a comma: ``Iran, Islamic Republic of``.
    """
    names = [official, short]
    rank, of, rest = official.partition(" of ")
    if of:
        article = "the " if rest.startswith("the ") else ""
        rest = rest.removeprefix("the ")
        names += [f"{rest}, {rank} of", f"{rest}, {rank} of {article}"]
    name, comma, rank = short.partition(", ")
    if comma and rank.endswith((" of", " of the")):
        names += [f"{rank} {name}", name]
    return names


def bidding_zones() -> Iterator[Spot]:
    """Return the bidding zones of electricity markets; each draws from the place whose figure stands in for its own."""
    for row in raw("bidding_zones"):
        codes = row["codes"].split("|")
        yield spot(row["id"], "bidding zone", row["parent"], row["name"], [row["name"].rpartition(", ")[2]], codes)


def balancing_authorities() -> Iterator[Spot]:
    """Return the balancing authorities of the US.

    Those whose area lies in one eGRID subregion draw from its figure, all others from the country's.
    """
    for row in raw("balancing_authorities"):
        bare = re.sub(r" \(\w+\)$", "", row["name"])
        yield spot(row["id"], "balancing authority", row["parent"], row["name"], [bare], row["codes"].split("|"))


def parts_of_countries(factors: list[Factor]) -> Iterator[Spot]:
    """Return the subdivisions that have figures (ISO 3166-2), and eGRID's subregions."""
    names = {row["id"]: row["name"] for row in raw("subdivision_names")}
    given = {row["id"]: row["name"] for name in ("us_states", "ru_regions_eco2ai") for row in raw(name)}
    wanted = {factor.place for factor in factors if re.fullmatch(r"[A-Z]{2}-\w+", factor.place)} - _CONTINENTS
    wanted |= {row["id"] for row in raw("other_names") if re.fullmatch(r"RU-\w+", row["id"])}
    for place_id in sorted(wanted):
        default = given.get(place_id) or names.get(place_id, "")
        yield spot(place_id, "subdivision", place_id[:2], default, [default], [])
    for place_id, row in sorted({row["id"]: row for row in raw("us_egrid_subregions")}.items()):
        parent = "PR" if place_id == "eGRID:PRMS" else "US"
        acronym = place_id.partition(":")[2]
        name = f"{row['name']} (eGRID {acronym})"
        yield spot(place_id, "eGRID subregion", parent, name, [name] + ([acronym] if acronym != "US" else []), [])


_PROVIDERS = {
    "aws": "AWS", "gcp": "Google Cloud", "azure": "Azure", "oci": "Oracle Cloud", "ibm": "IBM Cloud",
    "alibaba": "Alibaba Cloud", "yandex": "Yandex Cloud", "sbercloud": "SberCloud", "ovh": "OVHcloud",
    "scaleway": "Scaleway", "hetzner": "Hetzner", "digitalocean": "DigitalOcean", "lambda": "Lambda",
    "nebius": "Nebius", "coreweave": "CoreWeave", "runpod": "RunPod", "fly": "Fly.io", "vercel": "Vercel",
    "railway": "Railway", "render": "Render",
}  # fmt: skip

# Providers whose regions are known by their bare names as well; others' look like airports, states or these.
_WELL_KNOWN = {"aws", "gcp", "azure", "oci", "alibaba", "ovh", "scaleway", "digitalocean", "lambda", "nebius", "runpod"}


def clouds() -> Iterator[Spot]:
    """Return regions of cloud providers, each below the eGRID subregion, subdivision or country of its grid."""
    subdivisions = {row["id"] for name in ("subdivision_names", "cn_provinces") for row in raw(name)}
    for row in raw("cloud_regions"):
        parent = f"eGRID:{row['egrid']}" if row["egrid"] else row["subdivision"] or row["country"]
        if "-" in parent and parent not in subdivisions:
            raise ValueError(f"{row['id']}: {parent} is no subdivision")
        yield _cloud(row["id"], _spaced(row["city"]), parent)
    for row in raw("platform_regions"):
        yield _cloud(row["id"], row["name"], row["parent"])


def _cloud(place_id: str, city: str, parent: str) -> Spot:
    provider, _, region = place_id.partition(":")
    name = f"{_PROVIDERS[provider]} {region}, {city}"
    spellings = [region] if provider in _WELL_KNOWN else []
    return spot(place_id, "region", parent, name, [*spellings, *_display_names().get(place_id, [])], [])


@cache
def _display_names() -> dict[str, list[str]]:
    """Return the names under which the providers' consoles list their regions."""
    found: dict[str, list[str]] = {}
    for row in raw("display_names"):
        name = row["display_name"]
        found.setdefault(row["id"], []).append(name)
        if name.startswith("Europe ("):
            found[row["id"]].append(name.replace("Europe", "EU", 1))  # as AWS wrote it until 2020
    return found


def _spaced(city: str) -> str:
    """Return ``CapeTown`` as ``Cape Town``."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=St)(?=G)", " ", city).replace("WashingtonDC", "Washington DC")


def spot(place_id: str, level: str, parent: str, name: str, spellings: list[str], codes: list[str]) -> Spot:
    """Return a place with folded spellings, and with its names in ``other_names.csv``."""
    if place_id in (other := _other_names()):
        name = other[place_id]["name"] or name
        spellings = [*spellings, *other[place_id]["other_names"].split("|")]
    called = [place_id, *filter(None, codes)]
    return Spot(
        place_id,
        level,
        parent,
        name,
        tuple(dict.fromkeys(map(fold, called))),
        tuple(dict.fromkeys(filter(None, map(fold, [name, *spellings])))),
    )


@cache
def _other_names() -> dict[str, dict[str, str]]:
    return {row["id"]: row for row in raw("other_names")}


# Names in other languages.

# Alternative names in eco2AI's table that name another place than the rest of their row.
_WRONG = {("RU-TAM", "stavropol"), ("RU-MOS", "moscow"), ("RU-MOS", "moskva"), ("RU-MOS", "mo")}

# Rows whose label, not only its alternatives, names another place than the one whose value they hold.
_MISLABELLED = {"Krasnoyarskiy"}


def spellings(spots: list[Spot]) -> Iterator[tuple[str, list[str]]]:
    """Return eco2AI's labels and alternative names, by the place that they name (not always that of their row).

    Those that name another place elsewhere (abbreviations, French ``Géorgie``, names of other countries' parts) are
    written as ``=us ga`` and are valid only where the country is given.
    """
    own: dict[str, set[str]] = {place.id: {*place.codes, *place.names} for place in spots}
    meant: dict[str, set[str]] = {}
    for place in spots:
        for name in place.names:
            meant.setdefault(name, set()).add(place.id)
    elsewhere = {fold(row["name"]) for row in raw("subdivision_names") if row["id"] not in own}
    found: dict[str, set[str]] = {}

    def add(place_id: str, name: str, country: str, label: bool = False) -> None:
        key, abroad = fold(name), place_id[:2] != country
        if not key or (place_id, key) in _WRONG:
            return
        if abroad or place_id == "US-GA" or key in elsewhere or (len(key) <= 3 and key.isascii()):
            found.setdefault(place_id, set()).add(f"={country.lower()} {key}")
        elif key not in own[place_id]:
            found.setdefault(place_id, set()).add(key)
        elif label and len(meant[key]) > 1:
            found.setdefault(place_id, set()).add(f"={country.lower()} {key}")

    for row in raw("eco2ai_carbon_index"):
        if row["region"] == "Whole country":
            add(row["id"], row["country"], row["alpha_2_code"])
            continue
        add(row["names_of" if row["region"] in _MISLABELLED else "id"], row["region"], row["alpha_2_code"], True)
        for name in row["alternative_names"].split(","):
            add(row["names_of"], name, row["alpha_2_code"])
        if row["id"][:2] != row["alpha_2_code"]:
            for name in own[row["id"]]:
                add(row["id"], name, row["alpha_2_code"])
    for place_id, names in sorted(found.items()):
        yield place_id, sorted(names)


# Writing.


def tables() -> dict[str, str]:
    """Return all tables as text, by file name."""
    kinds = {row["id"]: row["kind"] for row in raw("datasets")}
    factors = [*ember(), *egrid(), *official(), *russia(), *google()]
    spots = [
        *world_and_countries(),
        *parts_of_countries(factors),
        *bidding_zones(),
        *balancing_authorities(),
        *clouds(),
    ]
    series: dict[tuple[str, str], list[Factor]] = {}
    for factor in factors:
        series.setdefault((factor.place, factor.dataset), []).append(factor)
    order = {place.id: at for at, place in enumerate(spots)}
    own = {place.id for place in spots}
    elsewhere = {row["id"]: row["country"] for row in raw("parts_that_are_countries")}
    countries = {row["id"] for row in raw("parts_that_are_countries") if row["extent"] == "all"}
    parts = [row for row in raw("subdivision_names") if row["id"] not in own | countries]
    return {
        "datasets.tsv": _table(
            "Sources of carbon intensities: publisher, version, licence of the figures, kind, gases, day of retrieval.",
            "id title version url licence kind gases retrieved note",
            [list(row.values()) for row in raw("datasets")],
        ),
        "factors.tsv": _table(
            "Carbon intensity of electricity, location-based average, in g CO2e per kWh by year; '-' is no stated "
            "year. Sources, versions and licences: datasets.tsv, by the second field. First rows are preferred.",
            "place dataset kind year=g_per_kwh",
            [
                [place, dataset, kinds[dataset], " ".join(sorted(f"{f.year}={f.g_per_kwh}" for f in group))]
                for (place, dataset), group in sorted(series.items(), key=lambda item: order[item[0][0]])
            ],
        ),
        "places.tsv": _table(
            "Places, the place around each, and the codes (=) and names, folded, that mean it. Sources: ISO 3166 codes "
            "and names by Unicode CLDR 47 and 48.2 (Unicode-3.0), official names of ISO 3166-1, ISO 3166-2 codes of "
            "countries, eGRID's subregions (US EPA), bidding zones (Nord Pool, ENTSO-E, AEMO), balancing authorities "
            "(US EIA), the providers' lists.",
            "id level parent name |=code|name|",
            [
                [p.id, p.level, p.parent, p.name, f"|={'|='.join(p.codes)}|{''.join(name + '|' for name in p.names)}"]
                for p in spots
            ],
        ),
        "spellings.tsv": _table(
            "Names of places in other languages and older spellings, folded; those after = count in that country only. "
            "Source: eco2AI 0.3.12, carbon_index.csv (Apache-2.0), each given to the place that it means.",
            "place |name|",
            [[place_id, f"|{'|'.join(names)}|"] for place_id, names in spellings(spots)],
        ),
        "subdivisions.tsv": _table(
            "Subdivisions of countries (ISO 3166-2) without figures; the country is named where it is not that of the "
            "code. Those that are countries of ISO 3166-1 themselves are codes in places.tsv. "
            "Source: Unicode CLDR 48.2 (Unicode-3.0).",
            "id country name",
            [[row["id"], elsewhere.get(row["id"], ""), row["name"].rstrip("²")] for row in parts],
        ),
        "pue.tsv": _table(
            "Power usage effectiveness as providers publish it, no unit; '*' is a provider's whole fleet. Sources in "
            "each row, cited as facts; regional rows collected by GSF real-time-cloud, 2026-03-12.",
            "region pue year source",
            [list(_of_centre(row, "pue", "pue_year")) for row in raw("pue_wue") if _has(row, "pue")],
        ),
        "wue.tsv": _table(
            "Water usage effectiveness as providers publish it, litres per kWh of the machines; '*' is a provider's "
            "whole fleet. Sources in each row, cited as facts; regional rows collected by GSF real-time-cloud, "
            "2026-03-12.",
            "region wue year source",
            [
                list(_of_centre(row, "wue_l_per_kwh", "wue_year"))
                for row in raw("pue_wue")
                if _has(row, "wue_l_per_kwh")
            ],
        ),
        "timezones.tsv": _table(
            "Time zones that lie in one country each, and in one subdivision where that is certain enough for a hint. "
            "Source: tzdata 2026.6, zone.tab and backward (public domain).",
            "zone country hint",
            [[row["tz"], row["country"], row["subdivision"]] for row in raw("timezones") if row["country"]],
        ),
    }


def _has(row: dict[str, str], name: str) -> bool:
    return bool(row[name]) and not row["id"].startswith("default:")


def _of_centre(row: dict[str, str], name: str, year: str) -> Iterator[str]:
    yield row["id"]
    yield row[name]
    yield re.sub(r"\D", "", row[year])
    yield re.sub(r"\s+", " ", row["source"])


def _table(about: str, fields: str, rows: list[list[str]]) -> str:
    lines = [
        f"# {about}",
        f"# Retrieved {RETRIEVED}. Built by tools/carbon_tables/build.py: do not edit. Fields: {fields}",
    ]
    for row in rows:
        if any("\t" in field or "\n" in field for field in row):
            raise ValueError(f"a field of {row} holds a tab or a line's end")
        lines.append("\t".join(row))
    return "\n".join(lines) + "\n"


def changes(name: str, before: str, after: str) -> list[str]:
    """Return what is new, gone or different in a table, one line for each row; in factors, for each figure.

    Args:
        name: The table's file name.
        before: Its text as it was shipped.
        after: Its text as it is built now.

    Example:
        >>> changes("factors.tsv", "FR\\tEmber\\tlifecycle\\t2023=50\\n", "FR\\tEmber\\tlifecycle\\t2023=55 2024=41\\n")
        ['factors.tsv: FR Ember 2023: 50 -> 55 (+10.0 %)', 'factors.tsv: FR Ember 2024: new, 41']
    """
    old, new = _figures(name, before), _figures(name, after)
    found = []
    for key in sorted(old.keys() | new.keys()):
        was, now = old.get(key), new.get(key)
        if was == now:
            continue
        if was is None or now is None:
            what = f"new, {now}" if was is None else f"gone, was {was}"
        else:
            share = f" ({float(now) / float(was) - 1:+.1%})".replace("%", " %") if name == "factors.tsv" else ""
            what = f"{was} -> {now}{share}"
        found.append(f"{name}: {key}: {what}")
    return found


def _figures(name: str, text: str) -> dict[str, str]:
    """Return a table's rows by their first field; those of the factors by place, dataset and year."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        if line.startswith("#"):
            continue
        first, *rest = line.split("\t")
        if name == "factors.tsv":
            for figure in rest[2].split(" "):
                year, _, g_per_kwh = figure.partition("=")
                found[f"{first} {rest[0]} {year}"] = g_per_kwh
        else:
            found[first] = " | ".join(rest)
    return found


def main(folder: Path) -> None:
    """Write all tables into a folder, and print what has changed in it."""
    for name, text in tables().items():
        file = folder / name
        for line in changes(name, file.read_text(encoding="utf-8") if file.exists() else "", text):
            print(line if len(line) < 300 else f"{line[:297]}...")
        file.write_text(text, encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else SOURCES.parents[1] / "eco2ai_callbacks" / "carbon" / "data")
