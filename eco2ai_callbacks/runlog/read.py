"""The records of the run log: all that are whole, file by file in the order in which they were written."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from eco2ai_callbacks.record import Record, counted
from eco2ai_callbacks.runlog.hashing import line_hash
from eco2ai_callbacks.runlog.paths import files_of
from eco2ai_callbacks.runlog.validate import is_record
from eco2ai_callbacks.usage import GRAMS_PER_KG, JOULES_PER_KWH, Usage


@dataclass(frozen=True, slots=True)
class Line:
    """A record and the hash of the line that it was read from."""

    record: Record
    hash: str


def lines(path: Path) -> Iterator[Line]:
    """Return every record of the log and of its writers' own files; torn and foreign lines are skipped.

    Args:
        path: The log.

    Raises:
        OSError: A file exists and cannot be read.
    """
    for file in files_of(path):
        with file.open("rb") as raw:
            for data in raw:
                text = data.decode("utf-8", "replace").removesuffix("\n")
                values = parsed(text)
                if is_record(values):
                    yield Line(Record.from_dict(values), line_hash(text))


def records(path: Path) -> list[Record]:
    """Return the records of the log; see :func:`lines`."""
    return [line.record for line in lines(path)]


def parsed(text: str) -> Any:
    """Return a line's JSON value; ``None`` where the line is not JSON."""
    try:
        return json.loads(text, parse_constant=_refuse, parse_float=_finite)
    except (ValueError, RecursionError):
        return None


def total(found: Iterable[Record]) -> Usage:
    """Return the sum of records. Energy that was carried over has the channel ``carried``."""
    result = Usage()
    for record in counted(found):
        grams = None if record.co2_kg is None else record.co2_kg * GRAMS_PER_KG
        result += Usage(record.seconds, record.joules, grams)
        if record.event == "start" and record.carried:
            result += carried_usage(record.carried)
    return result


def carried_usage(carried: Mapping[str, float | None]) -> Usage:
    """Return the figures that a checkpoint held and the log did not, as usage."""
    energy, co2 = carried.get("energy_kwh"), carried.get("co2_kg")
    return Usage(
        carried.get("seconds") or 0.0,
        {} if energy is None else {"carried": energy * JOULES_PER_KWH},
        None if co2 is None else co2 * GRAMS_PER_KG,
    )


def _refuse(constant: str) -> NoReturn:
    raise ValueError(constant)  # NaN and infinity are not JSON


def _finite(text: str) -> float:
    value = float(text)
    return value if math.isfinite(value) else _refuse(text)
