"""Runs as eco2AI's CSV."""

from __future__ import annotations

from pathlib import Path

import pytest
from report_logs import folder, hostile, training
from sessions import Written

from eco2ai_callbacks.export.forms import FORMS
from eco2ai_callbacks.export.write import export
from eco2ai_callbacks.report.load import load
from eco2ai_callbacks.report.select import selected
from eco2ai_callbacks.sinks.csv_read import EmissionRow, read_emissions

FILE = Path("emission.csv")


def rows(*given: str | Path) -> tuple[EmissionRow, ...]:
    with selected(given) as selection:
        export(selection, FORMS["eco2ai"], output=FILE, force=True)
    found = read_emissions(FILE)
    assert found.torn == ()
    assert len(found.form.columns) == 13
    return found.rows


def test_there_is_a_row_for_each_epoch_and_one_for_the_rest() -> None:
    training(Path("a.jsonl"), "a", 2)
    found = rows("a.jsonl")
    assert [(row.id, row.epoch, row.duration_s) for row in found] == [
        ("a", "epoch: 0, loss: 1.0, lr: 0.1, ", 4.0),
        ("a", "epoch: 1, loss: 0.5, lr: 0.1, ", 4.0),
        ("a", None, 6.0),
    ]
    assert {(row.place, row.project_name, row.cost) for row in found} == {("DE", "demo", 0.0)}


def test_the_rows_add_up_to_the_report_with_the_overhead() -> None:
    folder()
    Written(Path("logs/carried.jsonl"), "carried", carried={"energy_kwh": 1.0, "co2_kg": 0.5, "seconds": 5.0}).stop()
    found = rows("logs")
    runs = load("logs")
    assert sum(row.energy_kwh or 0.0 for row in found) == pytest.approx(runs.sum.energy_kwh * 1.2)
    assert sum(row.co2_kg or 0.0 for row in found) == pytest.approx(runs.sum.co2_kg)
    # A killed session's last heartbeat is in its last row.
    assert [row.epoch for row in found if row.id == "killed"] == ["epoch: 0", None]


def test_devices_are_named_where_the_log_names_them() -> None:
    devices = [{"index": number, "name": "NVIDIA L4", "uuid": f"GPU-{number}"} for number in range(2)]
    source = {"name": "NVML", "used": True, "reason": "", "methods": None, "covers": [], "devices": devices}
    session = Written(Path("a.jsonl"))
    session._write("start", *started(), sources=(source, {"used": True, "devices": "odd"}, 7))
    session.stop()
    assert rows("a.jsonl")[-1].gpu == "NVIDIA L4 2 device(s)"


def started() -> tuple[object, object]:
    from eco2ai_callbacks.session.stages import Segment
    from eco2ai_callbacks.usage import Usage

    return Usage(), Segment()


def test_no_cell_is_a_formula_and_no_name_breaks_a_row() -> None:
    hostile()
    found = rows("hostile")
    assert len({row.project_name for row in found}) >= 9
    for row in found:
        texts = (row.id, row.project_name, row.experiment_description, row.epoch, row.place)
        assert not any((text or "").startswith(("=", "+", "-", "@")) for text in texts)
        assert "\n" not in "".join(text or "" for text in texts)
