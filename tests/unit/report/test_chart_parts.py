"""What charts have in common."""

from __future__ import annotations

import pytest

pytest.importorskip("altair")

from eco2ai_callbacks.report import chart_parts as parts
from eco2ai_callbacks.report.runs import Run


def test_a_column_is_in_the_unit_of_its_largest_figure() -> None:
    rows, unit = parts.in_unit([{"a": 2000.0, "b": 1.0}, {"a": 4.0}], "Wh", "a", "b")
    assert (rows, unit) == ([{"a": 2.0, "b": 0.001}, {"a": 0.004}], "kWh")
    bars = [{"run": "r", "a": 600.0}, {"run": "r", "a": 600.0}, {"run": "s", "a": 1.0}]
    assert parts.in_unit(bars, "Wh", "a", of="run")[1] == "kWh"
    assert parts.in_unit(bars, "Wh", "a")[1] == "Wh"


def test_what_has_a_colour_has_it_in_all_charts() -> None:
    assert dict(parts.legend_of(["gpu", "ram"]))["gpu"] == dict(parts.legend_of(["cpu", "gpu"]))["gpu"]
    colours = dict(parts.legend_of(["cpu", "tpu", "npu"]))
    assert len(set(colours.values())) == 3
    assert len(parts.legend_of([str(n) for n in range(30)])) == 30


def test_one_run_needs_no_legend() -> None:
    assert parts.legend_of_runs([Run("a")], {"a": "A"}) == ()
    assert [name for name, _ in parts.legend_of_runs([Run("a"), Run("b")], {"a": "A", "b": "B"})] == ["A", "B"]


def test_a_table_is_cut() -> None:
    assert len(parts.table_of([("a",)] * 1000)) == parts.MOST_ROWS
