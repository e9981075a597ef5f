"""The table of processors: every row, every spelling, and what must not be answered."""

from __future__ import annotations

import csv
import importlib.util
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eco2ai_callbacks.meters.cpu import table as cpu_table
from eco2ai_callbacks.meters.cpu.designation import designation
from eco2ai_callbacks.meters.cpu.table import Cpu, family, lookup

SOURCES = Path(__file__).parents[4] / "tools" / "cpu_table"
NAMES = Path(__file__).with_name("cpu_names.csv")


def collected() -> Iterator[tuple[str, float | None]]:
    """The names collected by hand, with the base power that their makers publish."""
    with NAMES.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(line for line in file if not line.startswith("#")):
            assert row["source"], row
            yield row["name"], float(row["tdp_w"]) if row["tdp_w"] else None


CLEAR = [(name, tdp_w) for name, tdp_w in collected() if tdp_w is not None]
AMBIGUOUS = [name for name, tdp_w in collected() if tdp_w is None]


def table_rows() -> list[list[str]]:
    lines = cpu_table.TABLE.read_text(encoding="utf-8").splitlines()
    return [line.split("\t") for line in lines if not line.startswith("#")]


# --- the names that the table is for


def test_the_collection_is_large_enough() -> None:
    assert len(CLEAR) >= 200
    assert len(AMBIGUOUS) >= 50


def test_at_least_98_percent_of_the_names_that_identify_a_model_are_answered_right() -> None:
    answers = [(name, tdp_w, lookup(name)) for name, tdp_w in CLEAR]
    missed = [name for name, tdp_w, cpu in answers if cpu is None or abs(cpu.tdp_w - tdp_w) > 0.05 * tdp_w]
    assert len(missed) <= 0.02 * len(CLEAR), missed


def test_no_wrong_answer_is_more_than_a_fifth_off() -> None:
    answers = [(name, tdp_w, lookup(name)) for name, tdp_w in CLEAR]
    assert [(name, cpu) for name, tdp_w, cpu in answers if cpu and abs(cpu.tdp_w - tdp_w) > 0.2 * tdp_w] == []


@pytest.mark.parametrize("name", AMBIGUOUS)
def test_a_name_that_identifies_no_one_model_gets_no_models_figure(name: str) -> None:
    assert lookup(name) is None


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Intel(R) Xeon(R) CPU E5-2680 0 @ 2.70GHz", "Intel(R) Xeon(R) CPU E5-2680 v4 @ 2.40GHz"),
        ("Intel(R) Core(TM) i7-8700 CPU @ 3.20GHz", "Intel(R) Core(TM) i7-8700K CPU @ 3.70GHz"),
        ("Intel(R) Xeon(R) Gold 6130 CPU @ 2.10GHz", "Intel(R) Xeon(R) Gold 6130T CPU @ 2.10GHz"),
        ("AMD EPYC 7B12", "AMD EPYC 7B13 64-Core Processor"),
        ("AMD EPYC 9654 96-Core Processor", "AMD EPYC 9654P 96-Core Processor"),
        ("Apple M1", "Apple M1 Pro"),
        ("Intel(R) Atom(TM) CPU N450 @ 1.66GHz", "Intel(R) Atom(TM) CPU N455 @ 1.66GHz"),
    ],
)
def test_models_that_begin_alike_are_told_apart(one: str, other: str) -> None:
    first, second = lookup(one), lookup(other)
    assert first is not None
    assert second is not None
    assert first.name != second.name


@pytest.mark.parametrize(
    "name", ["Intel Core i7-87", "Intel Core i7-8700KX", "AMD EPYC 77", "Xeon E5-2680 v9", "i7-8700"]
)
def test_part_of_a_name_or_more_than_one_is_no_match(name: str) -> None:
    assert lookup(name) is None


# --- how names are read


def test_reducing_a_designation_again_changes_nothing() -> None:
    assert [row[0] for row in table_rows() if designation(row[0]) != row[0]] == []


@given(st.text(max_size=80))
def test_any_text_is_looked_up_without_an_error(name: str) -> None:
    cpu = lookup(name)
    assert cpu is None or cpu.tdp_w > 0


