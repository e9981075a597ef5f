"""Faults in the lines of one session: each line must follow the one before it by its number and its hash."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from eco2ai_callbacks.runlog.hashing import LINK_DIGITS, is_link
from eco2ai_callbacks.runlog.shapes import Mark
from eco2ai_callbacks.runlog.sums import RECENT, Sums

# The wall clock is a label that may be corrected by so much between two lines.
_CLOCKS = timedelta(seconds=2)


@dataclass(frozen=True, slots=True)
class Fault:
    """A place where the log differs from what its writers wrote.

    Args:
        kind: ``changed``, ``removed``, ``inserted`` or ``swapped``; ``elsewhere`` where other lines of the session
            stand in a file that was not read, or are gone: no alteration of this file.
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


# The fields that the checks of a chain and its sums read.
_CHECKED = (
    *("writer", "seq", "prev", "event", "run", "rank", "start", "seconds", "joules", "energy_kwh", "co2_kg"),
    *("stage", "epoch", "attempt", "epoch_total", "total", "carried", "continues"),
)


@dataclass(slots=True, eq=False)
class Found:
    """A record's fields, the hash of its line, and its position: file, line, number among all records."""

    file: Path
    number: int
    place: int
    values: Mapping[str, Any]
    hash: str

    @property
    def writer(self) -> str:
        """The session that wrote it."""
        return self.values["writer"]  # type: ignore[no-any-return]

    @property
    def seq(self) -> int:
        """Its number within its session."""
        return self.values["seq"]  # type: ignore[no-any-return]

    @property
    def prev(self) -> str | None:
        """The hash of its session's line before it."""
        return self.values.get("prev")

    @property
    def event(self) -> str:
        """Its event."""
        return self.values["event"]  # type: ignore[no-any-return]

    def small(self) -> Found:
        """Return it with the fields alone that the checks of a chain read: many of them must fit in memory."""
        values = {name: self.values[name] for name in _CHECKED if name in self.values}
        return Found(self.file, self.number, self.place, values, self.hash)

    def fault(self, kind: str, why: str, seq: int | None = None) -> Fault:
        """Return a fault at this line, for this record or for the one of its session that ``seq`` names."""
        return Fault(kind, self.file, self.number, why, self.writer, self.seq if seq is None else seq)


@dataclass(frozen=True, slots=True)
class Torn:
    """A line that was cut off before its end."""

    file: Path
    number: int
    text: str


class Chain:
    """The lines of one session as they are read, in constant memory: whether each follows from the one before."""

    __slots__ = ("_next", "_sums", "ended", "file", "hash", "seq")

    def __init__(self) -> None:
        self._next = 0
        self._sums = Sums(RECENT)
        self.ended: bool = False
        self.seq: int = -1
        self.hash: str | None = None
        self.file: Path | None = None

    def is_behind(self, line: Found) -> bool:
        """Return whether a line may be a copy of an earlier one in another file."""
        return line.seq < self._next and line.file != self.file

    def follows(self, line: Found) -> bool:
        """Take the session's next line; return whether nothing is wrong with it, as far as this line shows.

        After one that does not follow, all of the session must be checked by :func:`chain_faults`.
        """
        values = line.values
        seq, event = values["seq"], values["event"]
        good = not self.ended and seq == self._next and is_link(values.get("prev"), self.hash)
        if good and self.hash is None:
            good = event == "start"
        good = good and not self._sums.faults(values, follows=True)
        if seq >= self._next:
            self.seq, self._next, self.hash, self.file = seq, seq + 1, line.hash, line.file
            self.ended = event == "stop"
        return good

    def is_next(self, mark: Mark, file: Path) -> bool:
        """Return whether :meth:`follows` would take a mark and find nothing wrong with it; nothing is taken."""
        if self.ended or file is not self.file or mark.seq != self._next or self.hash is None:
            return False
        return mark.prev == self.hash[:LINK_DIGITS] and self._sums.are_next(mark)

    def take(self, mark: Mark, digest: str) -> None:
        """Take a mark of which :meth:`is_next` is true, and the hash of its line."""
        self.seq, self._next, self.hash = mark.seq, mark.seq + 1, digest
        self._sums.take(mark)


def without_copies(lines: Iterable[Found]) -> list[Found]:
    """Return the lines of one session without those that another file holds too, as a backup of a log does."""
    first: dict[tuple[int, str], Path] = {}
    return [line for line in lines if first.setdefault((line.seq, line.hash), line.file) == line.file]


