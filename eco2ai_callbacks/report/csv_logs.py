"""Other tools' CSV files as records, so that they are counted as run logs are."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from eco2ai_callbacks.record import Record
from eco2ai_callbacks.report.fields import text
from eco2ai_callbacks.usage import JOULES_PER_KWH

# Bytes at the begin of a file in which its first row of names is looked for.
_HEAD = 2**16


@dataclass(frozen=True, slots=True)
class CsvReader:
    """A reader of one tool's CSV files.

    Args:
        name: The tool.
        columns: Names of columns that all of its files have.
        records: Returns the rows of a file as records that add up, from its path.
    """

    name: str
    columns: frozenset[str]
    records: Callable[[Path], Iterator[Record]]


def rows(path: Path) -> Iterator[Mapping[str, str]]:
    """Return the rows of a CSV file by the names in its first row; a row of another length is passed over.

    Raises:
        OSError: The file cannot be read.
    """
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
        reader = csv.reader(line.replace("\0", "") for line in file)
        try:
            names = next(reader, [])
            for cells in reader:
                if len(cells) == len(names):
                    yield dict(zip(names, cells, strict=True))
        except csv.Error:  # a cell without an end: longer than the module's own limit, 128 KiB
            return


def codecarbon(path: Path) -> Iterator[Record]:
    """Return the runs of CodeCarbon's ``emissions.csv``, one record each.

    Rows of one run hold what it used so far, so its last one counts (CodeCarbon 3, ``output_methods/file.py``). Energy
    is IT energy times the PUE there (``pue``), and ``emissions`` follow from it.
    """
    last: dict[str, Mapping[str, str]] = {}
    for row in rows(path):
        name = text(row.get("run_id")) or f"{path.name}:{len(last)}"
        last[name] = row
    for name, row in last.items():
        pue = _number(row, "pue") or 1.0
        energies = {part: _number(row, f"{part}_energy") for part in ("cpu", "gpu", "ram")}
        joules = {part: kwh / pue * JOULES_PER_KWH for part, kwh in energies.items() if kwh}
        total = _number(row, "energy_consumed")
        if total is not None and not joules:
            joules = {"all": total / pue * JOULES_PER_KWH}
        co2, energy = _number(row, "emissions"), sum(joules.values()) / JOULES_PER_KWH
        place = row.get("region") or row.get("country_name") or ""
        intensity: dict[str, Any] = {
            **{"region": row.get("country_iso_code", ""), "name": place, "dataset": "CodeCarbon", "kind": "unstated"},
            **{"g_per_kwh": 1000 * co2 / energy / pue if co2 is not None and energy else None},
        }
        yield Record(
            run=name,
            writer=f"codecarbon:{name}"[:200],
            event="stop",
            project=row.get("project_name", ""),
            description=row.get("experiment_name", "") or row.get("experiment_id", ""),
            host=row.get("os", ""),
            start=row.get("timestamp", ""),
            seconds=_number(row, "duration") or 0.0,
            joules=joules,
            method=dict.fromkeys(joules, "codecarbon"),
            co2_kg=co2,
            pue=pue,
            intensity=intensity,
            ended="finished",
            version=f"CodeCarbon {row.get('codecarbon_version', '')}".strip(),
        )


def _number(row: Mapping[str, str], name: str) -> float | None:
    try:
        found = float(row.get(name) or "nan")
    except ValueError:
        return None
    return found if 0 <= found < float("inf") else None


# Further tools add their reader here.
READERS: tuple[CsvReader, ...] = (
    CsvReader("CodeCarbon", frozenset({"run_id", "duration", "emissions", "energy_consumed"}), codecarbon),
)


def reader_of(path: Path, readers: Iterable[CsvReader] = READERS) -> CsvReader | None:
    """Return the reader of a CSV file by the names of its columns; ``None`` where none reads it.

    Raises:
        OSError: The file cannot be read.
    """
    with path.open("rb") as raw:
        head = raw.read(_HEAD).decode("utf-8-sig", "replace").replace("\0", "")
    try:
        names = next(csv.reader(islice(head.splitlines(), 1)), [])
    except csv.Error:
        return None
    return next((reader for reader in readers if reader.columns <= set(names)), None)