@given(st.sampled_from(CLEAR), st.integers(0, 5), st.booleans())
def test_case_and_spaces_do_not_matter(known: tuple[str, float], spaces: int, upper: bool) -> None:
    name = known[0].upper() if upper else known[0].lower()
    assert lookup(" " * spaces + name.replace(" ", " " * (1 + spaces)) + " " * spaces) == lookup(known[0])


# --- the table itself


def test_every_row_is_whole_and_sane() -> None:
    rows = table_rows()
    assert len(rows) > 5000
    for key, name, tdp_w, cores, threads, year, source in rows:
        assert key == key.strip() != "", key
        assert name == name.strip() != "", key
        assert 0 < float(tdp_w) <= 520, key
        assert source, key
        if cores:
            assert 1 <= int(cores) <= 192, key
            # From an Atom's or a Quark's core to one of the last Pentium 4's or Threadripper's.
            assert 0.02 <= float(tdp_w) / int(cores) <= 130, key
        if threads:
            assert int(cores) <= int(threads) <= 4 * int(cores), key
        if year:
            assert 1993 <= int(year) <= 2026, key


def test_every_designation_is_unique_and_the_table_sorted() -> None:
    keys = [row[0] for row in table_rows()]
    assert keys == sorted(set(keys))


def test_every_row_is_found_by_its_own_name() -> None:
    shown = [(row[1], lookup(row[1])) for row in table_rows()]
    assert [name for name, cpu in shown if cpu is None] == []


def test_the_table_names_source_unit_and_licence_first() -> None:
    header = "".join(cpu_table.TABLE.read_text(encoding="utf-8").splitlines(keepends=True)[:4])
    for word in ("Sources:", "watts", "Licence", "Apache-2.0", "eco2ai 0.3.12", "codecarbon 3.3.2", "ecotrace 1.7.1"):
        assert word in header


def test_a_model_comes_with_its_facts_and_origins() -> None:
    assert lookup("Intel(R) Core(TM) i7-8700K CPU @ 3.70GHz") == Cpu(
        "Intel Core i7-8700K", 95.0, 6, 12, "ecotrace:intel; codecarbon; eco2ai; ecotrace:passmark", 2017
    )
    vague = lookup("Apple M1 Pro")
    assert vague is not None
    assert "Apple gives no TDP" in vague.source


def test_facts_that_no_origin_has_are_absent() -> None:
    cpu = lookup("Intel(R) Xeon(R) Platinum 8274 CPU")
    assert cpu is not None
    assert (cpu.cores, cpu.threads, cpu.year) == (None, None, None)


# --- how it is read


def test_a_look_up_takes_less_than_2_ms() -> None:
    lookup("AMD EPYC 7763 64-Core Processor")
    times = []
    for _ in range(20):
        start = time.perf_counter()
        lookup("Intel(R) Xeon(R) W-2295 CPU @ 3.00GHz")
        times.append(time.perf_counter() - start)
    assert sorted(times)[len(times) // 2] < 0.002


# --- how it is built


@pytest.fixture(scope="module")
def build() -> ModuleType:
    spec = importlib.util.spec_from_file_location("cpu_table_build", SOURCES / "build.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
def test_building_again_gives_the_shipped_table_byte_for_byte(build: ModuleType) -> None:
    assert build.text().encode("utf-8") == cpu_table.TABLE.read_bytes()


def test_the_raw_facts_name_package_version_and_licence() -> None:
    for package in ("eco2ai 0.3.12", "codecarbon 3.3.2", "ecotrace 1.7.1"):
        with (SOURCES / f"{package.split()[0]}.csv").open(encoding="utf-8") as file:
            first = file.readline()
        assert package in first
        assert "licence" in first


def test_every_row_kept_by_hand_names_one_model_and_its_source(build: ModuleType) -> None:
    for name in ("by_hand.csv", "overrides.csv"):
        keys = [designation(row["name"]) for row in build.rows(SOURCES / name)]
        assert len(keys) == len(set(keys)), name
        for row in build.rows(SOURCES / name):
            assert len(row["source"]) > 1, row
            assert build.number(row["tdp_w"]) is not None or (name == "overrides.csv" and row["tdp_w"] == ""), row
            assert build.is_one_model(designation(row["name"])), row


def test_the_makers_export_decides_and_two_voices_without_it(build: ModuleType) -> None:
    def resolve(**watts: float) -> float | None:
        names = {"intel": "ecotrace:intel", "passmark": "ecotrace:passmark"}
        found = build.resolve([build.Fact(names.get(origin, origin), "", w) for origin, w in watts.items()])
        return None if found is None else found[0]

    assert resolve(intel=125, codecarbon=190, eco2ai=190) == 125
    assert resolve(codecarbon=205) == 205
    assert resolve(codecarbon=95, eco2ai=95, passmark=65) == 95
    assert resolve(codecarbon=58, eco2ai=54) == 58
    assert resolve(codecarbon=165, eco2ai=205, passmark=205) is None
    assert resolve(passmark=45) == 45


@pytest.mark.parametrize(
    "key", ["xeon", "core i7", "epyc", "pentium 4 1.4", "xeon e3-12xx", "pentium 4 530/530j", "1075t"]
)
def test_a_row_that_names_no_one_model_is_not_taken(build: ModuleType, key: str) -> None:
    assert not build.is_one_model(key)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("2021-06-01", 2021), ("Q2 2021", 2021), ("6/1/21", 2021), ("4/13/2021", 2021), ("Channel", None), ("", None)],
)
def test_years_are_read_as_origins_write_them(build: ModuleType, text: str, expected: int | None) -> None:
    assert build.year(text) == expected


