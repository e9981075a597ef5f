"""Verification of the run log: recomputes every chain and every total, and names the first line that was altered.

Every line holds the hash of its writer's line before it and, with ``ECO2AI_LOG_KEY`` set, a keyed hash (HMAC) of its
own. What each detects:

* Without a key, damage: lines that were changed, removed, swapped or added. A forgery that recomputes hashes and totals
  of all following lines (or of a whole session) is not detected; it needs no secret.
* With the key, such a forgery too: a line's HMAC cannot be computed without the key.
* Neither detects that the last lines of a session without ``stop``, or all lines of a session, are missing, unless a
  later session names them in ``continues``: a log whose writer was killed looks the same.
"""

from __future__ import annotations

import hmac
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from eco2ai_callbacks.record import Record
from eco2ai_callbacks.runlog.chain_check import Fault, Found, Torn, chain_faults
from eco2ai_callbacks.runlog.hashing import canonical, line_hash, line_hmac
from eco2ai_callbacks.runlog.paths import files_of
from eco2ai_callbacks.runlog.read import parsed, total
from eco2ai_callbacks.runlog.resume import inheriting_rank, is_finished
from eco2ai_callbacks.runlog.sums import all_same, figures, same
from eco2ai_callbacks.runlog.validate import is_record
from eco2ai_callbacks.usage import Usage, kwh

# Start of every record's line.
_FIRST_KEY = '{"schema":'


@dataclass(frozen=True, slots=True)
class CheckedRun:
    """One run in the log.

    Args:
        id: The run's id.
        state: ``finished``, ``unfinished`` (no ``stop``: interrupted, or still running) or ``altered``.
        usage: Sum of its lines, recomputed.
    """

    id: str
    state: str
    usage: Usage


@dataclass(frozen=True, slots=True)
class Verdict:
    """The result of :func:`verify`.

    Args:
        files: The files that were read.
        records: Number of records in them.
        keyed: Whether HMACs were recomputed.
        faults: The alterations, in the order of files and lines.
        torn: File and number of the lines that a crash or a full disk cut off: no alterations.
        runs: All runs.
    """

    files: tuple[Path, ...]
    records: int
    keyed: bool
    faults: tuple[Fault, ...]
    torn: tuple[tuple[Path, int], ...]
    runs: tuple[CheckedRun, ...]

    @property
    def whole(self) -> bool:
        """Whether nothing was altered; there may still be runs without ``stop`` and torn lines."""
        return not self.faults

    @property
    def first(self) -> Fault | None:
        """The first line that was altered."""
        return self.faults[0] if self.faults else None


def verify(path: Path, key: str | None = None) -> Verdict:
    """Check the log and the writers' own files beside it.

    Args:
        path: The log.
        key: Value of ``ECO2AI_LOG_KEY`` when the log was written; without it HMACs are not checked.

    Raises:
        OSError: A file exists and cannot be read.

    Example:
        >>> verdict = verify(Path("eco2ai.jsonl"))  # doctest: +SKIP
        >>> verdict.whole, verdict.first  # doctest: +SKIP
        (True, None)
    """
    files = files_of(path)
    found: list[Found] = []
    faults: list[Fault] = []
    torn: list[Torn] = []
    for file in files:
        for number, text in _texts(file):
            values = parsed(text)
            if is_record(values):
                record = Record.from_dict(values)
                found.append(Found(file, number, len(found), text, values, record, line_hash(text)))
            elif _is_torn(text):
                torn.append(Torn(file, number, text))
            else:
                faults.append(Fault("inserted", file, number, "it is no record"))
    for line in found:
        faults += _own_faults(line, key)
    writers = _grouped(found, lambda line: line.record.writer)
    for lines in writers.values():
        faults += chain_faults(lines, torn)
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
        torn=tuple((cut.file, cut.number) for cut in torn),
        runs=tuple(_checked(run, [line.record for line in lines], altered) for run, lines in runs.items()),
    )


# --- lines ----------------------------------------------------------------------------------------------------------


def _texts(file: Path) -> Iterator[tuple[int, str]]:
    with file.open("rb") as raw:
        for number, data in enumerate(raw, 1):
            # Bytes that are not UTF-8 stay distinct, and change the hash.
            text = data.removesuffix(b"\n").decode("utf-8", "backslashreplace")
            if text:
                yield number, text


def _is_torn(text: str) -> bool:
    """Return whether a text is a record that was cut off; after a loss of power zeros may replace its rest."""
    text = text.rstrip("\0")
    return parsed(text) is None and (text.startswith(_FIRST_KEY) or _FIRST_KEY.startswith(text))


def _grouped(found: Iterable[Found], by: Callable[[Found], str]) -> dict[str, list[Found]]:
    groups: dict[str, list[Found]] = {}
    for line in found:
        groups.setdefault(by(line), []).append(line)
    return groups


# --- a line by itself -----------------------------------------------------------------------------------------------


def _own_faults(line: Found, key: str | None) -> Iterator[Fault]:
    record = line.record
    if key and record.hmac is None:
        yield line.fault("changed", "it carries no HMAC, though a key is given")
    elif key and not hmac.compare_digest(str(record.hmac).encode(), line_hmac(line.values, key).encode()):
        yield line.fault("changed", "its HMAC is not that of its content")
    if canonical(line.values) != line.text:
        yield line.fault("changed", "it is not spelt as it was written")
    energy = kwh(math.fsum(record.joules.values())) if record.joules else None
    if not same(record.energy_kwh, energy):
        yield line.fault("changed", f"energy_kwh is {record.energy_kwh}, its joules are {energy}")


# --- the sessions of one run ----------------------------------------------------------------------------------------


def _continuation_faults(lines: Sequence[Found], writers: Mapping[str, Sequence[Found]]) -> Iterator[Fault]:
    for place, line in enumerate(lines):
        record = line.record
        if record.event != "start" or record.total is None:
            continue
        if record.continues:
            yield from _link_to(line, writers.get(record.continues["writer"], ()), record.continues)
        # Each rank continues its own usage; the first one also continues that of ranks that no longer exist.
        earlier = [o for o in lines[:place] if inheriting_rank(o.record.rank, record.world_size) == record.rank]
        # Where sessions overlap or have files of their own, the lines before this one are not known.
        alone = {line.file} == {other.file for other in lines}
        over = {other.record.writer for other in earlier}.isdisjoint(other.record.writer for other in lines[place:])
        if alone and over and (record.continues or not earlier):
            usage = total([*(other.record for other in earlier), record])
            if not all_same(figures(record.total), (usage.energy_kwh, usage.co2_kg, usage.seconds)):
                kind = "removed" if earlier else "changed"
                yield line.fault(kind, "its total is not what the lines of the run before it add up to")


def _link_to(line: Found, continued: Sequence[Found], link: Mapping[str, str]) -> Iterator[Fault]:
    if not continued:
        yield line.fault("removed", f"the session that it continues, {link['writer']}, is missing")
    elif not any(other.hash == link["hash"] for other in continued):
        last = max(continued, key=lambda other: other.record.seq)
        if last.record.event == "stop":
            yield last.fault("changed", f"line {line.number} holds another hash of it")
        else:
            yield line.fault(
                "removed", f"the last lines of the session that it continues, {link['writer']}, are missing"
            )


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
