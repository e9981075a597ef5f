"""Validation of records: foreign or damaged lines must not spoil the rest of a log."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, TypeGuard

from eco2ai_callbacks.record import SCHEMA


def is_record(values: object) -> bool:
    """Return whether this is a record: required fields are present, and fields that readers use have a valid value.

    Unknown fields are accepted: a version may add some. A record of a schema that is not known is none, for the known
    fields may mean something else there; :func:`unknown_schema` names it.
    """
    return (
        type(values) is dict
        and values.keys() >= _NEEDED
        and values.get("schema", SCHEMA) in _SCHEMAS
        and is_valid(values)
    )


def unknown_schema(values: object) -> int | None:
    """Return the schema of a line that this version does not know, as a later version writes; ``None`` for others."""
    schema = values.get("schema") if type(values) is dict else None
    return schema if type(schema) is int and schema not in _SCHEMAS else None


def is_valid(values: Mapping[str, Any]) -> bool:
    """Return whether fields that readers use have a valid value."""
    # Most lines have the same fields with values of the same types: readers of long logs check millions of them.
    plan = _plan if len(values) <= _FEW else _plan.__wrapped__
    for name, good in plan(tuple(values), tuple(map(type, values.values()))):  # noqa: SIM110 `all` takes longer
        if not good(values[name]):
            return False
    return True


@lru_cache(maxsize=256)
def _plan(names: tuple[str, ...], kinds: tuple[type, ...]) -> tuple[tuple[str, Callable[[Any], bool]], ...]:
    """Return which fields must be looked at, where those of the others have a type that makes any value valid."""
    return tuple(
        (name, _finite if kind is float and float in _PLAIN[name] else _FORMS[name])
        for name, kind in zip(names, kinds, strict=True)
        if name in _FORMS and (kind is float or kind not in _PLAIN[name])
    )


def _finite(value: float) -> bool:
    return value - value == 0.0


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
    return _is_mapping(value) and _all_numbers(value.values())


def _is_mapping(value: object) -> TypeGuard[Mapping[Any, Any]]:
    # What JSON yields comes first: the check of an abstract class takes longer than all others of a line.
    return type(value) is dict or isinstance(value, Mapping)


def _all_numbers(values: Any) -> bool:
    zero = 0.0
    for value in values:
        if type(value) is float:
            zero += value - value
        elif not _number(value):
            return False
    return zero == 0.0


def _sum(value: object) -> bool:
    if not _is_mapping(value):
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
        elif _is_mapping(item):
            if name in _SUMMED or not _numbers(item):
                return False
        elif not _null_or_number(item) and (name in _SUMMED or not isinstance(item, str)):
            return False
    joules = value.get("joules", ())
    return zero == 0.0 and (type(joules) in (list, tuple) or _is_mapping(joules))


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
    if not isinstance(value, (list, tuple)):
        return False
    for item in value:
        if not isinstance(item, (list, tuple)) or len(item) != 3:
            return False
        first, last, attempt = item
        if not (type(first) is type(last) is type(attempt) is int):
            return False
    return True


def _phases(value: object) -> bool:
    return isinstance(value, Mapping) and all(
        isinstance(pair, list | tuple) and len(pair) == 2 and _all_numbers(pair) for pair in value.values()
    )


def _by_gpu(value: object) -> bool:
    return isinstance(value, Mapping) and all(isinstance(item, Mapping) for item in value.values())


def _steps(value: object) -> bool:
    return (
        isinstance(value, list | tuple)
        and len(value) == 4
        and all(map(_whole, value[:2]))
        and all(item is None or _whole(item) for item in value[2:])
    )


_LARGEST = sys.float_info.max
_SCHEMAS = range(1, SCHEMA + 1)
_NEEDED = frozenset({"run", "writer", "seq", "event"})
_SUMMED = frozenset({"energy_kwh", "co2_kg", "seconds"})
_NULLABLE = frozenset(
    {"prev", "hmac", "parent", "ended", "epoch", "attempt", "samples", "tokens", "energy_kwh", "co2_kg", "cost"}
    | {"epoch_energy_kwh", "epoch_co2_kg", "measured_share", "epoch_total", "total", "carried"}
    | {"intensity", "continues", "attempts", "basis", "sci", "model_check", "phases", "steps", "gpu_health"}
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
    "beside": _numbers,
    **dict.fromkeys(("basis", "sci", "model_check"), _is_mapping),
    "phases": _phases,
    "steps": _steps,
    "gpu_health": _by_gpu,
}
_CHECKED = frozenset(_FORMS)
# Fields of a line whose form is remembered; a record has fewer.
_FEW = 64
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
