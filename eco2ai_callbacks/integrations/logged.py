"""The numbers that a framework logs of an epoch, such as its loss, for the run log: readers show them beside energy."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from eco2ai_callbacks.guard import Guard, is_a_signal_handlers
from eco2ai_callbacks.metrics.scalars import PREFIX

# Each epoch has a record with them, and a number on a GPU is waited for: a training may log one for each layer.
MOST_NAMES = 30
LONGEST_NAME = 100


def numbers(values: Mapping[Any, Any] | None) -> dict[str, float]:
    """Return the finite numbers of what a framework has logged, by name; at most 30, losses before others.

    Scalars of NumPy and tensors without dimensions are numbers; texts, arrays and bools are not. Our own figures are
    left out, and so are names of more than 100 characters.

    Args:
        values: What was logged, by name.

    Example:
        >>> numbers({"loss": 0.25, "note": "warm-up", "eco2ai/energy_kwh": 0.1})
        {'loss': 0.25}
    """
    named = [name for name in values or {} if isinstance(name, str) and len(name) <= LONGEST_NAME]
    found: dict[str, float] = {}
    for name in sorted((name for name in named if PREFIX not in name), key=lambda name: "loss" not in name.lower()):
        if len(found) == MOST_NAMES:
            break
        number = _number((values or {})[name])
        if number is not None:
            found[name] = number
    return found


def logged(guard: Guard, values: Callable[[], Mapping[Any, Any] | None]) -> dict[str, float]:
    """Return :func:`numbers` of what a function returns; nothing, with a failure recorded, where that fails."""
    nothing: dict[str, float] = {}
    return guard.call("logged metrics", lambda: numbers(values()), nothing)


def _number(value: Any) -> float | None:
    """Return a finite number as ``float``; ``None`` for all else. A number on a GPU is waited for."""
    if isinstance(value, bool) or not hasattr(type(value), "__float__") or getattr(value, "ndim", 0) != 0:
        return None
    try:
        number = float(value)
    except (TypeError, ValueError, ArithmeticError, RuntimeError) as error:
        if is_a_signal_handlers(error):
            raise
        return None
    return number if math.isfinite(number) else None
