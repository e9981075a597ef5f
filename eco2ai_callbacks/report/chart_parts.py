"""Parts that charts have in common: units, colours, axes, tooltips, tables."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import altair as alt

from eco2ai_callbacks.report import series
from eco2ai_callbacks.report.runs import Run
from eco2ai_callbacks.report.series import Row
from eco2ai_callbacks.sinks.console import amount

# Rows of the table behind a chart.
MOST_ROWS = 400
# Epochs of which each has a tick.
_FEW_EPOCHS = 8
# Time that an axis covers at most: where its labels show seconds, and where they show hours of several days.
_MINUTES, _WEEKS = timedelta(minutes=10), timedelta(days=14)
# Length of the day in a label.
_DAY = 10
# Pixels of a bar with the space around it.
_BAR = 26
_COLOURS = tuple(f"c{place}" for place in range(8))
_FIXED = {
    **{"cpu": "c0", "gpu": "c1", "ram": "c2", "carried": "c7", "other": "c7"},
    **{"train": "c0", "validate": "c1", "test": "c2", "predict": "c3"},
    **{series.MEASURED: "c2", series.ESTIMATED: "c1", series.UNKNOWN: "c7"},
}


def in_unit(rows: Sequence[Row], unit: str, *names: str, of: str | None = None) -> tuple[list[Row], str]:
    """Return the rows with these columns in a unit whose prefix fits the largest of them, or the largest sum."""
    tops: dict[object, float] = {}
    for row in rows:
        value = max(row[name] for name in names if name in row)
        tops[row[of] if of else len(tops)] = tops.get(row[of] if of else len(tops), 0.0) + value
    top = max(tops.values(), default=0.0)
    factor, spelt = series.scaled(top, unit)
    return [row | {name: row[name] / factor for name in names if name in row} for row in rows], spelt


def banded_cells(row: Row, name: str, unit: str) -> tuple[str, ...]:
    """Return a figure and its band for a table."""
    return tuple(amount(row[key], unit) for key in (name, f"{name}_low", f"{name}_high"))


def by_name(field: str, rows: Sequence[Row]) -> alt.Y:
    """Return an axis with a bar for each name, in the order of the rows."""
    order = list(dict.fromkeys(row[field] for row in rows))
    return alt.Y(f"{field}:N", title=None, sort=order, axis=alt.Axis(labelLimit=150, ticks=False, domain=False))


def epoch_axis(rows: Sequence[Row]) -> alt.Axis:
    """Return an axis of epochs, which are whole numbers."""
    numbers = {row["epoch"] for row in rows}
    first, last = min(numbers), max(numbers)
    # Vega takes `tickMinStep` for a hint: between two epochs it puts a third tick.
    few = {"values": list(range(first, last + 1))} if last - first <= _FEW_EPOCHS else {}
    return alt.Axis(tickMinStep=1, format="d", **few)


def time_axis(begins: str, ends: str) -> alt.Axis:
    """Return an axis of time whose labels tell its ticks apart, from the first and the last label of its data."""
    span = datetime.fromisoformat(ends) - datetime.fromisoformat(begins)
    if begins[:_DAY] == ends[:_DAY]:
        return alt.Axis(format="%H:%M:%S" if span <= _MINUTES else "%H:%M")
    return alt.Axis(format="%b %d, %H:%M" if span <= _WEEKS else "%b %d")


def alone(rows: Sequence[Row], *names: str) -> list[Row]:
    """Return the rows of lines that have a single point, by the columns that tell lines apart: an area shows none."""
    points = Counter(tuple(row[name] for name in names) for row in rows)
    return [row for row in rows if points[tuple(row[name] for name in names)] == 1]


def one_colour() -> Any:
    """Return the colour of a chart with one."""
    return alt.value("c0")


def legend_of(found: Iterable[str]) -> tuple[tuple[str, str], ...]:
    """Return the colour of each name: its own where it has one in all charts, else one of those that are left."""
    order = list(dict.fromkeys(found))
    taken = {_FIXED[name] for name in order if name in _FIXED}
    free = [colour for colour in _COLOURS if colour not in taken] or list(_COLOURS)
    others = {name: free[place % len(free)] for place, name in enumerate(n for n in order if n not in _FIXED)}
    return tuple((name, (others | _FIXED)[name]) for name in order)


def legend_of_runs(runs: Sequence[Run], names: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """Return the colours of runs, the same in each chart; none for one run."""
    colours = legend_of(f"run {number}" for number in range(len(runs)))
    found = zip((names[run.id] for run in runs), (colour for _, colour in colours), strict=True)
    return tuple(found) if len(runs) > 1 else ()


def colour_by(field: str, legend: Sequence[tuple[str, str]]) -> Any:
    """Return the colours of a legend by a column; one colour where there is no legend."""
    if not legend:
        return one_colour()
    domain, colours = ([pair[place] for pair in legend] for place in (0, 1))
    return alt.Color(f"{field}:N", sort=domain, scale=alt.Scale(domain=domain, range=colours))


def tooltip_of(**fields: str) -> list[alt.Tooltip]:
    """Return a tooltip: the title of each line, and its column."""
    texts = {"run", "series", "part", "host", "name"}
    return [
        alt.Tooltip(f"{field}:N", title=title)
        if field in texts
        else alt.Tooltip(f"{field}:Q", title=title, format=".4~g")
        for title, field in fields.items()
    ]


def height_of(rows: Sequence[Row]) -> int:
    """Return the height of a chart with a bar for each run."""
    return 70 + _BAR * len({row["run"] for row in rows})


def table_of(rows: Sequence[tuple[str, ...]]) -> tuple[tuple[str, ...], ...]:
    """Return the first rows of a table, as many as a page can hold."""
    return tuple(rows[:MOST_ROWS])
