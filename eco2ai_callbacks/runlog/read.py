"""The records of the run log: all that are whole, file by file in the order in which they were written."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from eco2ai_callbacks.record import Record
from eco2ai_callbacks.runlog.hashing import line_hash
from eco2ai_callbacks.runlog.paths import files_of
from eco2ai_callbacks.runlog.restore import Restorer
from eco2ai_callbacks.runlog.tally import Tally
from eco2ai_callbacks.runlog.validate import is_checked, is_record
from eco2ai_callbacks.usage import Usage

# Bytes of a line that are read. A record has a few kilobytes; a file without any newline must not fill the memory.
LONGEST = 16 * 2**20


@dataclass(frozen=True, slots=True)
class Line:
    """A record and the line that it was read from.

    Args:
        record: The record, with what earlier lines of its writer state.
        hash: Hash of the line.
        unknown: Fields that no line of the writer has stated so far, because its first line was not read: they have
            their default value.
    """

    record: Record
    hash: str
    unknown: tuple[str, ...] = ()


def lines(path: Path) -> Iterator[Line]:
    """Return every record of the log and of its writers' own files; torn and foreign lines are skipped.

    Args:
        path: The log.

    Raises:
        OSError: A file exists and cannot be read.
    """
    said = Restorer()
    for data, values in _written(path):
        record = said.record(values)
        yield Line(record, line_hash(data), said.unknown(record.writer))


def segments(path: Path) -> Iterator[Record]:
    """Return every record of the log as :func:`lines` does, without what it says of its epoch and its run so far.

    That is enough for who adds records up, and faster; see :class:`.Restorer`.

    Args:
        path: The log.

    Raises:
        OSError: A file exists and cannot be read.
    """
    said = Restorer(so_far=False)
    for _, values in _written(path):
        yield said.record(values)


def _written(path: Path) -> Iterator[tuple[bytes, dict[str, Any]]]:
    """Return each line of the log that is a record, with its fields."""
    for file in files_of(path):
        for _, data in raw_lines(file):
            text = data.decode("utf-8", "replace")
            values = as_written(text)
            if is_record(values) and (is_checked(values) or is_record(values := parsed(text))):
                yield data, values


def raw_lines(file: Path) -> Iterator[tuple[int, bytes]]:
    """Return the lines of a file with their numbers from 1, without their newlines, and no more than 16 MiB of each.

    Raises:
        OSError: The file cannot be read.
    """
    with file.open("rb") as raw:
        number = 0
        while data := raw.readline(LONGEST):
            number += 1
            yield number, data.removesuffix(b"\n")
            while len(data) == LONGEST and not data.endswith(b"\n"):
                data = raw.readline(LONGEST)


def records(path: Path) -> list[Record]:
    """Return the records of the log; see :func:`lines`."""
    return [line.record for line in lines(path)]


def parsed(text: str) -> Any:
    """Return a line's JSON value; ``None`` where the line is not JSON."""
    try:
        return _DECODER.decode(text)
    except (ValueError, RecursionError):
        return None


def as_written(text: str) -> Any:
    """Return a line's JSON value as :func:`parsed` does, faster; a number beyond all floats becomes infinity."""
    try:
        value, end = _SCAN(text, 0)
    except (StopIteration, ValueError, RecursionError):
        # It may begin with a space.
        return _decoded(text)
    return value if end == len(text) else _decoded(text)


def _decoded(text: str) -> Any:
    try:
        return _FAST.decode(text)
    except (ValueError, RecursionError):
        return None


def total(found: Iterable[Record]) -> Usage:
    """Return the sum of records. Energy that was carried over has the channel ``carried``."""
    tally = Tally()
    for record in found:
        tally.add(
            record.writer, record.event, record.seconds, record.joules, record.co2_kg, record.cost, record.carried
        )
    return tally.usage


def _refuse(constant: str) -> NoReturn:
    raise ValueError(constant)  # NaN and infinity are not JSON


def _finite(text: str) -> float:
    value = float(text)
    return value if math.isfinite(value) else _refuse(text)


# Made once: `json.loads` with arguments makes a decoder at each call.
_DECODER = json.JSONDecoder(parse_constant=_refuse, parse_float=_finite)
# Without a hook for floats the decoder runs in C alone.
_FAST = json.JSONDecoder(parse_constant=_refuse)
_SCAN = json.scanner.make_scanner(_FAST)  # type: ignore[attr-defined]
