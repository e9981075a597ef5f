"""Validation of records: foreign or damaged lines must not spoil the rest of a log."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import Any


def is_record(values: object) -> bool:
    """Return whether this is a record: required fields are present, and fields that readers use have a valid value.

    Unknown fields are accepted, for a later version may have written them.
    """
    return type(values) is dict and values.keys() >= _NEEDED and is_valid(values)


def is_valid(values: Mapping[str, Any]) -> bool:
    """Return whether fields that readers use have a valid value."""
    for name, value in values.items():
        types = _PLAIN.get(name)
        # The exact types that need no further look come first: readers of long logs check millions of values.
        if types is not None and type(value) not in types and not _FORMS[name](value):
            return False
    return True


def is_checked(values: Mapping[str, Any]) -> bool:
    """Return whether :func:`is_record` looks at each of a record's fields, so that none holds infinity."""
    return values.keys() <= _CHECKED


def is_field(name: str, value: object) -> bool:
    """Return whether a record may hold this value in a field of this name."""
    good = _FORMS.get(name)
    return good is None or good(value)


def _text(value: object) -> bool:
    return isinstance(value, str)


def _number(value: object) -> bool:
    # Infinity less itself is no number.
    if type(value) is float:
        return value - value == 0.0
    return isinstance(value, (int, float)) and not isinstance(value, bool) and -_LARGEST <= value <= _LARGEST


def _whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _numbers(value: object) -> bool:
    if not isinstance(value, Mapping):
        return False
    for item in value.values():
        # As `_number`, without a call for each of the most frequent values.
        if not (type(item) is float and item - item == 0.0) and not _number(item):
            return False
    return True


def _sum(value: object) -> bool:
    if not isinstance(value, Mapping):
        return False
    for name, item in value.items():
        # As for numbers; further members may be anything but infinity.
        if type(item) is float and item - item == 0.0:
            continue
        if isinstance(item, list | tuple):
            good = all(map(_null_or_number, item))
        elif isinstance(item, Mapping):
            good = _numbers(item)
        else:
            good = _null_or_number(item) or (isinstance(item, str) and name not in _SUMMED)
        if not good or (name in _SUMMED and isinstance(item, list | tuple | Mapping)):
            return False
    return True


def _by_channel(good: Callable[[object], bool]) -> Callable[[object], bool]:
    return lambda value: isinstance(value, Mapping) and all(item is None or good(item) for item in value.values())


def _accuracy(value: object) -> bool:
    return (
        isinstance(value, list | tuple)
        and len(value) == 4
        and all(map(_number, value[:3]))
        and isinstance(value[3], bool)
    )


def _intensity(value: object) -> bool:
    return isinstance(value, Mapping) and all(_null_or_number(value.get(n)) for n in ("g_per_kwh", "low", "high"))


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
    **dict.fromkeys(("schema", "seq", "rank", "world_size"), _whole),
    **dict.fromkeys(("seconds", "pue"), _number),
    **dict.fromkeys(("prev", "hmac", "parent", "ended"), _or_null(_text)),
    **dict.fromkeys(("epoch", "attempt", "samples"), _or_null(_whole)),
    **dict.fromkeys(("energy_kwh", "co2_kg", "epoch_energy_kwh", "epoch_co2_kg", "cost"), _or_null(_number)),
    **dict.fromkeys(("tokens", "measured_share"), _or_null(_number)),
    **dict.fromkeys(("epoch_total", "total", "carried"), _or_null(_sum)),
    "joules": _numbers,
    "method": _by_channel(_text),
    "attribution": _by_channel(_text),
    "accuracy": _by_channel(_accuracy),
    "intensity": _or_null(_intensity),
    "continues": _or_null(_link),
    "attempts": _or_null(_ranges),
}
_CHECKED = frozenset(_FORMS)
# Exact types whose every value a field accepts, by values of each type.
_PROBES: Mapping[type, tuple[object, ...]] = {str: ("",), type(None): (None,), int: (1, 10**400)}
_PLAIN: Mapping[str, frozenset[type]] = {
    name: frozenset(kind for kind, probes in _PROBES.items() if all(map(form, probes))) for name, form in _FORMS.items()
}
