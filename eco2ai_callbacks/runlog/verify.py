"""Whether the run log is whole: recomputes every chain and every total, and names the first line that does not fit.

Every line carries the hash of the line before it from the same writer, and with ``ECO2AI_LOG_KEY`` set a keyed hash
(HMAC) of its own. What each finds:

* Without a key, damage: lines that were changed, dropped, swapped or added. One forgery passes, that of somebody who
  computes hashes and totals anew for all that follows (or for a whole session); this needs no secret.
* With the key that too, for nobody without it can make a line's HMAC.
* Neither finds that the last lines of a session without ``stop``, or all lines of a session, are gone, unless a later
  session names them in ``continues``: so looks a log whose writer was killed.
"""

from __future__ import annotations

import hmac
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from eco2ai_callbacks.record import Record
from eco2ai_callbacks.runlog.chain import canonical, line_hash, line_hmac
from eco2ai_callbacks.runlog.form import is_record
from eco2ai_callbacks.runlog.place import files_of
from eco2ai_callbacks.runlog.read import parsed, total
from eco2ai_callbacks.runlog.resume import is_finished
from eco2ai_callbacks.usage import Usage, kwh

# Sums of the same numbers in another order differ by less.
_TOLERANCE = 1e-9
_FIRST_KEY = '{"schema":'


