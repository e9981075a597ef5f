"""Write a CSV with eco2AI's columns, for tools that read it."""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eco2ai_callbacks.host.machine import Host
from eco2ai_callbacks.record import Record
from eco2ai_callbacks.settings import Settings
from eco2ai_callbacks.sinks.csv_append import Line, append
from eco2ai_callbacks.sinks.csv_cells import NONE, cpu_cell, epoch_cell, gpu_cell, os_cell
from eco2ai_callbacks.sinks.csv_form import COLUMNS, Row


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
    path = settings.csv_file
    return None if path is None else CsvFile(path.absolute(), cpu_cell(host, settings.cpu_tdp_w))


class CsvFile:
    """A CSV with one row per epoch of training and a last row for everything else; the rows add up to the run.

    Several processes may write to one file. It has one header, and every row is whole. A file of an older eco2AI is
    continued in its own form. A file that is none of eco2AI's is left alone: the rows go beside it, under another name.

    Args:
        path: The file; rows are appended.
        cpu: What rows say of the processor.
        place: Returns what rows say of the place, from the carbon intensity of a record.
        epochs_only: Whether the last row is left out, so that what no epoch has used is in the run log alone.
        line: Returns the line of a row, from its values by column.
        name: Name that failures begin with.
    """

    def __init__(
        self,
        path: Path,
        cpu: str = "",
        *,
        place: Callable[[Mapping[str, Any]], str] = lambda intensity: intensity.get("name") or NONE,
        epochs_only: bool = False,
        line: Callable[[Mapping[str, object]], Line] = Row,
        name: str = "CSV file",
    ) -> None:
        self._path = path
        self._cpu = cpu
        self._place = place
        self._epochs_only = epochs_only
        self._line = line
        self.name = name
        self._gpu = gpu_cell(())
        self._epoch = _Sum()
        self._rest = _Sum()

    def write(self, record: Record) -> None:
        """Add a record to the sums, and write a row at the end of an epoch and of the run.

        Raises:
            OSError: The file cannot be written; the sums of the row go into the next one.
        """
        if record.event == "start":
            self._gpu = gpu_cell(record.sources or ())
        if not record.adds:
            return
        (self._epoch if record.stage == "train" else self._rest).add(record)
        if record.event == "epoch":
            self._row(record, epoch_cell(record.epoch, record.metrics), self._epoch)
            self._epoch = _Sum()
        elif record.event == "stop" and not self._epochs_only:
            self._row(record, NONE, _both(self._rest, self._epoch))

    def close(self) -> None:
        """Do nothing: the file is open only while a row is written."""

    def _row(self, record: Record, epoch: str, row: _Sum) -> None:
        values = (
            record.run,
            record.project,
            record.description,
            epoch,
            row.start.replace("T", " ")[:19],
            row.seconds,
            _shown(row.energy_kwh),
            _shown(row.co2_kg),
            self._cpu or NONE,
            self._gpu,
            os_cell(platform.system()),
            self._place(record.intensity or {}),
            # As eco2AI writes it without a price: one that is unknown would leave its sums without a value.
            row.cost or 0.0,
        )
        self._path = append(self._path, self._line(dict(zip(COLUMNS, values, strict=True))))


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


def _shown(value: float | None) -> float | str:
    return NONE if value is None else value
