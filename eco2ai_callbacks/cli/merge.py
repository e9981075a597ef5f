"""``eco2ai merge``: put the logs of several ranks and hosts into one file."""

from __future__ import annotations

import os
from pathlib import Path

import click

from eco2ai_callbacks.report.merge import NotMerged
from eco2ai_callbacks.report.merge import merge as merge_logs
from eco2ai_callbacks.report.select import LOG, NoLog, selected

KEY = "ECO2AI_LOG_KEY"


@click.command()
@click.argument("logs", nargs=-1, required=True, metavar="LOG...")
@click.option(
    "-o", "--output", required=True, type=click.Path(path_type=Path), help="The file to write; it must not exist."
)
def merge(logs: tuple[str, ...], output: Path) -> None:
    """Put the logs of several ranks and hosts into one file that eco2ai verify still finds whole.

    LOG is a run log, a folder, a pattern, or an address such as s3://bucket/logs (with the extra `remote`). No line is
    changed; a line that stands in several files is written once.
    """
    try:
        with selected(logs) as selection:
            found = [log for log in selection.logs if log.suffix == LOG]
            if not found:
                raise NoLog(f"LOG={logs[0]!r} names no run log; accepted is a file such as eco2ai{LOG}.")
            result = merge_logs(found, output, os.environ.get(KEY))
    except (NoLog, NotMerged) as error:
        raise click.UsageError(str(error)) from None
    except OSError as error:
        raise click.UsageError(f"{error.filename or output} cannot be read or written: {error.strerror}.") from None
    count, runs = len(result.files), len(result.verdict.runs)
    copies = f", {result.copies} copies left out" if result.copies else ""
    state = "whole" if result.verdict.whole else "not whole, as the logs were: see eco2ai verify"
    click.echo(f"{output}: {result.lines} lines of {count} files and {runs} runs{copies}; {state}")