def chain_faults(lines: Sequence[Found], torn: Sequence[Torn], began: Mapping[Path, datetime]) -> Iterator[Fault]:
    """Return the faults in the lines of one session, which are given in the order of the files.

    Args:
        lines: All lines of one writer.
        torn: All lines of the log that were cut off before their end.
        began: When the first line of each file was written; absent where that is not known.
    """
    chain, inserted = _ordered(lines)
    for line in inserted:
        yield line.fault("inserted", "its session has another line of this number")
    least: dict[Path, int] = {}
    for line in sorted(chain, key=lambda line: line.place, reverse=True):
        lowest = least.setdefault(line.file, line.seq)
        if lowest < line.seq:
            yield line.fault("swapped", f"it stands before record {lowest} of its session")
        least[line.file] = min(lowest, line.seq)
    earlier: dict[str, None] = {}
    before: Found | None = None
    sums = Sums()
    for place, line in enumerate(chain):
        later = chain[place + 1] if place + 1 < len(chain) else None
        fault = _link_fault(before, earlier, line, later, torn, began)
        if fault is not None:
            yield fault
            if fault.kind == "inserted" and before:
                continue
        for why in sums.faults(line.values, follows=fault is None):
            yield line.fault("changed", why)
        earlier[line.hash] = earlier[line.hash[:LINK_DIGITS]] = None
        before = line


def _ordered(lines: Sequence[Found]) -> tuple[list[Found], list[Found]]:
    """Return the lines of a writer in the order of their numbers, and the duplicates that fit the chain less well."""
    by_seq: dict[int, list[Found]] = {}
    for line in lines:
        by_seq.setdefault(line.seq, []).append(line)
    followed = {line.prev for line in lines}
    chain: list[Found] = []
    others: list[Found] = []
    for _, rivals in sorted(by_seq.items()):
        best = max(rivals, key=lambda line: line.hash in followed or line.hash[:LINK_DIGITS] in followed)
        chain.append(best)
        others += [line for line in rivals if line is not best]
    return chain, others


def _link_fault(
    before: Found | None,
    earlier: Container[str | None],
    line: Found,
    later: Found | None,
    torn: Sequence[Torn],
    began: Mapping[Path, datetime],
) -> Fault | None:
    """Return the fault between a line and the one before it, and no other's, so that one fault causes no others.

    Args:
        before: The line before it in its session.
        earlier: Hashes of all lines before it in its session, and their first digits.
        line: The line.
        later: The next line of its session.
        torn: As for :func:`chain_faults`.
        began: As for :func:`chain_faults`.
    """
    if before is None:
        if line.seq > 0:
            if line.prev is not None and _may_begin_elsewhere(line, began.get(line.file)):
                return line.fault("elsewhere", f"{_records(0, line.seq)} of its session not in this file", 0)
            return line.fault("removed", f"{_records(0, line.seq)} of its session missing before it", 0)
        begins = line.prev is None and line.event == "start"
        return None if begins else line.fault("inserted", "no session begins like this")
    if before.event == "stop":
        return line.fault("inserted", "its session had ended before")
    missing = before.seq + 1
    if line.seq > missing:
        for cut in torn:
            between = cut.file == before.file == line.file and before.number < cut.number < line.number
            if between and f'"writer":"{line.writer}"' in cut.text:
                return Fault("changed", cut.file, cut.number, "it is no longer whole", line.writer, missing)
        if before.file != line.file:
            return line.fault("elsewhere", f"{_records(missing, line.seq)} of its session not in these files", missing)
        return line.fault("removed", f"{_records(missing, line.seq)} of its session missing before it", missing)
    if is_link(line.prev, before.hash):
        return None
    if later is not None and is_link(later.prev, before.hash):
        return line.fault("inserted", "the next line of its session follows from the one before it")
    if line.prev is None or line.prev in earlier:
        return line.fault("inserted", "it does not follow from the line before it in its session")
    doubt = "" if later else ", or that line, the last of its session, was added"
    return before.fault("changed", f"line {line.number} holds another hash of it{doubt}")


def written_at(values: Mapping[str, Any], ended: bool) -> datetime | None:
    """Return when a record's segment began or ended, by the wall clock; ``None`` where the record has no such label."""
    try:
        label = datetime.fromisoformat(values.get("start") or "")
        seconds = float(values.get("seconds") or 0.0) if ended else 0.0
        return (label if label.tzinfo else label.replace(tzinfo=UTC)) + timedelta(seconds=seconds)
    except (ValueError, OverflowError):
        return None


def _may_begin_elsewhere(line: Found, began: datetime | None) -> bool:
    """Return whether the lines before this one may have been written before its file began, as in a renamed log.

    The line before it was not written before this one's segment began.
    """
    segment = written_at(line.values, ended=False)
    return began is None or segment is None or segment - began <= _CLOCKS


def _records(first: int, end: int) -> str:
    return f"record {first}" if end == first + 1 else f"records {first} to {end - 1}"