@dataclass(frozen=True, slots=True)
class Fault:
    """A place where the log is not what its writers wrote.

    Args:
        kind: ``changed``, ``removed``, ``inserted`` or ``swapped``.
        file: The file.
        line: Number of the line in the file, from 1; of what was removed, that of the line behind.
        why: How that shows, as one clause.
        writer: The session that the line belongs to; ``None`` where it is no record.
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
class CheckedRun:
    """What the log says of one run.

    Args:
        id: The run's id.
        state: ``finished``, ``unfinished`` (no ``stop``: interrupted, or still running) or ``altered``.
        usage: What its lines add up to, recomputed.
    """

    id: str
    state: str
    usage: Usage


@dataclass(frozen=True, slots=True)
class Verdict:
    """What :func:`verify` found.

    Args:
        files: The files that were read.
        records: Number of records in them.
        keyed: Whether HMACs were recomputed.
        faults: What was altered, in the order of files and lines.
        torn: Ends of lines that a crash or a full disk cut off: no alteration.
        runs: Every run.
    """

    files: tuple[Path, ...]
    records: int
    keyed: bool
    faults: tuple[Fault, ...]
    torn: tuple[tuple[Path, int], ...]
    runs: tuple[CheckedRun, ...]

    @property
    def whole(self) -> bool:
        """Whether nothing was altered; runs without ``stop`` and torn lines are none the less possible."""
        return not self.faults

    @property
    def first(self) -> Fault | None:
        """The first line that was altered."""
        return self.faults[0] if self.faults else None


def verify(path: Path, key: str | None = None) -> Verdict:
    """Check the log and the writers' own files beside it.

    Args:
        path: The log.
        key: What ``ECO2AI_LOG_KEY`` held when it was written; without it HMACs are not looked at.

    Raises:
        OSError: A file is there and cannot be read.

    Example:
        >>> verdict = verify(Path("eco2ai.jsonl"))
        >>> verdict.whole, verdict.first
        (True, None)
    """
    files = files_of(path)
    found: list[_Found] = []
    faults: list[Fault] = []
    torn: list[tuple[Path, int]] = []
    for file in files:
        for number, text in _texts(file):
            line = _found(file, number, text)
            if line is not None:
                found.append(line)
            elif _is_torn(text):
                torn.append((file, number))
            else:
                faults.append(Fault("inserted", file, number, "it is no record"))
    for line in found:
        faults += _own_faults(line, key)
    writers = _grouped(found, lambda line: line.record.writer)
    for lines in writers.values():
        faults += _chain_faults(lines)
    runs = _grouped(found, lambda line: line.record.run)
    for lines in runs.values():
        faults += _continuation_faults(lines, writers)
    faults = _first_of_each_line(faults, files)
    altered = {fault.writer for fault in faults}
    return Verdict(
        files=tuple(files),
        records=len(found),
        keyed=bool(key),
        faults=tuple(faults),
        torn=tuple(torn),
        runs=tuple(_checked(run, [line.record for line in lines], altered) for run, lines in runs.items()),
    )


# --- lines ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Found:
    """A record, the text that it was read from and where that stands."""

    file: Path
    number: int
    text: str
    values: Mapping[str, object]
    record: Record
    hash: str

    def fault(self, kind: str, why: str, seq: int | None = None) -> Fault:
        record = self.record
        return Fault(kind, self.file, self.number, why, record.writer, record.seq if seq is None else seq)


def _texts(file: Path) -> Iterator[tuple[int, str]]:
    with file.open("rb") as raw:
        for number, data in enumerate(raw, 1):
            # What is no UTF-8 stays told apart, and makes the hash another one.
            text = data.removesuffix(b"\n").decode("utf-8", "backslashreplace")
            if text:
                yield number, text


def _found(file: Path, number: int, text: str) -> _Found | None:
    values = parsed(text)
    return _Found(file, number, text, values, Record.from_dict(values), line_hash(text)) if is_record(values) else None


def _is_torn(text: str) -> bool:
    """Whether this is how a line begins that was cut off; after a loss of power zeros may stand for the rest."""
    text = text.rstrip("\0")
    return parsed(text) is None and (text.startswith(_FIRST_KEY) or _FIRST_KEY.startswith(text))


def _grouped(found: Iterable[_Found], by: Callable[[_Found], str]) -> dict[str, list[_Found]]:
    groups: dict[str, list[_Found]] = {}
    for line in found:
        groups.setdefault(by(line), []).append(line)
    return groups


# --- a line by itself -----------------------------------------------------------------------------------------------


def _own_faults(line: _Found, key: str | None) -> Iterator[Fault]:
    record = line.record
    if key and record.hmac is None:
        yield line.fault("changed", "it carries no HMAC, though a key is given")
    elif key and not hmac.compare_digest(str(record.hmac), line_hmac(line.values, key)):
        yield line.fault("changed", "its HMAC is not that of its content")
    if canonical(line.values) != line.text:
        yield line.fault("changed", "it is not spelt as it was written")
    energy = kwh(math.fsum(record.joules.values())) if record.joules else None
    if not _same(record.energy_kwh, energy):
        yield line.fault("changed", f"energy_kwh is {record.energy_kwh}, its joules are {energy}")


def _same(one: float | None, other: float | None) -> bool:
    if one is None or other is None:
        return one is other
    return math.isclose(one, other, rel_tol=_TOLERANCE, abs_tol=1e-15)


# --- the lines of one writer ----------------------------------------------------------------------------------------


def _chain_faults(lines: Sequence[_Found]) -> Iterator[Fault]:
    """What does not follow from the line before, with each pair of lines judged by itself: one fault causes no others."""
    chain, inserted = _ordered(lines)
    for line in inserted:
        yield line.fault("inserted", "its session has another line of this number")
    later = -1
    for line in reversed([line for line in lines if line not in inserted]):
        if -1 < later < line.record.seq:
            yield line.fault("swapped", f"it stands before record {later} of its session")
        later = line.record.seq if later < 0 else min(later, line.record.seq)
    before: _Found | None = None
    sums = _Sums()
    for place, line in enumerate(chain):
        after = chain[place + 1] if place + 1 < len(chain) else None
        broken = list(_link_faults(before, line, after))
        yield from broken
        yield from sums.faults(line, follows=not broken)
        if not any(fault.kind == "inserted" for fault in broken):
            before = line


def _ordered(lines: Sequence[_Found]) -> tuple[list[_Found], list[_Found]]:
    """The lines of a writer by their numbers, and those whose number another line has that fits better."""
    by_seq: dict[int, list[_Found]] = {}
    for line in lines:
        by_seq.setdefault(line.record.seq, []).append(line)
    followed = {line.record.prev for line in lines}
    chain = [max(same, key=lambda line: line.hash in followed) for _, same in sorted(by_seq.items())]
    return chain, [line for line in lines if not any(line is kept for kept in chain)]


def _link_faults(before: _Found | None, line: _Found, after: _Found | None) -> Iterator[Fault]:
    record = line.record
    if before is None:
        if record.seq > 0:
            yield line.fault("removed", f"records 0 to {record.seq - 1} of its session are missing before it", 0)
        elif record.prev is not None or record.event != "start":
            yield line.fault("inserted", "no session begins like this")
        return
    if before.record.event == "stop":
        yield line.fault("inserted", "its session had ended before")
        return
    missing = before.record.seq + 1
    if record.seq > missing:
        which = f"record {missing}" if record.seq == missing + 1 else f"records {missing} to {record.seq - 1}"
        yield line.fault("removed", f"{which} of its session {'is' if ' to ' not in which else 'are'} missing", missing)
    elif record.prev != before.hash:
        if after is not None and after.record.prev == before.hash:
            yield line.fault("inserted", "the next line of its session follows from the one before it")
        else:
            yield before.fault("changed", f"line {line.number} holds another hash of it")


class _Sums:
    """Recomputes what one writer's records say of the run and of its epochs."""

    def __init__(self) -> None:
        self._total: tuple[float | None, ...] | None = None
        self._epochs: dict[tuple[int | None, int | None], tuple[float | None, ...]] = {}
        self._known = True

    def faults(self, line: _Found, follows: bool) -> Iterator[Fault]:
        """What is wrong with the sums of the writer's next line.

        Args:
            line: The line.
            follows: Whether the line before it is the one that was written before it.
        """
        record = line.record
        own = (record.energy_kwh, record.co2_kg, record.seconds)
        said = _figures(record.total)
        self._known = self._known and follows
        adds = record.adds or record.event == "heartbeat"
        if said is not None and self._total is not None and follows:
            expected = _plus(self._total, own) if adds else self._total
            if not all(map(_same, said, expected)):
                yield line.fault("changed", "its total is not the one before it and what it adds")
        if record.event != "heartbeat":
            self._total = said
        if record.adds and record.stage == "train":
            epoch = (record.epoch, record.attempt)
            self._epochs[epoch] = _plus(self._epochs.get(epoch, (None, None, 0.0)), own)
            said = _figures(record.epoch_total)
            if said is not None and self._known and not all(map(_same, said, self._epochs[epoch])):
                yield line.fault("changed", "its epoch_total is not the sum of the epoch's lines")


