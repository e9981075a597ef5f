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
from eco2ai_callbacks.runlog.hashing import canonical, is_signed, line_hmac
from eco2ai_callbacks.runlog.parse import as_written
from eco2ai_callbacks.runlog.read import raw_lines
from eco2ai_callbacks.runlog.sums import same
from eco2ai_callbacks.runlog.validate import is_record
from eco2ai_callbacks.usage import kwh


def record_lines(file: Path) -> Iterator[tuple[int, str, Mapping[str, Any] | None, bytes]]:
    """Return number, text, record's fields and bytes of each line that is not empty."""
    for number, text, data in text_lines(file):
        yield number, text, record_of(text), data


def text_lines(file: Path) -> Iterator[tuple[int, str, bytes]]:
    """Return number, text and bytes of each line that is not empty."""
    # Bytes that are not UTF-8 stay distinct.
    return ((number, data.decode("utf-8", "backslashreplace"), data) for number, data in raw_lines(file) if data)


def record_of(text: str) -> Mapping[str, Any] | None:
    """Return the fields of a record's line, ``None`` for any other."""
    values = as_written(text)
    return values if is_record(values) else None


def first_written(file: Path) -> datetime | None:
    """Return when the first record of a file was written, by its label."""
    first = next((values for _, _, values, _ in islice(record_lines(file), 100) if values is not None), None)
    return None if first is None else written_at(first, ended=True)


def is_spelt(values: Mapping[str, Any], text: str) -> bool:
    """Return whether a text is a record's line as a writer spells it."""
    try:
        return canonical(values) == text
    except ValueError:  # infinity
        return False


def own_faults(line: Found, data: bytes, key: str | None) -> list[Fault]:
    """Return the faults that a line shows by itself.

    Args:
        line: The line's record.
        data: The line.
        key: Key of the HMACs; ``None`` leaves them unchecked.
    """
    faults: list[Fault] = []
    values = line.values
    if key and values.get("hmac") is None:
        faults.append(line.fault("changed", "it carries no HMAC, though a key is given"))
    elif key and not _has_hmac(values, data, key):
        faults.append(line.fault("changed", "its HMAC is not that of its content"))
    joules, said = values.get("joules"), values.get("energy_kwh")
    energy = energy_of(joules) if joules else None
    if said != energy and not same(said, energy):
        faults.append(line.fault("changed", f"energy_kwh is {said}, its joules are {energy}"))
    return faults


def energy_of(joules: Mapping[str, float]) -> float:
    """Return the sum of all channels, in kWh."""
    try:
        return kwh(math.fsum(joules.values()))
    except OverflowError:
        return math.inf


def _has_hmac(values: Mapping[str, Any], data: bytes, key: str) -> bool:
    if values.get("schema") != 1:
        return is_signed(data, key)
    try:
        return hmac.compare_digest(str(values["hmac"]).encode(), line_hmac(values, key).encode())
    except ValueError:  # infinity
        return False
