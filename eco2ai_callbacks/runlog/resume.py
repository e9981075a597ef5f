"""Earlier usage of a resumed run, from the log: its sum, its epochs' attempts, the writer to continue.

Each record holds the run's total and the attempts of its epochs, so the last record of each rank is all that is needed.
:mod:`.ends` finds it without reading the log. A log is read as a whole only where it is short and its records do not
suffice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from eco2ai_callbacks.parallel import sum_parallel
from eco2ai_callbacks.runlog.anchors import MOST_BYTES
from eco2ai_callbacks.runlog.attempts import latest_attempts
from eco2ai_callbacks.runlog.ends import Ends, SessionEnd, ends_in
from eco2ai_callbacks.runlog.hashing import LINK_DIGITS
from eco2ai_callbacks.runlog.paths import files_of
from eco2ai_callbacks.runlog.prior import PriorUsage, inheriting_rank
from eco2ai_callbacks.runlog.read import lines
from eco2ai_callbacks.runlog.tail import record_in
from eco2ai_callbacks.runlog.tally import Tally
from eco2ai_callbacks.usage import Usage


def load_prior(path: Path, run: str, rank: int = 0, world_size: int = 1) -> PriorUsage:
    """Return the usage of a rank's part in a run, from the log; empty where the log holds none.

    Args:
        path: The log.
        run: The run's id.
        rank: Number of the rank.
        world_size: Number of ranks now.

    Raises:
        OSError: A file exists and cannot be read.
    """
    files = files_of(path)
    found = ends_in(path, run) if files == [path] else _ends_of(files, path, run)
    prior = None if found.unclear else _prior(found, rank, world_size)
    if prior is None and sum(file.stat().st_size for file in files) <= MOST_BYTES:
        return replace(_summed(path, run, rank, world_size), note=found.note)
    if prior is None:
        best = _prior(Ends(found.by_rank), rank, world_size) or PriorUsage()
        return replace(best, note=f"the sessions of run {run} overlap or lack totals, and are not all counted")
    return replace(prior, note=found.note)


# --- the last records -----------------------------------------------------------------------------------------------


def _ends_of(files: Sequence[Path], log: Path, run: str) -> Ends:
    """Return the end of each rank's last session, from the log and files of single writers."""
    found: list[SessionEnd] = []
    continued: set[str] = set()
    notes: list[str] = []
    for file in files:
        if file != log:
            with file.open("rb") as raw:
                first = record_in(raw.readline(2**24).removesuffix(b"\n"))
            if first is None or first["event"] != "start":
                return Ends(unclear=True)
            if first["run"] != run:
                continue
            if first.get("continues"):
                continued.add(first["continues"]["writer"])
        ends = ends_in(file, run)
        if ends.unclear:
            return ends
        found += ends.by_rank.values()
        notes += [ends.note] if ends.note else []
    by_rank: dict[int, SessionEnd] = {}
    for end in found:
        if end.writer not in continued and by_rank.setdefault(end.rank, end) is not end:
            return Ends(unclear=True)
    return Ends(by_rank, note=next(iter(notes), None))


def _prior(ends: Ends, rank: int, world_size: int) -> PriorUsage | None:
    """Return the usage that the ranks' last records hold; ``None`` where one of them holds too little."""
    size = ends.by_rank[0].world_size if 0 in ends.by_rank else None
    parts = {number: end for number, end in sorted(ends.by_rank.items()) if size is None or number < size}
    usage: dict[int, Usage] = {}
    attempts: dict[int, int] = {}
    for number, end in parts.items():
        if end.usage is None or end.attempts is None:
            return None
        usage[number] = end.usage
        found = latest_attempts(end.attempts)
        if attempts:
            for epoch, attempt in found.items():
                attempts[epoch] = max(attempts.get(epoch, 0), attempt)
        else:
            attempts = found
    job = sum_parallel(usage.values())
    mine = [number for number in parts if inheriting_rank(number, world_size) == rank]
    if not mine:
        return PriorUsage(attempts=attempts, job=job)
    own = sum((usage[number] for number in mine[1:]), usage[mine[0]])
    last = parts[mine[-1]]
    return PriorUsage(own, attempts, {"writer": last.writer, "hash": last.link}, job)


# --- the sum of all records -----------------------------------------------------------------------------------------


def _summed(path: Path, run: str, rank: int, world_size: int) -> PriorUsage:
    """Return what :func:`load_prior` does, from all records of the run."""
    attempts: dict[int, int] = {}
    tallies: dict[int, Tally] = {}
    own = Tally()
    # The last line of each writer of this rank's part, in their order.
    last: dict[str, str] = {}
    continued: set[str] = set()
    for line in lines(path):
        record = line.record
        if record.run != run:
            continue
        if record.stage == "train" and record.epoch is not None:
            attempts[record.epoch] = max(attempts.get(record.epoch, 0), record.attempt or 1)
        mine = inheriting_rank(record.rank, world_size) == rank
        for tally in (tallies.setdefault(record.rank, Tally()), *((own,) if mine else ())):
            tally.add(
                record.writer, record.event, record.seconds, record.joules, record.co2_kg, record.cost, record.carried
            )
        if mine:
            last.pop(record.writer, None)
            last[record.writer] = line.hash[:LINK_DIGITS]
            if record.continues:
                continued.add(record.continues["writer"])
    job = sum_parallel(tallies[number].usage for number in sorted(tallies))
    if not last:
        return PriorUsage(attempts=attempts, job=job)
    # Writers' own files have no order: the writer that no other continues wrote last.
    ends = [writer for writer in last if writer not in continued] or list(last)
    return PriorUsage(own.usage, attempts, {"writer": ends[-1], "hash": last[ends[-1]]}, job)
