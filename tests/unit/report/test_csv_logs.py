"""Other tools' CSV files as records."""

from __future__ import annotations

from pathlib import Path

import pytest
from report_logs import training

from eco2ai_callbacks.report.csv_logs import codecarbon, reader_of, rows
from eco2ai_callbacks.report.load import load
from eco2ai_callbacks.sinks.csv_form import COLUMNS, Form

# Columns and the values of one run as CodeCarbon 3.0.4 writes them (codecarbon/output_methods/emissions_data.py).
HEAD = (
    "timestamp,project_name,run_id,experiment_id,duration,emissions,emissions_rate,cpu_power,gpu_power,ram_power,"
    "cpu_energy,gpu_energy,ram_energy,energy_consumed,country_name,country_iso_code,region,codecarbon_version,pue"
)
RUN = "2026-01-01T10:00:00,demo,run-1,e,{0},{1},0.1,40,200,20,{2},{3},{4},{5},France,FRA,brittany,3.0.4,1.0"


def write(*lines: str) -> Path:
    path = Path("emissions.csv")
    path.write_text("\n".join([HEAD, *lines]) + "\n")
    return path


def test_the_last_row_of_a_run_is_the_run() -> None:
    path = write(RUN.format(10, 0.01, 0.1, 0.2, 0.1, 0.4), RUN.format(20, 0.02, 0.2, 0.5, 0.1, 0.8))
    (record,) = codecarbon(path)
    assert (record.run, record.project, record.seconds, record.co2_kg) == ("run-1", "demo", 20.0, 0.02)
    assert {name: joules / 3.6e6 for name, joules in record.joules.items()} == {"cpu": 0.2, "gpu": 0.5, "ram": 0.1}
    (run,) = load(path)
    assert run.energy_kwh == pytest.approx(0.8)
    assert run.factors[0].g_per_kwh == pytest.approx(25.0)
    assert run.versions == ("CodeCarbon 3.0.4",)
    assert run.sum.energy_band_kwh is None


def test_energy_with_an_overhead_is_divided_by_it() -> None:
    path = write(RUN.format(10, 0.01, 0.2, "", "", 0.2).replace("3.0.4,1.0", "3.0.4,2.0"))
    (record,) = codecarbon(path)
    assert record.joules == {"cpu": pytest.approx(0.1 * 3.6e6)}
    assert record.pue == 2.0


def test_a_run_that_states_its_energy_alone_has_it() -> None:
    (record,) = codecarbon(write(RUN.format(10, 0.01, "", "", "", 0.4)))
    assert record.joules == {"all": 0.4 * 3.6e6}


@pytest.mark.parametrize("odd", ["nan", "-1", "inf", "=1+1", "many"])
def test_what_is_no_number_is_absent(odd: str) -> None:
    (record,) = codecarbon(write(RUN.format(odd, odd, odd, odd, odd, odd)))
    assert (record.seconds, record.co2_kg, record.joules) == (0.0, None, {})


def test_a_file_of_no_tool_has_no_reader() -> None:
    path = Path("notes.csv")
    for text in ("", "a,b\n1,2\n", '"' + "x" * 100_000, "\0\0\0"):
        path.write_text(text)
        assert reader_of(path) is None
    assert reader_of(write()) is not None


def test_damaged_rows_are_passed_over() -> None:
    path = write("short,row", RUN.format(1, 1, 1, 1, 1, 1) + ",more", RUN.format(2, 1, 1, 1, 1, 3), '"' + "x" * 2**21)
    assert [row["duration"] for row in rows(path)] == ["2"]
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"demo", b"d\xff\0mo"))
    (record,) = codecarbon(path)
    assert record.project == "d�mo"


def test_a_row_that_was_written_at_the_end_began_before() -> None:
    (record,) = codecarbon(write(RUN.format(10, 0.01, 0.1, 0.2, 0.1, 0.4)))
    assert record.start == "2026-01-01T09:59:50"


def test_rows_of_tasks_add_up() -> None:
    # The columns of TaskEmissionsData, CodeCarbon 3.3.2: no PUE, and each row holds one task.
    path = Path("tasks.csv")
    head = HEAD.replace(",pue", "").replace("timestamp,", "task_name,timestamp,").replace("experiment_id,", "")
    row = RUN.replace(",1.0", "").replace(",e,", ",").format(10, 0.01, 0.1, 0.2, 0.1, 0.4)
    path.write_text("\n".join([head, f"load,{row}", f"train,{row}"]) + "\n")
    (run,) = load(path)
    assert (run.id, run.seconds) == ("run-1", 20.0)
    assert run.energy_kwh == pytest.approx(0.8)


# --- eco2AI ----------------------------------------------------------------------------------------------------------

