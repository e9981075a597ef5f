"""``eco2ai gate``: fail where runs use more energy than they may, for continuous integration."""

from __future__ import annotations

from pathlib import Path

import click

from eco2ai_callbacks.cli.amounts import finite, share
from eco2ai_callbacks.cli.report import read_all
from eco2ai_callbacks.comparing.gate import PER, Limits
from eco2ai_callbacks.comparing.gate import gate as checked
from eco2ai_callbacks.comparing.verdict import NotComparable
from eco2ai_callbacks.report.formats import shown
from eco2ai_callbacks.report.runs import Runs

FAILED = 1


@click.command()
@click.argument("logs", nargs=-1, metavar="[LOG]...")
@click.option(
    "--max-kwh",
    type=click.FloatRange(min=0, min_open=True),
    callback=finite,
    metavar="KWH",
    help="Energy that a run may use.",
)
@click.option("--budget", callback=share, metavar="SHARE", help="How far above the baseline runs may be, such as 10%.")
@click.option("--baseline", "baselines", multiple=True, metavar="LOG", help="Log of the runs to compare with.")
@click.option("--per", type=click.Choice(PER), default="run", show_default=True, help="What the limits are for.")
@click.option("--project", metavar="NAME", help="Check the runs of this project alone.")
@click.option(
    "--summary",
    type=click.Path(path_type=Path, dir_okay=False),
    envvar="GITHUB_STEP_SUMMARY",
    show_envvar=True,
    help="Append a summary in Markdown to a file.",
)
@click.pass_context
def gate(
    context: click.Context,
    logs: tuple[str, ...],
    max_kwh: float | None,
    budget: float | None,
    baselines: tuple[str, ...],
    per: str,
    project: str | None,
    summary: Path | None,
) -> None:
    """Fail where runs use more energy than they may: more than --max-kwh, or more than --budget above a baseline.

    LOG is what `eco2ai report` takes; eco2ai.jsonl by default. Runs are compared with the runs of the same project in
    the baseline, and fail where their mean is above the budget by more than repeats differ by. Runs that are in both
    logs are checked and are no baseline. Energy is IT energy, without the overhead of the data centre.

    \b
    Exit status:
      0  all runs are within the limits
      1  one uses more
      2  there is nothing to check, or the baseline was measured otherwise

    \b
    Examples:
      eco2ai gate --max-kwh 0.05
      eco2ai gate eco2ai.jsonl --budget 10% --baseline baseline.jsonl
    """
    if max_kwh is None and budget is None:
        raise click.UsageError("give a limit: --max-kwh KWH, or --budget SHARE with --baseline LOG.")
    if (budget is None) != (not baselines):
        given, lacking = ("--budget", "--baseline LOG") if budget is not None else ("--baseline", "--budget SHARE")
        raise click.UsageError(f"{given} needs {lacking} too.")
    try:
        runs = _of_project(_read(logs), project)
        known = _of_project(_read(baselines), project) if baselines else None
        found = checked(runs, Limits(max_kwh, budget, per), known)
    except NotComparable as error:
        raise click.UsageError(shown(str(error))) from None
    click.echo(shown(found.sentence))
    for note in found.notes:
        click.echo(f"note: {shown(note)}", err=True)
    if summary is not None:
        _append(summary, found.summary)
    if not found.passed:
        context.exit(FAILED)


def _read(logs: tuple[str, ...]) -> Runs:
    """Return the runs of logs.

    Raises:
        NotComparable: A later version has written lines of them: a limit that leaves these out would hold nothing.
    """
    found = read_all(logs)
    for name, unread in found.unread:
        raise NotComparable(f"{name}, {unread}; update eco2ai_callbacks to check it.")
    return found


def _of_project(runs: Runs, project: str | None) -> Runs:
    """Return the runs of a project.

    Raises:
        NotComparable: There is none.
    """
    if project is None:
        return runs
    found = tuple(run for run in runs if run.project == project)
    if not found:
        raise NotComparable(f"--project={project!r} has no run in {', '.join(runs.logs)}.")
    return Runs(found, runs.logs)


def _append(path: Path, text: str) -> None:
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise click.UsageError(f"--summary={str(path)!r} cannot be written: {error.strerror}.") from None
