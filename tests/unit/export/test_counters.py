"""Runs as counters."""

from __future__ import annotations

from pathlib import Path

import pytest
from report_logs import folder
from sessions import Written

from eco2ai_callbacks.export.counters import counters
from eco2ai_callbacks.report.load import load


def test_each_rank_has_its_own_and_what_a_run_around_one_includes_has_none() -> None:
    folder()
    runs = load("logs")
    found = list(counters(runs))
    assert [(each.labels["run"], each.labels["rank"], each.labels["host"]) for each in found] == [
        *[("killed", "0", "host"), ("outer", "0", "host"), ("job", "0", "host0"), ("job", "1", "host1")]
    ]
    assert sum(sum(each.joules.values()) for each in found) == pytest.approx(runs.sum.energy_kwh * 3.6e6)
    assert sum(each.grams or 0.0 for each in found) == pytest.approx(runs.sum.co2_kg * 1000)
    assert found[1].facts == {"description": "training outer", "region": "DE", "version": "0.1.0"}
    assert found[0].updated == load("logs/killed.jsonl")[0].ended.timestamp()


def test_portions_of_one_rank_inside_several_runs_are_one_series() -> None:
    Written(Path("a.jsonl"), "a").stop()
    for parent in ("x", None):
        Written(Path("b.jsonl"), "b", parent=parent).stop()
    (_, b) = counters(load(["a.jsonl", "b.jsonl"]))
    assert b.joules == {"cpu": 72.0}
