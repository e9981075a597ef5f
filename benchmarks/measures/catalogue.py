"""The measures by the names that ``--only`` takes, in the table's order."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from benchmarks.measures import background, costs, marks, survival, watts
from benchmarks.measures.bench import Bench
from benchmarks.table import Row

MEASURES: dict[str, Callable[[Bench], list[Row]]] = {
    "install": costs.installed,
    "start": costs.starts,
    "marks": marks.marks,
    "idle": background.idle,
    "loop": background.loop,
    "watts": watts.watts,
    "kill": survival.killed,
    "writers": survival.writers,
}


def chosen(names: Iterable[str]) -> tuple[str, ...]:
    """Return the measures of these names in the table's order; all of them for no name.

    Raises:
        ValueError: A name is none of a measure.
    """
    wanted = set(names)
    if wanted - MEASURES.keys():
        unknown = ", ".join(sorted(wanted - MEASURES.keys()))
        raise ValueError(f"--only: {unknown} is not one of {', '.join(MEASURES)}.")
    return tuple(name for name in MEASURES if not wanted or name in wanted)
