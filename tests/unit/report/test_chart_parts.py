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


@pytest.mark.parametrize(
    ("ends", "form"),
    [
        ("2026-01-01T10:00:26", "%H:%M:%S"),
        ("2026-01-01T10:09:00", "%H:%M:%S"),
        ("2026-01-01T17:00:00", "%H:%M"),
        ("2026-01-02T09:00:00", "%b %d, %H:%M"),
        ("2026-03-01T09:00:00", "%b %d"),
    ],
    ids=["seconds", "minutes", "hours", "days", "months"],
)
def test_the_labels_of_a_time_axis_differ_from_tick_to_tick(ends: str, form: str) -> None:
    assert parts.time_axis("2026-01-01T10:00:00", ends).to_dict()["format"] == form


def test_each_of_a_few_epochs_has_one_tick() -> None:
    assert parts.epoch_axis([{"epoch": 3}, {"epoch": 4}]).to_dict()["values"] == [3, 4]
    assert "values" not in parts.epoch_axis([{"epoch": 0}, {"epoch": 10**9}]).to_dict()


def test_a_single_point_has_no_area() -> None:
    rows = [{"run": "a", "epoch": 0}, {"run": "b", "epoch": 0}, {"run": "b", "epoch": 1}]
    assert parts.alone(rows, "run") == [rows[0]]
    assert parts.alone(rows) == []
    assert parts.alone(rows[:1]) == rows[:1]
