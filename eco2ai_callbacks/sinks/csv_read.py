"""Read a CSV of any version of eco2AI, or what a spreadsheet has made of one."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from eco2ai_callbacks.errors import SettingsError
from eco2ai_callbacks.sinks.csv_cells import NONE
from eco2ai_callbacks.sinks.csv_form import COLUMNS, Form, form_of
from eco2ai_callbacks.sinks.csv_lines import NoCsv, cells, head_of

# Which versions of eco2AI wrote a number of columns.
_WRITERS = {10: "0.1 and 0.2", 11: "0.3 before epochs", 12: "0.3 before costs", 13: "0.3"}


@dataclass(frozen=True, slots=True, kw_only=True)
class EmissionRow:
    """One row of a CSV of eco2AI; what a file does not hold, or holds as ``N/A``, is ``None``.

    Args:
        line: Number of the row's first line in the file, from 1 for the header.
        id: Id of the run; rows of one training share it.
        project_name: Name of the project.
        experiment_description: Description of the experiment.
        epoch: The epoch with what was saved for it, as ``epoch: 3, loss: 0.5, ``.
        start_time: Local time at which the row begins, as ``2026-01-01 10:00:00``.
        duration_s: Seconds.
        energy_kwh: Kilowatt-hours, with the data centre's overhead (PUE).
        co2_kg: Kilograms of CO2e.
        cpu: What the row says of the processor.
        gpu: What the row says of the GPUs.
        system: Operating system.
        place: What the row says of the place.
        cost: Money.
    """

    line: int
    id: str | None
    project_name: str | None
    experiment_description: str | None
    epoch: str | None
    start_time: str | None
    duration_s: float | None
    energy_kwh: float | None
    co2_kg: float | None
    cpu: str | None
    gpu: str | None
    system: str | None
    place: str | None
    cost: float | None


@dataclass(frozen=True, slots=True)
class EmissionsFile:
    """A CSV of eco2AI.

    Args:
        path: The file.
        form: Its form.
        rows: Its whole rows, in the order of the file.
        torn: Numbers of the lines that are no whole row, as a crash or a full disk leaves one.
    """

    path: Path
    form: Form
    rows: tuple[EmissionRow, ...]
    torn: tuple[int, ...] = ()

    @property
    def what(self) -> str:
        """What the file is, in words: ``CSV of eco2AI 0.3, 13 columns``."""
        count = len(self.form.columns)
        version = f" {_WRITERS[count]}" if count in _WRITERS else ""
        saved = "" if self.form.is_original else ", as a spreadsheet has saved it"
        return f"CSV of eco2AI{version}, {count} columns{saved}"


# The fields of a row by the columns of a file, in their order.
_TEXTS = {
    "id": "id",
    "project_name": "project_name",
    "experiment_description": "experiment_description",
    "epoch": "epoch",
    "start_time": "start_time",
    "cpu": "CPU_name",
    "gpu": "GPU_name",
    "system": "OS",
    "place": "region/country",
}
_NUMBERS = {
    "duration_s": "duration(s)",
    "energy_kwh": "power_consumption(kWh)",
    "co2_kg": "CO2_emissions(kg)",
    "cost": "cost",
}


def read_emissions(path: Path, *, to_the_end: bool = True) -> EmissionsFile:
    """Return the rows of a CSV of eco2AI, in any of its forms of 10 to 13 columns.

    Args:
        path: The file.
        to_the_end: Whether a line that is none of a CSV is an error; otherwise it is torn, and the last one.

    Raises:
        OSError: It cannot be read.
        SettingsError: It is no CSV of eco2AI, or a line of it is none of a CSV.
    """
    form = form_of(head_of(path))
    if form is None:
        raise SettingsError(
            f"{str(path)!r} is no CSV of eco2AI; accepted is a file with its columns, such as {', '.join(COLUMNS[1:7])}"
        )
    rows: list[EmissionRow] = []
    torn: list[int] = []
    lines = iter(cells(path, form.delimiter))
    try:
        next(lines, None)
        for line, found in lines:
            row = _row(line, found, form)
            if row is None:
                torn.append(line)
            else:
                rows.append(row)
    except NoCsv as error:
        if to_the_end:
            raise SettingsError(f"line {error.line} of {str(path)!r} is no line of a CSV: {error.reason}.") from None
        torn.append(error.line)
    return EmissionsFile(path, form, tuple(rows), tuple(torn))


def _row(line: int, cells: list[str], form: Form) -> EmissionRow | None:
    """Return a row; ``None`` where it is not whole."""
    if len(cells) != len(form.columns):
        return None
    found = dict(zip(form.columns, cells, strict=True))
    texts = {field: _text(found.get(column)) for field, column in _TEXTS.items()}
    try:
        numbers = {field: _number(found.get(column), form.decimal) for field, column in _NUMBERS.items()}
    except ValueError:
        return None
    return EmissionRow(
        line=line,
        id=texts["id"],
        project_name=texts["project_name"],
        experiment_description=texts["experiment_description"],
        epoch=texts["epoch"],
        start_time=texts["start_time"],
        cpu=texts["cpu"],
        gpu=texts["gpu"],
        system=texts["system"],
        place=texts["place"],
        duration_s=numbers["duration_s"],
        energy_kwh=numbers["energy_kwh"],
        co2_kg=numbers["co2_kg"],
        cost=numbers["cost"],
    )


def _text(cell: str | None) -> str | None:
    return None if cell is None or cell in ("", NONE) else cell


def _number(cell: str | None, decimal: str) -> float | None:
    """Return the number of a cell; ``None`` where it holds none.

    Raises:
        ValueError: It holds something else.
    """
    if _text(cell) is None or cell is None:
        return None
    value = float(cell.replace(decimal, "."))
    return value if math.isfinite(value) else None
