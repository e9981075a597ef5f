from __future__ import annotations

import csv
import os
import platform
from pathlib import Path
from typing import Any

import pytest

from eco2ai_callbacks.meters.discovery import Source
from eco2ai_callbacks.meters.meter import Device
from eco2ai_callbacks.record import Record
from eco2ai_callbacks.settings import Settings
from eco2ai_callbacks.sinks.csv import CsvFile, open_csv
from eco2ai_callbacks.sinks.csv_form import COLUMNS
from eco2ai_callbacks.testing import CLOUD_VM

GRID = {"name": "France", "g_per_kwh": 44.0}
NVML = Source(
    "NVML",
    "used",
    "0: A100 (energy counter, whole device); chosen by auto: visible",
    devices=(
        Device("nvidia", 0, "MIG-a", "A100"),
        Device("nvidia", 0, "MIG-b", "A100"),  # two slices of one board
        Device("nvidia", 1, "GPU-b", "A100"),
    ),
).to_dict()
AMD = Source("ROCm", "used", "", devices=(Device("amd", 0, "c", "MI300X"),)).to_dict()
OFF = AMD | {"used": False, "status": "displaced"}


def record(event: str, stage: str = "train", at: int = 0, **fields: Any) -> Record:
    values = {
        "seconds": 2.0,
        "energy_kwh": 0.5,
        "co2_kg": 0.25,
        "pue": 1.2,
        "cost": 0.125,
        "intensity": GRID,
        "project": "demo",
        "description": "a, b",
        "start": f"2026-01-01T10:00:{at:02d}.000+01:00",
    } | fields
    return Record(run="run", writer="w", event=event, stage=stage, **values)


def start(*sources: dict[str, Any], **fields: Any) -> Record:
    return record(
        "start", "other", seconds=0.0, energy_kwh=None, co2_kg=None, cost=None, sources=sources or None, **fields
    )


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "emission.csv"


def test_its_columns_are_those_of_eco2ai(path: Path):
    CsvFile(path).write(record("epoch", epoch=0))
    header = path.read_text().splitlines()[0]
    assert header == (
        "id,project_name,experiment_description,epoch,start_time,duration(s),power_consumption(kWh),CO2_emissions(kg),"
        "CPU_name,GPU_name,OS,region/country,cost"
    )
    assert tuple(header.split(",")) == COLUMNS


def test_an_epoch_is_a_row_whose_energy_includes_the_overhead(path: Path):
    sink = CsvFile(path, "AMD EPYC")
    sink.write(start(NVML))
    sink.write(record("epoch", epoch=3, at=5))
    assert rows(path) == [
        {
            "id": "run",
            "project_name": "demo",
            "experiment_description": "a, b",
            "epoch": "epoch: 3",
            "start_time": "2026-01-01 10:00:05",
            "duration(s)": "2.0",
            "power_consumption(kWh)": "0.6",
            "CO2_emissions(kg)": "0.25",
            "CPU_name": "AMD EPYC",
            "GPU_name": "A100 2 device(s)",
            "OS": platform.system(),
            "region/country": "France",
            "cost": "0.125",
        }
    ]


def test_the_devices_in_use_are_named(path: Path):
    sink = CsvFile(path)
    sink.write(start(NVML, AMD))
    sink.write(record("epoch", epoch=0))
    sink.close()
    assert rows(path)[0]["GPU_name"] == "A100 2 device(s), MI300X 1 device(s)"


def test_it_is_opened_where_the_settings_ask_for_it(tmp_path: Path):
    assert open_csv(Settings(), CLOUD_VM) is None
    sink = open_csv(Settings(csv_file=Path("emission.csv")), CLOUD_VM)
    assert sink is not None
    sink.write(record("epoch", epoch=0))
    cpu = rows(Path.cwd() / "emission.csv")[0]["CPU_name"]
    assert cpu == f"{CLOUD_VM.cpu_name}/{CLOUD_VM.sockets} device(s), TDP:N/A"


def test_the_marks_of_an_epoch_are_one_row_and_what_lies_beside_another(path: Path):
    sink = CsvFile(path)
    for one in (
        start(),
        record("stage", "other", at=1),
        record("stage", "train", at=3),
        record("stage", "validate", at=5),
        record("epoch", epoch=0, at=7),
        record("epoch", epoch=1, at=9),
        record("stop", "other", at=11),
    ):
        sink.write(one)
    found = rows(path)
    assert [row["epoch"] for row in found] == ["epoch: 0", "epoch: 1", "N/A"]
    assert [row["start_time"][-2:] for row in found] == ["03", "09", "01"]
    assert [row["duration(s)"] for row in found] == ["4.0", "2.0", "6.0"]
    for column, sum_ in (
        ("duration(s)", 12.0),
        ("power_consumption(kWh)", 3.6),
        ("CO2_emissions(kg)", 1.5),
        ("cost", 0.75),
    ):
        assert sum(float(row[column]) for row in found) == pytest.approx(sum_)


