"""Figures by every spelling, checked by hand against the sources; kinds, years and levels; what is refused."""

from __future__ import annotations

import csv
import dataclasses
import functools
import json
import pickle
from pathlib import Path

import pytest
from each_row import each_row
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from eco2ai_callbacks.carbon import intensity, places, tables
from eco2ai_callbacks.carbon.intensity import Intensity, eco2ai_lookup, lookup, search, user, world
from eco2ai_callbacks.errors import SettingsError
from eco2ai_callbacks.usage import Usage

SOURCES = Path(__file__).parents[3] / "tools" / "carbon_tables"  # in the repository only

# Spelling, place, g/kWh, year: read off the publishers' tables, not off this package's.
CHECKED = [
    # Countries: alpha-2, alpha-3, names in several languages, in any case
    *[(name, "FR", 41.44, 2025) for name in ("FR", "fr", "FRA", "fra", "France", "FRANCE", " france ", "Франция")],
    *[(name, "DE", 329.65, 2025) for name in ("DE", "DEU", "Germany", "Deutschland", "Германия")],
    *[(name, "RU", 449.73, 2025) for name in ("RU", "RUS", "Russia", "Russian Federation", "Россия")],
    *[
        (name, "US", 384.4, 2025)
        for name in ("US", "USA", "U.S.A.", "United States", "United States of America", "США")
    ],
    *[(name, "GB", 217.41, 2025) for name in ("GB", "GBR", "UK", "United Kingdom", "Great Britain", "Великобритания")],
    *[(name, "CN", 525.34, 2025) for name in ("CN", "CHN", "China", "中国", "Китай")],
    *[(name, "IN", 670.13, 2025) for name in ("IN", "IND", "India", "भारत")],
    *[(name, "JP", 477.26, 2025) for name in ("JP", "JPN", "Japan", "日本")],
    *[(name, "KR", 417.06, 2025) for name in ("KR", "KOR", "South Korea", "Republic of Korea", "대한민국")],
    *[(name, "KP", 340.59, 2024) for name in ("KP", "North Korea", "DPRK")],
    *[(name, "NA", 48.78, 2024) for name in ("NA", "na", "NAM", "Namibia")],
    *[(name, "CI", 405.01, 2024) for name in ("CI", "Cote d'Ivoire", "Côte d’Ivoire", "Ivory Coast")],
    *[(name, "CZ", 401.46, 2025) for name in ("Czechia", "Czech Republic", "Česko")],
    *[(name, "TR", 474.74, 2025) for name in ("Turkey", "Türkiye", "Turkiye")],
    *[(name, "CD", 27.64, 2024) for name in ("CD", "Democratic Republic of Congo", "DR Congo")],
    *[(name, "CG", 716.12, 2024) for name in ("CG", "COG", "Republic of the Congo")],
    *[(name, "XK", 900.94, 2025) for name in ("XK", "XKX", "Kosovo")],
    *[(name, "MM", 502.99, 2024) for name in ("Myanmar", "Burma")],
    *[(name, "SZ", 131.15, 2024) for name in ("Eswatini", "Swaziland")],
    *[(name, "VN", 460.73, 2025) for name in ("Vietnam", "Viet Nam", "Việt Nam")],
    ("Poland", "PL", 588.6, 2025),
    ("Норвегия", "NO", 28.11, 2025),
    ("Sverige", "SE", 35.26, 2025),
    ("Suomi", "FI", 57.47, 2025),
    ("Brasil", "BR", 109.95, 2025),
    ("ZAF", "ZA", 699.29, 2025),
    ("Kenya", "KE", 95.44, 2025),
    ("Ethiopia", "ET", 23.08, 2025),
    ("Ísland", "IS", 27.82, 2024),
    ("UAE", "AE", 467.51, 2024),
    ("SGP", "SG", 497.09, 2025),
    ("Bolivia", "BO", 481.29, 2025),
    ("Georgia (country)", "GE", 145.93, 2025),
    ("GEO", "GE", 145.93, 2025),
    ("საქართველო", "GE", 145.93, 2025),
    ("Iran, Islamic Republic of", "IR", 659.53, 2025),
    ("Islamic Republic of Iran", "IR", 659.53, 2025),
    ("The Netherlands", "NL", 253.56, 2025),
    ("Беларусь", "BY", 309.25, 2025),
    ("Казахстан", "KZ", 805.32, 2025),
    ("Hong Kong", "HK", 675.48, 2024),
    ("Taiwan", "TW", 633.21, 2025),
    ("Macau", "MO", 474.36, 2024),
    ("State of Palestine", "PS", 414.14, 2024),
    ("Ukraine", "UA", 250.47, 2022),
    ("Western Sahara", "EH", 666.67, 2009),
    ("Réunion", "RE", 394.14, 2023),
    ("Timor-Leste", "TL", 666.67, 2024),
    # Parts of countries that are countries of their own (ISO 3166-1): their own figures, by all their codes
    *[(name, "GP", 497.01, 2023) for name in ("FR-971", "FR-GP")],
    *[(name, "MQ", 529.8, 2023) for name in ("FR-972", "FR-MQ")],
    *[(name, "GF", 244.9, 2023) for name in ("FR-973", "FR-GF")],
    *[(name, "RE", 394.14, 2023) for name in ("FR-974", "fr-974", "FR_RE", "La Réunion")],
    *[(name, "NC", 560.9, 2024) for name in ("FR-988", "FR-NC")],
    *[(name, "PR", 654.66, 2025) for name in ("US-PR", "us-pr")],
    *[(name, "HK", 675.48, 2024) for name in ("CN-HK", "cn-hk")],
    ("CN-TW", "TW", 633.21, 2025),
    ("CN-MO", "MO", 474.36, 2024),
    *[(name, "XK", 900.94, 2025) for name in ("RS-KM", "Kosovo-Metohija")],
    *[(name, name, 900.94, 2025) for name in ("RS-25", "RS-29")],
    # Official names (ISO 3166-1, the United Nations), in each order of words
    *[(name, "SK", 94.85, 2025) for name in ("Slovak Republic", "SLOVAK REPUBLIC")],
    *[
        (name, "NL", 253.56, 2025)
        for name in ("Netherlands (Kingdom of the)", "Netherlands, Kingdom of the", "Kingdom of the Netherlands")
    ],
    *[(name, "NO", 28.11, 2025) for name in ("Kingdom of Norway", "Norway (Kingdom of)", "Norway, Kingdom of")],
    *[(name, "TZ", 345.02, 2024) for name in ("Tanzania, United Republic of", "United Republic of Tanzania")],
    ("Swiss Confederation", "CH", 39.22, 2025),
    ("Hellenic Republic", "GR", 315.09, 2025),
    ("French Republic", "FR", 41.44, 2025),
    ("Federal Democratic Republic of Ethiopia", "ET", 23.08, 2025),
    # Bidding zones: the figure of what lies around them
    *[(name, "SE2", 35.26, 2025) for name in ("SE2", "se2", "SE-SE2", "SE_2", "SE 2")],
    *[(name, name, 35.26, 2025) for name in ("SE1", "SE3", "SE4")],
    *[(name, name, 28.11, 2025) for name in ("NO1", "NO2", "NO3", "NO4", "NO5")],
    *[(name, "DK1", 114.41, 2025) for name in ("DK1", "DK-DK1", "DK_1")],
    *[(name, "DE-LU", 329.65, 2025) for name in ("DE-LU", "DE_LU")],
    ("DK2", "DK2", 114.41, 2025),
    ("IT-SICI", "IT-SICI", 284.78, 2025),
    ("SEM", "IE-SEM", 256.54, 2025),
    ("NSW1", "NSW1", 640.0, 2025),
    # Regions of clouds by the names in the providers' consoles
    *[(name, "azure:westeurope", 253.56, 2025) for name in ("West Europe", "(Europe) West Europe", "west europe")],
    *[(name, "azure:eastus2", 290.56, 2024) for name in ("East US 2", "(US) East US 2")],
    *[(name, "aws:us-east-1", 290.56, 2024) for name in ("US East (N. Virginia)", "us east (n. virginia)")],
    *[(name, "aws:eu-west-1", 256.54, 2025) for name in ("Europe (Ireland)", "EU (Ireland)")],
    *[(name, "gcp:europe-west9", 15.83, 2025) for name in ("Paris (europe-west9)", "europe-west9 (Paris)")],
    ("Asia Pacific (Tokyo)", "aws:ap-northeast-1", 477.26, 2025),
    ("CF", "CF", 24.0, 2023),
    # The world and groups of countries
    *[(name, "WORLD", 458.29, 2025) for name in ("World", "WORLD", "Global")],
    *[(name, "EU27", 209.9, 2025) for name in ("European Union", "EU", "EU27", "European Union (27)")],
    ("Europe", "R-EUROPE", 271.19, 2025),
    ("Africa", "R-AFRICA", 544.13, 2024),
    ("Asia", "R-ASIA", 573.36, 2024),
    ("North America", "R-NORTH-AMERICA", 369.12, 2024),
    ("South America", "R-SOUTH-AMERICA", 166.83, 2024),
    ("Oceania", "R-OCEANIA", 494.82, 2024),
    # States of the US
    *[(name, "US-CA", 179.06, 2023) for name in ("US-CA", "us-ca", "California", "Kalifornien", "Калифорния")],
    *[(name, "US-TX", 349.8, 2023) for name in ("US-TX", "Texas", "Техас")],
    *[(name, "US-NY", 211.65, 2023) for name in ("US-NY", "New York", "New York State")],
    *[(name, "US-WA", 120.92, 2023) for name in ("US-WA", "Washington")],
    *[(name, "US-DC", 179.17, 2023) for name in ("US-DC", "Washington, D.C.", "District of Columbia")],
    ("US-DE", "US-DE", 319.41, 2023),
    ("Delaware", "US-DE", 319.41, 2023),
    ("US-GA", "US-GA", 325.43, 2023),
    ("West Virginia", "US-WV", 893.06, 2023),
    ("Virginia", "US-VA", 244.76, 2023),
    ("Vermont", "US-VT", 23.7, 2023),
    # eGRID's subregions
    *[(name, "eGRID:CAMX", 183.75, 2024) for name in ("eGRID:CAMX", "egrid:camx", "CAMX")],
    ("eGRID:SRVC", "eGRID:SRVC", 290.56, 2024),
    ("eGRID:NWPP", "eGRID:NWPP", 264.16, 2024),
    ("eGRID:US", "eGRID:US", 340.77, 2024),
    # Canada, Australia, China, United Kingdom
    *[(name, "CA-QC", 2.6, 2024) for name in ("CA-QC", "Quebec", "Québec")],
    *[(name, "CA-AB", 346.0, 2024) for name in ("CA-AB", "Alberta")],
    *[(name, "CA-PE", 265.0, 2024) for name in ("CA-PE", "Prince Edward Island", "PEI")],
    ("Ontario", "CA-ON", 73.0, 2024),
    ("Nova Scotia", "CA-NS", 628.0, 2024),
    *[(name, "AU-NSW", 640.0, 2025) for name in ("AU-NSW", "New South Wales")],
    *[(name, "AU-VIC", 780.0, 2025) for name in ("AU-VIC", "Victoria")],
    ("Tasmania", "AU-TAS", 200.0, 2025),
    *[(name, "CN-BJ", 555.4, 2023) for name in ("CN-BJ", "Beijing", "北京")],
    *[(name, "CN-NM", 647.9, 2023) for name in ("CN-NM", "Inner Mongolia", "内蒙古")],
    ("Shanxi", "CN-SX", 663.4, 2023),
    ("Shaanxi", "CN-SN", 633.5, 2023),
    ("Yunnan", "CN-YN", 133.3, 2023),
    # Regions of Russia
    *[(name, "RU-MOW", 240.56, None) for name in ("RU-MOW", "Moscow", "Москва", "москва", "Moskva", "Moskau")],
    *[(name, "RU-MOS", 240.56, None) for name in ("RU-MOS", "Moscow Oblast", "Московская область")],
    *[(name, "RU-SPE", 224.45, None) for name in ("RU-SPE", "Saint Petersburg", "St. Petersburg", "Санкт-Петербург")],
    *[(name, "RU-KYA", 363.42, None) for name in ("RU-KYA", "Krasnoyarsk", "Krasnoyarskiy", "Красноярский край")],
    *[(name, "RU-KDA", 218.85, None) for name in ("RU-KDA", "Krasnodar", "Краснодарский край")],
    *[(name, "RU-NIZ", 186.07, None) for name in ("RU-NIZ", "Nizhny Novgorod", "Нижегородская область")],
    *[(name, "RU-NGR", 224.45, None) for name in ("RU-NGR", "Novgorod", "Новгородская область")],
    *[(name, "RU-SA", 443.02, None) for name in ("RU-SA", "Yakutia", "Республика Саха (Якутия)")],
    ("Мурманская область", "RU-MUR", 53.51, None),
    ("Komi Republic", "RU-KO", 754.98, None),
    ("Altai Krai", "RU-ALT", 363.42, None),
    ("Altai Republic", "RU-AL", 363.41, None),
    ("Nenets", "RU-NEN", 600.13, None),
    ("Yamalo-Nenets", "RU-YAN", 468.85, None),
    ("Crimea", "UA-43", 218.85, None),
    # Regions of clouds: the provider's own figure, else eGRID's or the subdivision's, else the country's
    *[(name, "aws:eu-west-3", 41.44, 2025) for name in ("aws:eu-west-3", "AWS:eu-west-3", "eu-west-3")],
    ("aws:us-east-1", "aws:us-east-1", 290.56, 2024),
    ("aws:us-west-2", "aws:us-west-2", 264.16, 2024),
    ("aws:ca-central-1", "aws:ca-central-1", 2.6, 2024),
    ("aws:ap-southeast-2", "aws:ap-southeast-2", 640.0, 2025),
    ("aws:cn-north-1", "aws:cn-north-1", 555.4, 2023),
    ("aws:ap-northeast-1", "aws:ap-northeast-1", 477.26, 2025),
    *[(name, "gcp:europe-west9", 15.83, 2025) for name in ("gcp:europe-west9", "europe-west9")],
    ("gcp:us-west4", "gcp:us-west4", 360.0, 2025),
    ("gcp:us-central1", "gcp:us-central1", 431.95, 2025),
    ("gcp:asia-southeast3", "gcp:asia-southeast3", 364.68, 2025),
    *[(name, "azure:westeurope", 253.56, 2025) for name in ("azure:westeurope", "westeurope")],
    ("azure:westus2", "azure:westus2", 264.16, 2024),
    ("oci:eu-frankfurt-1", "oci:eu-frankfurt-1", 329.65, 2025),
    ("ibm:us-south", "ibm:us-south", 319.07, 2024),
    ("alibaba:cn-hongkong", "alibaba:cn-hongkong", 675.48, 2024),
    ("yandex:ru-central1", "yandex:ru-central1", 240.56, None),
    ("coreweave:US-WEST-04", "coreweave:US-WEST-04", 292.05, 2023),
    ("runpod:US-IL-1", "runpod:US-IL-1", 215.2, 2023),
    ("runpod:us-tx-3", "runpod:US-TX-3", 319.07, 2024),
    ("digitalocean:nyc1", "digitalocean:nyc1", 401.13, 2024),
    ("digitalocean:nyc3", "digitalocean:nyc3", 281.68, 2024),
    ("fly:ams", "fly:ams", 253.56, 2025),
    ("vercel:iad1", "vercel:iad1", 290.56, 2024),
    # Parts of countries without figures: the country's, and it says so
    *[(name, "DE-BY", 329.65, 2025) for name in ("DE-BY", "de-by", "Bavaria")],
    ("Île-de-France", "FR-IDF", 41.44, 2025),
    ("Telangana", "IN-TS", 670.13, 2025),
    ("England", "GB-ENG", 217.41, 2025),
    ("RU-SAK", "RU-SAK", 449.73, 2025),
    ("Сахалин", "RU-SAK", 449.73, 2025),
]


