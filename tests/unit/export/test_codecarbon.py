"""Runs as CodeCarbon's CSV."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from report_logs import GRID, folder, hostile, training
from sessions import Written

from eco2ai_callbacks.export.codecarbon import COLUMNS, write
from eco2ai_callbacks.report.load import load

# The fields of its EmissionsData, as `dataclasses.fields` of CodeCarbon 3.3.2 gives them.
FIELDS = [
    *("timestamp", "project_name", "run_id", "experiment_id", "duration", "emissions", "emissions_rate", "cpu_power"),
    *("gpu_power", "ram_power", "cpu_energy", "gpu_energy", "ram_energy", "energy_consumed", "water_consumed"),
    *("country_name", "country_iso_code", "region", "cloud_provider", "cloud_region", "os", "python_version"),
    *("codecarbon_version", "cpu_count", "cpu_model", "gpu_count", "gpu_model", "longitude", "latitude"),
    *("ram_total_size", "tracking_mode", "cpu_utilization_percent", "gpu_utilization_percent"),
    *("ram_utilization_percent", "ram_used_gb", "on_cloud", "pue", "wue"),
]


def rows(*given: str | Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(write(load(list(given)), {}))))


def test_the_columns_are_codecarbons() -> None:
    assert list(COLUMNS) == FIELDS


def test_figures_include_the_overhead_and_what_is_not_known_is_empty() -> None:
    training(Path("a.jsonl"), "a", 1)
    (row,) = rows("a.jsonl")
    (run,) = load("a.jsonl")
    assert float(row["energy_consumed"]) == pytest.approx(run.energy_kwh * 1.2)
    assert float(row["cpu_energy"]) == pytest.approx(run.energy_kwh * 1.2)
    assert float(row["cpu_power"]) == pytest.approx(run.sum.power_w * 1.2)
    assert float(row["emissions_rate"]) * float(row["duration"]) == pytest.approx(float(row["emissions"]))
    assert (row["country_name"], row["country_iso_code"], row["on_cloud"], row["pue"]) == ("Germany", "DEU", "N", "1.2")
    assert (row["tracking_mode"], row["codecarbon_version"]) == ("process", "eco2ai-callbacks 0.1.0")
    assert {row[name] for name in ("water_consumed", "gpu_energy", "os", "longitude", "wue", "gpu_count")} == {""}


@pytest.mark.parametrize(
    ("region", "found"),
    [
        ("aws:eu-west-3", ("France", "FRA", "", "aws", "eu-west-3", "Y")),
        ("US-CA", ("United States", "USA", "California", "", "", "N")),
        ("user", ("here", "", "", "", "", "")),
    ],
    ids=["a cloud", "a state", "no place"],
)
def test_the_place_is_in_codecarbons_words(region: str, found: tuple[str, ...]) -> None:
    Written(Path("a.jsonl"), intensity=GRID | {"region": region, "name": "here"}).stop()
    (row,) = rows("a.jsonl")
    names = ("country_name", "country_iso_code", "region", "cloud_provider", "cloud_region", "on_cloud")
    assert tuple(row[name] for name in names) == found


def test_what_is_written_is_read_as_the_same_figures() -> None:
    folder()
    Written(Path("logs/carried.jsonl"), "carried", carried={"energy_kwh": 1.0, "co2_kg": 0.5, "seconds": 5.0}).stop()
    runs = load("logs")
    Path("emissions.csv").write_text(write(runs, {}))
    again = load("emissions.csv")
    assert again.sum.energy_kwh == pytest.approx(runs.sum.energy_kwh)
    assert again.sum.co2_kg == pytest.approx(runs.sum.co2_kg)
    assert {run.id for run in again} == {run.id for run in runs if run.counts}


def test_no_cell_is_a_formula_and_no_name_breaks_a_row() -> None:
    hostile()
    found = rows("hostile")
    assert all(None not in row and None not in row.values() for row in found)
    for row in found:
        assert not any(value.startswith(("=", "+", "@", "\t", "\r")) for value in row.values())
    assert any(row["project_name"].startswith("'=HYPERLINK") for row in found)
