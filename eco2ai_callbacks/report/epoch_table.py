"""The epochs of one rank, in columns of numbers: a run of a million epochs must fit in memory."""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from eco2ai_callbacks.record import Record
from eco2ai_callbacks.report.fields import mapping, number, text
from eco2ai_callbacks.report.of_record import OTHER, Figures, Source
from eco2ai_callbacks.report.sums import Part, Sum, Summed
from eco2ai_callbacks.usage import Usage

# Columns that a table of epochs has at most, for stages, channels and metrics. A log that names a new metric in every
# epoch must not fill the memory.
MOST_COLUMNS = 200
_NAN = float("nan")

# Epoch and attempt.
Key = tuple[int, int]
# What a column holds, of which stage or metric, or of which channel and method.
Column = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Stage:
    """A stage's part of an epoch: its seconds and its joules over all channels."""

    seconds: float
    joules: float


@dataclass(frozen=True, slots=True)
class Epoch(Summed):
    """One epoch of a run, over all ranks.

    Args:
        epoch: Its number, from 0.
        attempt: Number of its attempt, from 1; each attempt is an epoch of its own here.
        sum: What all of its records used, evaluations within it included.
        stages: Its stages.
        metrics: The numbers that were logged with it, the last of each name.
        started: When its first record's segment began.
        samples: Samples that all ranks trained on; ``None`` where they are not logged.
        tokens: Tokens that all ranks trained on; ``None`` where they are not logged.
        closed: Whether its training came to its end; that of a killed run's last epoch did not.
    """

    epoch: int
    attempt: int
    sum: Sum
    stages: Mapping[str, Stage] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    started: datetime | None = None
    samples: int | None = None
    tokens: int | None = None
    closed: bool = False