def raw(name: str) -> list[dict[str, str]]:
    with (SOURCES / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@each_row(CHECKED)
def test_a_place_is_found_by_its_spellings(row: tuple[str, str, float, int | None]) -> None:
    text, region, g_per_kwh, year = row
    found = lookup(text)
    assert (found.region, found.g_per_kwh, found.year) == (region, g_per_kwh, year)


def test_at_least_120_places_are_checked() -> None:
    assert len({text for text, *_ in CHECKED}) >= 190
    assert len({region for _, region, *_ in CHECKED}) >= 120


AMBIGUOUS = {"Georgia", "Congo"}
COUNTRIES = [row for row in raw("countries_latest") if row["alpha3"]]


def test_the_table_has_214_countries() -> None:
    assert len(COUNTRIES) == 214


@each_row(COUNTRIES, lambda row: row["id"])
def test_each_country_is_found_by_codes_and_name(row: dict[str, str]) -> None:
    for text in (row["id"], row["id"].lower(), row["alpha3"], *({row["name"]} - AMBIGUOUS)):
        found = lookup(text)
        assert (found.region, found.g_per_kwh, found.year) == (row["id"], float(row["g_per_kwh"]), int(row["year"]))
        assert (found.low, found.high, found.level) == (found.g_per_kwh, found.g_per_kwh, "country")
        assert found.kind == ("estimate" if row["dataset"].startswith("DERIVED") else "lifecycle")


AGGREGATES = [row for row in raw("countries_latest") if not row["alpha3"]]


@each_row(AGGREGATES, lambda row: row["id"])
def test_each_aggregate_is_found_by_id_and_name(row: dict[str, str]) -> None:
    assert lookup(row["id"]) == lookup(row["name"])
    assert (lookup(row["name"]).region, lookup(row["name"]).g_per_kwh) == (row["id"], float(row["g_per_kwh"]))


GOOGLE = {row["id"]: row for row in raw("google_regions")}


@each_row(raw("cloud_regions"), lambda row: row["id"])
def test_each_cloud_region_answers_with_what_lies_around_it(row: dict[str, str]) -> None:
    found = lookup(row["id"])
    level = {"provider": "region", "egrid": "eGRID subregion"}.get(row["level"], row["level"])
    newer = GOOGLE.get(row["id"])
    if newer is not None:
        assert (found.g_per_kwh, found.level, found.year) == (float(newer["g_per_kwh"]), "region", int(newer["year"]))
        found = lookup(row["id"], year=2024) if row["level"] == "provider" else found
    if newer is None or row["level"] == "provider":
        assert (found.g_per_kwh, found.level) == (float(row["g_per_kwh"]), level)
    assert (found.factor_of == row["id"]) == (row["level"] == "provider" or newer is not None)
    assert lookup(row["id"], kind="lifecycle").g_per_kwh == float(row["country_g_per_kwh"])


@each_row(raw("platform_regions"), lambda row: row["id"])
def test_each_platform_region_answers_with_its_parent(row: dict[str, str]) -> None:
    assert lookup(row["id"]).g_per_kwh == lookup(row["parent"]).g_per_kwh


# eco2AI's own names.

ECO2AI = raw("eco2ai_carbon_index")
# Where a row of eco2AI's table holds another place's value, a figure that nobody publishes, or a stale one.
WRONG = {"Krasnoyarskiy": ("RU-KYA", 363.42)}


def test_eco2ais_table_is_there_in_full() -> None:
    assert len(ECO2AI) == 365


@each_row(ECO2AI, lambda row: f"{row['alpha_2_code']} {row['region'].strip()}")
def test_each_row_of_eco2ais_table_is_found_by_its_own_names(row: dict[str, str]) -> None:
    found = eco2ai_lookup(row["alpha_2_code"], row["region"])
    assert found.region == WRONG.get(row["region"], (row["id"],))[0]
    if row["region"] == "Whole country":
        assert eco2ai_lookup(row["alpha_2_code"]) == eco2ai_lookup(row["alpha_2_code"], "") == found
        if row["country"] not in AMBIGUOUS:
            assert lookup(row["country"]) == found
    if found.dataset == "eco2AI 0.3.12" and row["region"] not in WRONG:
        assert found.g_per_kwh == pytest.approx(float(row["g_per_kwh"]), abs=0.011)


# Alternative names that several rows of eco2AI's table have.
SHARED = {
    "altay", "leningrad", "new albion", "chechen ingush assr", "checheno ingushetia", "checheno ingushskaya assr",
    "checheno ingushskaya avtonomnaya sovetskaya sotsialisticheskaya respublika",
}  # fmt: skip


@each_row([row for row in ECO2AI if row["names_of"]], lambda row: row["region"].strip())
def test_eco2ais_alternative_names_mean_one_place_or_none(row: dict[str, str]) -> None:
    strangers = {"Stavropol": "RU-STA", "Moscow": "RU-MOW", "Moskva": "RU-MOW"}
    for name in row["alternative_names"].split(","):
        if places.fold(name) in SHARED:
            with pytest.raises(SettingsError, match="names several places"):
                eco2ai_lookup(row["alpha_2_code"], name)
            continue
        found = eco2ai_lookup(row["alpha_2_code"], name).region
        if found == "RU-AL":  # the label of a row wins
            assert name in ("Altai",)
        elif name == "MO" and row["alpha_2_code"] == "RU":
            assert found == "RU-MO"
        elif row["names_of"] not in ("RU-MOS", "RU-TAM") or name not in strangers:
            assert found == row["names_of"]
        else:
            assert found == strangers[name]


@pytest.mark.parametrize(
    ("country", "region", "expected", "g_per_kwh"),
    [
        ("RU", "Krasnodar", "RU-KDA", 218.85),
        ("RU", "Krasnoyarskiy", "RU-KYA", 363.42),
        ("RU", "Novgorod Oblast", "RU-NGR", 224.45),
        ("RU", "Нижегородская область", "RU-NIZ", 186.07),
        ("RU", "Nenets", "RU-NEN", 600.13),
        ("RU", "Altai", "RU-AL", 363.41),
        ("RU", "Stavropol", "RU-STA", 218.85),
        ("RU", "Crimea", "UA-43", 218.85),
        ("RU", "Севастополь", "UA-40", 218.85),
        ("US", "Delaware", "US-DE", 319.41),
        ("US", "DE", "US-DE", 319.41),
        ("US", "CA", "US-CA", 179.06),
        ("US", "Georgia", "US-GA", 325.43),
        ("US", "Géorgie", "US-GA", 325.43),
        ("US", "Virgin Islands", "VI", 641.18),
        ("GE", None, "GE", 145.93),
        ("CA", "Alberta", "CA-AB", 346.0),
        ("CA", "Prince Edward Island", "CA-PE", 265.0),
        ("AU", "Victoria", "AU-VIC", 780.0),
        ("AU", "ACT", "AU-ACT", 640.0),
        ("AU", "WA", "AU-WA", 500.0),
        ("NA", None, "NA", 48.78),
        ("CF", "Whole country", "CF", 24.0),
        ("WORLD", None, "WORLD", 458.29),
    ],
)
def test_eco2ais_mixups_are_put_right(country: str, region: str | None, expected: str, g_per_kwh: float) -> None:
    found = eco2ai_lookup(country, region)
    assert found.region == expected
    assert found.g_per_kwh == (lookup("VI").g_per_kwh if expected == "VI" else g_per_kwh)


def test_an_unknown_region_of_a_country_is_refused_not_replaced_by_the_country() -> None:
    with pytest.raises(SettingsError, match=r"region='Kalifornia del Sur'.*nearest: US-"):
        eco2ai_lookup("US", "Kalifornia del Sur")
    with pytest.raises(SettingsError, match="'Paris'"):
        eco2ai_lookup("DE", "Paris")


# Kind, year, level, band.


@pytest.mark.parametrize(
    ("text", "kind", "year", "expected"),
    [
        ("FR", "lifecycle", None, ("Ember 2026-04", 2025, "country", 41.44)),
        ("FR", "best", 2010, ("Ember 2026-04", 2010, "country", 78.56)),
        ("US", "best", None, ("Ember 2026-04", 2025, "country", 384.4)),
        ("US", "direct", None, ("eGRID2024 (EPA Hub 2026)", 2024, "country", 340.77)),
        ("US", "direct", 2023, ("eGRID2023 rev2", 2023, "country", 349.67)),
        ("US-CA", "lifecycle", None, ("Ember 2026-04", 2025, "country", 384.4)),
        ("US-CA", "best", 2024, ("Ember 2026-04", 2024, "country", 383.78)),
        ("eGRID:CAMX", "best", 2023, ("eGRID2023 rev2", 2023, "eGRID subregion", 195.04)),
        ("aws:us-east-1", "best", None, ("eGRID2024 (EPA Hub 2026)", 2024, "eGRID subregion", 290.56)),
        ("aws:us-east-1", "direct", 2023, ("eGRID2023 rev2", 2023, "eGRID subregion", 270.49)),
        ("aws:us-east-1", "lifecycle", None, ("Ember 2026-04", 2025, "country", 384.4)),
        ("gcp:europe-west9", "best", None, ("Google 2025", 2025, "region", 15.83)),
        ("gcp:europe-west9", "best", 2024, ("Google 2024", 2024, "region", 16.3)),
        ("gcp:europe-west9", "lifecycle", None, ("Ember 2026-04", 2025, "country", 41.44)),
        ("gcp:us-central1", "direct", 2023, ("eGRID2023 rev2", 2023, "eGRID subregion", 420.28)),
        ("GB", "best", None, ("Ember 2026-04", 2025, "country", 217.41)),
        ("GB", "direct", None, ("DESNZ 2026", 2026, "country", 130.96)),
        ("GB", "direct", 2025, ("DESNZ 2025", 2025, "country", 177.0)),
        ("IN", "best", None, ("Ember 2026-04", 2025, "country", 670.13)),
        ("IN-MH", "best", 2025, ("Ember 2026-04", 2025, "country", 670.13)),
        ("CN", "direct", None, ("MEE 2025 No.47", 2023, "country", 530.6)),
        ("CN", "direct", 2021, ("MEE 2024 No.12", 2021, "country", 556.8)),
        ("CN-BJ", "best", 2022, ("MEE 2024 No.33", 2022, "subdivision", 558.0)),
        ("AU", "direct", None, ("NGA 2025", 2025, "country", 620.0)),
        ("AU-VIC", "best", 2024, ("NGA 2024", 2024, "subdivision", 770.0)),
        ("CA-QC", "best", 2021, ("ECCC v3.0", 2021, "subdivision", 1.7)),
        ("CA-QC", "lifecycle", None, ("Ember 2026-04", 2025, "country", 190.72)),
        ("RU-MOW", "best", None, ("eco2AI 0.3.12", None, "subdivision", 240.56)),
        ("RU-MOW", "lifecycle", None, ("Ember 2026-04", 2025, "country", 449.73)),
        ("RU-MOW", "best", 2020, ("Ember 2026-04", 2020, "country", lookup("RU", year=2020).g_per_kwh)),
        ("CF", "best", None, ("IPCC AR5 (imputed)", 2023, "country", 24.0)),
        ("CF", "lifecycle", None, ("Ember 2026-04", 2012, "country", 111.11)),
        ("WORLD", "best", 2010, ("Ember 2026-04", 2010, "world", 543.85)),
    ],
)
def test_kind_and_year_choose_the_figure_and_the_level_says_whose_it_is(
    text: str, kind: str, year: int | None, expected: tuple[str, int | None, str, float]
) -> None:
    found = lookup(text, kind=kind, year=year)
    assert (found.dataset, found.year, found.level, found.g_per_kwh) == expected
    assert found.kind == kind or kind == "best"
    assert (found.factor_of == found.region) == ("no such figure of its own" not in found.note)


@pytest.mark.parametrize(
    ("text", "run_year", "year"),
    [("FR", 2018, 2018), ("FR", 2030, 2025), ("eGRID:CAMX", 2023, 2023), ("US-CA", 2023, 2023), ("RU-MOW", 2020, None)],
)
def test_the_newest_figure_is_not_later_than_the_run(text: str, run_year: int, year: int | None) -> None:
    found = lookup(text, run_year=run_year)
    assert found.year == year
    assert "as early as the run" not in found.note


def test_a_figure_later_than_the_run_says_so() -> None:
    found = lookup("US-CA", run_year=2019)
    assert found.year == 2023
    assert "none as early as the run" in found.note


@pytest.mark.parametrize(
    ("text", "kind", "year", "message"),
    [
        ("FR", "direct", None, "intensity_kind='direct' is not in the table for region='FR'.*FR lifecycle 2010-2025"),
        ("FR", "best", 2031, "intensity_year=2031 is not in the table for region='FR'"),
        ("BH", "best", 2025, "there are: BH lifecycle 2010-2024"),
        ("RU-MOW", "direct", None, "RU-MOW unstated of no stated year; RU lifecycle"),
        ("EH", "best", 2024, "EH lifecycle 2009"),
        ("FR", "marginal", None, "intensity_kind='marginal' is not known; accepted are best, lifecycle, direct"),
    ],
)
def test_a_figure_that_is_not_there_is_refused_in_one_sentence(
    text: str, kind: str, year: int | None, message: str
) -> None:
    with pytest.raises(SettingsError, match=message):
        lookup(text, kind=kind, year=year)


def test_kinds_that_are_no_facts_say_so() -> None:
    assert "imputed" in lookup("CF").note
    assert lookup("RU-MOW").kind == "unstated"
    assert "neither year nor kind" in lookup("RU-MOW").note
    assert "CO2 only" in lookup("CN-BJ").note


def test_the_band_is_the_spread_of_the_worlds_grids_where_the_place_is_unknown() -> None:
    unknown = world()
    assert (unknown.region, unknown.found_by, unknown.g_per_kwh) == ("WORLD", "unknown", 458.29)
    figures = sorted(float(row["g_per_kwh"]) for row in COUNTRIES if not row["dataset"].startswith("DERIVED"))
    assert unknown.low == pytest.approx(figures[round(0.05 * len(figures))], rel=0.2)
    assert unknown.high == pytest.approx(figures[round(0.95 * len(figures))], rel=0.05)
    assert unknown.low < 100 < 458.29 < 700 < unknown.high


def test_the_world_answers_only_for_countries_of_which_nothing_is_known() -> None:
    found = lookup("Liechtenstein")
    assert (found.region, found.factor_of, found.level, found.g_per_kwh) == ("LI", "WORLD", "world", 458.29)
    assert (found.low, found.high) == (world().low, world().high)
    assert "WORLD" in found.note


@pytest.mark.parametrize(
    ("code", "country"),
    [
        *(("FR-975", "PM"), ("FR-976", "YT"), ("FR-YT", "YT"), ("FR-977", "BL"), ("FR-BL", "BL"), ("FR-MF", "MF")),
        *(("FR-PM", "PM"), ("FR-986", "WF"), ("FR-WF", "WF"), ("FR-987", "PF"), ("FR-PF", "PF"), ("FR-TF", "TF")),
        *(("NL-AW", "AW"), ("NL-CW", "CW"), ("NL-SX", "SX"), ("NL-BQ1", "BQ"), ("NL-BQ2", "BQ"), ("NL-BQ3", "BQ")),
        *(("NO-21", "SJ"), ("NO-22", "SJ"), ("FI-01", "AX"), ("GB-JSY", "JE"), ("GB-GSY", "GG"), ("GB-IOM", "IM")),
        *(("US-AS", "AS"), ("US-GU", "GU"), ("US-MP", "MP"), ("US-UM", "UM"), ("US-VI", "VI")),
    ],
)
def test_a_part_that_is_a_country_never_takes_the_mainlands_figure(code: str, country: str) -> None:
    found, own = lookup(code), lookup(country)
    assert (found.g_per_kwh, found.factor_of, found.low, found.high) == (
        own.g_per_kwh,
        own.factor_of,
        own.low,
        own.high,
    )
    assert places.country_of(places.resolve(code)) == country
    assert eco2ai_lookup(code[:2], code).g_per_kwh == own.g_per_kwh


def test_a_bidding_zone_says_whose_figure_it_has() -> None:
    found = lookup("SE2")
    assert found.factor_of == "SE"
    assert "no such figure of its own, so that of SE (Sweden)" in found.note
    assert "Sundsvall" in found.name


def test_the_world_has_a_figure_for_every_kind() -> None:
    assert world(kind="direct").kind == "lifecycle"
    assert world(year=2015).g_per_kwh == 533.38
    with pytest.raises(SettingsError):
        world(kind="marginal")
    with pytest.raises(SettingsError):
        world(year=1990)


def test_the_users_own_figure_is_taken_as_it_is() -> None:
    own = user(240.56, region="Moscow", found_by="setting")
    assert (own.g_per_kwh, own.low, own.high, own.dataset, own.kind) == (240.56, 240.56, 240.56, "user", "user")
    assert own.region == "Moscow"
    for wrong in (-1.0, float("nan"), float("inf")):
        with pytest.raises(SettingsError, match="g_per_kwh"):
            user(wrong)


def test_an_intensity_is_plain_data() -> None:
    found = lookup("aws:eu-west-3", found_by="environment: AWS_REGION + DMI")
    assert Intensity(**json.loads(json.dumps(found.to_dict()))) == found
    assert pickle.loads(pickle.dumps(found)) == found
    assert found.found_by == "environment: AWS_REGION + DMI"
    with pytest.raises(dataclasses.FrozenInstanceError):
        found.g_per_kwh = 0.0  # type: ignore[misc]


# What is refused.


@pytest.mark.parametrize(
    ("text", "codes"),
    [
        ("Georgia", ["GE", "US-GA"]),
        ("Korea", ["KP", "KR"]),
        ("Congo", ["CD", "CG"]),
        ("Virgin Islands", ["VG", "VI"]),
        ("Saint Martin", ["MF", "SX"]),
        ("Altai", ["RU-AL", "RU-ALT"]),
        ("Leningrad", ["RU-LEN", "RU-SPE"]),
        ("Limburg", ["BE-VLI", "NL-LI"]),
        ("us-east-1", ["aws:us-east-1", "alibaba:us-east-1", "lambda:us-east-1"]),
    ],
)
def test_an_ambiguous_name_is_refused_with_what_it_may_mean(text: str, codes: list[str]) -> None:
    with pytest.raises(SettingsError, match=f"region='{text}' names several places") as error:
        lookup(text)
    assert all(f"{code} (" in str(error.value) for code in codes)


@pytest.mark.parametrize(
    ("text", "near"),
    [
        ("Frnace", "FR (France)"),
        ("Germny", "DE (Germany)"),
        ("Califronia", "US-CA (California, United States)"),
        ("Moscw", "RU-MOW (Moscow, Russia)"),
        ("aws:eu-west-9", "aws:eu-west-"),
        ("US-ZZ", "US"),
        ("name", "NA"),
        ("code", "CO"),
        ("XX", "XK"),
        ("TX", "US-TX"),
        ("KS", "US-KS"),
        ("Géorgie", "GE (Georgia)"),
        ("", "WORLD"),
        ("  ", "WORLD"),
        ("|", "WORLD"),
        ("=", "WORLD"),
    ],
)
def test_an_unknown_name_is_refused_with_the_three_nearest(text: str, near: str) -> None:
    with pytest.raises(SettingsError) as error:
        lookup(text)
    message = str(error.value)
    assert message.startswith(f"region={text!r} is no place of the table; nearest: ")
    assert near in message
    assert message.partition("nearest: ")[2].partition("; accepted")[0].count(" (") >= 3
    assert "\n" not in message


@functools.cache
def spellings() -> set[str]:
    """All that means something somewhere, folded."""
    known = {name.lstrip("=") for row in tables.every("places") for name in row[4].split("|")}
    known |= {name for row in tables.every("spellings") for name in row[1].split("|")}
    known |= {places.fold(field) for row in tables.every("subdivisions") for field in row}
    return known - {""}


@pytest.mark.slow
@settings(deadline=None, max_examples=30)
@given(st.text(max_size=12))
def test_any_other_text_is_refused_and_never_answered_with_a_neighbour(text: str) -> None:
    assume(places.fold(text) not in spellings())
    with pytest.raises(SettingsError, match="is no place of the table"):
        lookup(text)


@pytest.mark.slow
@settings(deadline=None, max_examples=30)
@given(st.sampled_from(sorted(name for row in tables.every("places") for name in row[4].split("|") if name)), st.data())
def test_a_misspelled_name_is_not_taken_for_its_neighbour(name: str, data: st.DataObject) -> None:
    name = name.lstrip("=")
    at = data.draw(st.integers(0, len(name)))
    wrong = name[:at] + data.draw(st.sampled_from("qxzwjй7")) + name[at:]
    assume(places.fold(wrong) not in spellings())
    with pytest.raises(SettingsError, match="is no place of the table"):
        lookup(wrong)


# Search.


def test_a_search_lists_places_by_the_beginning_of_a_word() -> None:
    fra = [found.region for found in search("fra")]
    assert fra[0] == "FR"
    assert {"GF", "aws:eu-central-1", "azure:francecentral"} <= set(fra)
    assert [found.region for found in search("california")][:2] == ["US-CA", "eGRID:CAMX"]
    assert [found.region for found in search("Georgia")][:2] == ["GE", "US-GA"]
    assert search("москва")[0].region == "RU-MOW"


def test_a_search_lists_a_provider_by_its_prefix() -> None:
    aws = search("aws:")
    assert len(aws) == sum(row["provider"] == "aws" for row in raw("cloud_regions"))
    assert all(found.region.startswith("aws:") for found in aws)


def test_a_search_for_nothing_lists_all_and_each_has_its_source() -> None:
    everything = search()
    assert len(everything) == sum(1 for _ in tables.every("places"))
    for found in everything:
        assert found.g_per_kwh > 0
        assert found.dataset
        assert found.name


def test_a_search_finds_parts_of_countries_where_nothing_else_is_called_so() -> None:
    assert [found.region for found in search("bavar")] == ["DE-BY"]
    assert search("nowhere at all") == []


# Worked examples.


def test_the_worked_examples_come_out_to_the_digits_given() -> None:
    moscow = lookup("RU-MOW").g_per_kwh
    for kwh, kg in ((1.37, "0.33"), (24.50, "5.89")):
        used = Usage(3600.0, {"gpu:0": kwh * 3.6e6}, kwh * 1.0 * moscow)
        assert used.energy_kwh == pytest.approx(kwh)
        assert used.co2_kg is not None
        assert f"{used.co2_kg:.2f}" == kg
    assert user(240.56).g_per_kwh == moscow
    llama_kwh = 184_320 * 400 / 1000
    assert f"{llama_kwh * 1.1 * user(385.0).g_per_kwh / 1e6:.2f}" == "31.22"
    gpt3_kwh = 10_000 * 330 / 1000 * 14.8 * 24
    assert f"{gpt3_kwh * 1.10 * user(429.0).g_per_kwh / 1e6:.0f}" == "553"


def test_every_dataset_that_a_figure_names_is_described() -> None:
    for row in tables.every("factors"):
        described = intensity.dataset(row[1])
        assert described.title
        assert described.licence
        assert described.kind == row[2]


@pytest.mark.parametrize(
    ("zone", "region", "factor_of"),
    [
        ("SE3", "SE3", "SE"),
        ("no-no5", "NO5", "NO"),
        ("DK_2", "DK2", "DK"),
        ("IT-SIC", "IT-SICI", "IT"),
        ("US-MIDA-PJM", "US-MIDA-PJM", "US"),
        ("pjm", "US-MIDA-PJM", "US"),
        ("EIA:BPAT", "US-NW-BPAT", "US"),
        ("CAISO", "US-CAL-CISO", "eGRID:CAMX"),
        ("ERCOT", "US-TEX-ERCO", "eGRID:ERCT"),
        ("ISO-NE", "US-NE-ISNE", "eGRID:NEWE"),
        ("Tennessee Valley Authority", "US-TEN-TVA", "US"),
    ],
)
def test_a_zone_without_a_figure_takes_that_of_the_place_around_it_and_names_it(
    zone: str, region: str, factor_of: str
) -> None:
    found = intensity.lookup(zone)
    assert (found.region, found.factor_of) == (region, factor_of)
    assert found.g_per_kwh == intensity.lookup(factor_of).g_per_kwh
    assert found.note.startswith(f"no such figure of its own, so that of {factor_of} (")
