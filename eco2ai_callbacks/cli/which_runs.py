"""Which runs of logs a command is about."""

from __future__ import annotations

import click

from eco2ai_callbacks.report.groups import some
from eco2ai_callbacks.report.runs import Run, Runs


def chosen(runs: Runs, ids: tuple[str, ...]) -> tuple[Run, ...]:
    """Return the runs whose ids begin with one of these; all of them where there is none.

    Raises:
        UsageError: No run has such an id, or several have.
    """
    if not ids:
        return runs.runs
    return tuple({run.id: run for run in (_one(runs, each) for each in ids)}.values())


def _one(runs: Runs, beginning: str) -> Run:
    try:
        return runs[beginning]
    except KeyError:
        found = [run.id for run in runs if run.id.startswith(beginning)]
        known = some(found or [run.id for run in runs], "run")
        said = f"names {len(found)} of them" if found else "is no run of these logs, which hold"
        raise click.UsageError(f"--run={beginning!r} {said}: {known}.") from None
