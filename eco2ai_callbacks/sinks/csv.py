"""Write a CSV with eco2AI's columns, for tools that read it."""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from eco2ai_callbacks.host.machine import Host
from eco2ai_callbacks.record import Record
from eco2ai_callbacks.settings import Settings
from eco2ai_callbacks.sinks.csv_append import Line, Written, append, holds, replace
from eco2ai_callbacks.sinks.csv_cells import NONE, cpu_cell, epoch_cell, gpu_cell, os_cell
from eco2ai_callbacks.sinks.csv_form import COLUMNS, Row
from eco2ai_callbacks.sinks.csv_sums import Sums


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
        running: Whether the last row is there from the first heartbeat on, and is brought up to date at each.
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
        running: bool = False,
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
        self._epoch = Sums()
        self._rest = Sums()
        self._running = running
        # The row of the run that goes on, where one is written; its sums; and those of rows that are out of reach.
        self._last: Written | None = None
        self._in_last = Sums()
        self._out_of_reach = Sums()

    def write(self, record: Record) -> None:
        """Add a record to the sums, and write a row at the end of an epoch and of the run.

        Raises:
            OSError: The file cannot be written; the sums of the row go into the next one.
        """
        if record.event == "start":
            self._gpu = gpu_cell(record.sources or ())
        if record.event == "heartbeat" and self._running:
            self._update(record, self._rest + self._epoch + Sums.of(record))
        if not record.adds:
            return
        if record.stage == "train":
            self._epoch += Sums.of(record)
        else:
            self._rest += Sums.of(record)
        if record.event == "epoch":
            self._append(record, epoch_cell(record.epoch, record.metrics), self._epoch)
            self._epoch = Sums()
        elif record.event == "stop" and self._running:
            self._update(record, self._rest + self._epoch)
        elif record.event == "stop" and not self._epochs_only:
            self._append(record, NONE, self._rest + self._epoch)

    def close(self) -> None:
        """Do nothing: the file is open only while a row is written."""

    def _append(self, record: Record, epoch: str, row: Sums) -> None:
        self._path = append(self._path, self._line(self._values(record, epoch, row))).path

    def _update(self, record: Record, total: Sums) -> None:
        """Write the row of the run in the place of the one that is there; the rest, where another tool has moved it."""
        if self._last is not None:
            row = total - self._out_of_reach
            written = replace(self._last, Row(self._values(record, NONE, row), fixed=True))
            if written is not None:
                self._last, self._in_last = written, row
                return
            if holds(self._last, record.run.encode()):
                self._out_of_reach += self._in_last
            self._last = None
        row = total - self._out_of_reach
        # Numbers have a fixed width only where another row can follow in the place of this one.
        line = Row(self._values(record, NONE, row), fixed=record.event == "heartbeat")
        self._last, self._in_last = append(self._path, line), row
        self._path = self._last.path

    def _values(self, record: Record, epoch: str, row: Sums) -> Mapping[str, object]:
        """Return a row's values by column."""
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
        return dict(zip(COLUMNS, values, strict=True))


def _shown(value: float | None) -> float | str:
    return NONE if value is None else value
