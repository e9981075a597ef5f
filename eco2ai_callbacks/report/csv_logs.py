"""Other tools' CSV files as records, so that they are counted as run logs are."""

from __future__ import annotations

import contextlib
import csv
import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

from eco2ai_callbacks.record import Record
from eco2ai_callbacks.report.fields import text
from eco2ai_callbacks.sinks.csv_form import form_of
from eco2ai_callbacks.sinks.csv_lines import NoCsv, cells, head_of
from eco2ai_callbacks.sinks.csv_read import EmissionRow, read_emissions
from eco2ai_callbacks.usage import JOULES_PER_KWH


@dataclass(frozen=True, slots=True)
class CsvReader:
    """A reader of one tool's CSV files.

    Args:
        name: The tool.
        reads: Returns whether a file is one of its files, from the file's beginning.
        records: Returns the rows of a file as records that add up, from its path.
    """

    name: str
    reads: Callable[[bytes], bool]
    records: Callable[[Path], Iterator[Record]]


def rows(path: Path) -> Iterator[Mapping[str, str]]:
    """Return the rows of a CSV file by the names in its first row; a row of another length is passed over.

    Raises:
        OSError: The file cannot be read.
    """
    names: list[str] = []
    # A cell without an end is longer than the module's own limit.
    with contextlib.suppress(NoCsv):
        for _, found in cells(path):
            if not names:
                names = found
            elif len(found) == len(names):
                yield dict(zip(names, found, strict=True))


# Relative to the sum of the components.
_ROUNDING = 1e-6
# Columns that all of CodeCarbon's files have.
_CODECARBON = frozenset({"run_id", "duration", "emissions", "energy_consumed"})


def is_codecarbon(head: bytes) -> bool:
    """Return whether a file is one of CodeCarbon's, by the names in its first row."""
    text = head.decode("utf-8-sig", "replace").replace("\0", "")
    try:
        names = next(csv.reader(islice(text.splitlines(), 1)), [])
    except csv.Error:
        return False
    return set(names) >= _CODECARBON


def codecarbon(path: Path) -> Iterator[Record]:
    """Return the runs of CodeCarbon's ``emissions.csv``, one record each, and those of its files of tasks.

    Rows of one run hold what it used so far, so its last one counts; a row of a task holds what that task used. Energy
    is IT energy times the PUE there (``pue``), and ``emissions`` follow from it. ``timestamp`` is when the row was
    written (CodeCarbon 3.3.2, ``emissions_tracker.py``, ``output_methods/file.py`` and ``emissions_data.py``).
    """
    last: dict[str, Mapping[str, str]] = {}
    for row in rows(path):
        name = text(row.get("run_id")) or _digest("CodeCarbon", row.values())
        last[f"{name}/{len(last)}" if row.get("task_name") else name] = row
    for writer, row in last.items():
        yield _of_codecarbon(writer, row)


def _of_codecarbon(writer: str, row: Mapping[str, str]) -> Record:
    pue = _number(row, "pue") or 1.0
    energies = {part: _number(row, f"{part}_energy") for part in ("cpu", "gpu", "ram")}
    joules = {part: kwh / pue * JOULES_PER_KWH for part, kwh in energies.items() if kwh}
    total = _number(row, "energy_consumed")
    rest = 0.0 if total is None else total / pue * JOULES_PER_KWH - sum(joules.values())
    # Less is rounding of the sum.
    if rest > _ROUNDING * sum(joules.values()) or (total is not None and not joules):
        joules["other" if joules else "all"] = rest
    co2, seconds = _number(row, "emissions"), _number(row, "duration") or 0.0
    place = row.get("region") or row.get("country_name") or ""
    return Record(
        run=writer.partition("/")[0],
        writer=f"codecarbon:{writer}"[:200],
        event="stop",
        project=row.get("project_name", ""),
        description=row.get("task_name") or row.get("experiment_id", ""),
        host=row.get("os", ""),
        start=_before(row.get("timestamp", ""), seconds),
        seconds=seconds,
        joules=joules,
        method=dict.fromkeys(joules, "codecarbon"),
        co2_kg=co2,
        pue=pue,
        intensity=_stated("CodeCarbon", row.get("country_iso_code", ""), place, co2, joules, pue),
        ended="finished",
        version=f"CodeCarbon {row.get('codecarbon_version', '')}".strip(),
    )


