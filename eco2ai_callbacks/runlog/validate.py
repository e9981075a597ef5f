"""Validation of records: foreign or damaged lines must not spoil the rest of a log."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import Any


def is_record(values: object) -> bool:
    """Return whether this is a record: required fields are present, and fields that readers use have a valid value.

    Unknown fields are accepted, for a later version may have written them.
    """
    if not isinstance(values, Mapping) or not values.keys() >= _NEEDED:
        return False
    for name, types in _PLAIN.items():
        if name in values:
            value = values[name]
            # The exact types that need no further look come first: readers of long logs check millions of values.
            if type(value) not in types and not _FORMS[name](value):
                return False
    return True


def is_field(name: str, value: object) -> bool:
    """Return whether a record may hold this value in a field of this name."""
    good = _FORMS.get(name)
    return good is None or good(value)


def _text(value: object) -> bool:
    return isinstance(value, str)


def _number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and -_LARGEST <= value <= _LARGEST


def _whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _numbers(value: object) -> bool:
    return isinstance(value, Mapping) and all(map(_number, value.values()))


def _sum(value: object) -> bool:
    return (
        isinstance(value, Mapping)
        and all(_null_or_number(value.get(name)) for name in _SUMMED)
        and _numbers(value.get("joules", {}))
    )


def _link(value: object) -> bool:
    return isinstance(value, Mapping) and _text(value.get("writer")) and _text(value.get("hash"))


def _null_or_number(value: object) -> bool:
    return value is None or _number(value)


def _ranges(value: object) -> bool:
    return isinstance(value, list | tuple) and all(
        isinstance(item, list | tuple) and len(item) == 3 and all(map(_whole, item)) for item in value
    )


def _or_null(good: Callable[[object], bool]) -> Callable[[object], bool]:
    return lambda value: value is None or good(value)


_LARGEST = sys.float_info.max
_NEEDED = frozenset({"run", "writer", "seq", "event"})
_SUMMED = ("energy_kwh", "co2_kg", "seconds")
_FORMS: Mapping[str, Callable[[Any], bool]] = {
    **dict.fromkeys(("run", "writer", "event", "project", "host", "stage", "start"), _text),
    **dict.fromkeys(("seq", "rank", "world_size"), _whole),
    **dict.fromkeys(("seconds", "pue"), _number),
    **dict.fromkeys(("prev", "hmac", "parent", "ended"), _or_null(_text)),
    **dict.fromkeys(("epoch", "attempt", "samples"), _or_null(_whole)),
    **dict.fromkeys(("energy_kwh", "co2_kg", "epoch_energy_kwh", "epoch_co2_kg", "cost"), _or_null(_number)),
    **dict.fromkeys(("epoch_total", "total", "carried"), _or_null(_sum)),
    "joules": _numbers,
    "continues": _or_null(_link),
    "attempts": _or_null(_ranges),
}
# Exact types whose every value a field accepts.
_PLAIN: Mapping[str, frozenset[type]] = {
    name: frozenset(kind for kind, probe in ((str, ""), (type(None), None)) if form(probe))
    for name, form in _FORMS.items()
}
