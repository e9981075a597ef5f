"""The whole job's usage: what its ranks exchange, summed up."""

from __future__ import annotations

import dataclasses
import os
from typing import TypeVar

from eco2ai_callbacks.distributed.messages import Gather, RankStart, RankUsage, remote_failures, sum_ranks
from eco2ai_callbacks.guard import Guard
from eco2ai_callbacks.usage import Usage

M = TypeVar("M")


class JobTotals:
    """Exchanges usage between the ranks of a job, and holds the last sums.

    Args:
        guard: Records failures; gives this rank's to the others and takes theirs.
    """

    def __init__(self, guard: Guard) -> None:
        self._guard = guard
        self._gather: Gather | None = None
        self._rank = 0
        self._pid = os.getpid()
        self._finished = False
        # Of the last exchange; ``total`` and ``ranks`` are None before it, and where there is none.
        self.total: Usage | None = None
        self.others = Usage()
        self.ranks: int | None = None

    @property
    def synchronized(self) -> bool:
        """Whether all ranks hold the same total, so that what they decide by it is the same."""
        return self._gather is None or self.total is not None

    def join(self, gather: Gather | None, rank: int) -> None:
        """Join the ranks of a job; without it there is but this one.

        Args:
            gather: Sends a message to all ranks and returns every rank's; ``None`` where there is no way to.
            rank: This process's number.
        """
        self._gather, self._rank, self._pid = gather, rank, os.getpid()

    def exchange(self, message: M) -> list[M]:
        """Send a message to all ranks and return every rank's, in the order of the ranks.

        Not guarded: a rank on which measuring failed must take part all the same. What the framework's own collective
        raises is raised. A forked child is no rank.
        """
        if self._gather is None or os.getpid() != self._pid:
            return [message]
        return self._gather(message)

    def exchange_starts(self, start: RankStart | None) -> list[RankStart]:
        """Exchange what each rank sends once its meters are open.

        Args:
            start: This rank's message; ``None`` where it could not start.
        """
        starts = self.exchange(RankStart(failures=self._reasons()) if start is None else start)
        self._guard.add_remote(remote_failures(starts, self._rank))
        return starts

    def add(self, usage: RankUsage) -> RankUsage:
        """Exchange usage once, and return the whole job's.

        Args:
            usage: This rank's.
        """
        if self._gather is None:
            return usage
        messages = self.exchange(dataclasses.replace(usage, failures=self._reasons()) if usage.is_partial else usage)
        self._guard.add_remote(remote_failures(messages, self._rank))
        job = sum_ranks(messages)
        self.total = job.total
        self.ranks = sum(1 for message in messages if message.total.joules)
        others = job.total - usage.total
        self.others = Usage(0.0, others.joules, others.grams)
        return job

    def finish(self, total: Usage) -> None:
        """Exchange the totals of a run that has ended, once.

        Args:
            total: This rank's.
        """
        if not self._finished:
            self._finished = True
            self.add(RankUsage(total=total))

    def _reasons(self) -> tuple[str, ...]:
        """Return why this rank does not measure everything, for the others."""
        return self._guard.local_failures or ("nothing can be measured",)
