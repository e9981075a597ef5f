"""Earlier usage of a resumed run, from the end of the log: its sum, its epochs' attempts, the writer to continue.

Each record holds the run's total and the attempts of its epochs, so the last record of each rank is all that is needed.
A log is read backwards until they are found, and as a whole only where its records do not suffice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from eco2ai_callbacks.runlog.attempts import latest_attempts
from eco2ai_callbacks.runlog.hashing import canonical, line_hash
from eco2ai_callbacks.runlog.paths import files_of
from eco2ai_callbacks.runlog.read import lines
from eco2ai_callbacks.runlog.tail import lines_from_end, record_in, writer_of
from eco2ai_callbacks.runlog.tally import Tally, carried_usage
from eco2ai_callbacks.usage import GRAMS_PER_KG, Usage, sum_parallel

# Bytes at the end of a log that are always read: sessions of one run that overlap show there, and are summed exactly.
_OVERLAP = 2**20


@dataclass(frozen=True, slots=True)
class PriorUsage:
    """The usage of a run before this session.

    Args:
        usage: Sum of this rank's part.
        attempts: How often each epoch was begun.
        continues: The writer that wrote last, and the hash of its last line.
        job: Sum of all ranks' parts, as far as this log holds them.
    """

    usage: Usage = field(default_factory=Usage)
    attempts: Mapping[int, int] = field(default_factory=dict)
    continues: Mapping[str, str] | None = None
    job: Usage = field(default_factory=Usage)


@dataclass(slots=True)
class _Last:
    """The end of one session: the hash of its last line, and its last record that holds all that it has used."""

    writer: str
    rank: int
    hash: str
    values: Mapping[str, Any] | None = None


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
    ends: dict[int, _Last] | None = {}
    if files == [path]:
        ends = _ends_in(path, run)
    elif path not in files:
        ends = _ends_of(files, run)
    elif files:
        ends = None
    prior = None if ends is None else _prior(ends, rank, world_size)
    return _summed(path, run, rank, world_size) if prior is None else prior


def inheriting_rank(rank: int, world_size: int) -> int:
    """Return the rank that continues a rank's usage: the same one, or the first where there are fewer ranks now."""
    return rank if rank < world_size else 0


# --- the last records -----------------------------------------------------------------------------------------------


def _ends_in(file: Path, run: str) -> dict[int, _Last] | None:
    """Return the end of each rank's last session in one file; ``None`` where sessions of a rank overlap."""
    needle = canonical({"run": run})[1:-1].encode() + b","
    ends: dict[int, _Last] = {}
    by_writer: dict[str, _Last] = {}
    behind: set[str] = set()
    for distance, line in lines_from_end(file, needle):
        if line is None:
            if distance >= _OVERLAP and _is_complete(ends):
                break
            continue
        writer = writer_of(line)
        if writer in behind:
            return None
        last = by_writer.get(writer)
        if last is not None and last.values is not None:
            continue
        values = record_in(line)
        if values is None or values["run"] != run:
            continue
        if last is None:
            last = by_writer[writer] = _Last(writer, values.get("rank", 0), line_hash(line))
            newest = ends.setdefault(last.rank, last)
            if newest is not last:
                # An earlier session of the rank: its last line stands before all of the later one's.
                behind.add(newest.writer)
        if values["event"] not in ("metrics", "forecast"):
            last.values = values
    return ends


def _ends_of(files: Sequence[Path], run: str) -> dict[int, _Last] | None:
    """Return the end of each rank's last session, from files of single writers; ``None`` where it is not clear."""
    found: list[_Last] = []
    continued: set[str] = set()
    for file in files:
        with file.open("rb") as raw:
            first = record_in(raw.readline(2**24).removesuffix(b"\n"))
        if first is None or first["event"] != "start":
            return None
        if first["run"] != run:
            continue
        if first.get("continues"):
            continued.add(first["continues"]["writer"])
        found += (_ends_in(file, run) or {}).values()
    ends: dict[int, _Last] = {}
    for last in found:
        if last.writer not in continued and ends.setdefault(last.rank, last) is not last:
            return None
    return ends


def _is_complete(ends: Mapping[int, _Last]) -> bool:
    """Return whether each rank's last record is known; the first rank continues those beyond its number of ranks."""
    size = _world(ends)
    return size is not None and all(rank in ends and ends[rank].values is not None for rank in range(size))


def _world(ends: Mapping[int, _Last]) -> int | None:
    first = ends[0].values if 0 in ends else None
    return None if first is None else first.get("world_size", 1)


def _prior(ends: Mapping[int, _Last], rank: int, world_size: int) -> PriorUsage | None:
    """Return the usage that the ranks' last records hold; ``None`` where one of them holds too little."""
    size = _world(ends)
    parts = {number: end for number, end in sorted(ends.items()) if size is None or number < size}
    usage: dict[int, Usage] = {}
    attempts: dict[int, int] = {}
    for number, end in parts.items():
        values = end.values
        if values is None or values.get("total") is None or values.get("attempts") is None:
            return None
        usage[number] = _usage_of(values["total"])
        for epoch, attempt in latest_attempts(values["attempts"]).items():
            attempts[epoch] = max(attempts.get(epoch, 0), attempt)
    job = sum_parallel(usage.values())
    mine = [number for number in parts if inheriting_rank(number, world_size) == rank]
    if not mine:
        return PriorUsage(attempts=attempts, job=job)
    own = sum((usage[number] for number in mine[1:]), usage[mine[0]])
    last_one = parts[mine[-1]]
    return PriorUsage(own, attempts, {"writer": last_one.writer, "hash": last_one.hash}, job)


def _usage_of(total: Mapping[str, Any]) -> Usage:
    joules, co2 = total.get("joules"), total.get("co2_kg")
    if joules is None:
        return carried_usage(total)
    return Usage(total.get("seconds") or 0.0, joules, None if co2 is None else co2 * GRAMS_PER_KG, total.get("cost"))


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
            last[record.writer] = line.hash
            if record.continues:
                continued.add(record.continues["writer"])
    job = sum_parallel(tallies[number].usage for number in sorted(tallies))
    if not last:
        return PriorUsage(attempts=attempts, job=job)
    # Writers' own files have no order: the writer that no other continues wrote last.
    ends = [writer for writer in last if writer not in continued] or list(last)
    return PriorUsage(own.usage, attempts, {"writer": ends[-1], "hash": last[ends[-1]]}, job)
