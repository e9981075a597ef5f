"""Values in a form for JSON, and back."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

# Most values need no copy; readers of long logs meet millions of them.
FROZEN = frozenset({str, int, float, bool, type(None)})


def plain(value: Any) -> Any:
    """Return a field's value with mappings as dictionaries and tuples as lists."""
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [plain(item) for item in value]
    return value


def loggable(value: Any) -> Any:
    """Return a framework's or a user's value in a form for JSON; NumPy's and torch's scalars become numbers."""
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, Mapping):
        return {str(key): loggable(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [loggable(item) for item in value]
    if isinstance(value, int):
        return int(value)
    if getattr(value, "ndim", 0):
        return str(value)  # an array
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return str(value)
    return number if math.isfinite(number) else None


def frozen(value: Any) -> Any:
    """Return the inverse of :func:`plain`."""
    if type(value) in FROZEN:
        return value
    if isinstance(value, Mapping):
        return {key: frozen(item) for key, item in value.items()}
    if isinstance(value, list):
        return tuple(frozen(item) for item in value)
    return value
