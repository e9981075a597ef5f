"""Earlier usage of a resumed run, from the log: its sum, its epochs' attempts, the writer to continue."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from eco2ai_callbacks.record import Record
from eco2ai_callbacks.runlog.read import lines, records, total
from eco2ai_callbacks.usage import Usage, sum_parallel


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


def load_prior(path: Path, run: str, rank: int = 0, world_size: int = 1) -> PriorUsage:
    """Return the usage of a rank's part in a run, from the log; empty where the log holds none.

    Args:
        path: The log.
        run: The run's id.
        rank: Number of the rank.
        world_size: Number of ranks now.
    """
    all_ranks = [line for line in lines(path) if line.record.run == run]
    attempts: dict[int, int] = {}
    for line in all_ranks:
        record = line.record
        if record.stage == "train" and record.epoch is not None:
            attempts[record.epoch] = max(attempts.get(record.epoch, 0), record.attempt or 1)
    parts: dict[int, list[Record]] = {}
    for line in all_ranks:
        parts.setdefault(line.record.rank, []).append(line.record)
    job = sum_parallel(total(parts[number]) for number in sorted(parts))
    found = [line for line in all_ranks if inheriting_rank(line.record.rank, world_size) == rank]
    if not found:
        return PriorUsage(attempts=attempts, job=job)
    # Writers' own files have no order: the writer that no other continues wrote last.
    ends = last_writers(line.record for line in found)
    last = next((line for line in reversed(found) if line.record.writer in ends), found[-1])
    continues = {"writer": last.record.writer, "hash": last.hash}
    return PriorUsage(total(line.record for line in found), attempts, continues, job)


def inheriting_rank(rank: int, world_size: int) -> int:
    """Return the rank that continues a rank's usage: the same one, or the first where there are fewer ranks now."""
    return rank if rank < world_size else 0


def last_writers(found: Iterable[Record]) -> set[str]:
    """Return the writers of a run that no other writer of it continues."""
    writers: set[str] = set()
    continued: set[str] = set()
    for record in found:
        writers.add(record.writer)
        if record.continues:
            continued.add(record.continues["writer"])
    return writers - continued


def unfinished(path: Path, project: str, host: str, living: Collection[str]) -> list[str]:
    """Return runs of a project on this host that have no ``stop`` and no living writer, the oldest first.

    Args:
        path: The log.
        project: The project's name.
        host: Hash of the host's boot id.
        living: Writers that are still running.
    """
    runs: dict[str, list[Record]] = {}
    for record in records(path):
        runs.setdefault(record.run, []).append(record)
    return [
        run
        for run, found in runs.items()
        if any(record.project == project and record.host == host for record in found)
        and not is_finished(found)
        and not any(record.writer in living for record in found)
    ]


def is_finished(found: Collection[Record]) -> bool:
    """Return whether a run has ended: one of the writers that no other continues has written ``stop``."""
    ends = last_writers(found)
    return any(record.event == "stop" and record.writer in ends for record in found)
