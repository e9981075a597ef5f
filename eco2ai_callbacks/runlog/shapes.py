"""Shapes of lines: most lines of a long log differ from one before them in their numbers and texts alone.

A shape is a regular expression, made from a line that was parsed and checked. A line that matches it has the same names
in the same order, with values of the same JSON types: it is a valid record too, for that depends on nothing else (see
:mod:`.validate`). Its figures are read without parsing the rest.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from operator import itemgetter
from typing import Any

# Energy in kWh, CO2 in kg, seconds.
Figures = tuple[float | None, float | None, float | None]

# Texts without escapes and control characters stand for themselves, and numbers so short are not infinite. No part of
# a text or a number can belong to what follows it, so nothing is tried again ("+" behind a number of times).
_PATTERNS: Mapping[type, str] = {
    str: r'"([^"\\\x00-\x1f]*+)"',
    int: r"(-?(?:0|[1-9][0-9]{0,17}+))",
    float: r"(-?(?:0|[1-9][0-9]{0,17}+)(?:\.[0-9]{1,40}+(?:[eE][+-]?[0-9]{1,2}+)?|[eE][+-]?[0-9]{1,2}+))",
}
# What a line holds that has a shape. Others state what holds from then on, or sums of several lines.
_NAMES = ("run", "writer", "seq", "prev", "stage", "epoch", "attempt")
_WHOLE = frozenset({"seq", "epoch", "attempt"})
_FIGURES = ("energy_kwh", "co2_kg", "seconds")
_NEEDED = frozenset({*_NAMES, *_FIGURES, "event", "joules", "total"})
_EVENTS = frozenset({"epoch", "stage"})
_ALLOWED = _NEEDED | {"schema", "start", "samples", "tokens", "attempts", "phases", "steps", "beside", "gpu_health"}
# What must be the same in each line of a shape.
_SAME = frozenset({("event",), ("schema",)})
# Shapes that are tried, the last used first: epochs and evaluations of a few kinds of runs.
_TRIED = 8
# Making one takes as long as reading a hundred lines otherwise, so no log may ask for many.
_MADE = 64
_SEEN = 256


class Mark:
    """What a line says that has a shape: a mark that adds to its run, and to no epoch that has another mark."""

    __slots__ = ("attempt", "epoch", "event", "joules", "own", "prev", "run", "seq", "stage", "total", "writer")

    run: str
    writer: str
    prev: str
    stage: str
    seq: int
    epoch: int
    attempt: int

    def __init__(self, event: str, texts: tuple[str, ...], channels: tuple[str, ...]) -> None:
        # One by one: a line is read in the time that a few calls take.
        self.event: str = event
        self.run, self.writer, seq, self.prev, self.stage, epoch, attempt, energy, co2, seconds, *others = texts
        total_energy, total_co2, total_seconds, *joules = others
        self.seq, self.epoch, self.attempt = int(seq), int(epoch), int(attempt)
        self.own: Figures = float(energy), float(co2), float(seconds)
        self.total: Figures = float(total_energy), float(total_co2), float(total_seconds)
        self.joules: dict[str, float] = dict(zip(channels, map(float, joules), strict=True))


class Shapes:
    """The shapes of the lines that were read so far."""

    __slots__ = ("_made", "_seen", "_shapes")

    def __init__(self) -> None:
        self._shapes: list[_Shape] = []
        self._seen: set[str] = set()
        self._made = 0

    def mark(self, text: str) -> Mark | None:
        """Return what a line says where earlier lines had its shape, else ``None``."""
        for place, shape in enumerate(self._shapes):
            found = shape.match(text)
            if found is not None:
                if place:
                    self._shapes.insert(0, self._shapes.pop(place))
                return Mark(shape.event, shape.pick(found.groups()), shape.channels)
        return None

    def learn(self, values: Mapping[str, Any]) -> None:
        """Take the shape of a record, if another one had it too."""
        names = values.keys()
        if self._made == _MADE or not (names >= _NEEDED and names <= _ALLOWED) or values["event"] not in _EVENTS:
            return
        shape = _Shape(values)
        if shape.pattern not in self._seen:
            if len(self._seen) < _SEEN:
                self._seen.add(shape.pattern)
        elif shape.is_readable:
            shape.prepare()
            self._made += 1
            self._shapes = [shape, *self._shapes[: _TRIED - 1]]


class _Shape:
    """The shape of a record.

    Args:
        values: Such a record.
    """

    __slots__ = ("_kinds", "_paths", "channels", "event", "match", "pattern", "pick")

    def __init__(self, values: Mapping[str, Any]) -> None:
        # Of each value that may be another in the next line: its type and where it stands.
        self._kinds: list[type] = []
        self._paths: list[tuple[object, ...]] = []
        self.pattern = self._of(values, ())
        self.event: str = values["event"]
        self.channels = tuple(values["joules"])

    @property
    def is_readable(self) -> bool:
        """Whether all that a :class:`Mark` says is there, with the types that it has."""
        kinds = dict(zip(self._paths, self._kinds, strict=True))
        return all(kinds.get(path) is kind for path, kind in self._wanted())

    def prepare(self) -> None:
        """Prepare to match and to pick."""
        self.match = re.compile(self.pattern).fullmatch
        self.pick = itemgetter(*(self._paths.index(path) for path, _ in self._wanted()))

    def _wanted(self) -> Iterator[tuple[tuple[object, ...], type]]:
        for name in _NAMES:
            yield (name,), int if name in _WHOLE else str
        for figure in _FIGURES:
            yield (figure,), float
        for figure in _FIGURES:
            yield ("total", figure), float
        for channel in self.channels:
            yield ("joules", channel), float

    def _of(self, value: object, path: tuple[object, ...]) -> str:
        pattern = _PATTERNS.get(type(value))
        if pattern is not None and path not in _SAME:
            self._kinds.append(type(value))
            self._paths.append(path)
            return pattern
        if isinstance(value, dict):
            members = (f"{_name(name)}:{self._of(item, (*path, name))}" for name, item in value.items())
            return rf"\{{{','.join(members)}\}}"
        if isinstance(value, list):
            return rf"\[{','.join(self._of(item, (*path, place)) for place, item in enumerate(value))}\]"
        return re.escape(json.dumps(value))  # null, true, false, what must be the same


def _name(name: str) -> str:
    return re.escape(json.dumps(name, ensure_ascii=False))
