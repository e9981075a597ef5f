"""Usage of a job over all of its ranks, from the records that each rank wrote."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from eco2ai_callbacks.record import Record
from eco2ai_callbacks.runlog.read import total
from eco2ai_callbacks.usage import Usage, sum_parallel


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
        >>> for job in jobs(records(Path("eco2ai.jsonl"))).values():  # doctest: +SKIP
        ...     print(job.run, job.total.energy_kwh, job.said)
        5e1f09c2a7d34b86 0.0142 4 ranks
    """
    runs: dict[str, dict[int, list[Record]]] = {}
    for record in records:
        runs.setdefault(record.run, {}).setdefault(record.rank, []).append(record)
    return {run: _job(run, ranks) for run, ranks in runs.items()}


def of_ranks(seen: int, world_size: int) -> str:
    """Return how many ranks a figure includes, in words; empty where the job has one rank."""
    if world_size < 2:
        return ""
    return f"{world_size} ranks" if seen >= world_size else f"{seen} of {world_size} ranks"


def _job(run: str, ranks: dict[int, list[Record]]) -> Job:
    found = [record for records in ranks.values() for record in records]
    return Job(
        run,
        sum_parallel(total(ranks[rank]) for rank in sorted(ranks)),
        tuple(sorted(ranks)),
        max(record.world_size for record in found),
        tuple(dict.fromkeys(record.host for record in found)),
    )
