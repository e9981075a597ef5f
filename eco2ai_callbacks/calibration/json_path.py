"""Take a number out of a JSON document by a path such as ``PowerControl[0].PowerConsumedWatts``."""

from __future__ import annotations

import math
import re
from typing import Any

# A name, a number in brackets, or a quoted name in brackets for those that hold dots.
_STEP = re.compile(r"""\.?(?:(?P<name>[^.\[\]"']+)|\[(?P<index>\d+)\]|\[(?P<q>["'])(?P<quoted>[^"']+)(?P=q)\])""")

_ACCEPTED = "accepted is a.b[0].c, or ['a.b'].c where a name holds a dot"


class PathError(ValueError):
    """The path is none, or leads to no number; the message is one clause."""


def parse(path: str) -> tuple[str | int, ...]:
    """Return the steps of a path.

    Args:
        path: Names joined by dots, positions in brackets.

    Raises:
        PathError: It is no path.

    Example:
        >>> parse('meters[0].power'), parse('["a.b"].c')
        (('meters', 0, 'power'), ('a.b', 'c'))
    """
    steps: list[str | int] = []
    place = 0
    while place < len(path):
        found = _STEP.match(path, place)
        if found is None or (place == 0 and path.startswith(".")):
            raise PathError(f"path={path!r} is no path from character {place + 1} on: {_ACCEPTED}")
        steps.append(int(found["index"]) if found["index"] else found["name"] or found["quoted"])
        place = found.end()
    if not steps:
        raise PathError(f"path='' leads nowhere: {_ACCEPTED}")
    return tuple(steps)


def number_at(document: Any, path: str) -> float:
    """Return the number to which a path leads; a text that holds one number counts as it.

    Args:
        document: The parsed document.
        path: The path.

    Raises:
        PathError: There is none.

    Example:
        >>> number_at({"StatusSNS": {"ENERGY": {"Power": 42}}}, "StatusSNS.ENERGY.Power")
        42.0
    """
    value = document
    for step in parse(path):
        if isinstance(step, str):
            value = value.get(step) if isinstance(value, dict) else None
        else:
            value = value[step] if isinstance(value, list) and step < len(value) else None
        if value is None:
            raise PathError(f"the answer has nothing at {path!r}")
    try:
        found = float("nan") if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        found = float("nan")
    if not math.isfinite(found):
        raise PathError(f"the answer has no number at {path!r}")
    return found
