"""Faults in the lines of one session: each line must follow the one before it by its number and its hash."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eco2ai_callbacks.record import Record
from eco2ai_callbacks.runlog.sums import Sums


@dataclass(frozen=True, slots=True)
class Fault:
    """A place where the log differs from what its writers wrote.

    Args:
        kind: ``changed``, ``removed``, ``inserted`` or ``swapped``.
        file: The file.
        line: Number of the line in the file, from 1; for removed lines, that of the next line.
        why: The evidence, as one clause.
        writer: The session that the line belongs to; ``None`` where it is not a record.
        seq: Number of the record within its writer.
    """

    kind: str
    file: Path
    line: int
    why: str
    writer: str | None = None
    seq: int | None = None

    def __str__(self) -> str:
        record = "" if self.writer is None else f" (writer {self.writer}, record {self.seq})"
        return f"{self.file}, line {self.line}{record}: {self.kind}: {self.why}"


@dataclass(frozen=True, slots=True)
class Found:
    """A record, the text that it was read from, and its position: file, line, number among all records."""

    file: Path
    number: int
    place: int
    text: str
    values: Mapping[str, Any]
    record: Record
    hash: str

    def fault(self, kind: str, why: str, seq: int | None = None) -> Fault:
        """Return a fault at this line, for this record or for the one of its session that ``seq`` names."""
        record = self.record
        return Fault(kind, self.file, self.number, why, record.writer, record.seq if seq is None else seq)


@dataclass(frozen=True, slots=True)
class Torn:
    """A line that was cut off before its end."""

    file: Path
    number: int
    text: str


def chain_faults(lines: Sequence[Found], torn: Sequence[Torn]) -> Iterator[Fault]:
    """Return the faults in the lines of one session, which are given in the order of the file.

    Args:
        lines: All lines of one writer.
        torn: All lines of the log that were cut off before their end.
    """
    chain, inserted = _ordered(lines)
    for line in inserted:
        yield line.fault("inserted", "its session has another line of this number")
    least: int | None = None
    for line in sorted(chain, key=lambda line: line.place, reverse=True):
        if least is not None and least < line.record.seq:
            yield line.fault("swapped", f"it stands before record {least} of its session")
        least = line.record.seq if least is None else min(least, line.record.seq)
    before: list[Found] = []
    sums = Sums()
    for place, line in enumerate(chain):
        fault = _link_fault(before, line, chain[place + 1 : place + 2], torn)
        if fault is not None:
            yield fault
            if fault.kind == "inserted" and before:
                continue
        for why in sums.faults(line.record, follows=fault is None):
            yield line.fault("changed", why)
        before.append(line)


def _ordered(lines: Sequence[Found]) -> tuple[list[Found], list[Found]]:
    """Return the lines of a writer in the order of their numbers, and the duplicates that fit the chain less well."""
    by_seq: dict[int, list[Found]] = {}
    for line in lines:
        by_seq.setdefault(line.record.seq, []).append(line)
    followed = {line.record.prev for line in lines}
    chain: list[Found] = []
    others: list[Found] = []
    for _, rivals in sorted(by_seq.items()):
        best = max(rivals, key=lambda line: line.hash in followed)
        chain.append(best)
        others += [line for line in rivals if line is not best]
    return chain, others


def _link_fault(earlier: Sequence[Found], line: Found, later: Sequence[Found], torn: Sequence[Torn]) -> Fault | None:
    """Return the fault between a line and the one before it, and no other's, so that one fault causes no others."""
    record = line.record
    if not earlier:
        if record.seq > 0:
            return line.fault("removed", f"{_records(0, record.seq)} of its session missing before it", 0)
        begins = record.prev is None and record.event == "start"
        return None if begins else line.fault("inserted", "no session begins like this")
    before = earlier[-1]
    if before.record.event == "stop":
        return line.fault("inserted", "its session had ended before")
    missing = before.record.seq + 1
    if record.seq > missing:
        for cut in torn:
            between = cut.file == before.file == line.file and before.number < cut.number < line.number
            if between and f'"writer":"{record.writer}"' in cut.text:
                return Fault("changed", cut.file, cut.number, "it is no longer whole", record.writer, missing)
        return line.fault("removed", f"{_records(missing, record.seq)} of its session missing before it", missing)
    if record.prev == before.hash:
        return None
    if any(next_line.record.prev == before.hash for next_line in later):
        return line.fault("inserted", "the next line of its session follows from the one before it")
    if record.prev is None or any(other.hash == record.prev for other in earlier):
        return line.fault("inserted", "it does not follow from the line before it in its session")
    doubt = "" if later else ", or that line, the last of its session, was added"
    return before.fault("changed", f"line {line.number} holds another hash of it{doubt}")


def _records(first: int, end: int) -> str:
    return f"record {first}" if end == first + 1 else f"records {first} to {end - 1}"