def test_figures_that_are_none_are_not_read(build: ModuleType) -> None:
    assert [build.number(text) for text in ("27.29.5", "", None, "0", "nan", "inf", "-1", "65.0")] == [None] * 7 + [
        65.0
    ]


# --- families


@pytest.mark.parametrize(
    ("vendor", "x86_family", "number", "name", "expected", "idle_w", "max_w"),
    [
        ("AuthenticAMD", 23, 1, "AMD EPYC", "EPYC 1st generation", 0.82, 2.55),
        ("AuthenticAMD", 23, 49, "AMD EPYC", "EPYC 2nd generation", 0.47, 1.69),
        ("AuthenticAMD", 25, 1, "AMD EPYC", "EPYC 3rd generation", 0.45, 2.02),
        ("AuthenticAMD", 25, 17, "AMD EPYC", "EPYC 4th generation", 0.34, 1.67),
        ("AuthenticAMD", 25, 160, "AMD EPYC", "EPYC 4th generation", 0.34, 1.67),
        ("AuthenticAMD", 26, 2, "AMD EPYC", "EPYC 5th generation", 0.34, 1.67),
        ("HygonGenuine", 24, 0, "Hygon C86 7185 32-core Processor", "EPYC 1st generation", 0.82, 2.55),
        ("AuthenticAMD", 25, 33, "AMD Ryzen 9", "Ryzen", 0.64, 3.15),
        ("AuthenticAMD", 25, 80, "", "Ryzen", 0.64, 3.15),
        ("AuthenticAMD", 15, 107, "QEMU Virtual CPU version 2.5+", "AMD", 0.34, 1.67),
        ("AuthenticAMD", None, None, "", "AMD", 0.34, 1.67),
        ("GenuineIntel", 6, 0x2D, "Intel(R) Xeon(R) CPU @ 2.60GHz", "Sandy Bridge", 2.17, 8.58),
        ("GenuineIntel", 6, 0x3E, "Intel(R) Xeon(R) CPU @ 2.50GHz", "Ivy Bridge", 3.04, 8.25),
        ("GenuineIntel", 6, 0x3F, "Intel(R) Xeon(R) CPU @ 2.30GHz", "Haswell", 1.0, 4.74),
        ("GenuineIntel", 6, 0x4F, "Intel(R) Xeon(R) CPU @ 2.20GHz", "Broadwell", 0.71, 3.69),
        ("GenuineIntel", 6, 0x55, "Intel(R) Xeon(R) CPU @ 2.00GHz", "Skylake", 0.65, 4.26),
        ("GenuineIntel", 6, 0x55, "Intel Xeon Processor (Cascadelake)", "Cascade Lake", 0.64, 3.97),
        ("GenuineIntel", 6, 0x55, "Intel(R) Xeon(R) Platinum 8259CL CPU @ 2.50GHz", "Cascade Lake", 0.64, 3.97),
        ("GenuineIntel", 6, 0x55, "Intel(R) Xeon(R) Platinum 8175M CPU @ 2.50GHz", "Skylake", 0.65, 4.26),
        ("GenuineIntel", 6, 0x6A, "Intel(R) Xeon(R) CPU @ 2.60GHz", "Ice Lake", 0.78, 3.98),
        ("GenuineIntel", 6, 0x8F, "Intel(R) Xeon(R) Platinum 8481C CPU @ 2.70GHz", "Sapphire Rapids", 0.78, 3.98),
        ("GenuineIntel", 6, 0xCF, "INTEL(R) XEON(R) PLATINUM 8581C", "Emerald Rapids", 0.78, 3.98),
        ("GenuineIntel", 6, 0xAD, "Intel(R) Xeon(R) 6975P-C", "Granite Rapids", 0.78, 3.98),
        ("GenuineIntel", 6, 158, "Intel(R) Core(TM) i7", "Coffee Lake", 1.14, 5.42),
        ("GenuineIntel", 6, 183, "13th Gen Intel(R) Core(TM)", "Core", 0.64, 3.15),
        ("GenuineIntel", 6, 26, "Intel Core i7 9xx (Nehalem Class Core i7)", "Intel", 0.78, 3.98),
        ("GenuineIntel", 19, 1, "", "Intel", 0.78, 3.98),
        ("", None, None, "Intel Xeon Processor (Skylake, IBRS)", "Skylake", 0.65, 4.26),
        ("", None, None, "Intel(R) Xeon(R) CPU E5-2680 v3 @ 2.50GHz", "Haswell", 1.0, 4.74),
        ("", None, None, "AMD EPYC-Rome Processor", "EPYC 2nd generation", 0.47, 1.69),
        ("", None, None, "AMD EPYC 7R13 Processor", "EPYC 3rd generation", 0.45, 2.02),
        ("", None, None, "AMD EPYC 9V74 80-Core Processor", "EPYC 4th generation", 0.34, 1.67),
        ("", None, None, "AMD EPYC 9B45", "EPYC 5th generation", 0.34, 1.67),
        ("", None, None, "AMD Custom", "AMD", 0.34, 1.67),
        ("", None, None, "Intel64 Family 6 Model 85 Stepping 7, GenuineIntel", "Skylake", 0.65, 4.26),
        ("", None, None, "AMD64 Family 25 Model 33 Stepping 0, AuthenticAMD", "Ryzen", 0.64, 3.15),
        ("ARM", None, None, "Neoverse-N1", "Graviton2", 0.47, 1.69),
        ("ARM", None, None, "AWS Graviton2", "Graviton2", 0.47, 1.69),
        ("ARM", None, None, "Neoverse-V2", "Neoverse", 0.47, 1.69),
        ("ARM", None, None, "AWS Graviton4", "Neoverse", 0.47, 1.69),
        ("ARM", None, None, "Cortex-A72", "unknown", 0.64, 3.15),
        ("Apple", None, None, "Apple M5", "unknown", 0.64, 3.15),
        ("", None, None, "", "unknown", 0.64, 3.15),
    ],
)
def test_a_family_is_known_by_numbers_and_by_words(
    vendor: str,
    x86_family: int | None,
    number: int | None,
    name: str,
    expected: str,
    idle_w: float,
    max_w: float,
) -> None:
    found = family(vendor, x86_family, number, name)
    assert (found.name, found.idle_w, found.max_w) == (expected, idle_w, max_w)
    assert found.source


def test_a_family_without_a_published_figure_says_so() -> None:
    assert "none is published" in family("AuthenticAMD", 26, 2, "AMD EPYC").source
    assert "Graviton2's" in family("ARM", None, None, "Neoverse-V2").source


def test_a_familys_idle_power_is_below_its_full_power() -> None:
    for vendor in ("GenuineIntel", "AuthenticAMD", "HygonGenuine", "ARM", ""):
        for x86_family in (6, 15, 23, 24, 25, 26, None):
            for number in (*range(256), None):
                found = family(vendor, x86_family, number, "")
                assert 0 < found.idle_w < found.max_w < 10