EPOCH = "epoch: 1, loss: 0.5, lr: 1e-3, "
VALUES: dict[str, object] = {
    **dict(zip(COLUMNS, ("a1", "demo", "two\nlines", EPOCH, "2026-01-01 10:00:00"), strict=False)),
    **{"duration(s)": 2.5, "power_consumption(kWh)": 0.5, "CO2_emissions(kg)": 0.2, "cost": 0.25},
    **{"CPU_name": "CPU", "GPU_name": " 0 device(s)", "OS": "Linux", "region/country": "US/California"},
}


@pytest.mark.parametrize("number", [13, 12, 11, 10])
@pytest.mark.parametrize("sheet", [False, True], ids=["as written", "saved by a spreadsheet"])
def test_each_form_of_eco2ai_is_read(number: int, sheet: bool) -> None:
    lacks = {13: (), 12: ("cost",), 11: ("epoch", "cost"), 10: ("id", "epoch", "cost")}[number]
    columns = tuple(name for name in COLUMNS if name not in lacks)
    form = Form(columns, ";", "\r\n", ",", True) if sheet else Form(columns)
    path = Path("emission.csv")
    other = VALUES | {"epoch": "N/A", "start_time": "2026-01-01 10:00:02"}
    path.write_bytes(b"\xef\xbb\xbf" * sheet + form.header() + form.row(VALUES) + form.row(other))
    reader = reader_of(path)
    assert reader is not None
    assert reader.name == "eco2AI"
    runs = load(path)
    assert len(runs) == (2 if number == 10 else 1)
    assert (runs.sum.seconds, runs.sum.energy_kwh, runs.sum.co2_kg) == (5.0, 1.0, 0.4)
    assert runs.sum.cost == (0.5 if number == 13 else None)
    assert {run.project for run in runs} == {"demo"}
    assert {run.states for run in runs} == {("finished",)}
    assert runs[0].factors[0].g_per_kwh == 400.0
    if number > 11:
        (epoch,) = runs[0].epochs
        assert (epoch.epoch, epoch.energy_kwh, dict(epoch.metrics)) == (1, 0.5, {"loss": 0.5, "lr": 1e-3})


def test_a_run_with_a_run_log_counts_once_whatever_comes_first() -> None:
    Path("logs").mkdir()
    path = Path("logs/a.csv")
    written = training(Path("logs/eco2ai.jsonl"), "a1", 1)
    assert written.guard.failures == ()
    alone = load("logs/eco2ai.jsonl").sum
    path.write_bytes(Form().header() + Form().row(VALUES) + Form().row(VALUES | {"id": "b2"}))
    for given in (["logs"], ["logs/a.csv", "logs/eco2ai.jsonl"]):
        runs = load(given)
        assert runs["a1"].sum == alone
        assert runs["b2"].energy_kwh == 0.5
        assert runs.copies == 1
    # A table that stands there twice.
    Path("logs/b.csv").write_bytes(path.read_bytes())
    runs = load("logs")
    assert (runs["a1"].sum, runs["b2"].energy_kwh, runs.copies) == (alone, 0.5, 3)


def test_what_is_damaged_in_a_file_of_eco2ai_costs_itself_alone() -> None:
    path = Path("emission.csv")
    odd = VALUES | {"id": "odd", "power_consumption(kWh)": -1.0, "CO2_emissions(kg)": "nan", "epoch": "epoch: x"}
    row = Form().row(VALUES)
    path.write_bytes(Form().header() + b"short,row\n" + row + Form().row(odd) + b'"' + b"x" * (10 * 2**20))
    runs = load(path)
    assert [run.id for run in runs] == ["a1", "odd"]
    assert (runs["odd"].energy_kwh, runs["odd"].co2_kg) == (None, None)


def test_rows_without_an_id_are_told_apart_by_what_they_hold() -> None:
    form = Form(tuple(name for name in COLUMNS if name not in ("id", "epoch", "cost")))
    for folder, seconds in (("a", 1.0), ("b", 2.0), ("c", 2.0)):
        Path(folder).mkdir()
        Path(folder, "emission.csv").write_bytes(form.header() + form.row(VALUES | {"duration(s)": seconds}))
    runs = load(["a", "b", "c"])
    assert sorted(run.seconds for run in runs) == [1.0, 2.0]
    assert runs.copies == 1


@pytest.mark.parametrize("head", [HEAD.encode() + b"\n", Form().header()], ids=["CodeCarbon", "eco2AI"])
def test_a_file_with_its_header_alone_has_no_run_and_is_no_other_tools(head: bytes) -> None:
    Path("a.csv").write_bytes(head)
    runs = load("a.csv")
    assert (len(runs), runs.foreign) == (0, ())
