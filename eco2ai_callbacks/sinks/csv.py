"""Write a CSV with eco2AI's columns, for tools that read it."""

from __future__ import annotations

import csv
import io
import platform
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eco2ai_callbacks.host.machine import Host
from eco2ai_callbacks.record import Record
from eco2ai_callbacks.settings import Settings

# The columns of eco2ai 0.3.12, in its order. Its energy includes the data centre's overhead (PUE).
COLUMNS = (
    "id",
    "project_name",
    "experiment_description",
    "epoch",
    "start_time",
    "duration(s)",
    "power_consumption(kWh)",
    "CO2_emissions(kg)",
    "CPU_name",
    "GPU_name",
    "OS",
    "region/country",
    "cost",
)
# What eco2AI writes where there is no value.
_NONE = "N/A"


@dataclass(slots=True)
class _Sum:
    """The sums of a row."""

    start: str = ""
    seconds: float = 0.0
    energy_kwh: float | None = None
    co2_kg: float | None = None
    cost: float | None = None

    def add(self, record: Record) -> None:
        """Add a record."""
        self.start = self.start or record.start
        self.seconds += record.seconds
        energy = None if record.energy_kwh is None else record.energy_kwh * record.pue
        self.energy_kwh = _plus(self.energy_kwh, energy)
        self.co2_kg = _plus(self.co2_kg, record.co2_kg)
        self.cost = _plus(self.cost, record.cost)


def open_csv(settings: Settings, host: Host) -> CsvFile | None:
    """Return the CSV that the setting ``csv_file`` asks for; ``None`` where it asks for none.

    Args:
        settings: The settings in force.
        host: The machine, whose processor is named in each row.
    """
    return None if settings.csv_file is None else CsvFile(settings.csv_file.absolute(), host.cpu_name)


class CsvFile:
    """A CSV with one row per epoch of training and a last row for everything else; the rows add up to the run.

    Args:
        path: The file; rows are appended.
        cpu: The processor's name.
    """

    name = "CSV file"

    def __init__(self, path: Path, cpu: str = "") -> None:
        self._path = path
        self._cpu = cpu
        self._gpu = _NONE
        self._epoch = _Sum()
        self._rest = _Sum()

    def write(self, record: Record) -> None:
        """Add a record to the sums, and write a row at the end of an epoch and of the run.

        Raises:
            OSError: The file cannot be written; the sums of the row go into the next one.
        """
        if record.event == "start":
            self._gpu = _devices(record.sources or ()) or _NONE
        if not record.adds:
            return
        (self._epoch if record.stage == "train" else self._rest).add(record)
        if record.event == "epoch":
            self._row(record, f"epoch: {record.epoch}", self._epoch)
            self._epoch = _Sum()
        elif record.event == "stop":
            self._row(record, _NONE, _both(self._rest, self._epoch))

    def close(self) -> None:
        """Do nothing: the file is open only while a row is written."""

    def _row(self, record: Record, epoch: str, row: _Sum) -> None:
        grid = record.intensity or {}
        values = (
            record.run,
            record.project,
            record.description,
            epoch,
            row.start.replace("T", " ")[:19],
            row.seconds,
            _shown(row.energy_kwh),
            _shown(row.co2_kg),
            self._cpu or _NONE,
            self._gpu,
            platform.system(),
            grid.get("name") or _NONE,
            _shown(row.cost),
        )
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("ab+") as file:
            size = file.seek(0, io.SEEK_END)
            file.seek(max(0, size - 1))
            torn = file.read(1) not in (b"", b"\n")
            rows = [values] if size else [COLUMNS, values]
            file.write(b"\n" * torn + _text(rows))


def _devices(sources: Iterable[Mapping[str, Any]]) -> str:
    """Return number and model of each device that is read, each once: ``0: NVIDIA L4, 1: NVIDIA L4``."""
    devices = [device for source in sources if source["used"] for device in source.get("devices", ())]
    return ", ".join(dict.fromkeys(f"{device['index']}: {device['name']}" for device in devices))


def _text(rows: Iterable[Iterable[object]]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode("utf-8", "backslashreplace")


def _both(one: _Sum, other: _Sum) -> _Sum:
    starts = [s.start for s in (one, other) if s.start]
    return _Sum(
        min(starts, default=""),
        one.seconds + other.seconds,
        _plus(one.energy_kwh, other.energy_kwh),
        _plus(one.co2_kg, other.co2_kg),
        _plus(one.cost, other.cost),
    )


def _plus(one: float | None, other: float | None) -> float | None:
    return (one or 0.0) + other if other is not None else one


def _shown(value: float | None) -> str:
    return _NONE if value is None else repr(value)
