"""The line of a record: what holds for all of a writer's records stands in its first line, and again where it changes.

A line leaves out what has its default value, what the writer's lines before it say (``STANDING`` and ``BY_CHANNEL``),
and what follows from the rest (:mod:`.inferred`). An anchor states all of it; see :mod:`.anchors`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields
from operator import attrgetter
from typing import Any

from eco2ai_callbacks.plain import loggable
from eco2ai_callbacks.record import SCHEMA, Record, summary
from eco2ai_callbacks.runlog.draft import Draft
from eco2ai_callbacks.runlog.inferred import Spread, epoch_total, methods_of, segment_fields, short_total, spread_of
from eco2ai_callbacks.runlog.validate import is_valid
from eco2ai_callbacks.usage import Method

# Fields that hold until a line of the same writer states another value.
STANDING = (
    *("rank", "world_size", "host", "pid", "project", "description", "parent", "version", "pue", "intensity"),
    *("covers", "not_covered", "shared_with", "failures", "basis", "siblings"),
)
# The same, for each channel by itself.
BY_CHANNEL = ("method", "attribution", "accuracy")
# Fields of one record alone.
OWN = (
    *("event", "epoch", "attempt", "stage", "start", "seconds", "energy_kwh", "co2_kg", "cost", "samples", "tokens"),
    *("ended", "sources", "carried", "continues", "attempts", "beside", "sci", "model_check", "phases", "steps"),
    "gpu_health",
)
# Fields that follow from others.
INFERRED = ("band", "measured_share", "epoch_energy_kwh", "epoch_co2_kg", "epoch_total")
DEFAULTS: Mapping[str, Any] = {
    f.name: f.default_factory() if f.default is MISSING and f.default_factory is not MISSING else f.default
    for f in fields(Record)
}
_OWN_DEFAULTS = tuple(DEFAULTS[name] for name in OWN)
_STANDING_DEFAULTS = tuple(DEFAULTS[name] for name in STANDING)
_own, _standing, _by_channel = attrgetter(*OWN), attrgetter(*STANDING), attrgetter(*BY_CHANNEL)
REFUSED = "no reader would take the record back"


def _plain(value: object) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} is not JSON")


_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_plain)


def _made_once() -> Callable[[Mapping[str, Any]], str]:
    """Return the encoder in C, made once: ``encode`` makes a new one at each call; a Python may have none."""
    make, text = getattr(json.encoder, "c_make_encoder", None), getattr(json.encoder, "c_encode_basestring", None)
    if make is None or text is None:
        return _ENCODER.encode
    # Without a memory of the objects that it is in: what lines hold has no cycles, or is refused as too deep.
    encode = make(None, _plain, text, None, ":", ",", False, False, False)
    return lambda values: "".join(encode(values, 0))


_encode = _made_once()


def encoded(values: Mapping[str, Any]) -> bytes:
    """Return members of a JSON object, without the braces; NaN and infinity raise ``ValueError``."""
    # Characters that UTF-8 cannot hold (a file's name in another encoding) are written as JSON escapes.
    return _encode(values)[1:-1].encode("utf-8", "backslashreplace")


def names_of(run: str, writer: str) -> bytes:
    """Return what the lines of a writer begin with.

    Raises:
        ValueError: One of them is no text.
    """
    if not is_valid({"run": run, "writer": writer}):
        raise ValueError(REFUSED)
    return encoded({"schema": SCHEMA, "run": run, "writer": writer})


class Standing:
    """What the lines of a writer have said that holds for its next records; never changed, but replaced.

    Args:
        values: The values of ``STANDING``, in its order.
        channels: The values of ``BY_CHANNEL``, in its order: one mapping by channels each.
    """

    __slots__ = ("_encoded", "_like", "channels", "methods", "spread", "values")

    def __init__(self, values: tuple[Any, ...], channels: tuple[Mapping[str, Any], ...]) -> None:
        self.values: tuple[Any, ...] = values
        self.channels: tuple[Mapping[str, Any], ...] = channels
        self.methods: Mapping[str, Method] = methods_of(channels[0], channels[2])
        self.spread: Spread = spread_of(values[_INTENSITY])
        self._encoded: bytes | None = None
        # A plain draft for whose line it holds: those that follow it state nothing anew.
        self._like: Draft | None = None

    def holds_for(self, draft: Draft) -> bool:
        """Return whether a draft changes nothing that holds, and its bands follow from its joules; false in doubt."""
        return self._like is not None and draft.follows(self._like)

    def note(self, draft: Draft) -> None:
        """Take a draft whose line was made, and after whose line this holds."""
        if (
            draft.plain
            and _is_bare(draft.template)
            and draft.methods.keys() == self.methods.keys()
            and draft.spread == self.spread
        ):
            self._like = draft

    @property
    def encoded(self) -> bytes:
        """All of it as members of a line, without what has its default value."""
        if self._encoded is None:
            stated = {n: v for n, v, no in zip(STANDING, self.values, _STANDING_DEFAULTS, strict=True) if v != no}
            stated |= {n: v for n, v in zip(BY_CHANNEL, self.channels, strict=True) if v}
            self._encoded = encoded(stated)
        return self._encoded


_INTENSITY = STANDING.index("intensity")
NOTHING = Standing(_STANDING_DEFAULTS, ({},) * len(BY_CHANNEL))


class Short:
    """One record's line, without what its place in the file and the chain decides.

    Args:
        record: The record, or what it is made of.
        names: The names of its run and writer, by :func:`names_of`.
        before: What holds by the writer's lines before it.

    Raises:
        ValueError: The record holds NaN, infinity or a field that readers would refuse.
    """

    __slots__ = ("_body", "_changes", "_names", "event", "seq", "standing")

    def __init__(self, record: Record | Draft, names: bytes, before: Standing) -> None:
        self.seq: int = record.seq
        self.event: str = record.event
        self.standing: Standing
        self._names = names
        if not isinstance(record, Draft):
            self._state(record, before)
        elif before.holds_for(record):
            # Made of a session's own figures: numbers that the encoder takes are valid.
            self._body, self._changes, self.standing = encoded(_plain_members(record)), b"", before
        else:
            self._state(record.record, before)
            self.standing.note(record)

    def _state(self, record: Record, before: Standing) -> None:
        """Set the members of a record's line."""
        changes = _changes(record, before)
        self.standing = _after(record, before, changes) if changes else before
        own = _own_members(record, self.standing)
        self._body = encoded(own)
        self._changes = encoded(changes) if changes else b""
        if not (is_valid(own) and is_valid(changes) and type(record.seq) is int):
            raise ValueError(REFUSED)

    def __len__(self) -> int:
        """Return the length of its own members, in bytes."""
        return len(self._body)

    def line(self, prev: str | None, anchor: Mapping[str, Any] | None = None) -> bytes:
        """Return the line, without its HMAC and without the newline.

        Args:
            prev: Hash of the writer's line before it.
            anchor: Where the anchors before it are; a line with it states all that holds.
        """
        parts = [b'%s,"seq":%d' % (self._names, self.seq)]
        if prev is not None:
            parts.append(b'"prev":"%s"' % prev.encode())
        parts.append(self._body)
        if stated := self._changes if anchor is None else self.standing.encoded:
            parts.append(stated)
        if anchor is not None:
            parts.append(b'"anchor":{%s}' % encoded(anchor))
        return b"{%s}" % b",".join(parts)


