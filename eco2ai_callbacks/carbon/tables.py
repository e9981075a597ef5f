"""The package's tables: tab-separated text that is searched as text and never parsed as a whole."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path


@cache
def text(table: str) -> str:
    """Return the content of one table, read once; it starts and ends with a newline, so each row is between two."""
    path = Path(__file__).parent / "data" / f"{table}.tsv"
    return "\n" + path.read_bytes().decode()


def rows(table: str, key: str) -> Iterator[list[str]]:
    """Return the rows whose first field is ``key``, in the table's order.

    Example:
        >>> next(rows("places", "FR"))[3]
        'France'
    """
    content, start = text(table), 0
    while (start := content.find(f"\n{key}\t", start)) >= 0:
        end = content.index("\n", start + 1)
        yield content[start + 1 : end].split("\t")
        start = end


def every(table: str) -> Iterator[list[str]]:
    """Return all rows of a table."""
    for line in text(table).splitlines():
        if line and not line.startswith("#"):
            yield line.split("\t")


def rows_with(table: str, part: str) -> Iterator[list[str]]:
    """Return the rows that contain ``part``, in the table's order."""
    content, at = text(table), 0
    while (at := content.find(part, at)) >= 0:
        start, end = content.rindex("\n", 0, at) + 1, content.index("\n", at)
        if content[start] != "#":
            yield content[start:end].split("\t")
        at = end