class Table:
    """The epochs of one rank, as its records are read."""

    __slots__ = ("_columns", "_first", "_rows", "keys")

    def __init__(self) -> None:
        self.keys: tuple[array[int], array[int]] = (array("q"), array("q"))
        self._columns: dict[Column, array[float]] = {}
        # The first row of the epochs that follow each other, and the rows of the others.
        self._first: dict[int, tuple[int, int]] = {}
        self._rows: dict[Key, int] = {}

    def __len__(self) -> int:
        return len(self.keys[0])

    def add(self, figures: Figures) -> None:
        """Add a record that counts to its epoch."""
        record = figures.record
        row = self.row(record.epoch, record.attempt)
        if row is None:
            return
        columns = self._columns
        for column, value in _added(figures):
            values = columns.get(column)
            rows = 0 if values is None else len(values)
            if values is not None and rows == row:
                values.append(value)
            elif values is not None and rows > row:
                held = values[row]
                values[row] = value if held != held else held + value
            else:
                self._plus(row, column, value)
        if record.event == "epoch":
            self._set(row, ("closed", "", ""), 1.0)
        if figures.began is not None:
            started = columns.get(("started", "", ""))
            if started is None or len(started) <= row or started[row] != started[row]:
                self._set(row, ("started", "", ""), figures.began)
        self.note(record)

    def note(self, record: Record) -> None:
        """Take the numbers that were logged with an epoch."""
        if not record.metrics or not mapping(record.metrics):
            return
        row = self.row(record.epoch, record.attempt)
        if row is not None:
            for name, value in record.metrics.items():
                found = number(value)
                if found is not None:
                    self._set(row, ("metric", text(name), ""), found)

    def row(self, epoch: int | None, attempt: int | None) -> int | None:
        """Return the row of an epoch, a new one where it has none; ``None`` for a number that is no epoch's."""
        if epoch is None or not -(2**63) <= epoch < 2**63:
            return None
        attempt = attempt if attempt is not None and 0 < attempt < 2**31 else 1
        found = self.find(epoch, attempt)
        if found is not None:
            return found
        first, begins = self._first.setdefault(attempt, (epoch, len(self)))
        if begins + epoch - first != len(self):
            self._rows[epoch, attempt] = len(self)
        self.keys[0].append(epoch)
        self.keys[1].append(attempt)
        return len(self) - 1

    def find(self, epoch: int, attempt: int) -> int | None:
        """Return the row of an epoch; ``None`` where it has none."""
        if attempt not in self._first:
            return None
        first, begins = self._first[attempt]
        found = begins + epoch - first
        if epoch >= first and found < len(self) and self.keys[0][found] == epoch and self.keys[1][found] == attempt:
            return found
        return self._rows.get((epoch, attempt))

    def plus(self, other: Table) -> None:
        """Add what another file holds of the same rank."""
        for row, key in enumerate(zip(*other.keys, strict=True)):
            mine = self.row(*key)
            assert mine is not None
            for column, values in other._columns.items():
                if row < len(values) and values[row] == values[row]:
                    if column[0] in ("metric", "started", "closed"):
                        self._set(mine, column, values[row])
                    else:
                        self._plus(mine, column, values[row])

    def epoch(self, row: int) -> Epoch:
        """Return one row as an object."""
        joules: dict[str, float] = {}
        parts: dict[Source, Part] = {}
        stages: dict[str, Stage] = {}
        metrics: dict[str, float] = {}
        beside: dict[str, float] = {}
        plain: dict[str, float] = {}
        for (kind, name, more), values in self._columns.items():
            if row >= len(values) or (value := values[row]) != value:
                continue
            if kind == "joules":
                joules[name] = value
            elif kind == "part":
                low, high = (self._value(row, (edge, name, more), value) for edge in ("low", "high"))
                parts[name, more] = Part(value, low, high)
            elif kind == "stage_s":
                stages[name] = Stage(value, self._value(row, ("stage_j", name, ""), 0.0))
            elif kind == "metric":
                metrics[name] = value
            elif kind == "beside":
                beside[name] = value
            else:
                plain[kind] = value
        usage = Usage(plain.get("seconds", 0.0), joules, plain.get("grams"), plain.get("cost"))
        grams = plain.get("grams_low", 0.0), plain.get("grams_high", 0.0)
        started, samples, tokens = plain.get("started"), plain.get("samples"), plain.get("tokens")
        return Epoch(
            self.keys[0][row],
            self.keys[1][row],
            Sum(usage, parts, plain.get("measured"), grams, beside),
            stages,
            metrics,
            None if started is None else datetime.fromtimestamp(started, UTC).astimezone(),
            None if samples is None else round(samples),
            None if tokens is None else round(tokens),
            "closed" in plain,
        )

    def _plus(self, row: int, column: Column, value: float) -> None:
        values = self._column(row, column)
        held = values[row]
        values[row] = value if held != held else held + value

    def _set(self, row: int, column: Column, value: float) -> None:
        values = self._columns.get(column)
        if values is not None and len(values) == row:
            values.append(value)
        elif values is not None or len(self._columns) < MOST_COLUMNS or not column[1]:
            self._column(row, column)[row] = value

    def _value(self, row: int, column: Column, missing: float) -> float:
        values = self._columns.get(column, ())
        return values[row] if row < len(values) and values[row] == values[row] else missing

    def _column(self, row: int, column: Column) -> array[float]:
        values = self._columns.get(column)
        if values is None:
            if len(self._columns) >= MOST_COLUMNS and column[1] not in ("", OTHER):
                return self._column(row, (column[0], OTHER, OTHER if column[2] else ""))
            values = self._columns[column] = array("d")
        if len(values) <= row:
            values.extend([_NAN] * (row + 1 - len(values)))
        return values


def _added(figures: Figures) -> list[tuple[Column, float]]:
    """Return what a record adds to the columns of its epoch, in the order in which they are made."""
    record = figures.record
    stage, seconds = record.stage, record.seconds
    found: list[tuple[Column, float]] = [(("seconds", "", ""), seconds)]
    total = 0.0
    for channel, joules in record.joules.items():
        found.append((("joules", channel, ""), joules))
        total += joules
    for (channel, method), joules, low, high in figures.parts:
        found += (
            (("part", channel, method), joules),
            (("low", channel, method), low),
            (("high", channel, method), high),
        )
    found += ((("stage_s", stage, ""), seconds), (("stage_j", stage, ""), total))
    low, high = figures.grams_band
    found += ((("grams_low", "", ""), low), (("grams_high", "", ""), high))
    for name, value in (
        ("grams", figures.grams),
        ("cost", record.cost),
        ("measured", figures.measured_j),
        ("samples", None if record.samples is None else number(record.samples)),
        ("tokens", None if record.tokens is None else number(record.tokens)),
    ):
        if value is not None:
            found.append(((name, "", ""), value))
    for name, value in figures.beside.items():
        found.append((("beside", name, ""), value))
    return found
