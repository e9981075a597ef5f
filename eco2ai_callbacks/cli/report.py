"""``eco2ai report``: what runs used, as a table or a page."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from eco2ai_callbacks.report.formats import FORMATS, as_format
from eco2ai_callbacks.report.groups import BY, grouped, notes
from eco2ai_callbacks.report.load import load_selection, size_of
from eco2ai_callbacks.report.runs import Runs
from eco2ai_callbacks.report.select import NoLog, selected

DEFAULT = "eco2ai.jsonl"
# Bytes from which on reading takes so long that a bar is shown: some seconds.
_LONG = 8 * 2**20


@click.command()
@click.argument("logs", nargs=-1, metavar="[LOG]...")
@click.option("--by", type=click.Choice(BY), default="run", show_default=True, help="What a row of the table is.")
@click.option(
    "--format", "form", type=click.Choice(FORMATS), default="text", show_default=True, help="The table's form."
)
@click.option("-o", "--output", type=click.Path(path_type=Path, dir_okay=False), help="Write the table to a file.")
@click.option("--processes", type=click.IntRange(1), help="Processes that read files; by default one for each core.")
def report(logs: tuple[str, ...], by: str, form: str, output: Path | None, processes: int | None) -> None:
    """Show what runs used: energy and CO2e with their bands, time, mean power, cost and the share that was measured.

    LOG is a run log, a folder, a pattern such as 'logs/*.jsonl', CodeCarbon's emissions.csv, or an address such as
    s3://bucket/logs (with the extra `remote`); eco2ai.jsonl by default. Logs of several hosts and ranks belong
    together: a run's ranks are added up, what a run inside another one used counts once, and so does a record that
    stands in several files.
    """
    found = read(logs, processes)
    text = as_format(grouped(found, by), notes(found), form)
    if output is None:
        click.echo(text, nl=False)
    else:
        _write(output, text)


def read(logs: tuple[str, ...], processes: int | None = None) -> Runs:
    """Read logs for a command, with a progress bar on a terminal.

    Raises:
        UsageError: There is no log, or one cannot be read.
    """
    given = logs or (DEFAULT,)
    try:
        with selected(given) as selection, progress(sum(map(size_of, selection.logs))) as update:
            return load_selection(selection, processes=processes, progress=update)
    except NoLog as error:
        raise click.UsageError(str(error)) from None
    except OSError as error:
        where = error.filename if error.filename is not None else ", ".join(given)
        raise click.UsageError(f"LOG={str(where)!r} cannot be read: {error.strerror}.") from None


@contextmanager
def progress(length: int) -> Iterator[Callable[[int], None] | None]:
    """Show a bar for long work on a terminal; return what moves it on."""
    if length < _LONG or not sys.stderr.isatty():
        yield None
        return
    with click.progressbar(length=length, label="reading", file=sys.stderr) as bar:
        yield bar.update


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise click.UsageError(f"--output={str(path)!r} cannot be written: {error.strerror}.") from None
