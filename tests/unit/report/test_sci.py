"""SCI scores of runs in reports."""

from __future__ import annotations

import doctest
from pathlib import Path
from typing import Any

import pytest
from sessions import Written

from eco2ai_callbacks.report import sci
from eco2ai_callbacks.report.groups import grouped
from eco2ai_callbacks.report.load import load
from eco2ai_callbacks.report.runs import Runs
from eco2ai_callbacks.report.sci import Unit, score_notes, scored


def written(run: str, epochs: int, *, samples: int | None = 100, **fields: Any) -> None:
    session = Written(Path(f"{run}.jsonl"), run, **fields)
    for epoch in range(epochs):
        session.mark(epoch=epoch, samples=samples, beside={"embodied_co2_kg": 0.25})
    session.stop()


@pytest.fixture
def runs() -> Runs:
    written("one", 2)
    written("two", 4, project="other")
    return load("*.jsonl")


def test_the_examples_in_the_docstrings_hold() -> None:
    assert doctest.testmod(sci).failed == 0


@pytest.mark.parametrize(
    ("unit", "one", "total"), [("run", 1, 2), ("epoch", 2, 6), ("sample", 200, 600)], ids=["run", "epoch", "sample"]
)
def test_each_run_and_the_total_have_a_score(unit: str, one: int, total: int, runs: Runs) -> None:
    found = scored(grouped(runs), runs, Unit(unit))
    first = runs["one"]
    grams = (first.co2_kg or 0.0) * 1000 + 500.0
    assert found.unit == unit
    assert found.rows[0].sci == pytest.approx(grams / one)
    assert found.sci == pytest.approx(((runs.sum.co2_kg or 0.0) * 1000 + 1500.0) / total)


def test_projects_have_those_of_their_runs(runs: Runs) -> None:
    by_run, by_project = (scored(grouped(runs, by), runs, Unit("epoch")) for by in ("run", "project"))
    assert [row.sci for row in by_project.rows] == [row.sci for row in by_run.rows]
    assert by_project.sci == by_run.sci


def test_a_number_of_units_is_that_of_all_runs_together(runs: Runs) -> None:
    found = scored(grouped(runs), runs, Unit.parse("5000:request"))
    assert [row.sci for row in found.rows] == [None, None]
    assert found.sci == pytest.approx(((runs.sum.co2_kg or 0.0) * 1000 + 1500.0) / 5000)


def test_a_run_whose_units_are_not_known_leaves_the_total_without_a_score(runs: Runs) -> None:
    written("three", 1, samples=None)
    every = load("*.jsonl")
    found = scored(grouped(every), every, Unit("sample"))
    assert sum(row.sci is None for row in found.rows) == 1
    assert found.sci is None


def test_other_groups_are_refused(runs: Runs) -> None:
    with pytest.raises(ValueError, match="scores are of each run or each project, not by day"):
        scored(grouped(runs, "day"), runs, Unit("run"))


@pytest.mark.parametrize("text", ["", "step", "0", "-1", "nan", "1e999:x", "5:" + "x" * 41], ids=range(7))
def test_what_is_no_unit_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no functional unit; accepted are run, epoch, sample, token, or a number"):
        Unit.parse(text)


def test_runs_without_the_making_of_the_hardware_are_named(runs: Runs) -> None:
    assert score_notes(runs) == []
    Written(Path("plain.jsonl"), "plain").stop()
    assert score_notes(load("*.jsonl")) == [
        "SCI: without the making of the hardware in run plain, where embodied_kg was not set"
    ]
