"""Numbers that a person writes: shares as percentages, and amounts."""

from __future__ import annotations

import math
import re

import click


def share(context: click.Context, option: click.Parameter, text: str | None) -> float | None:
    """Return a share: 0.1 for ``10%`` and for ``0.1``; ``None`` for ``None``.

    Raises:
        BadParameter: The text is no share. A number above 1 without its sign may be meant either way.
    """
    del context, option
    if text is None:
        return None
    found = re.fullmatch(r"(\d+(?:\.\d+)?|\.\d+)\s*(%?)", text.strip())
    value = float(found[1]) / (100.0 if found[2] else 1.0) if found else -1.0
    if found is None or (value > 1 and not found[2]) or value > 1e6:
        raise click.BadParameter(f"{text!r} is no share; accepted are percentages such as 10%, or numbers such as 0.1")
    return value


def finite(context: click.Context, option: click.Parameter, value: float | None) -> float | None:
    """Return a number that is one: ``nan`` and ``inf`` compare with nothing.

    Raises:
        BadParameter: It is none.
    """
    del context, option
    if value is not None and not math.isfinite(value):
        raise click.BadParameter(f"{str(value)!r} is no amount; accepted are finite numbers")
    return value
