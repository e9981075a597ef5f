"""Runs as counters, one set for each rank and host."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from eco2ai_callbacks.report.fields import text
from eco2ai_callbacks.report.runs import Run, Runs
from eco2ai_callbacks.report.sums import Sum
from eco2ai_callbacks.sinks.counters import RunCounters, facts, labels


def counters(runs: Runs) -> Iterator[RunCounters]:
    """Return the counters of what counts: what a run around one includes has none."""
    for run in runs:
        yield from _of(run)


def _of(run: Run) -> Iterator[RunCounters]:
    parts: dict[tuple[int, str], Sum] = {}
    for portion in run.counted:
        key = portion.rank, portion.host
        parts[key] = parts[key] + portion.sum if key in parts else portion.sum
    ended: dict[tuple[int, str], datetime] = {}
    for writer in run.writers:
        if writer.ended is not None:
            key = writer.rank, writer.host
            ended[key] = max(ended.get(key, writer.ended), writer.ended)
    region = run.factors[-1].region if run.factors else ""
    version = run.versions[-1] if run.versions else ""
    for (rank, host), used in parts.items():
        moment = ended.get((rank, host))
        yield RunCounters(
            labels=labels(run.id, text(run.project), host, rank),
            joules=used.joules,
            seconds=used.seconds,
            grams=used.usage.grams,
            cost=used.cost,
            updated=None if moment is None else moment.timestamp(),
            facts=facts(run.description, region, version),
        )
