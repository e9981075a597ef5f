"""Prometheus's text format, version 0.0.4, as node_exporter's textfile collector reads it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping

from eco2ai_callbacks.sinks.counters import FAMILIES, Family, RunCounters

_PREFIX = "eco2ai"


def as_text(runs: Iterable[RunCounters]) -> str:
    """Return the values of runs.

    Args:
        runs: What each has used; no two have the same labels.

    Example:
        >>> print(as_text([RunCounters({"run": "a"}, {"cpu": 7.2}, 2.0)]).splitlines()[2])
        eco2ai_energy_joules_total{run="a",channel="cpu",component="cpu"} 7.2
    """
    found = list(runs)
    return "".join(f"{line}\n" for family in FAMILIES for line in _lines(family, found))


def name_of(family: Family) -> str:
    """Return the name of a counter or gauge: its unit is part of it, and a counter ends in ``_total``."""
    parts = (_PREFIX, family.name, family.unit, "total" if family.counts else "")
    return "_".join(part for part in parts if part)


def _lines(family: Family, runs: list[RunCounters]) -> Iterator[str]:
    name = name_of(family)
    values = [
        f"{name}{{{_labels({**run.labels, **more})}}} {_number(value)}"
        for run in runs
        for value, more in family.values(run)
    ]
    if values:
        yield f"# HELP {name} {_escaped(family.meaning)}"
        yield f"# TYPE {name} {'counter' if family.counts else 'gauge'}"
        yield from values


def _labels(labels: Mapping[str, str]) -> str:
    return ",".join(f'{name}="{_quoted(value)}"' for name, value in labels.items())


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n")


def _quoted(text: str) -> str:
    return _escaped(text).replace('"', '\\"')


def _number(value: float) -> str:
    if math.isfinite(value):
        return repr(float(value))
    return "NaN" if math.isnan(value) else "+Inf" if value > 0 else "-Inf"
