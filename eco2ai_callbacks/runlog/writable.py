"""Removal of optional fields that cannot be written to the log, or that readers would refuse."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from functools import partial
from typing import Any

from eco2ai_callbacks.guard import Guard, captured
from eco2ai_callbacks.plain import loggable
from eco2ai_callbacks.record import Record
from eco2ai_callbacks.runlog.hashing import canonical
from eco2ai_callbacks.runlog.parse import parsed
from eco2ai_callbacks.runlog.validate import is_field

# JSON and floats hold any smaller number.
_LARGE = 1e300
OPTIONAL = tuple(field.name for field in dataclasses.fields(Record) if field.default is None)


def without_unwritable(record: Record, guard: Guard) -> Record:
    """Return the record without the optional fields that cannot be written and read back.

    So such a field never costs a record its energy. Each one is named in the record's failures.

    Args:
        record: The record.
        guard: Records each field that is left out.
    """
    bad = {
        name: None
        for name in OPTIONAL
        if not guard.call(f"log file: {name} is left out", partial(_check, record, name), False)
    }
    return dataclasses.replace(record, **bad, failures=guard.failures) if bad else record  # type: ignore[arg-type]


def are_writable(metrics: Mapping[str, Any]) -> bool:
    """Return whether metrics can be written and read back; :func:`without_unwritable` records why not."""
    found, error = captured(lambda: _comes_back("metrics", loggable(metrics)))
    if error is not None and not isinstance(error, Exception):
        raise error
    return found is True


def _check(record: Record, name: str) -> bool:
    value = getattr(record, name)
    # Most values are plain numbers, which need no trial; NaN fails this comparison.
    if value is None or (type(value) in (int, float) and abs(value) < _LARGE and is_field(name, value)):
        return True
    return _comes_back(name, record.plain(name))


def _comes_back(name: str, value: object) -> bool:
    text = canonical({name: value})
    back = parsed(text)
    if canonical(back) != text or not is_field(name, back[name]):
        raise ValueError("no reader would take it back")
    return True
