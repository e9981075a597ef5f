"""How sure the sum of several channels is."""

from __future__ import annotations

import math
from collections.abc import Iterable


def combined_band(parts: Iterable[tuple[str, float, tuple[float, float]]]) -> tuple[float, float]:
    """Return the band of a sum of channels: parts of one method add linearly, different methods in quadrature.

    Args:
        parts: ``(method name, joules, (low, high))`` for each channel.
    """
    below: dict[str, float] = {}
    above: dict[str, float] = {}
    total = 0.0
    for method, joules, (low, high) in parts:
        total += joules
        below[method] = below.get(method, 0.0) + (joules - low)
        above[method] = above.get(method, 0.0) + (high - joules)
    return max(0.0, total - math.hypot(*below.values())), total + math.hypot(*above.values())
