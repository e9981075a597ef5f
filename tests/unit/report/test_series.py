"""What charts show, as a bounded number of rows."""

from __future__ import annotations

from pathlib import Path

import pytest
from report_logs import folder, training
from sessions import Written

from eco2ai_callbacks.report import series
from eco2ai_callbacks.report.load import load
from eco2ai_callbacks.report.runs import Run


def of_training(epochs: int = 3) -> Run:
    training(Path("eco2ai.jsonl"), epochs=epochs)
    return load("eco2ai.jsonl").runs[0]


def test_an_epoch_has_its_bands() -> None:
    rows = series.epoch_rows(of_training(), "name")
    assert [row["epoch"] for row in rows] == [0, 1, 2]
    assert rows[0]["energy"] == pytest.approx(3 * 36 / 3600)
    assert rows[0]["energy_low"] < rows[0]["energy"] < rows[0]["energy_high"]
    assert rows[0]["co2_low"] < rows[0]["co2"] < rows[0]["co2_high"]


def test_power_of_one_run_is_stacked_by_component_and_keeps_its_energy() -> None:
    run = of_training()
    rows = series.power_rows([run], {run.id: "name"})
    assert {row["series"] for row in rows} == {"cpu"}
    assert all(row["power"] == pytest.approx(18.0) for row in rows[1:-1])
    assert len(rows) <= series.BINS
    several = load(folder())
    names = series.labels(several)
    assert {row["series"] for row in series.power_rows(several.runs, names)} == set(names.values())
    assert series.power_rows([], {}) == []


def test_a_run_that_begins_and_ends_within_an_interval_has_its_own_power_there() -> None:
    runs = load(folder())
    names = series.labels(runs)
    watts = {names["job"]: 36.0, names["outer"]: 18.0, names["inner"]: 18.0, names["killed"]: 18.0}
    found: dict[str, list[float]] = {}
    for row in series.power_rows(runs.runs, names):
        found.setdefault(row["series"], []).append(row["power"])
    assert found.keys() == watts.keys()
    for name, powers in found.items():
        assert powers == pytest.approx([watts[name]] * len(powers), rel=1e-3), name


def test_a_run_without_times_has_no_power() -> None:
    assert series.power_rows([Run("r")], {"r": "r"}) == []


def test_measured_and_estimated_parts_are_told_apart() -> None:
    run = of_training()
    found = series.certainty_of(run)
    assert found[series.ESTIMATED] == pytest.approx(run.sum.usage.total_j)
    assert found[series.MEASURED] == 0.0
    carried = Written(Path("carried.jsonl"), "c", carried={"energy_kwh": 1.0, "co2_kg": 1.0, "seconds": 1.0})
    carried.stop()
    assert series.certainty_of(load("carried.jsonl").runs[0])[series.UNKNOWN] == 3.6e6


def test_a_metric_stands_against_the_energy_used_by_then() -> None:
    run = of_training()
    assert series.quality_metrics([run]) == ["loss"]
    rows = series.metric_rows(run, "name", "loss")
    assert [row["value"] for row in rows] == pytest.approx([1.0, 0.5, 1 / 3])
    assert [row["energy"] for row in rows] == pytest.approx([0.03, 0.06, 0.09])


def test_a_forecast_stands_beside_the_outcome() -> None:
    rows = series.forecast_rows(of_training(), "name")
    assert [row["done"] for row in rows] == pytest.approx([1 / 3, 2 / 3, 1.0])
    assert rows[0]["used"] == pytest.approx(10 * 36 / 3600)
    assert (rows[0]["energy"], rows[0]["low"], rows[0]["high"]) == pytest.approx((0.1, 0.05, 0.2))


def test_a_long_run_is_sampled_with_its_last_epoch() -> None:
    run = of_training(7)
    found, step = series.sampled(run.epochs, 3)
    assert ([epoch.epoch for epoch in found], step) == ([0, 3, 6], 3)
    found, step = series.sampled(run.epochs, 4)
    assert ([epoch.epoch for epoch in found], step) == ([0, 2, 4, 6], 2)
    assert series.sampled((), 3) == ([], 1)


def test_runs_of_the_same_name_are_told_apart() -> None:
    runs = [Run("abcdefghij", project="p"), Run("klmnopqrst", project="p"), Run("x", description="d"), Run("y")]
    assert list(series.labels(runs).values()) == ["p abcdefg…", "p klmnopq…", "d", "run y"]


def test_a_unit_fits_the_largest_figure() -> None:
    assert series.scaled(1500.0, "Wh") == (1000.0, "kWh")
    assert series.scaled(0.0, "Wh") == (1.0, "Wh")
    assert series.scaled(1e-9, "Wh") == (1e-6, "µWh")


def test_ranks_have_their_hosts() -> None:
    runs = load(folder())
    found = series.rank_rows(runs["job"], "job")
    assert [(row["rank"], row["host"]) for row in found] == [(0, "host0"), (1, "host1")]
    assert series.stages_of(runs["job"])["validate"] == 4 * 36.0
    assert series.part_rows("name", {"a": 3600.0, "b": 0.0}) == [
        {"run": "name", "part": "a", "energy": 1.0, "share": 1.0}
    ]
    assert [run.id for run in series.largest(runs, 2)] == ["inner", "job"] or len(series.largest(runs, 2)) == 2
    assert series.total_row("name", Run("r").sum) is None
