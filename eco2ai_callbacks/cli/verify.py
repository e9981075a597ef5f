"""``eco2ai verify``: check whether a run log was altered."""

from __future__ import annotations

import os
from pathlib import Path

import click

from eco2ai_callbacks.runlog.aggregate import jobs
from eco2ai_callbacks.runlog.read import records
from eco2ai_callbacks.runlog.verify import Verdict
from eco2ai_callbacks.runlog.verify import verify as verdict_on

KEY = "ECO2AI_LOG_KEY"


@click.command()
@click.argument("log", default="eco2ai.jsonl", type=click.Path(path_type=Path))
@click.pass_context
def verify(context: click.Context, log: Path) -> None:
    """Recompute every hash and total of LOG, and name the first line that was changed, removed or added.

    With ECO2AI_LOG_KEY set to the key that the log was written with, forged lines are found too; without it only damage
    is. The exit status is 1 where something was altered.
    """
    try:
        verdict = verdict_on(log, os.environ.get(KEY))
        ranks = {run: job.said for run, job in jobs(records(log)).items()}
    except OSError as error:
        raise click.UsageError(f"LOG={str(log)!r} cannot be read: {error.strerror}.") from None
    if not verdict.files:
        raise click.UsageError(
            f"LOG={str(log)!r} is not there; accepted is the path of a run log, such as eco2ai.jsonl."
        )
    for run in verdict.runs:
        energy = run.usage.energy_kwh
        used = "nothing measured" if energy is None else f"{energy:.6g} kWh, {run.usage.co2_kg or 0.0:.6g} kg CO2e"
        said = f", {ranks[run.id]}" if ranks.get(run.id) else ""
        click.echo(f"{run.id}  {run.state}: {used}{said}")
    for path, number in verdict.torn:
        click.echo(f"{path}, line {number}: torn, as a crash or a full disk leaves a line")
    click.echo(_conclusion(verdict))
    if not verdict.whole:
        context.exit(1)


def _conclusion(verdict: Verdict) -> str:
    read = f"{verdict.records} records in {len(verdict.files)} {'file' if len(verdict.files) == 1 else 'files'}"
    if verdict.first is not None:
        more = len(verdict.faults) - 1
        return f"altered ({read}): {verdict.first}" + (f"; and {more} more" if more else "")
    return f"whole ({read}), " + (
        "by its key" if verdict.keyed else f"by its hashes; with {KEY} forgery would show too"
    )