def _figures(sums: Mapping[str, float | None] | None) -> tuple[float | None, ...] | None:
    return None if sums is None else (sums.get("energy_kwh"), sums.get("co2_kg"), sums.get("seconds"))


def _plus(one: Iterable[float | None], other: Iterable[float | None]) -> tuple[float | None, ...]:
    return tuple(b if a is None else a if b is None else a + b for a, b in zip(one, other, strict=True))


# --- the sessions of one run ----------------------------------------------------------------------------------------


def _continuation_faults(lines: Sequence[_Found], writers: Mapping[str, Sequence[_Found]]) -> Iterator[Fault]:
    for place, line in enumerate(lines):
        record = line.record
        if record.event != "start" or record.total is None:
            continue
        if record.continues:
            yield from _link_to(line, writers.get(record.continues["writer"], ()), record.continues)
        earlier = lines[:place]
        alone = {line.file} >= {other.file for other in lines}
        ended = {other.record.writer for other in earlier}.isdisjoint(other.record.writer for other in lines[place:])
        if alone and ended:
            usage = total([*(other.record for other in earlier), record])
            if not all(map(_same, _figures(record.total) or (), (usage.energy_kwh, usage.co2_kg, usage.seconds))):
                yield line.fault("removed", "its total is not what the lines of the run before it add up to")


def _link_to(line: _Found, continued: Sequence[_Found], link: Mapping[str, str]) -> Iterator[Fault]:
    if not continued:
        yield line.fault("removed", f"the session that it continues, {link['writer']}, is missing")
    elif not any(other.hash == link["hash"] for other in continued):
        last = max(continued, key=lambda other: other.record.seq)
        if last.record.event == "stop":
            yield last.fault("changed", f"line {line.number} holds another hash of it")
        else:
            yield line.fault("removed", f"the last lines of the session that it continues, {link['writer']}, are missing")


# --- the verdict ----------------------------------------------------------------------------------------------------


def _first_of_each_line(faults: Iterable[Fault], files: Sequence[Path]) -> list[Fault]:
    ordered = sorted(faults, key=lambda fault: (files.index(fault.file), fault.line))
    return list({(fault.file, fault.line): fault for fault in reversed(ordered)}.values())[::-1]


def _checked(run: str, found: Sequence[Record], altered: set[str | None]) -> CheckedRun:
    if any(record.writer in altered for record in found):
        state = "altered"
    else:
        state = "finished" if is_finished(found) else "unfinished"
    return CheckedRun(run, state, total(found))
