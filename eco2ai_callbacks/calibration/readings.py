"""Read what a meter at the wall shows, from a person or a table, and join it to the steps of a measurement."""

from __future__ import annotations

import csv
import io
import itertools
import math
import re
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from eco2ai_callbacks.calibration.wall import WallRun
from eco2ai_callbacks.usage import JOULES_PER_KWH

# More than a rack draws; a reading above it, or below 0, is a fault of the meter.
MOST_W = 100_000.0
# Readings at least this close to each other, as a part of a step, or the meter was silent in it.
_LONGEST_GAP = 0.5
_TYPED = re.compile(r"(?P<number>\d+(?:[.,]\d+)?)\s*(?P<unit>k?w)?", re.IGNORECASE)
_NAMES = {
    "time": ("time", "timestamp", "t", "date"),
    "watts": ("watts", "w", "power", "power_w"),
    "seconds": ("seconds", "duration_s"),
    "measured_kwh": ("measured_kwh", "energy_kwh"),
    "measured_j": ("measured_j", "codecarbon_j"),
    "wall_kwh": ("wall_kwh", "meter_kwh"),
    "wall_j": ("wall_j", "meter_j"),
}


@dataclass(frozen=True, slots=True)
class Reading:
    """What a meter showed.

    Args:
        t: When, in seconds of the same clock as the steps'.
        watts: The power.
    """

    t: float
    watts: float


class ReadingError(ValueError):
    """A table or a line holds no readings; the message is a sentence."""


def typed_watts(text: str) -> float | None:
    """Return the power that a person typed; ``None`` for an empty line.

    Args:
        text: ``123``, ``123,5 W`` or ``0.12 kW``.

    Raises:
        ReadingError: It is none.

    Example:
        >>> typed_watts("123,5 W"), typed_watts("0.12 kW"), typed_watts("")
        (123.5, 120.0, None)
    """
    text = text.strip()
    if not text:
        return None
    found = _TYPED.fullmatch(text)
    scale = 1000 if found and (found["unit"] or "").lower() == "kw" else 1
    watts = float(found["number"].replace(",", ".")) * scale if found else 0.0
    if not is_power(watts):
        raise ReadingError(f"{text!r} is no power: accepted is 123, 123.5 W or 0.12 kW; empty leaves the step out")
    return watts


def is_power(watts: float) -> bool:
    """Return whether a reading may be the power of a machine that is switched on."""
    return math.isfinite(watts) and 0 < watts <= MOST_W


def table_readings(text: str) -> list[Reading]:
    """Return the readings of a CSV file with the columns ``time`` and ``watts``, in seconds since 1970.

    Args:
        text: The file; times are ISO 8601 (local where they name no zone) or seconds since 1970.

    Raises:
        ReadingError: A column or all readings are missing.
    """
    rows, columns = _table(text, ("time", "watts"))
    found = []
    for row in rows:
        t, watts = _moment(row[columns["time"]]), _number(row[columns["watts"]])
        # A logger writes "unavailable" while it has none.
        if t is not None and watts is not None and is_power(watts):
            found.append(Reading(t, watts))
    if not found:
        raise ReadingError("the table has no row with a time and a power above 0 W")
    return sorted(found, key=lambda reading: reading.t)


def table_runs(text: str) -> list[WallRun]:
    """Return the runs of a CSV file with their seconds, their measured energy and the meter's.

    Args:
        text: The file, with the columns ``seconds``, ``measured_kwh`` and ``wall_kwh`` (or ``_j`` for joules).

    Raises:
        ReadingError: A column or all runs are missing.
    """
    joules = "measured_j" if _has(text, "measured_j") else "measured_kwh"
    wall = "wall_j" if _has(text, "wall_j") else "wall_kwh"
    rows, columns = _table(text, ("seconds", joules, wall))
    found = []
    for row in rows:
        values = [_number(row[columns[name]]) for name in ("seconds", joules, wall)]
        if None not in values:
            seconds, measured, at_wall = (float(value or 0.0) for value in values)
            found.append(
                WallRun(
                    seconds,
                    measured * (1.0 if joules.endswith("_j") else JOULES_PER_KWH),
                    at_wall * (1.0 if wall.endswith("_j") else JOULES_PER_KWH),
                )
            )
    if not found:
        raise ReadingError(f"the table has no row with numbers for seconds, {joules} and {wall}")
    return found


def step_watts(readings: Sequence[Reading], changed: float, start: float, end: float) -> float | None:
    """Return the meter's power in a step; ``None`` where it was silent or only repeated an earlier reading.

    It is the median, so that single jumps do not count. Readings that are still those from before the load changed are
    left out: some meters show a new one only every minute. A reading is such a one if it was shown for as long before
    the change as the step then waited, so that a reading at the moment of the change itself may be of either load.

    Args:
        readings: The readings, in the order of time.
        changed: When the load changed.
        start: When the step's measurement began.
        end: When it ended.
    """
    before = _shown_at(readings, changed)
    fresh, still = [], before is not None and before == _shown_at(readings, 2 * changed - start)
    for reading in readings:
        if reading.t <= changed or reading.t > end:
            continue
        still = still and reading.watts == before
        if not still and reading.t >= start:
            fresh.append(reading)
    if not fresh:
        return None
    edges = [start, *(reading.t for reading in fresh), end]
    gaps = [late - early for early, late in itertools.pairwise(edges)]
    if max(gaps) > _LONGEST_GAP * (end - start):
        return None
    return statistics.median(reading.watts for reading in fresh)


def _shown_at(readings: Sequence[Reading], t: float) -> float | None:
    return next((reading.watts for reading in reversed(readings) if reading.t <= t), None)


def _has(text: str, column: str) -> bool:
    first = text.lstrip("\ufeff").partition("\n")[0].lower()
    return any(name in [cell.strip().strip('"') for cell in re.split(r"[,;\t]", first)] for name in _NAMES[column])


def _table(text: str, wanted: Sequence[str]) -> tuple[list[list[str]], dict[str, int]]:
    text = text.lstrip("\ufeff")
    first = text.partition("\n")[0]
    separator = max(",;\t", key=first.count)
    rows = list(csv.reader(io.StringIO(text), delimiter=separator))
    head = [cell.strip().lower() for cell in rows[0]] if rows else []
    columns = {}
    for column in wanted:
        place = next((head.index(name) for name in _NAMES[column] if name in head), None)
        if place is None:
            raise ReadingError(f"the table has no column {column!r}: its first line is {first.strip()[:100]!r}")
        columns[column] = place
    return [row for row in rows[1:] if len(row) > max(columns.values())], columns


def _number(text: str) -> float | None:
    text = text.strip()
    try:
        value = float(text.replace(",", ".") if text.count(",") == 1 and "." not in text else text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _moment(text: str) -> float | None:
    text = text.strip()
    number = _number(text)
    if number is not None:
        # Home Assistant and Grafana export milliseconds.
        return number / 1000 if number > 1e11 else number
    try:
        return datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError, OSError):
        return None
