"""Whole records from lines that leave out what the writer's lines before them say; see :mod:`.short`."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from itertools import repeat
from operator import call, is_
from typing import Any

from eco2ai_callbacks.record import FIELDS, Record
from eco2ai_callbacks.runlog.inferred import epoch_total, full_total, segment_fields
from eco2ai_callbacks.runlog.short import BY_CHANNEL, DEFAULTS, NOTHING, STANDING, Standing

_NAMES = frozenset(FIELDS)
_FROZEN = frozenset({str, int, float, bool, type(None)})
# Where a writer's first line was not read, these are not known.
UNKNOWN = (*STANDING, *BY_CHANNEL)


class Restorer:
    """The records of any number of writers, whose lines are given in their order.

    Args:
        so_far: Whether records have what they say of their epoch and their run so far, beside their own segment:
            ``total``, ``attempts`` and ``epoch_...``. Who adds records up needs none of it, and it takes about half of
            the time. In lines of schema 1 it stands anyway.
    """

    __slots__ = ("_like", "_so_far", "_writers")

    def __init__(self, *, so_far: bool = True) -> None:
        self._so_far = so_far
        self._writers: dict[str, _Said] = {}
        # What another writer has said: most of it is the same, and is kept once.
        self._like = NOTHING

    def record(self, values: Mapping[str, Any]) -> Record:
        """Return the record of a line's fields.

        A field that no line of the writer has stated so far has its default value: :meth:`unknown` names it.
        """
        if values.get("schema") == 1:
            return Record.from_dict(values)
        said = self._writers.get(values["writer"])
        if said is None:
            said = self._writers[values["writer"]] = _Said(self._so_far)
        fields = said.take(values, self._like)
        self._like = said.standing
        if values["event"] == "stop" and said.whole:
            del self._writers[values["writer"]]
        return _made(fields)

    def unknown(self, writer: str) -> tuple[str, ...]:
        """Return the fields that a writer's lines have not stated so far, as its first line was not among them."""
        said = self._writers.get(writer)
        return () if said is None or said.whole else tuple(name for name in UNKNOWN if name not in said.stated)


class _Said:
    """What the lines of one writer have said."""

    __slots__ = ("_fixed", "_for", "_own", "_so_far", "standing", "stated", "whole")

    def __init__(self, so_far: bool) -> None:
        self._so_far = so_far
        # What a line says of its record, and nobody else's.
        self._own = _OWN_NAMES if so_far else _OWN_NAMES - _SO_FAR
        self.whole = False
        self.stated: frozenset[str] = frozenset()
        self.standing: Standing = NOTHING
        # The fields of its records that stay the same, and for which channels those are.
        self._fixed: dict[str, Any] = {}
        self._for: tuple[str, ...] | None = None

    def take(self, values: Mapping[str, Any], like: Standing) -> dict[str, Any]:
        """Return the fields of the record of the writer's next line.

        Args:
            values: The line's fields.
            like: What another writer has said.
        """
        if "anchor" in values:
            self.whole = True
            self._state(values, NOTHING, like)
        elif not _UNKNOWN.isdisjoint(values):
            self.stated |= _UNKNOWN & values.keys()
            self._state(values, self.standing, like)
        joules = values.get("joules") or {}
        event, standing = values["event"], self.standing
        # The first record names the methods of all channels.
        channels = tuple(standing.channels[0]) if event == "start" else tuple(joules)
        if self._for != channels or not self._fixed:
            self._fix(channels)
        fields, own = self._fixed.copy(), self._own
        for name, value in values.items():
            if name in own:
                fields[name] = value if type(value) in _FROZEN else frozen(value)
        try:
            _infer_segment(fields, values, joules, standing)
            if self._so_far:
                _infer_so_far(fields, values, joules, standing)
        except OverflowError:  # numbers that no meter measures
            if self._so_far:
                fields["total"] = frozen(values.get("total"))
        return fields

    def _state(self, values: Mapping[str, Any], before: Standing, like: Standing) -> None:
        now = tuple(
            _one(frozen(values[name]) if name in values else value, other)
            for name, value, other in zip(STANDING, before.values, like.values, strict=True)
        )
        channels = tuple(
            _one(
                {c: item for c, item in {**known, **frozen(values.get(name) or {})}.items() if item is not None}, other
            )
            for name, known, other in zip(BY_CHANNEL, before.channels, like.channels, strict=True)
        )
        same = all(map(is_, now, like.values)) and all(map(is_, channels, like.channels))
        self.standing = like if same else Standing(now, channels)
        self._for = None

    def _fix(self, channels: tuple[str, ...]) -> None:
        self._for = channels
        # In the order of the fields.
        self._fixed = {**DEFAULTS, **dict(zip(STANDING, self.standing.values, strict=True))}
        for name, known in zip(BY_CHANNEL, self.standing.channels, strict=True):
            self._fixed[name] = {c: known[c] for c in channels if c in known}


_UNKNOWN = frozenset(UNKNOWN)
_OWN_NAMES = _NAMES - _UNKNOWN - {"total"}
_SO_FAR = frozenset({"attempts", "epoch_energy_kwh", "epoch_co2_kg", "epoch_total"})
_EPOCH = (("epoch_energy_kwh", "energy_kwh"), ("epoch_co2_kg", "co2_kg"))
# A frozen record's own constructor takes as long as all else that is done with a line.
_SETTERS = tuple(getattr(Record, name).__set__ for name in FIELDS)


def _made(fields: Mapping[str, Any]) -> Record:
    record = object.__new__(Record)
    # Without a step of the interpreter for each field.
    deque(map(call, _SETTERS, repeat(record), fields.values()), maxlen=0)
    return record


def _infer_segment(
    fields: dict[str, Any], values: Mapping[str, Any], joules: Mapping[str, float], standing: Standing
) -> None:
    """Add what follows of the segment from the rest, where the line does not say otherwise."""
    if joules:
        for name, value in segment_fields(joules, standing.methods).items():
            if name not in values:
                fields[name] = value


def _infer_so_far(
    fields: dict[str, Any], values: Mapping[str, Any], joules: Mapping[str, float], standing: Standing
) -> None:
    """Add what follows of the epoch and of the run so far."""
    if values["event"] == "epoch":
        if "epoch_total" not in values:
            own = fields["energy_kwh"], fields["co2_kg"], fields["seconds"], fields["cost"]
            fields["epoch_total"] = epoch_total("epoch", *own)
        sums = fields["epoch_total"] or {}
        for name, part in _EPOCH:
            if name not in values:
                fields[name] = sums.get(part)
    total = values.get("total")
    if total is not None:
        fields["total"] = frozen(full_total(total, joules, standing.methods, standing.spread))


def _one(value: Any, other: Any) -> Any:
    """Return the other value in place of an equal one."""
    return other if value == other and type(value) is type(other) else value


def frozen(value: Any) -> Any:
    """Return a JSON value with tuples in place of its lists."""
    kind = type(value)
    if kind is list or kind is tuple:
        return tuple([item if type(item) in _FROZEN else frozen(item) for item in value])
    if kind is dict:
        return {key: item if type(item) in _FROZEN else frozen(item) for key, item in value.items()}
    return value
