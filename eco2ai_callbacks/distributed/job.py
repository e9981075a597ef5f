"""Usage of the whole job: the sums of what its ranks exchange."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from eco2ai_callbacks.distributed.messages import (
    Gather,
    Meet,
    RankStart,
    RankUsage,
    SharedStore,
    remote_failures,
    sum_ranks,
)
from eco2ai_callbacks.guard import Guard
from eco2ai_callbacks.usage import Usage

if TYPE_CHECKING:
    from eco2ai_callbacks.distributed.step_looks import StepLooks

M = TypeVar("M")

# Seconds between two looks at the budget within an epoch: each reads all meters once.
LOOK_S = 5.0


class JobTotals:
    """The exchange of usage between the ranks of a job, and its last sums.

    Args:
        guard: Records failures; this rank's are sent to the others, and theirs are added.
    """

    def __init__(self, guard: Guard) -> None:
        self._guard = guard
        self._gather: Gather | None = None
        self._meet: Meet | None = None
        self._store: SharedStore | None = None
        self._rank, self._size = 0, 1
        self._looks: StepLooks | None = None
        # This rank's usage at the last exchange, and how many there were.
        self._own = Usage()
        self._exchanges = 0
        self._pid = os.getpid()
        self._finished = False
        # Of the last exchange; ``total`` and ``ranks`` are None before it, and without one.
        self.total: Usage | None = None
        self.others: Usage = Usage()
        self.ranks: int | None = None

    @property
    def synchronized(self) -> bool:
        """Whether all ranks hold the same total, so that their decisions by it are the same."""
        return self._gather is None or self.total is not None

    @property
    def alone(self) -> bool:
        """Whether there is no other rank, so that this one may decide at any time."""
        return self._gather is None and self._size == 1

    @property
    def leads(self) -> bool:
        """Whether it is the first rank, or the only one."""
        return self._rank == 0

    def join(
        self,
        gather: Gather | None,
        rank: tuple[int, int] | None,
        meet: Meet | None = None,
        store: SharedStore | None = None,
    ) -> None:
        """Join the ranks of a job; without it there is only this one.

        Args:
            gather: Sends a message to all ranks and returns every rank's; ``None`` without a process group.
            rank: Number of this rank and of all; ``None`` where there is only this one.
            meet: Finds out whether all ranks come to the end; ``None`` where they exchange nothing there.
            store: What the ranks share without waiting; ``None`` where they share nothing.
        """
        self._rank, self._size = rank or (0, 1)
        self._gather, self._meet, self._store, self._pid = gather, meet, store, os.getpid()

    def exchange(self, message: M) -> list[M]:
        """Send a message to all ranks and return every rank's, in the order of the ranks.

        Not guarded: a rank on which measuring failed must take part too. Raises what the framework's own collective
        raises. A forked child is not a rank; it gets its own message back.
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
        if self._gather is not None and self._store is not None and len(starts) > 1:
            from eco2ai_callbacks.distributed.step_looks import StepLooks  # where ranks share a store

            self._looks = StepLooks(self._store, f"look/{starts[0].token}", len(starts), LOOK_S)
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
        self.total, self._own = job.total, usage.total
        self._exchanges += 1
        self.ranks = sum(1 for message in messages if message.total.joules)
        others = job.total - usage.total
        self.others = Usage(0.0, others.joules, others.grams, others.cost)
        return job

    def look(self, clock: Callable[[], float], so_far: Callable[[], Usage]) -> Usage | None:
        """Count a step of an epoch that all ranks train together; return the whole job's usage where all look at it.

        The same figure is returned on all ranks at the same step, so that they may decide alike. Never waits for one.

        Args:
            clock: Returns monotonic seconds.
            so_far: Returns this rank's usage until now.
        """
        if self._looks is None or os.getpid() != self._pid:
            return None
        used = self._looks.step(clock, lambda: so_far() - self._own, self._exchanges)
        return None if used is None else (self.total or Usage()) + used

    def finish(self, total: Usage, *, interrupted: bool = False) -> None:
        """Exchange the totals of a run that has ended, once, where all ranks come to its end.

        Args:
            total: This rank's.
            interrupted: Whether this rank ended early: then it exchanges nothing, and the others do not wait for it.
        """
        if not self._finished:
            self._finished = True
            if self._meet is not None and os.getpid() == self._pid and self._meet(not interrupted):
                self.add(RankUsage(total=total))

    def _reasons(self) -> tuple[str, ...]:
        """Return the failures to send to the other ranks: why this one does not measure everything."""
        return self._guard.local_failures or ("nothing can be measured",)
