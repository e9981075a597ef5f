"""Usage of a job over all of its ranks, from the records that each rank wrote."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from eco2ai_callbacks.parallel import sum_parallel
from eco2ai_callbacks.record import Record
from eco2ai_callbacks.runlog.tally import Tally
from eco2ai_callbacks.usage import Usage


@dataclass(frozen=True, slots=True)
class Job:
    """A run over all of its ranks.

    Args:
        run: The run's id.
        total: Usage of the ranks. Energies add up; the seconds are those of the first rank.
        ranks: The ranks that have records.
        world_size: Number of ranks of the job.
        hosts: Hashes of the hosts that they ran on.
    """

    run: str
    total: Usage
    ranks: tuple[int, ...]
    world_size: int
    hosts: tuple[str, ...]

    @property
    def is_complete(self) -> bool:
        """Whether every rank has records."""
        return len(self.ranks) >= self.world_size

    @property
    def said(self) -> str:
        """How many ranks the figures include: ``4 ranks``, ``3 of 4 ranks``; empty where the job has one rank."""
        return of_ranks(len(self.ranks), self.world_size)


def jobs(records: Iterable[Record]) -> dict[str, Job]:
    """Return the runs in a log, each with all of its ranks, in the order of their first records.

    Args:
        records: Records of any runs and ranks, from one file or many.

    Example:
        >>> from pathlib import Path
        >>> from eco2ai_callbacks.runlog.read import records
        >>> for job in jobs(records(Path("eco2ai.jsonl"))).values():
        ...     print(job.ranks, job.is_complete)
        (0,) True
    """
    runs: dict[str, _Parts] = {}
    for record in records:
        parts = runs.get(record.run)
        if parts is None:
            parts = runs[record.run] = _Parts()
        parts.add(record)
    return {run: parts.job(run) for run, parts in runs.items()}


class _Parts:
    """The ranks' parts of one run, summed as their records arrive."""

    __slots__ = ("_hosts", "_ranks", "_world_size")

    def __init__(self) -> None:
        self._ranks: dict[int, Tally] = {}
        self._hosts: dict[str, None] = {}
        self._world_size = 0

    def add(self, record: Record) -> None:
        self._hosts[record.host] = None
        self._world_size = max(self._world_size, record.world_size)
        tally = self._ranks.get(record.rank)
        if tally is None:
            tally = self._ranks[record.rank] = Tally()
        tally.add(
            record.writer, record.event, record.seconds, record.joules, record.co2_kg, record.cost, record.carried
        )

    def job(self, run: str) -> Job:
        ranks = tuple(sorted(self._ranks))
        usage = sum_parallel(self._ranks[rank].usage for rank in ranks)
        return Job(run, usage, ranks, self._world_size, tuple(self._hosts))


def of_ranks(seen: int, world_size: int) -> str:
    """Return how many ranks a figure includes, in words; empty where the job has one rank."""
    if world_size < 2:
        return ""
    return f"{world_size} ranks" if seen >= world_size else f"{seen} of {world_size} ranks"
