"""SCI scores of runs (ISO/IEC 21031) for a functional unit."""

from __future__ import annotations

import dataclasses
import math
import re
from dataclasses import dataclass

from eco2ai_callbacks.metrics.sci import UNITS, g_per_unit, units_of
from eco2ai_callbacks.report.groups import NONE, Grouped, some
from eco2ai_callbacks.report.runs import Run, Runs
from eco2ai_callbacks.report.sums import Sum

GROUPS = ("run", "project")
ACCEPTED = f"{', '.join(UNITS)}, or a number of units of all runs together, such as 5000 or 5000:request"


@dataclass(frozen=True, slots=True)
class Unit:
    """A functional unit.

    Args:
        name: One of :data:`~eco2ai_callbacks.metrics.sci.UNITS`, or the user's own name.
        number: How many of them all runs together have delivered; ``None`` where the records hold it.
    """

    name: str
    number: float | None = None

    @classmethod
    def parse(cls, text: str) -> Unit:
        """Return what a text names; raises ``ValueError`` where it names none.

        Example:
            >>> Unit.parse("5000:request")
            Unit(name='request', number=5000.0)
        """
        if text in UNITS:
            return cls(text)
        number, _, name = text.partition(":")
        if not re.fullmatch(r"\d{1,15}(\.\d{1,15})?(e[+]?\d{1,2})?", number) or not float(number) or len(name) > 40:
            raise ValueError(f"{text!r} is no functional unit; accepted are {ACCEPTED}")
        return cls(name or "unit", float(number))


def scored(found: Grouped, runs: Runs, unit: Unit) -> Grouped:
    """Return a report with the scores of its rows and of its total.

    Args:
        found: The report.
        runs: Its runs.
        unit: The functional unit.

    Raises:
        ValueError: The rows are neither runs nor projects.
    """
    if found.by not in GROUPS:
        raise ValueError(f"scores are of {' or '.join(f'each {name}' for name in GROUPS)}, not by {found.by}")
    rows = found.rows
    if unit.number is None:
        if found.by == "run":
            counts = [_units(run, unit) for run in runs]
        else:
            counts = [_sum([_units(run, unit) for run in runs if run.counted and _in(row.keys, run)]) for row in rows]
        rows = tuple(
            dataclasses.replace(row, sci=_score(row.sum, count)) for row, count in zip(rows, counts, strict=True)
        )
    whole = unit.number
    if whole is None:
        whole = _sum([_units(run, unit) for run in runs if run.counts])
    return dataclasses.replace(found, rows=rows, unit=unit.name, sci=_score(found.total, whole))


def score_notes(runs: Runs) -> list[str]:
    """Return what a reader must know of the scores."""
    lacking = [run.id for run in runs if run.counts and "embodied_co2_kg" not in run.sum.beside]
    if not lacking:
        return []
    return [f"SCI: without the making of the hardware in {some(lacking, 'run')}, where embodied_kg was not set"]


def _in(keys: tuple[str, ...], run: Run) -> bool:
    return keys[0] == (run.project or NONE)


def _score(used: Sum, units: float | None) -> float | None:
    return g_per_unit(used.co2_kg, used.beside.get("embodied_co2_kg"), units)


def _units(run: Run, unit: Unit) -> float | None:
    if unit.name == "run":
        return 1.0
    epochs: set[int] = set()
    samples = tokens = 0
    for epoch in run.epochs:
        epochs.add(epoch.epoch)
        samples += epoch.samples or 0
        tokens += epoch.tokens or 0
    return units_of(unit.name, epochs=len(epochs), samples=samples, tokens=tokens)


def _sum(counts: list[float | None]) -> float | None:
    # Energy of a run whose units are not known would be in the score, and its units not.
    known = [count for count in counts if count is not None]
    return math.fsum(known) if known and len(known) == len(counts) else None
