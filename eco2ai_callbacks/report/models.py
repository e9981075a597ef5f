"""The CPU's model against its counters, over any set of logs: by processor, as a table."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from eco2ai_callbacks.report.formats import shown
from eco2ai_callbacks.report.runs import Runs
from eco2ai_callbacks.report.stated import Check
from eco2ai_callbacks.sinks.console import amount
from eco2ai_callbacks.usage import JOULES_PER_KWH


@dataclass(frozen=True, slots=True)
class Compared:
    """The comparisons of one model on one kind of processor.

    Args:
        cpu: The processor's name.
        method: The model.
        sessions: Number of sessions.
        hours: Their time together.
        load: Mean part of the threads that was busy.
        counter_kwh: Energy by the counters.
        model_kwh: Energy by the model.
        least: The lowest model / counter of a session.
        most: The highest.
    """

    cpu: str
    method: str
    sessions: int
    hours: float
    load: float
    counter_kwh: float
    model_kwh: float
    least: float
    most: float

    @property
    def ratio(self) -> float:
        """Energy by the model / energy by the counters."""
        return self.model_kwh / self.counter_kwh


def compared(runs: Runs) -> list[Compared]:
    """Return the comparisons by processor and model, in the order of their names."""
    groups: dict[tuple[str, str], list[Check]] = {}
    for run in runs:
        for check in run.checks:
            groups.setdefault((check.cpu, check.method), []).append(check)
    return [_of(*key, checks) for key, checks in sorted(groups.items())]


def _of(cpu: str, method: str, checks: Sequence[Check]) -> Compared:
    seconds = sum(check.seconds for check in checks)
    threads_s = sum(check.threads * check.seconds for check in checks)
    ratios = [check.model_j / check.counter_j for check in checks]
    return Compared(
        cpu,
        method,
        len(checks),
        seconds / 3600.0,
        sum(check.busy_s for check in checks) / threads_s if threads_s else 0.0,
        sum(check.counter_j for check in checks) / JOULES_PER_KWH,
        sum(check.model_j for check in checks) / JOULES_PER_KWH,
        min(ratios),
        max(ratios),
    )


def as_table(found: Sequence[Compared]) -> str:
    """Return the comparisons as a table of text that ends with a newline."""
    head = ("processor", "model", "sessions", "hours", "load", "counters", "model says", "ratio", "least", "most")
    rows = [
        (
            *(shown(each.cpu, 48) or "(no name)", shown(each.method, 40)),
            *(str(each.sessions), f"{each.hours:.2f}", f"{each.load:.0%}"),
            *(amount(value * 1000.0, "Wh") for value in (each.counter_kwh, each.model_kwh)),
            *(f"x{value:.2f}" for value in (each.ratio, each.least, each.most)),
        )
        for each in found
    ]
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    lines = [
        "  ".join(cell.ljust(width) if place < 2 else cell.rjust(width) for place, (cell, width) in enumerate(pairs))
        for row in (head, *rows)
        for pairs in [list(zip(row, widths, strict=True))]
    ]
    return "\n".join(line.rstrip() for line in lines) + "\n"


def as_json(found: Sequence[Compared]) -> str:
    """Return the comparisons as JSON that ends with a newline."""
    rows = [{**{name: getattr(each, name) for name in each.__slots__}, "ratio": each.ratio} for each in found]
    return json.dumps(rows, indent=2) + "\n"
