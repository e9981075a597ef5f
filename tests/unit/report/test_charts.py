"""The charts of a report."""

from __future__ import annotations

from pathlib import Path

import pytest
from report_logs import folder, hostile, training

pytest.importorskip("altair")

from eco2ai_callbacks.report.charts import charts
from eco2ai_callbacks.report.load import load
from eco2ai_callbacks.report.runs import Runs
from eco2ai_callbacks.report.theme import PAGE, specification


def test_a_training_has_all_charts_of_one_run() -> None:
    training(Path("eco2ai.jsonl"))
    found = {each.id: each for each in charts(load("eco2ai.jsonl"))}
    assert list(found) == [
        *("epochs-energy", "epochs-co2", "power", "certainty", "component", "stage", "metric-0", "forecast-0"),
    ]
    assert found["forecast-0"].rows[0] == ("33%", "100 mWh", "50 mWh", "200 mWh", "100 mWh")
    assert "in the end" in found["forecast-0"].text


def test_several_runs_stand_side_by_side_and_ranks_have_their_own() -> None:
    found = {each.id: each for each in charts(load(folder()))}
    assert {"runs-energy", "runs-co2", "ranks"} <= found.keys()
    assert [row[:3] for row in found["ranks"].rows] == [("training job", "0", "host0"), ("training job", "1", "host1")]
    assert len(found["epochs-energy"].legend) == 4


@pytest.mark.parametrize("logs", ["good", "hostile"])
def test_each_chart_has_a_table_and_a_valid_specification(logs: str) -> None:
    runs = load(folder() if logs == "good" else hostile())
    for each in charts(runs):
        assert each.rows, each.id
        assert {len(row) for row in each.rows} == {len(each.head)}
        assert specification(each.chart, each.height, PAGE)["config"]


def test_nothing_has_no_charts() -> None:
    assert charts(Runs()) == []
