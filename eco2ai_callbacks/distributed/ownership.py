"""Ownership of channels: which rank of a host counts a channel that several ranks can read."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable

from eco2ai_callbacks.host.registry import Entry
from eco2ai_callbacks.meters.meter import Meter


def shared_channels(meters: Iterable[Meter]) -> tuple[str, ...]:
    """Return the channels that several processes of a host can read: GPUs, and those of the whole machine."""
    return tuple(c for meter in meters for c, method in meter.methods.items() if method.scope != "job")


def taken_since(channel: str, mine: Entry, others: Iterable[Entry]) -> float | None:
    """Return the time since which a rank with precedence has counted a channel; ``None`` where this rank counts it.

    The lowest rank on a host has precedence, and of equal ranks the one that began first.

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
    """Return the meters without the channels that other ranks count, where all ranks are known from the start.

    Args:
        meters: Open meters; those without a channel left are closed.
        mine: This rank's tracker.
        others: All ranks' trackers.
        clock: Monotonic seconds.
    """
    from eco2ai_callbacks.meters.exclusive import ExclusiveMeter  # where ranks share a machine

    kept: list[Meter] = []
    for meter in meters:
        taken = {c for c in shared_channels([meter]) if taken_since(c, mine, others) is not None}
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
    """Return the meters, each of which checks at every reading for ranks with precedence, where none is known before.

    Args:
        meters: Open meters.
        mine: This rank's tracker.
        living: The trackers of the run that run now on this host.
        clock: Monotonic seconds.
    """
    from eco2ai_callbacks.meters.exclusive import ExclusiveMeter  # where ranks share a machine

    return [
        ExclusiveMeter(meter, lambda c: taken_since(c, mine, living()), clock) if shared_channels([meter]) else meter
        for meter in meters
    ]


def _order(entry: Entry) -> tuple[int, float, str]:
    return entry.rank, entry.since, entry.writer