def test_an_epoch_that_was_interrupted_is_in_the_last_row(path: Path):
    sink = CsvFile(path)
    sink.write(record("stage", "other", at=1))
    sink.write(record("stop", "train", at=3))
    (row,) = rows(path)
    assert (row["duration(s)"], row["start_time"][-2:]) == ("4.0", "01")


def test_notes_and_heartbeats_add_nothing(path: Path):
    sink = CsvFile(path)
    for event in ("heartbeat", "metrics", "forecast"):
        sink.write(record(event))
    assert not path.exists()
    sink.write(record("stop", "other"))
    assert rows(path)[0]["duration(s)"] == "2.0"


def test_what_was_not_measured_is_not_zero(path: Path):
    sink = CsvFile(path)
    sink.write(start({"name": "NVML", "used": False, "reason": "no driver"}))
    sink.write(record("stage", energy_kwh=None, co2_kg=None, cost=None, intensity=None))
    sink.write(record("epoch", epoch=0, energy_kwh=None, co2_kg=None, cost=None, intensity=None))
    (row,) = rows(path)
    named = ("power_consumption(kWh)", "CO2_emissions(kg)", "CPU_name", "region/country")
    assert {row[name] for name in named} == {"N/A"}
    assert (row["GPU_name"], row["cost"]) == (" 0 device(s)", "0.0")  # eco2AI's summary adds the costs of all rows
    sink.write(record("stage", energy_kwh=None))
    sink.write(record("epoch", epoch=1))
    assert rows(path)[1]["power_consumption(kWh)"] == "0.6"


def test_a_second_run_goes_on_below_the_first(path: Path):
    for _ in range(2):
        CsvFile(path).write(record("epoch", epoch=0))
    assert len(path.read_text().splitlines()) == 3


def test_a_torn_last_row_gets_a_newline_first(path: Path):
    path.write_text(f"{','.join(COLUMNS)}\nrun,de")
    CsvFile(path).write(record("epoch", epoch=0))
    assert path.read_text().splitlines()[1] == "run,de"
    assert path.read_text().splitlines()[2].startswith("run,demo,")


@pytest.mark.parametrize("there", [0, 1, 40, -1], ids=["nothing", "a letter", "a part", "all but its newline"])
def test_a_torn_header_is_completed(path: Path, there: int):
    path.write_text(f"{','.join(COLUMNS)}\n"[:there])
    CsvFile(path).write(record("epoch", epoch=0))
    assert [row["duration(s)"] for row in rows(path)] == ["2.0"]


# As eco2ai 0.1.0 to 0.2.7 write it.
OLD = (
    "project_name,experiment_description(model type etc.),start_time,"
    "duration(s),power_consumption(kWTh),CO2_emissions(kg)"
)
OLD_ROW = "old,an old run,2022-01-01 00:00:00,2.5,0.5,0.1,a CPU,a GPU,Linux,France"


@pytest.mark.parametrize(
    ("written", "last"),
    [
        (
            f"{OLD},CPU_name,GPU_name,OS,country\n".replace(",", "\t"),
            "demo\ta, b\t2026-01-01 10:00:00\t2.0\t0.6\t0.25\tEPYC\t 0 device(s)\t{os}\tFrance\n",
        ),
        (
            f"{OLD},CPU_name,GPU_name,OS,region/country\n{OLD_ROW}\n",
            'demo,"a, b",2026-01-01 10:00:00,2.0,0.6,0.25,EPYC, 0 device(s),{os},France\n',
        ),
        (
            f"{','.join(name for name in COLUMNS if name not in ('epoch', 'cost'))}\n",
            'run,demo,"a, b",2026-01-01 10:00:00,2.0,0.6,0.25,EPYC, 0 device(s),{os},France\n',
        ),
        (
            f"{','.join(COLUMNS[:-1])}\n",
            'run,demo,"a, b",epoch: 0,2026-01-01 10:00:00,2.0,0.6,0.25,EPYC, 0 device(s),{os},France\n',
        ),
        (
            f"{','.join(COLUMNS)}\r\n",
            'run,demo,"a, b",epoch: 0,2026-01-01 10:00:00,2.0,0.6,0.25,EPYC, 0 device(s),{os},France,0.125\r\n',
        ),
        (
            ",".join(f'"{name}"' for name in COLUMNS) + "\n",
            'run,demo,"a, b",epoch: 0,2026-01-01 10:00:00,2.0,0.6,0.25,EPYC, 0 device(s),{os},France,0.125\n',
        ),
    ],
    ids=["10, tabs", "10", "11", "12", "line ends of Windows", "quotes"],
)
def test_a_file_of_eco2ai_is_continued_in_its_own_form(path: Path, written: str, last: str):
    path.write_bytes(written.encode())
    CsvFile(path, "EPYC").write(record("epoch", epoch=0))
    assert path.read_bytes().decode() == written + last.format(os=platform.system())
    assert list(path.parent.iterdir()) == [path]


