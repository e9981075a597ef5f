"""The table: rows of cells, as Markdown."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

# What a row has nothing to say of.
NOTHING = "–"
LONGEST_ERROR = 90
# Below, a figure is as good as none.
MOST_DECIMALS = 6


@dataclass(slots=True)
class Row:
    """One measure.

    Args:
        label: What is measured, with its unit.
        cells: A text for each package that has one, by its name.
    """

    label: str
    cells: dict[str, str] = field(default_factory=dict)


def error(why: object) -> str:
    """Return the cell of a package that could not run: its own words, in short."""
    words = " ".join(str(why).split())
    return "error: " + (words if len(words) <= LONGEST_ERROR else words[: LONGEST_ERROR - 1] + "…")


def figure(value: float) -> str:
    """Return a number in three digits, as a reader writes it."""
    if value == 0:
        return "0"
    decimals = 2 - math.floor(math.log10(abs(value)))
    return f"{value:,.{min(max(decimals, 0), MOST_DECIMALS)}f}"


def render(names: Sequence[str], rows: Iterable[Row]) -> str:
    """Return the table in Markdown, a column for each package.

    Args:
        names: The packages, in the order of their columns.
        rows: The measures, in theirs.
    """
    lines = [_line(["", *names]), _line(["---"] * (len(names) + 1))]
    lines += [_line([row.label, *(row.cells.get(name, NOTHING) for name in names)]) for row in rows]
    return "\n".join(lines)


def facts(pairs: Mapping[str, str]) -> str:
    """Return a list of what the table's reader must know: where and when it was made."""
    return "\n".join(f"- {name}: {value}" for name, value in pairs.items())


def _line(cells: Iterable[str]) -> str:
    # Neither may end a cell or a row.
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"
