"""Messages that the ranks of a job exchange, and their sums."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from eco2ai_callbacks.host.gpu_health import Health
from eco2ai_callbacks.host.registry import Entry
from eco2ai_callbacks.parallel import sum_parallel
from eco2ai_callbacks.phases.shares import Phases
from eco2ai_callbacks.usage import NO_USAGE, Usage

# The channel of energy that a checkpoint holds and no log does; no meter reads it.
CARRIED = "carried"
# Sends one rank's message and returns every rank's, in the order of the ranks. Returns when all ranks have called it.
Gather = Callable[[Any], list[Any]]
# Called by each rank at its end with whether it can still exchange; returns whether all can. Does not wait for long.
Meet = Callable[[bool], bool]


class SharedStore(NamedTuple):
    """What the ranks of a job share without waiting for each other.

    Args:
        agree: Returns, for a key and a value, the value that some rank gave first for the key. The empty text gives
            none: it is returned where no rank has given one.
        add: Adds a whole number to the one under a key, 0 at first, and returns the sum.
    """

    agree: Callable[[str, str], str]
    add: Callable[[str, int], int]


@dataclass(frozen=True, slots=True)
class ProposedRun:
    """The run id that a rank proposes; rank 0's is used.

    Args:
        run: The run's id.
        continued: Whether the run has begun in an earlier session.
    """

    run: str
    continued: bool = False


@dataclass(frozen=True, slots=True)
class RankStart:
    """The message of each rank once its meters are open.

    Args:
        entry: The tracker and the channels that it can read; ``None`` where it could not start.
        known: Usage of earlier sessions of the run in the rank's log.
        failures: Failures so far, one sentence each.
        token: A name of this start that no other has; rank 0's is the job's.
    """

    entry: Entry | None = None
    known: Usage = NO_USAGE
    failures: tuple[str, ...] = ()
    token: str = field(default_factory=lambda: os.urandom(8).hex(), compare=False)


@dataclass(frozen=True, slots=True)
class RankUsage:
    """The usage of one rank, or summed over ranks.

    Args:
        train: Usage of an epoch's training, or of the one stage that is reported.
        validation: Usage of the epoch's validation.
        total: Usage of the run so far.
        samples: Samples that were processed.
        tokens: Tokens that were processed.
        failures: Failures, where something was not measured.
        phases: The usage since the last epoch's end by phase; empty where no phase was named.
        health: The health of the rank's GPUs since the last epoch's end.
    """

    train: Usage | None = None
    validation: Usage | None = None
    total: Usage = NO_USAGE
    samples: int | None = None
    tokens: int | None = None
    failures: tuple[str, ...] = ()
    phases: Phases = field(default_factory=dict)
    health: Health = field(default_factory=dict)

    @property
    def is_partial(self) -> bool:
        """Whether nothing was measured, or the training lacks a channel that was measured before."""
        total = self.total.joules.keys() - {CARRIED}
        return not total or (self.train is not None and not total <= self.train.joules.keys())


def sum_ranks(messages: Sequence[RankUsage]) -> RankUsage:
    """Sum up the ranks of a job. Energies and counts add up; seconds are the first rank's.

    A rank that could not measure adds nothing.

    Args:
        messages: The message of each rank, in the order of the ranks.

    Example:
        >>> one, two = RankUsage(total=Usage(2.0, {"cpu": 7.0})), RankUsage(total=Usage(2.1, {"cpu": 5.0}))
        >>> sum_ranks([one, two]).total.total_j
        12.0
    """
    return RankUsage(
        _sum_known(message.train for message in messages),
        _sum_known(message.validation for message in messages),
        sum_parallel(message.total for message in messages),
        _count(message.samples for message in messages),
        _count(message.tokens for message in messages),
        phases=_beside(message.phases for message in messages),
        # Ranks that share a GPU have looked at it at the same times.
        health={uuid: each for message in reversed(messages) for uuid, each in message.health.items()},
    )


def remote_failures(messages: Sequence[RankUsage | RankStart], rank: int) -> tuple[str, ...]:
    """Return the failures of the other ranks, each sentence prefixed with its rank's number.

    Args:
        messages: The message of each rank, in the order of the ranks.
        rank: This rank.
    """
    return tuple(
        f"rank {number}: {failure}"
        for number, message in enumerate(messages)
        if number != rank
        for failure in message.failures
    )


def _sum_known(parts: Iterable[Usage | None]) -> Usage | None:
    known = [part for part in parts if part is not None]
    return sum_parallel(known) if known else None


def _beside(splits: Iterable[Phases]) -> Phases:
    """Return the sum of ranks that ran side by side: a phase's seconds are those of the first rank that has it."""
    found: dict[str, tuple[float, float]] = {}
    for split in splits:
        for name, (seconds, joules) in split.items():
            held = found.get(name)
            found[name] = (seconds, joules) if held is None else (held[0], held[1] + joules)
    return found


def _count(counts: Iterable[int | None]) -> int | None:
    known = [count for count in counts if count is not None]
    return sum(known) if known else None