def eco2ai(path: Path) -> Iterator[Record]:
    """Return the rows of a CSV of eco2AI as records, in any of its forms of 10 to 13 columns.

    The rows of one ``id`` are one run; files without that column have a run in each row. Energy includes the data
    centre's overhead, which the file does not state, so it counts as it is.
    """
    found = read_emissions(path, to_the_end=False)
    ids = [row.id or _digest(row.project_name or "eco2AI", _texts(row)) for row in found.rows]
    ends = {name: place for place, name in enumerate(ids)}
    numbers: dict[str, int] = {}
    for place, (name, row) in enumerate(zip(ids, found.rows, strict=True)):
        seq = numbers[name] = numbers.get(name, -1) + 1
        epoch = _EPOCH.match(row.epoch or "")
        event = "stop" if ends[name] == place else "stage" if epoch is None else "epoch"
        joules = {"all": row.energy_kwh * JOULES_PER_KWH} if row.energy_kwh and row.energy_kwh > 0 else {}
        co2 = row.co2_kg if row.co2_kg is not None and row.co2_kg >= 0 else None
        where = row.place or ""
        yield Record(
            run=name,
            writer=f"eco2ai:{name}"[:200],
            seq=seq,
            event=event,
            epoch=None if epoch is None else int(epoch[1]),
            stage="other" if epoch is None else "train",
            project=row.project_name or "",
            description=row.experiment_description or "",
            host=row.system or "",
            start=row.start_time or "",
            seconds=max(0.0, row.duration_s or 0.0),
            joules=joules,
            method=dict.fromkeys(joules, "eco2ai"),
            co2_kg=co2,
            cost=row.cost,
            metrics=None if epoch is None else _logged(row.epoch or ""),
            intensity=_stated("eco2AI", where.partition("/")[0], where, co2, joules, 1.0),
            ended="finished" if event == "stop" else None,
            version="eco2AI",
        )


# How eco2AI writes an epoch with what was saved for it: `epoch: 3, loss: 0.5, `.
_EPOCH = re.compile(r"epoch: (\d{1,12}),?")
_LOGGED = re.compile(r"(?:^|, )([^,:]{1,200}): ([-+.\deE]{1,40})(?=,|$)")


def _logged(cell: str) -> Mapping[str, float]:
    found: dict[str, float] = {}
    for name, value in _LOGGED.findall(cell):
        with contextlib.suppress(ValueError):
            found[name] = float(value)
    found.pop("epoch", None)
    return found


def _texts(row: EmissionRow) -> Iterator[str]:
    return (str(getattr(row, each.name)) for each in fields(row) if each.name != "line")


def _digest(prefix: str, values: Iterable[str]) -> str:
    """Return an id for a row without one: the same for a copy of it, another for another row."""
    content = "\0".join(values).encode("utf-8", "replace")
    return f"{text(prefix)}-{hashlib.sha256(content).hexdigest()[:12]}"


def _stated(
    dataset: str, region: str, name: str, co2: float | None, joules: Mapping[str, float], pue: float
) -> dict[str, Any]:
    energy = sum(joules.values()) / JOULES_PER_KWH
    factor = 1000 * co2 / energy / pue if co2 is not None and energy else None
    return {"region": region, "name": name, "dataset": dataset, "kind": "unstated", "g_per_kwh": factor}


def _before(label: str, seconds: float) -> str:
    """Return the label of a time some seconds earlier; the same where it is none."""
    try:
        return (datetime.fromisoformat(label) - timedelta(seconds=seconds)).isoformat(timespec="seconds")
    except (ValueError, OverflowError):
        return label


def _number(row: Mapping[str, str], name: str) -> float | None:
    try:
        found = float(row.get(name) or "nan")
    except ValueError:
        return None
    return found if 0 <= found < float("inf") else None


# Further tools add their reader here.
READERS: tuple[CsvReader, ...] = (
    CsvReader("CodeCarbon", is_codecarbon, codecarbon),
    CsvReader("eco2AI", lambda head: form_of(head) is not None, eco2ai),
)


def reader_of(path: Path, readers: Iterable[CsvReader] = READERS) -> CsvReader | None:
    """Return the reader of a CSV file by the names of its columns; ``None`` where none reads it.

    Raises:
        OSError: The file cannot be read.
    """
    head = head_of(path)
    return next((reader for reader in readers if reader.reads(head)), None)
