"""The sum of usages that ran side by side, such as those of a job's ranks."""

from __future__ import annotations

import math
from collections.abc import Iterable

from eco2ai_callbacks.usage import SAME_S, Usage


def sum_parallel(parts: Iterable[Usage]) -> Usage:
    """Sum concurrent usages: energy and CO2e add up, the duration is the first one's.

    Args:
        parts: The usages.

    Example:
        >>> sum_parallel([Usage(2.0, {"cpu": 7.2}), Usage(2.1, {"cpu": 7.2})])
        Usage(seconds=2.0, joules=mappingproxy({'cpu': 14.4}), grams=None, cost=None)
    """
    parts = list(parts)
    # By channel, and in one pass: each rank of a large job has a GPU that no other part has.
    by_channel: dict[str, list[Usage]] = {}
    for part in parts:
        for channel in part.joules:
            by_channel.setdefault(channel, []).append(part)
    # One exact sum for each channel: all ranks get the same figures, whatever the order.
    joules = {channel: math.fsum(part.joules[channel] for part in held) for channel, held in by_channel.items()}
    seconds = parts[0].seconds if parts else 0.0
    beyond_s = {channel: _beyond(held, channel, seconds) for channel, held in by_channel.items()}
    grams, cost = _sum_known(part.grams for part in parts), _sum_known(part.cost for part in parts)
    return Usage(seconds, joules, grams, cost, beyond_s)


def _beyond(parts: list[Usage], channel: str, seconds: float) -> float:
    """Return the seconds beyond ``seconds`` at which a channel's sum has the power that its parts have together."""
    if not any(channel in part.beyond_s for part in parts):
        return 0.0
    spans = [part.seconds + part.beyond_s.get(channel, 0.0) for part in parts]
    power_w = math.fsum(part.joules[channel] / span for part, span in zip(parts, spans, strict=True) if span > SAME_S)
    return math.fsum(part.joules[channel] for part in parts) / power_w - seconds if power_w > 0 else 0.0


def _sum_known(figures: Iterable[float | None]) -> float | None:
    known = [figure for figure in figures if figure is not None]
    return math.fsum(known) if known else None