def _changes(record: Record, before: Standing) -> dict[str, Any]:
    """Return the members of a line that state what no longer holds as before."""
    changes: dict[str, Any] = {}
    for name, value, held in zip(STANDING, _standing(record), before.values, strict=True):
        if value is not held and value != held:
            changes[name] = value
    joules = record.joules
    for name, value, held in zip(BY_CHANNEL, _by_channel(record), before.channels, strict=True):
        if value == held:
            continue
        stated = {channel: item for channel, item in value.items() if channel not in held or held[channel] != item}
        # A channel that had a method, and has none now.
        stated |= {channel: None for channel in joules if channel in held and channel not in value}
        if stated:
            changes[name] = stated
    return changes


def _after(record: Record, before: Standing, changes: Mapping[str, Any]) -> Standing:
    channels = tuple(
        {c: item for c, item in (held | changes.get(name, {})).items() if item is not None}
        for name, held in zip(BY_CHANNEL, map(dict, before.channels), strict=True)
    )
    return Standing(_standing(record), channels)


def _is_bare(template: Record) -> bool:
    """Return whether what all records of a session have in common is nothing that a line states by itself."""
    return all(
        name == "event" or value == no for name, value, no in zip(OWN, _own(template), _OWN_DEFAULTS, strict=True)
    )