CODECARBON = "timestamp,project_name,run_id,experiment_id,duration,emissions,emissions_rate,cpu_power\n"


@pytest.mark.parametrize(
    "written",
    [
        CODECARBON.encode(),
        f"{','.join(COLUMNS)},mine\n".encode(),
        f"{','.join(COLUMNS)},cost\n".encode(),
        f"{','.join(COLUMNS)}\n".encode("utf-16"),
        f"\ufeff{','.join(COLUMNS)}\n".encode(),
        f"{';'.join(COLUMNS)}\n".encode(),
        f"{';'.join(COLUMNS)}\r\nold;old;old;N/A;2022;2,5;0,5;0,1;CPU;GPU;Linux;France;0,1\r\n".encode(),
        b"id,project_name\n",
        b"{}\n",
        b"\0\xff\r",
        b"\n",
        b"x" * 2**18,
        b'"' + b"x" * 2**18,
    ],
    ids=[
        "codecarbon",
        "one more",
        "one twice",
        "utf-16",
        "byte order mark",
        "semicolons",
        "semicolons, commas",
        "two",
        "json",
        "binary",
        "blank line",
        "long",
        "long, quoted",
    ],
)
def test_a_file_of_something_else_is_left_alone_and_that_is_said_once(
    path: Path, written: bytes, caplog: pytest.LogCaptureFixture
):
    path.write_bytes(written)
    sink = CsvFile(path)
    for epoch in range(3):
        sink.write(record("epoch", epoch=epoch))
    CsvFile(path).write(record("stop", "other"))
    assert path.read_bytes() == written
    beside = path.with_name("emission.eco2ai.csv")
    assert [row["epoch"] for row in rows(beside)] == ["epoch: 0", "epoch: 1", "epoch: 2", "N/A"]
    said = [f"{path} is no CSV of eco2AI, so the rows go to {beside}"] * 2  # once a run
    assert caplog.messages == said


def test_the_name_beside_may_be_taken_too(path: Path):
    for name in ("emission.csv", "emission.eco2ai.csv", "emission.eco2ai-2.csv"):
        path.with_name(name).write_text(CODECARBON)
    CsvFile(path).write(record("epoch", epoch=0))
    assert len(rows(path.with_name("emission.eco2ai-3.csv"))) == 1


def test_an_empty_file_gets_the_header(path: Path):
    path.touch()
    for _ in range(2):
        CsvFile(path).write(record("epoch", epoch=0))
    assert len(rows(path)) == 2


@pytest.mark.parametrize(("missing", "is_in"), [(10, False), (1, True)])
def test_a_row_of_which_the_disk_takes_a_part_is_written_again(
    path: Path, missing: int, is_in: bool, monkeypatch: pytest.MonkeyPatch
):
    sink = CsvFile(path)
    sink.write(record("epoch", epoch=0))
    write = os.write
    monkeypatch.setattr(os, "write", lambda file, data: write(file, data[:-missing]))
    if is_in:
        sink.write(record("epoch", epoch=1))
    else:
        with pytest.raises(OSError, match="No space left on device"):
            sink.write(record("epoch", epoch=1))
    monkeypatch.setattr(os, "write", write)
    sink.write(record("epoch", epoch=2))
    assert rows(path)[-1]["duration(s)"] == ("2.0" if is_in else "4.0")
    assert len(path.read_text().splitlines()) == 4


def test_the_folder_is_made(tmp_path: Path):
    CsvFile(tmp_path / "a" / "b.csv").write(record("epoch", epoch=0))
    assert len(rows(tmp_path / "a" / "b.csv")) == 1


def test_names_of_any_spelling_are_written(path: Path):
    CsvFile(path, "caf\udce9").write(record("epoch", epoch=0, project="Проект"))
    (row,) = rows(path)
    assert (row["project_name"], row["CPU_name"]) == ("Проект", "caf\\udce9")


def test_the_values_of_an_epoch_are_beside_its_number(path: Path):
    CsvFile(path).write(record("epoch", epoch=3, metrics={"loss": 0.5, "lr": 1e-4}))
    assert rows(path)[0]["epoch"] == "epoch: 3, loss: 0.5, lr: 0.0001, "


def test_a_file_of_epochs_alone_has_no_last_row(path: Path):
    sink = CsvFile(path, place=lambda intensity: f"in {intensity['name']}", epochs_only=True)
    sink.write(record("epoch", epoch=0))
    sink.write(record("stop", "other"))
    assert [(row["epoch"], row["region/country"]) for row in rows(path)] == [("epoch: 0", "in France")]


def test_what_could_not_be_written_goes_into_the_next_row(path: Path):
    path.mkdir()
    sink = CsvFile(path)
    with pytest.raises(IsADirectoryError):
        sink.write(record("epoch", epoch=0, at=1))
    path.rmdir()
    sink.write(record("epoch", epoch=1, at=3))
    (row,) = rows(path)
    assert (row["epoch"], row["duration(s)"], row["start_time"][-2:]) == ("epoch: 1", "4.0", "01")
