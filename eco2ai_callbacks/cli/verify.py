"""``eco2ai verify``: check whether a run log was altered, and list its runs."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import click

from eco2ai_callbacks.report.formats import shown
from eco2ai_callbacks.runlog.paths import files_of
from eco2ai_callbacks.runlog.verdict import CheckedRun, Verdict
from eco2ai_callbacks.runlog.verify import verify as verdict_on
from eco2ai_callbacks.sinks.console import duration
from eco2ai_callbacks.usage import Usage

KEY = "ECO2AI_LOG_KEY"
DEFAULT = "eco2ai.jsonl"
_SUFFIX = ".jsonl"
ALTERED, NO_LOG, PARTIAL = 1, 2, 3
_ACCEPTED = f"accepted is a run log such as {DEFAULT}, a folder of them, or a pattern such as 'logs/*{_SUFFIX}'"


@click.command()
@click.argument("logs", nargs=-1, metavar="[LOG]...", type=click.Path(path_type=Path))
@click.pass_context
def verify(context: click.Context, logs: tuple[Path, ...]) -> None:
    """Recompute every hash and total of run logs, list their runs, and name the first line that was altered.

    LOG is a file, a folder, or a pattern such as 'logs/*.jsonl'; eco2ai.jsonl by default. A folder is searched for
    *.jsonl files, also in the folders below it. Files of single writers beside a log belong to it. Several files are
    read as one log, in any order: so give a log that was renamed while it was written (logrotate) together with the
    file in which its runs go on.

    Each run is shown with how it ended, its IT energy, CO2e, duration and ranks; runs that were measured inside another
    one stand below it, and their energy is part of its energy. A run without an end was killed or is still running.

    With ECO2AI_LOG_KEY set to the key that the log was written with, forged lines are found too; without it only damage
    is.

    \b
    Exit status:
      0  nothing was altered
      1  a line was changed, removed or added
      2  LOG is not there, is no run log, or cannot be read
      3  nothing was altered, but runs have lines in a file that was not given, or whose first lines were removed, or
         lines have a schema that this version does not know
    """
    given = logs or (Path(DEFAULT),)
    try:
        found = list(dict.fromkeys(file for log in given for file in _files(log)))
        verdict = verdict_on(found, os.environ.get(KEY))
    except OSError as error:
        where = error.filename if error.filename is not None else ", ".join(map(str, given))
        raise click.UsageError(f"LOG={str(where)!r} cannot be read: {error.strerror}.") from None
    if len(verdict.foreign) == len(verdict.files):
        hint = ""
        if given[0].suffix == ".csv" and files_of(beside := given[0].with_suffix(_SUFFIX)):
            hint = f"; the run log of a CSV is beside it: {beside}"
        raise click.UsageError(f"LOG={str(given[0])!r} is no run log: no line of it is a record; {_ACCEPTED}{hint}.")
    for line in _said(verdict):
        # Names of runs and files may hold what a terminal would carry out.
        click.echo(shown(line))
    if verdict.faults:
        context.exit(ALTERED)
    if not set(given).isdisjoint(verdict.foreign):
        context.exit(NO_LOG)
    if not verdict.whole:
        context.exit(PARTIAL)


def _said(verdict: Verdict) -> Iterator[str]:
    """Return all lines that are shown."""
    for file in verdict.foreign:
        yield f"{file} is no run log: no line of it is a record; it is left out"
    yield from _listed(verdict.runs)
    for path, number in verdict.torn:
        yield f"{path}, line {number}: torn, as a crash or a full disk leaves a line"
    for path, unread in verdict.unread:
        yield f"{path}, {unread}"
    yield _conclusion(verdict)


def _files(log: Path) -> list[Path]:
    """Return the logs that an argument names.

    Raises:
        UsageError: There is none.
    """
    if log.is_dir():
        found = sorted(path for path in log.rglob(f"*{_SUFFIX}") if path.is_file())
        if not found:
            raise click.UsageError(f"LOG={str(log)!r} is a folder without any *{_SUFFIX} file; {_ACCEPTED}.")
        return found
    # A log may have writers' own files alone beside it; a file's name may hold what a pattern could.
    if log.exists() or files_of(log):
        if log.exists() and not log.is_file():
            raise click.UsageError(f"LOG={str(log)!r} is no regular file; {_ACCEPTED}.")
        return [log]
    found = sorted(Path(log.anchor).glob(str(log.relative_to(log.anchor))))
    if not found:
        raise click.UsageError(f"LOG={str(log)!r} is not there; {_ACCEPTED}.")
    return [file for path in found for file in _files(path)]


# --- the runs -------------------------------------------------------------------------------------------------------


def _listed(runs: Sequence[CheckedRun]) -> Iterator[str]:
    """Return a line for each run; those that were measured inside another one follow it, indented."""
    known = {run.id for run in runs}
    children: dict[str | None, list[CheckedRun]] = {}
    for run in runs:
        parent = run.parent if run.parent in known and run.parent != run.id else None
        children.setdefault(parent, []).append(run)
    shown: set[str] = set()
    # Runs that name each other as parents, which no writer writes, are shown as well.
    for root in (*children.get(None, ()), *runs):
        open_runs = [(root, 0)]
        while open_runs:
            run, depth = open_runs.pop()
            if run.id not in shown:
                shown.add(run.id)
                yield "  " * depth + _line(run, known)
                open_runs += [(child, depth + 1) for child in reversed(children.get(run.id, ()))]


def _line(run: CheckedRun, known: set[str]) -> str:
    used = _used(run.usage)
    notes = [run.ranks] if run.ranks else []
    if run.parent is not None and run.parent not in known:
        notes.append(f"inside run {run.parent}, which is not in these files")
    if run.partial:
        notes.append("continued elsewhere")
    return f"{run.id}  {_state(run)}: {', '.join([used, *notes])}"


def _state(run: CheckedRun) -> str:
    ended = " and ".join(run.ended)
    if run.state == "altered":
        return f"altered ({ended})" if ended else "altered"
    return ended or run.state


def _used(usage: Usage) -> str:
    energy, co2 = usage.energy_kwh, usage.co2_kg
    parts = ["nothing measured" if energy is None else _scaled(energy, "kWh", "Wh", "mWh")]
    if co2 is not None:
        parts.append(f"{_scaled(co2, 'kg', 'g', 'mg')} CO2e")
    return ", ".join([*parts, duration(usage.seconds, minutes_from=60.0)])


def _scaled(value: float, *units: str) -> str:
    """Return a figure in the first unit in which it is 1 or more, each a thousandth of the one before."""
    for unit in units[:-1]:
        if abs(value) >= 1 or value == 0:
            return f"{value:.4g} {unit}" if abs(value) < 10_000 else f"{value:,.0f} {unit}"
        value *= 1000
    return f"{value:.4g} {units[-1]}"


def _conclusion(verdict: Verdict) -> str:
    count = len(verdict.files) - len(verdict.foreign)
    read = f"{verdict.records} records in {count} {'file' if count == 1 else 'files'}"
    if verdict.faults:
        more = len(verdict.faults) - 1
        return f"altered ({read}): {verdict.faults[0]}" + (f"; and {more} more" if more else "")
    by = "by its key" if verdict.keyed else f"by its hashes; with {KEY} forgery would show too"
    if verdict.elsewhere:
        more = len(verdict.elsewhere) - 1
        others = f"; and {more} more" if more else ""
        advice = "give the file that holds the rest as well; where there is none, lines were removed"
        return f"continued elsewhere ({read}), {by}: {verdict.elsewhere[0]}{others}; {advice}"
    if verdict.unread:
        return f"not all was checked; what was is whole ({read}), {by}; update eco2ai_callbacks for the rest"
    return f"whole ({read}), {by}"
