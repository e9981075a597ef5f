"""Verification of the run log: recomputes every chain and every total, and names the first line that was altered.

Every line holds the hash of its writer's line before it and, with ``ECO2AI_LOG_KEY`` set, a keyed hash (HMAC) of its
own. What each detects:

* Without a key, damage: lines that were changed, removed, swapped or added. A forgery that recomputes hashes and totals
  of all following lines (or of a whole session) is not detected; it needs no secret.
* With the key, such a forgery too: a line's HMAC cannot be computed without the key.
* Neither detects that the last lines of a session without ``stop``, or all lines of a session, are missing, unless a
  later session names them in ``continues``: a log whose writer was killed looks the same.

A log may have been renamed while it was written, so that a session goes on in another file. Several files are read as
one log. Where a session's lines begin in a file that was not given, this is reported apart from alterations.

The files are read once, in memory that grows with the sessions and not with the lines. Only the sessions in which
something does not fit are read again, with all of their lines in memory.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from eco2ai_callbacks.runlog.chain_check import Chain, Fault, Found, Torn, chain_faults, without_copies
from eco2ai_callbacks.runlog.hashing import is_link, line_hash
from eco2ai_callbacks.runlog.line_check import (
    energy_of,
    first_written,
    is_spelt,
    own_faults,
    record_lines,
    record_of,
    text_lines,
)
from eco2ai_callbacks.runlog.parse import as_written, is_torn
from eco2ai_callbacks.runlog.paths import files_of
from eco2ai_callbacks.runlog.read import Progress
from eco2ai_callbacks.runlog.run_check import RunCheck
from eco2ai_callbacks.runlog.shapes import Mark, Shapes
from eco2ai_callbacks.runlog.validate import unknown_schema
from eco2ai_callbacks.runlog.verdict import Verdict, checked_run, first_of_each_line

# A file that begins with so many lines of which none is a record is no run log.
_FOREIGN = 1000
# Last lines of open sessions that are kept until the next line of the session confirms them by its hash.
_UNCONFIRMED = 1000


def verify(path: Path | Iterable[Path], key: str | None = None) -> Verdict:
    """Check the log and the writers' own files beside it, or several logs as one.

    Args:
        path: The log, or several, in any order.
        key: Value of ``ECO2AI_LOG_KEY`` when the log was written; without it HMACs are not checked.

    Raises:
        OSError: A file exists and cannot be read.

    Example:
        >>> verdict = verify(Path("eco2ai.jsonl"))
        >>> verdict.whole, verdict.first
        (True, None)
    """
    paths = [path] if isinstance(path, Path) else list(path)
    files = list({file.resolve(): file for given in paths for file in files_of(given)}.values())
    return _Check(files, key).verdict()


class _Check:
    """One check of files as one log.

    Args:
        files: The files.
        key: Key of the HMACs; ``None`` leaves them unchecked.
    """

    def __init__(self, files: Sequence[Path], key: str | None) -> None:
        self._began = {file: at for file in files if (at := first_written(file)) is not None}
        # In the order in which they were written, so that a session goes on in the next one.
        last = datetime.max.replace(tzinfo=UTC)
        self._files = sorted(files, key=lambda file: self._began.get(file, last)) if len(files) > 1 else list(files)
        self._key = key
        self._records = 0
        self._chains: dict[str, Chain] = {}
        self._runs: dict[str, RunCheck] = {}
        self._shapes = Shapes()
        self._faults: list[Fault] = []
        self._torn: list[Torn] = []
        self._unread: dict[Path, Progress] = {}
        self._foreign: list[Path] = []
        # Sessions to read again, links to a session that are not confirmed, lines that may be copies: by their place.
        self._suspects: set[str] = set()
        self._links: list[Found] = []
        self._copies: set[int] = set()
        self._unconfirmed: dict[str, tuple[Path, int, str]] = {}

    def verdict(self) -> Verdict:
        """Read the files and return what was found."""
        for file in self._files:
            self._read(file)
        for last in self._unconfirmed.values():
            self._check_last(*last)
        elsewhere = list(self._faults_of_suspects())
        partial = {self._run_of(fault.writer) for fault in elsewhere}
        for run, check in self._runs.items():
            if run not in partial:
                self._faults += check.total_faults()
        faults = first_of_each_line(self._faults, self._files)
        altered = {fault.writer for fault in faults}
        return Verdict(
            files=tuple(self._files),
            records=self._records,
            keyed=bool(self._key),
            faults=tuple(faults),
            torn=tuple((cut.file, cut.number) for cut in self._torn),
            runs=tuple(checked_run(run, check, altered, run in partial) for run, check in self._runs.items()),
            elsewhere=tuple(first_of_each_line(elsewhere, self._files)),
            foreign=tuple(self._foreign),
            unread=tuple((file, each) for file, found in self._unread.items() for each in found.unread.values()),
        )

    # --- the one reading -------------------------------------------------------------------------------------------

    def _read(self, file: Path) -> None:
        before = self._records
        strange: list[Fault] = []
        for number, text, data in text_lines(file):
            # With a key each line holds its own HMAC.
            mark = None if self._key else self._shapes.mark(text)
            if mark is not None and self._take_mark(mark, file, number, text, data):
                self._records += 1
                continue
            values = record_of(text)
            if values is not None:
                self._take(Found(file, number, self._records, values, line_hash(data)), text, data)
                self._shapes.learn(values)
                self._records += 1
            elif unknown_schema(as_written(text)) is not None:
                self._unread.setdefault(file, Progress()).pass_over(number, text, as_written(text))
            elif is_torn(text):
                self._torn.append(Torn(file, number, text))
            else:
                strange.append(Fault("inserted", file, number, "it is no record"))
                if len(strange) >= _FOREIGN and self._records == before:
                    break
        if strange and self._records == before and file not in self._unread:
            self._foreign.append(file)
            self._torn = [cut for cut in self._torn if cut.file != file]
        else:
            self._faults += strange

    def _take(self, line: Found, text: str, data: bytes) -> None:
        values = line.values
        writer, event = values["writer"], values["event"]
        chain = self._chains.get(writer)
        if chain is None:
            chain = self._chains[writer] = Chain()
        run = self._runs.get(values["run"])
        if run is None:
            run = self._runs[values["run"]] = RunCheck()
        copy = chain.is_behind(line)
        if copy:
            self._copies.add(line.place)
        if not chain.follows(line):
            self._suspects.add(writer)
        run.add(line, counts=not copy)
        if event == "start" and (link := values.get("continues")):
            continued = self._chains.get(link["writer"])
            if continued is None or not is_link(link["hash"], continued.hash):
                self._links.append(line.small())
        self._faults += own_faults(line, data, self._key)
        # The hash that the next line holds confirms how a line is spelt.
        self._unconfirmed.pop(writer, None)
        if event == "stop":
            self._check_spelling(line, text)
        else:
            self._unconfirmed[writer] = line.file, line.number, text
            if len(self._unconfirmed) > _UNCONFIRMED:
                self._check_last(*self._unconfirmed.pop(next(iter(self._unconfirmed))))

    def _take_mark(self, mark: Mark, file: Path, number: int, text: str, data: bytes) -> bool:
        """Take a line as :meth:`_take` does, where nothing about it is wrong or new; return whether that was so."""
        chain, run = self._chains.get(mark.writer), self._runs.get(mark.run)
        if chain is None or run is None or not chain.is_next(mark, file) or mark.own[0] != energy_of(mark.joules):
            return False
        if not run.take(mark, self._records, file):
            return False
        chain.take(mark, line_hash(data))
        self._unconfirmed[mark.writer] = file, number, text
        return True

    def _check_last(self, file: Path, number: int, text: str) -> None:
        self._check_spelling(Found(file, number, 0, as_written(text), ""), text)

    def _check_spelling(self, line: Found, text: str) -> None:
        if not is_spelt(line.values, text):
            self._faults.append(line.fault("changed", "it is not spelt as it was written"))

    # --- what does not fit -----------------------------------------------------------------------------------------

    def _faults_of_suspects(self) -> Iterator[Fault]:
        """Read the sessions again in which something does not fit; return the faults that are no alterations."""
        lines = self._lines_of(self._suspects | {link.values["continues"]["writer"] for link in self._links})
        for writer in self._suspects:
            for fault in chain_faults(lines[writer], self._torn, self._began):
                if fault.kind == "elsewhere":
                    yield fault
                else:
                    self._faults.append(fault)
        for link in self._links:
            held = _link_fault(link, lines.get(link.values["continues"]["writer"], ()))
            if held is not None and held.kind == "elsewhere":
                yield held
            elif held is not None:
                self._faults.append(held)

    def _lines_of(self, writers: set[str]) -> dict[str, list[Found]]:
        found: dict[str, list[Found]] = {}
        place = 0
        for file in self._files if writers else ():
            if file in self._foreign:
                continue
            for number, text, values, data in record_lines(file):
                if values is None:
                    continue
                if values["writer"] in writers:
                    line = Found(file, number, place, values, line_hash(data))
                    found.setdefault(line.writer, []).append(line.small())
                    self._check_spelling(line, text)
                place += 1
        for writer, lines in found.items():
            found[writer] = kept = without_copies(lines)
            for line in kept:
                if line.place in self._copies:
                    self._runs[line.values["run"]].count(line)
        return found

    def _run_of(self, writer: str | None) -> str:
        return next((run for run, check in self._runs.items() if writer in check.sessions), "")


# --- the sessions of one run ----------------------------------------------------------------------------------------


def _link_fault(line: Found, continued: Sequence[Found]) -> Fault | None:
    """Return the fault in the link from a ``start`` record to the session that it continues."""
    link = line.values["continues"]
    if not continued:
        return line.fault("elsewhere", f"the session that it continues, {link['writer']}, is not in this file")
    if any(is_link(link["hash"], other.hash) for other in continued):
        return None
    last = max(continued, key=lambda other: other.seq)
    if last.event == "stop":
        return last.fault("changed", f"line {line.number} holds another hash of it")
    kind = "removed" if last.file == line.file else "elsewhere"
    return line.fault(kind, f"the last lines of the session that it continues, {link['writer']}, are missing")
