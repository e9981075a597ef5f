"""Checks of single lines: which are records, how they are spelt, and whether their figures and their HMAC fit."""

from __future__ import annotations

import hmac
import math
from collections.abc import Iterator, Mapping
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any

from eco2ai_callbacks.runlog.chain_check import Fault, Found, written_at
from eco2ai_callbacks.runlog.hashing import canonical, line_hmac
from eco2ai_callbacks.runlog.read import as_written, raw_lines
from eco2ai_callbacks.runlog.sums import same
from eco2ai_callbacks.runlog.validate import is_record
from eco2ai_callbacks.usage import kwh

# Start of every record's line.
_FIRST_KEY = '{"schema":'


def record_lines(file: Path) -> Iterator[tuple[int, str, Mapping[str, Any] | None, bytes]]:
    """Return number, text, record's fields and bytes of each line that is not empty."""
    for number, data in raw_lines(file):
        if data:
            # Bytes that are not UTF-8 stay distinct.
            text = data.decode("utf-8", "backslashreplace")
            values = as_written(text)
            yield number, text, values if is_record(values) else None, data


def first_written(file: Path) -> datetime | None:
    """Return when the first record of a file was written, by its label."""
    first = next((values for _, _, values, _ in islice(record_lines(file), 100) if values is not None), None)
    return None if first is None else written_at(first, ended=True)


def is_torn(text: str) -> bool:
    """Return whether a text is a record that was cut off; after a loss of power zeros may replace its rest."""
    text = text.rstrip("\0")
    return as_written(text) is None and (text.startswith(_FIRST_KEY) or _FIRST_KEY.startswith(text))


def is_spelt(values: Mapping[str, Any], text: str) -> bool:
    """Return whether a text is a record's line as a writer spells it."""
    try:
        return canonical(values) == text
    except ValueError:  # infinity
        return False


def own_faults(line: Found, key: str | None) -> list[Fault]:
    """Return the faults that a line shows by itself."""
    faults: list[Fault] = []
    values = line.values
    if key and values.get("hmac") is None:
        faults.append(line.fault("changed", "it carries no HMAC, though a key is given"))
    elif key and not hmac.compare_digest(str(values["hmac"]).encode(), _hmac_of(values, key).encode()):
        faults.append(line.fault("changed", "its HMAC is not that of its content"))
    joules = values.get("joules")
    energy = kwh(math.fsum(joules.values())) if joules else None
    if not same(values.get("energy_kwh"), energy):
        faults.append(line.fault("changed", f"energy_kwh is {values.get('energy_kwh')}, its joules are {energy}"))
    return faults


def _hmac_of(values: Mapping[str, Any], key: str) -> str:
    try:
        return line_hmac(values, key)
    except ValueError:  # infinity
        return ""
