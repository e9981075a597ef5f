"""The JSON value of a line of the run log."""

from __future__ import annotations

import json
import math
from typing import Any, NoReturn

# Bytes of a line that are read. A record has a few kilobytes; a file without any newline must not fill the memory.
LONGEST = 16 * 2**20
# Start of every record's line.
_FIRST_KEY = '{"schema":'


def parsed(text: str) -> Any:
    """Return a line's JSON value; ``None`` where the line is not JSON."""
    try:
        return _DECODER.decode(text)
    except (ValueError, RecursionError):
        return None


def as_written(text: str) -> Any:
    """Return a line's JSON value as :func:`parsed` does, faster; a number beyond all floats becomes infinity."""
    try:
        value, end = _SCAN(text, 0)
    except (StopIteration, ValueError, RecursionError):
        # It may begin with a space.
        return _decoded(text)
    return value if end == len(text) else _decoded(text)


def is_torn(text: str) -> bool:
    """Return whether a text is a record that was cut off; after a loss of power zeros may replace its rest."""
    text = text.rstrip("\0")
    return as_written(text) is None and (text.startswith(_FIRST_KEY) or _FIRST_KEY.startswith(text))


def _decoded(text: str) -> Any:
    try:
        return _FAST.decode(text)
    except (ValueError, RecursionError):
        return None


def _refuse(constant: str) -> NoReturn:
    raise ValueError(constant)  # NaN and infinity are not JSON


def _finite(text: str) -> float:
    value = float(text)
    return value if math.isfinite(value) else _refuse(text)


# Made once: `json.loads` with arguments makes a decoder at each call.
_DECODER = json.JSONDecoder(parse_constant=_refuse, parse_float=_finite)
# Without a hook for floats the decoder runs in C alone.
_FAST = json.JSONDecoder(parse_constant=_refuse)
_SCAN = json.scanner.make_scanner(_FAST)  # type: ignore[attr-defined]
