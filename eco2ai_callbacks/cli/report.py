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
_FILE = click.Path(path_type=Path, dir_okay=False)


@click.command()
@click.argument("logs", nargs=-1, metavar="[LOG]...")
@click.option("--by", type=click.Choice(BY), default="run", show_default=True, help="What a row of the table is.")
@click.option(
    "--format", "form", type=click.Choice(FORMATS), default="text", show_default=True, help="The table's form."
)
@click.option("-o", "--output", type=_FILE, help="Write the table to a file.")
@click.option("--html", type=_FILE, help="Write one page with charts to a file; it needs no network.")
@click.option("--png", type=_FILE, help="Write the charts as a picture.")
@click.option("--svg", type=_FILE, help="Write the charts as a picture that scales.")
@click.option("--pdf", type=_FILE, help="Write the charts as a PDF.")
@click.option("--processes", type=click.IntRange(1), help="Processes that read files; by default one for each core.")
def report(
    logs: tuple[str, ...], by: str, form: str, output: Path | None, processes: int | None, **drawn: Path | None
) -> None:
    """Show what runs used: energy and CO2e with their bands, time, mean power, cost and the share that was measured.

    LOG is a run log, a folder, a pattern such as 'logs/*.jsonl', a CSV of eco2AI or CodeCarbon, or an address such
    as s3://bucket/logs (with the extra `remote`); eco2ai.jsonl by default. Logs of several hosts and ranks belong
    together: a run's ranks are added up, what a run inside another one used counts once, and so does a record that
    stands in several files.
    """
    found = read(logs, processes)
    written = {kind: path for kind, path in drawn.items() if path is not None}
    for kind, path in written.items():
        _write(f"--{kind}", path, _drawn(found, kind))
        click.echo(f"{path} written", err=True)
    if written and output is None and form == "text":
        return
    text = as_format(grouped(found, by), notes(found), form)
    if output is None:
        click.echo(text, nl=False)
    else:
        _write("--output", output, text.encode())


def _drawn(runs: Runs, kind: str) -> bytes:
    """Return a page or a picture.

    Raises:
        UsageError: The extra is not installed, or there is nothing to draw.
    """
    try:
        if kind == "html":
            from eco2ai_callbacks.report.page import page

            return page(runs).encode()
        from eco2ai_callbacks.report.pictures import picture

        return picture(runs, kind)
    except ImportError as error:
        sentence = f'--{kind} needs the package {error.name}: pip install "eco2ai_callbacks[report]".'
        raise click.UsageError(sentence) from None
    except ValueError as error:
        raise click.UsageError(f"--{kind}: {error}.") from None


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


def _write(option: str, path: Path, content: bytes) -> None:
    try:
        path.write_bytes(content)
    except OSError as error:
        raise click.UsageError(f"{option}={str(path)!r} cannot be written: {error.strerror}.") from None