def _plain_members(draft: Draft) -> dict[str, Any]:
    """Return what :func:`_own_members` returns for the record of a draft that changes nothing that holds."""
    usage, total, train, further = draft.usage, draft.total_usage, draft.train, draft.further
    joules, own = usage.joules, summary(usage)
    values: dict[str, Any] = {"event": draft.event}
    if draft.epoch is not None:
        values["epoch"] = draft.epoch
    if draft.attempt is not None:
        values["attempt"] = draft.attempt
    if draft.stage != _NO_STAGE:
        values["stage"] = draft.stage
    values["start"] = draft.start
    if usage.seconds:
        values["seconds"] = usage.seconds
    values |= {name: value for name, value in own.items() if name in _SUMS and value is not None}
    if further:
        values |= {name: further[name] for name in _FURTHER if name in further}
    values["attempts"] = draft.attempts
    if further:
        values |= {name: further[name] for name in _LAST if name in further}
    if joules:
        values["joules"] = dict(joules)
    if train is not None and train is not usage and (whole := summary(train)) != own:
        values["epoch_total"] = whole
    values["total"] = so_far = {name: value for name, value in summary(total).items() if value is not None}
    so_far["joules"] = list(total.joules.values()) if list(total.joules) == list(joules) else dict(total.joules)
    if "metrics" in further:
        values["metrics"] = loggable(further["metrics"])
    return values


def _own_members(record: Record, standing: Standing) -> dict[str, Any]:
    """Return the members of a line that are the record's own."""
    values = {
        name: value
        for name, value, default in zip(OWN, _own(record), _OWN_DEFAULTS, strict=True)
        if value is not default and value != default
    }
    joules = record.joules
    if joules:
        values["joules"] = dict(joules)
    energy, co2 = record.energy_kwh, record.co2_kg
    inferred = segment_fields(joules, standing.methods) if joules else _NO_BANDS
    if record.band != inferred["band"]:
        values["band"] = record.band
    if record.measured_share != inferred["measured_share"]:
        values["measured_share"] = record.measured_share
    sums = epoch_total(record.event, energy, co2, record.seconds, record.cost)
    if record.epoch_total != sums:
        values["epoch_total"] = sums = record.epoch_total
    known = sums if isinstance(sums, Mapping) else {}
    if record.epoch_energy_kwh != known.get("energy_kwh"):
        values["epoch_energy_kwh"] = record.epoch_energy_kwh
    if record.epoch_co2_kg != known.get("co2_kg"):
        values["epoch_co2_kg"] = record.epoch_co2_kg
    total = record.total
    if total is not None:
        values["total"] = (
            short_total(total, joules, standing.methods, standing.spread) if isinstance(total, Mapping) else total
        )
    if record.metrics is not None:
        values["metrics"] = record.plain("metrics")
    return values


_SUMS = frozenset({"energy_kwh", "co2_kg", "cost"})
_FURTHER = ("samples", "tokens", "ended")
_LAST = ("beside", "phases", "steps", "gpu_health")
_NO_STAGE = DEFAULTS["stage"]
_NO_BANDS: Mapping[str, Any] = {"band": {}, "measured_share": None}
