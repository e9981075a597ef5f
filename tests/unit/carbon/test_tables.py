"""Each row of each table, and the script that builds them."""

from __future__ import annotations

import csv
import importlib.util
import re
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from each_row import each_row

from eco2ai_callbacks.carbon import intensity, places, tables

ROOM = Path(intensity.__file__).parent
REPOSITORY = Path(__file__).parents[3]
SOURCES = REPOSITORY / "tools" / "carbon_tables"
DATA = sorted((ROOM / "data").iterdir())
LEVELS = ("world", "group of countries", "country", "subdivision", "eGRID subregion", "region")
LEVELS += ("bidding zone", "balancing authority")
PLACES = list(tables.every("places"))
IDS = {row[0] for row in PLACES}
PARTS = {row[0] for row in tables.every("subdivisions")}
DATASETS = {row[0]: row for row in tables.every("datasets")}


def builder() -> Any:
    spec = importlib.util.spec_from_file_location("carbon_build", SOURCES / "build.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def build() -> dict[str, str]:
    built: dict[str, str] = builder().tables()
    return built


def test_the_script_reproduces_what_is_shipped_byte_for_byte(tmp_path: Path) -> None:
    built = build()
    assert sorted(built) == [path.name for path in DATA]
    for path in DATA:
        assert path.read_bytes() == built[path.name].encode(), path.name


def test_the_script_prints_what_has_changed_against_the_last_tables(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for path in DATA:
        (tmp_path / path.name).write_bytes(path.read_bytes())
    factors = tmp_path / "factors.tsv"
    old = factors.read_text(encoding="utf-8")
    row = next(line for line in old.splitlines() if line.startswith("FR\t"))
    figure = row.rpartition(" ")[2]
    other = old.replace(row, row.replace(figure, "2025=82.8").replace(" 2024=", " 1999="))
    factors.write_text(other, encoding="utf-8", newline="\n")
    builder().main(tmp_path)
    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == "factors.tsv: FR Ember 2026-04 1999: gone, was 40.48"
    assert printed[1].startswith("factors.tsv: FR Ember 2026-04 2024: new, 40.48")
    assert printed[2] == f"factors.tsv: FR Ember 2026-04 2025: 82.8 -> {figure[5:]} (-50.0 %)"
    assert len(printed) == 3
    assert factors.read_text(encoding="utf-8") == old


def test_the_tables_are_small() -> None:
    assert sum(path.stat().st_size for path in DATA) < 420_000


@pytest.mark.parametrize("path", DATA, ids=lambda path: path.name)
def test_a_table_says_in_its_first_lines_what_it_is(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()
    assert lines[0].startswith("# ")
    assert re.search(r"[Ss]ource|Sources", lines[0])
    assert re.fullmatch(
        r"# Retrieved \d{4}-\d\d-\d\d\. Built by tools/carbon_tables/build\.py: do not edit\. Fields: .+", lines[1]
    )
    assert not any(line.startswith("#") for line in lines[2:])
    widths = {line.count("\t") for line in lines[2:]}
    assert len(widths) == 1
    if path.stem != "spellings":
        assert len(set(lines)) == len(lines)


def test_the_notice_names_every_source() -> None:
    notice = (REPOSITORY / "NOTICE").read_text(encoding="utf-8")
    names = ["Ember", "IPCC", "Environmental Protection Agency", "Environment and Climate Change Canada", "DCCEEW"]
    names += [
        "Ministry of Ecology",
        "DESNZ",
        "Google",
        "eco2AI 0.3.12",
        "Unicode CLDR",
    ]
    names += ["IANA Time Zone", "Green", "codecarbon 3.3.2"]
    assert [name for name in names if name not in notice] == []
    assert "to be confirmed" not in notice


@each_row(DATASETS.values(), lambda row: row[0])
def test_each_dataset_is_sound(row: list[str]) -> None:
    _, title, version, url, licence, kind, gases, retrieved, _ = row
    assert title
    assert version
    assert url.startswith("https://")
    assert licence
    assert "confirm" not in licence
    assert kind in ("lifecycle", "direct", "estimate", "unstated")
    assert gases in ("CO2e", "CO2")
    assert re.fullmatch(r"20\d\d-\d\d-\d\d", retrieved)


def test_each_dataset_is_used() -> None:
    assert {row[1] for row in tables.every("factors")} == set(DATASETS)


@each_row(list(tables.every("factors")), lambda row: f"{row[0]} {row[1]}")
def test_each_factor_is_sound(row: list[str]) -> None:
    place, dataset, kind, figures = row
    assert place in IDS
    assert kind == DATASETS[dataset][5]
    years = []
    for figure in figures.split(" "):
        year, _, g_per_kwh = figure.partition("=")
        years.append(year)
        assert 0 < float(g_per_kwh) <= 1500
        if year == "-":
            assert kind == "unstated"
        else:
            assert 2009 <= int(year) <= 2026
    assert years == sorted(set(years))


def test_a_place_has_each_dataset_once_and_its_rows_stand_together() -> None:
    rows = [(row[0], row[1]) for row in tables.every("factors")]
    assert len(set(rows)) == len(rows)
    order = [place for place, _ in rows]
    assert len(dict.fromkeys(order)) == sum(a != b for a, b in zip(order, [*order[1:], ""], strict=True))


@each_row(PLACES, lambda row: row[0])
def test_each_place_is_sound(row: list[str]) -> None:
    place_id, level, parent, name, called = row
    assert level in LEVELS
    assert name
    assert (parent == "") == (level == "world")
    assert parent == "" or parent in IDS | PARTS
    assert places.chain(places.place(place_id))[-1].id == "WORLD"
    assert called.startswith(f"|={places.fold(place_id)}|")
    assert called.endswith("|")
    assert f"|{places.fold(name)}|" in called
    for spelling in called.strip("|").split("|"):
        assert places.fold(spelling.lstrip("=")) == spelling.lstrip("=")
    assert places.resolve(place_id).id == place_id


def test_each_code_means_one_place_and_few_names_mean_several() -> None:
    count = Counter(name for row in PLACES for name in row[4].strip("|").split("|"))
    assert [name for name, times in count.items() if name.startswith("=") and times > 1] == []
    several = {name for name, times in count.items() if times > 1}
    regions = {name for row in PLACES if row[1] == "region" for name in row[4].strip("|").split("|")}
    assert several - regions == {
        "congo", "georgia", "korea", "saint martin", "virgin islands", "altai", "altay", "алтаи", "leningrad",
    }  # fmt: skip


def test_no_country_is_missing() -> None:
    countries = {row[0] for row in PLACES if row[1] == "country"}
    assert len(countries) == 250  # ISO 3166-1 has 249; and Kosovo
    for row in PLACES:
        if row[1] == "country":
            assert re.search(r"^\|=[a-z]{2}\|=[a-z]{3}\|", row[4]), row[0]


@each_row(list(tables.every("spellings")), lambda row: row[0])
def test_each_spelling_leads_to_its_place(row: list[str]) -> None:
    place_id, called = row
    assert places.exists(place_id)
    for spelling in called.strip("|").split("|"):
        assert places.fold(spelling.lstrip("=")) == spelling.lstrip("=")
        if spelling.startswith("="):
            country, _, name = spelling[1:].partition(" ")
            assert places.resolve(name, within=country.upper()).id == place_id or f"|={spelling[1:]}|" in called


def test_each_part_of_a_country_is_sound() -> None:
    for code, country, name in tables.every("subdivisions"):
        assert re.fullmatch(r"[A-Z]{2}-[A-Z0-9]{1,4}", code)
        assert name
        assert code[:2] in IDS
        assert code not in IDS
        assert country == "" or (country in IDS and country != code[:2])
    assert len(PARTS) > 4500


def test_each_time_zone_is_sound() -> None:
    zones = list(tables.every("timezones"))
    assert len(zones) == 543
    for zone, country, hint in zones:
        assert zone
        assert country in IDS
        assert not hint or hint in IDS
        assert not hint or hint.startswith(country)


def test_the_wheel_needs_no_raw_file(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    original = Path.read_bytes

    def read(self: Path) -> bytes:
        opened.append(str(self))
        return original(self)

    monkeypatch.setattr(Path, "read_bytes", read)
    tables.text.cache_clear()
    intensity.search("fra")
    assert opened
    assert not [path for path in opened if "sources" in path]


def test_a_cold_look_up_is_quick() -> None:
    best = 1.0
    for _ in range(5):
        tables.text.cache_clear()
        begin = time.perf_counter()
        intensity.lookup("aws:us-east-1")
        best = min(best, time.perf_counter() - begin)
    assert best < 0.02  # some 1 ms; generous, for machines that are busy


def test_the_raw_list_of_cloud_regions_is_whole() -> None:
    with (SOURCES / "cloud_regions.csv").open(encoding="utf-8") as file:
        assert len(list(csv.DictReader(file))) == 327
