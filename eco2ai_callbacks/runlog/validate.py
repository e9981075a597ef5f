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
    # A finite number less itself is 0; infinity less itself is not, and stays in the sum.
    zero = 0.0
    for name, value in values.items():
        kinds = _PLAIN.get(name)
        if kinds is None:
            continue
        # The exact types that need no further look come first: readers of long logs check millions of values.
        kind = type(value)
        if kind not in kinds:
            if not _FORMS[name](value):
                return False
        elif kind is float:
            zero += value - value
    return zero == 0.0


def is_checked(values: Mapping[str, Any]) -> bool:
    """Return whether :func:`is_record` looks at each of a record's fields, so that none holds infinity."""
    return values.keys() <= _CHECKED


def is_field(name: str, value: object) -> bool:
    """Return whether a record may hold this value in a field of this name."""
    good = _FORMS.get(name)
    return good is None or (value is None and name in _NULLABLE) or good(value)


def _text(value: object) -> bool:
    return isinstance(value, str)


def _number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and -_LARGEST <= value <= _LARGEST


def _whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _numbers(value: object) -> bool:
    return isinstance(value, Mapping) and _all_numbers(value.values())


def _all_numbers(values: Any) -> bool:
    if _FLOAT.issuperset(map(type, values)):
        total = sum(values)
        if total - total == 0.0:
            return True
    return all(map(_number, values))


def _sum(value: object) -> bool:
    if not isinstance(value, Mapping):
        return False
    zero = 0.0
    for name, item in value.items():
        kind = type(item)
        if kind is float:
            zero += item - item
        elif kind is list or kind is tuple:
            # A band may be null where there is none.
            if name in _SUMMED or not (_all_numbers(item) or all(map(_null_or_number, item))):
                return False
        elif isinstance(item, Mapping):
            if name in _SUMMED or not _numbers(item):
                return False
        elif not _null_or_number(item) and (name in _SUMMED or not isinstance(item, str)):
            return False
    return zero == 0.0 and ("joules" not in value or isinstance(value["joules"], list | Mapping))


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
    if not isinstance(value, list | tuple):
        return False
    for item in value:
        if not isinstance(item, list | tuple) or len(item) != 3 or not _INT.issuperset(map(type, item)):
            return False
    return True


_LARGEST = sys.float_info.max
_FLOAT, _INT = frozenset({float}), frozenset({int})
_NEEDED = frozenset({"run", "writer", "seq", "event"})
_SUMMED = frozenset({"energy_kwh", "co2_kg", "seconds"})
_NULLABLE = frozenset(
    {"prev", "hmac", "parent", "ended", "epoch", "attempt", "samples", "tokens", "energy_kwh", "co2_kg", "cost"}
    | {"epoch_energy_kwh", "epoch_co2_kg", "measured_share", "epoch_total", "total", "carried"}
    | {"intensity", "continues", "attempts"}
)
# Of values that are not null.
_FORMS: Mapping[str, Callable[[Any], bool]] = {
    **dict.fromkeys(("run", "writer", "event", "project", "host", "stage", "start"), _text),
    **dict.fromkeys(("prev", "hmac", "parent", "ended"), _text),
    **dict.fromkeys(("schema", "seq", "rank", "world_size", "epoch", "attempt", "samples"), _whole),
    **dict.fromkeys(("seconds", "pue", "tokens", "energy_kwh", "co2_kg", "cost"), _number),
    **dict.fromkeys(("epoch_energy_kwh", "epoch_co2_kg", "measured_share"), _number),
    **dict.fromkeys(("epoch_total", "total", "carried"), _sum),
    "joules": _numbers,
    "method": _by_channel(_text),
    "attribution": _by_channel(_text),
    "accuracy": _by_channel(_accuracy),
    "intensity": _intensity,
    "continues": _link,
    "attempts": _ranges,
}
_CHECKED = frozenset(_FORMS)
# Exact types of which every value is accepted, but infinity; any whole number is, where a float need not hold it.
_KINDS: Mapping[Callable[[Any], bool], frozenset[type]] = {
    _text: frozenset({str}),
    _whole: frozenset({int}),
    _number: frozenset({float}),
}
_PLAIN: Mapping[str, frozenset[type]] = {
    name: _KINDS.get(form, frozenset()) | (frozenset({type(None)}) if name in _NULLABLE else frozenset())
    for name, form in _FORMS.items()
}
