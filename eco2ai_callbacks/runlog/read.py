"""The records of the run log: all that are whole, file by file in the order in which they were written."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from eco2ai_callbacks.record import SCHEMA, Record
from eco2ai_callbacks.runlog.hashing import line_hash
from eco2ai_callbacks.runlog.parse import LONGEST, as_written, is_torn, parsed
from eco2ai_callbacks.runlog.paths import files_of
from eco2ai_callbacks.runlog.restore import Restorer
from eco2ai_callbacks.runlog.tally import Tally
from eco2ai_callbacks.runlog.validate import is_checked, is_record, unknown_schema
from eco2ai_callbacks.usage import Usage

# Lines that were passed over, and schemas of such lines: so many of a log are named.
_MOST_NAMED, _MOST_SCHEMAS = 1000, 20


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


@dataclass(slots=True)
class Unread:
    """The lines of a log that have one schema, which this version does not know: no figure of them is read.

    Args:
        schema: The schema.
        line: Number of the first of them in its file.
        lines: How many they are.
    """

    schema: int
    line: int
    lines: int = 1

    def __str__(self) -> str:
        left = "it is left out" if self.lines == 1 else f"it and {self.lines - 1} more are left out"
        known = f"which this version does not know (it reads 1 to {SCHEMA})"
        return f"line {self.line} has schema {self.schema}, {known}: {left}"


@dataclass(slots=True)
class Progress:
    """How far a log was read, and what was passed over.

    Args:
        bytes: Bytes that were read.
        torn: Numbers of the lines that a crash or a full disk cut off, the first thousand.
        unread: Lines of schemas that this version does not know, by schema.
    """

    bytes: int = 0
    torn: list[int] = field(default_factory=list)
    unread: dict[int, Unread] = field(default_factory=dict)

    def pass_over(self, number: int, text: str, values: object) -> None:
        """Take a line that is no record.

        Args:
            number: Its number in its file.
            text: The line.
            values: Its JSON value; ``None`` where it is not JSON.
        """
        schema = unknown_schema(values)
        if schema is not None:
            found = self.unread.get(schema)
            if found is not None:
                found.lines += 1
            elif len(self.unread) < _MOST_SCHEMAS:
                self.unread[schema] = Unread(schema, number)
        elif text and len(self.torn) < _MOST_NAMED and is_torn(text):
            self.torn.append(number)


def lines(path: Path, progress: Progress | None = None) -> Iterator[Line]:
    """Return every record of the log and of its writers' own files; torn and foreign lines are skipped.

    Args:
        path: The log.
        progress: Is told how far the log was read, and what was passed over.

    Raises:
        OSError: A file exists and cannot be read.
    """
    said = Restorer()
    for data, values in _written(path, progress):
        record = said.record(values)
        yield Line(record, line_hash(data), said.unknown(record.writer))


def segments(path: Path, progress: Progress | None = None) -> Iterator[Record]:
    """Return every record of the log as :func:`lines` does, without what it says of its epoch and its run so far.

    That is enough for who adds records up, and faster; see :class:`.Restorer`.

    Args:
        path: The log.
        progress: Is told how far the log was read, and what was passed over.

    Raises:
        OSError: A file exists and cannot be read.
    """
    said = Restorer(so_far=False)
    for _, values in _written(path, progress):
        yield said.record(values)


def _written(path: Path, progress: Progress | None = None) -> Iterator[tuple[bytes, dict[str, Any]]]:
    """Return each line of the log that is a record, with its fields."""
    progress = progress or Progress()
    for file in files_of(path):
        for number, data in raw_lines(file):
            progress.bytes += len(data) + 1
            text = data.decode("utf-8", "replace")
            values = as_written(text)
            if is_record(values) and (is_checked(values) or is_record(values := parsed(text))):
                yield data, values
            else:
                progress.pass_over(number, text, values)


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


def total(found: Iterable[Record]) -> Usage:
    """Return the sum of records. Energy that was carried over has the channel ``carried``."""
    tally = Tally()
    for record in found:
        tally.add(
            record.writer, record.event, record.seconds, record.joules, record.co2_kg, record.cost, record.carried
        )
    return tally.usage
