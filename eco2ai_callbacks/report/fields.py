"""A record's fields that no check of records looks at: whatever a line holds there, a reader goes on."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime
from typing import Any

# Characters that are kept of a text. A name has some dozens; a line of 16 MiB must not stay in the memory.
LONGEST = 500
_YEARS = range(1971, 9000)


def mapping(value: object) -> Mapping[str, Any]:
    """Return a mapping; an empty one where the value is none."""
    # What lines hold comes first, here and below: the check of an abstract class takes longer than all others.
    return value if type(value) is dict or isinstance(value, Mapping) else {}


def number(value: object) -> float | None:
    """Return a finite number; ``None`` where the value is none."""
    if type(value) is float:
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        found = float(value)
    except OverflowError:
        return None
    return found if math.isfinite(found) else None


def band(value: object) -> tuple[float, float] | None:
    """Return the two ends of a band; ``None`` where the value is none."""
    if (type(value) is not tuple and not isinstance(value, tuple | list)) or len(value) != 2:
        return None
    low, high = number(value[0]), number(value[1])
    return None if low is None or high is None else (low, high)


def spread_of(intensity: object) -> tuple[float, float]:
    """Return the ends of a carbon intensity's band, as factors on it."""
    found = mapping(intensity)
    value, low, high = (number(found.get(name)) for name in ("g_per_kwh", "low", "high"))
    return (1.0, 1.0) if not value or low is None or high is None else (low / value, high / value)


def text(value: object) -> str:
    """Return a text, cut at a length that no name needs; empty where the value is none."""
    if not isinstance(value, str):
        return ""
    return value if len(value) <= LONGEST else value[: LONGEST - 1] + "…"


def texts(value: object) -> tuple[str, ...]:
    """Return the texts of a list."""
    return tuple(text(each) for each in value if isinstance(each, str)) if isinstance(value, tuple | list) else ()


def moment(label: object) -> datetime | None:
    """Return the time of a label with an offset; ``None`` where it is none."""
    if not isinstance(label, str) or len(label) > LONGEST:
        return None
    try:
        found = datetime.fromisoformat(label)
    except ValueError:
        return None
    # Other years come from no clock, and their conversions may overflow.
    if found.year not in _YEARS:
        return None
    return found.astimezone() if found.tzinfo is None else found
