"""The ranks of a job: who counts what several of them can read, and what their figures add up to."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from eco2ai_callbacks.host.registry import Entry
from eco2ai_callbacks.meters.cpu.attribution import PART
from eco2ai_callbacks.meters.exclusive import ExclusiveMeter
from eco2ai_callbacks.meters.meter import Meter
from eco2ai_callbacks.usage import Usage, sum_parallel

# The channel of what a checkpoint knew of and no log does: nothing measures it any more.
CARRIED = "carried"
# What one rank tells, to what all have told, in the order of their ranks. Returns when all have called it.
Gather = Callable[[Any], list[Any]]


@dataclass(frozen=True, slots=True)
class ProposedRun:
    """The run that a rank would write for; the first rank's is the job's.

    Args:
        run: Its id.
        continued: Whether it was there before.
    """

    run: str
    continued: bool = False


@dataclass(frozen=True, slots=True)
class RankStart:
    """What a rank tells when it has opened its meters.

    Args:
        entry: The tracker and the channels that it can read; ``None`` where it could not start.
        known: What its log says that it had used in earlier sessions of the run.
        failures: What has gone wrong.
    """

    entry: Entry | None = None
    known: Usage = field(default_factory=Usage)
    failures: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RankUsage:
    """What a rank, or the whole job, has used.

    Args:
        train: In the training of an epoch, or in the stage that is told of.
        validation: In the epoch's validation.
        total: In the run so far.
        samples: Samples that were processed.
        tokens: Tokens that were processed.
        failures: What has gone wrong, where something is missing.
    """

    train: Usage | None = None
    validation: Usage | None = None
    total: Usage = field(default_factory=Usage)
    samples: int | None = None
    tokens: int | None = None
    failures: tuple[str, ...] = ()


def together(shares: Sequence[RankUsage]) -> RankUsage:
    """The whole job's share. Energies and counts add up; seconds are the first rank's.

    A rank that could not measure adds nothing.

    Args:
        shares: What each rank has told, in the order of their ranks.

    Example:
        >>> one, two = RankUsage(total=Usage(2.0, {"cpu": 7.0})), RankUsage(total=Usage(2.1, {"cpu": 5.0}))
        >>> together([one, two]).total.total_j
        12.0
    """
    return RankUsage(
        _sum_parallel(share.train for share in shares),
        _sum_parallel(share.validation for share in shares),
        sum_parallel(share.total for share in shares),
        _sum(share.samples for share in shares),
        _sum(share.tokens for share in shares),
    )


def failures_of(told: Sequence[RankUsage | RankStart], mine: int) -> tuple[str, ...]:
    """What has gone wrong on the other ranks, with the number of the rank before each sentence.

    Args:
        told: What each rank has told, in the order of their ranks.
        mine: This rank.
    """
    return tuple(
        f"rank {rank}: {failure}" for rank, each in enumerate(told) if rank != mine for failure in each.failures
    )


def misses_something(share: RankUsage) -> bool:
    """Whether a rank has measured nothing, or no longer measures all that it did."""
    total = share.total.joules.keys() - {CARRIED}
    return not total or (share.train is not None and not total <= share.train.joules.keys())


def measuring(shares: Iterable[RankUsage]) -> int:
    """How many ranks have measured anything."""
    return sum(1 for share in shares if share.total.joules)


# --- what only one rank of a host may count ------------------------------------------------------------------------


def common(meters: Iterable[Meter]) -> tuple[str, ...]:
    """The channels that more than one process of a host can read: GPUs, and what is measured of the whole machine."""
    return tuple(c for meter in meters for c, method in meter.methods.items() if PART not in method.attribution)


def taken_since(channel: str, mine: Entry, others: Iterable[Entry]) -> float | None:
    """Since when a rank that goes before this one has counted a channel; ``None`` where this one does.

    The lowest rank on a host goes first, and of equal ones that which began first.

    Args:
        channel: The channel.
        mine: This rank's tracker.
        others: The trackers of the run.
    """
    before = [
        other.since
        for other in others
        if other.host == mine.host and channel in other.channels and _order(other) < _order(mine)
    ]
    return min(before, default=None)


def drop_channels_owned_elsewhere(
    meters: Iterable[Meter], mine: Entry, others: Collection[Entry], clock: Callable[[], float]
) -> list[Meter]:
    """The meters without what other ranks count, where it is known from the start what all of them can read.

    Args:
        meters: Open meters; those of which nothing is left are closed.
        mine: This rank's tracker.
        others: All ranks' trackers.
        clock: Monotonic seconds.
    """
    kept: list[Meter] = []
    for meter in meters:
        taken = {c for c in common([meter]) if taken_since(c, mine, others) is not None}
        if not taken:
            kept.append(meter)
        elif taken < meter.methods.keys():
            kept.append(ExclusiveMeter(meter, lambda c, taken=taken: -math.inf if c in taken else None, clock))  # type: ignore[misc]
        else:
            meter.close()
    return kept


def yield_channels_when_taken(
    meters: Iterable[Meter], mine: Entry, living: Callable[[], Iterable[Entry]], clock: Callable[[], float]
) -> list[Meter]:
    """The meters, each looking at every reading for ranks that go before this one, where nothing told of them before.

    Args:
        meters: Open meters.
        mine: This rank's tracker.
        living: The trackers of the run that run now on this host.
        clock: Monotonic seconds.
    """
    return [
        ExclusiveMeter(meter, lambda c: taken_since(c, mine, living()), clock) if common([meter]) else meter
        for meter in meters
    ]


def _order(entry: Entry) -> tuple[int, float, str]:
    return entry.rank, entry.since, entry.writer


def _sum_parallel(parts: Iterable[Usage | None]) -> Usage | None:
    known = [part for part in parts if part is not None]
    return sum_parallel(known) if known else None


def _sum(counts: Iterable[int | None]) -> int | None:
    known = [count for count in counts if count is not None]
    return sum(known) if known else None
