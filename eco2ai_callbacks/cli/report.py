"""``eco2ai report``: what runs used, as a table or a page."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from eco2ai_callbacks.report.formats import FORMATS, as_format, shown
from eco2ai_callbacks.report.groups import BY, grouped, notes
from eco2ai_callbacks.report.load import load_selection, size_of
from eco2ai_callbacks.report.models import as_json, as_table, compared
from eco2ai_callbacks.report.runs import Runs
from eco2ai_callbacks.report.sci import Unit, score_notes, scored
from eco2ai_callbacks.report.select import NoLog, Selection, selected

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
@click.option("--sci", metavar="UNIT", help="Add the SCI score (ISO/IEC 21031) for a functional unit.")
@click.option("--check-models", is_flag=True, help="Show the CPU's model against its counters, by processor, instead.")
def report(
    logs: tuple[str, ...],
    by: str,
    form: str,
    output: Path | None,
    processes: int | None,
    sci: str | None,
    check_models: bool,
    **drawn: Path | None,
) -> None:
    """Show what runs used: energy and CO2e with their bands, time, mean power, cost and the share that was measured.

    LOG is a run log, a folder, a pattern such as 'logs/*.jsonl', a CSV of eco2AI or CodeCarbon, or an address such
    as s3://bucket/logs (with the extra `remote`); eco2ai.jsonl by default. Logs of several hosts and ranks belong
    together: a run's ranks are added up, what a run inside another one used counts once, and so does a record that
    stands in several files.

    UNIT is run, epoch, sample or token, or a number of units of all runs together, such as 5000:request. The score is
    the location-based CO2e and the embodied CO2e, where the records have it, for each unit.
    """
    unit = None if sci is None else _unit(sci)
    found = read_all(logs, processes)
    if check_models:
        _out(_models(found, form), output)
        return
    written = {kind: path for kind, path in drawn.items() if path is not None}
    for kind, path in written.items():
        write(f"--{kind}", path, _drawn(found, kind))
        click.echo(f"{path} written", err=True)
    if written and output is None and form == "text":
        return
    table, said = grouped(found, by), notes(found)
    if unit is not None:
        try:
            table, said = scored(table, found, unit), [*said, *score_notes(found)]
        except ValueError as error:
            raise click.UsageError(f"--sci={sci} --by={by}: {error}.") from None
    _out(as_format(table, said, form), output)


def _unit(text: str) -> Unit:
    try:
        return Unit.parse(text)
    except ValueError as error:
        raise click.UsageError(f"--sci={error}.") from None


def _models(found: Runs, form: str) -> str:
    """Return the comparison of the models with the counters.

    Raises:
        UsageError: There is none, or not in this form.
    """
    if form not in ("text", "json"):
        raise click.UsageError(f"--check-models --format={form}: accepted are text and json.")
    rows = compared(found)
    if not rows:
        raise click.UsageError(
            "--check-models: no record of these logs compares a model with counters. Runs do where the CPU's energy "
            "counters can be read and its model is known, and write it at their end."
        )
    return as_table(rows) if form == "text" else as_json(rows)


def _out(text: str, output: Path | None) -> None:
    if output is None:
        click.echo(text, nl=False)
    else:
        write("--output", output, text.encode())


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


def read(logs: tuple[str, ...]) -> Runs:
    """Read logs as :func:`read_all` does; what a later version has written is named on the standard error.

    Raises:
        UsageError: There is no log, or one cannot be read.
    """
    found = read_all(logs)
    for name, unread in found.unread:
        click.echo(f"note: {shown(name)}, {unread}", err=True)
    return found


def read_all(logs: tuple[str, ...], processes: int | None = None) -> Runs:
    """Read logs for a command, with a progress bar on a terminal.

    Raises:
        UsageError: There is no log, or one cannot be read.
    """
    given = logs or (DEFAULT,)
    try:
        with selected(given) as selection, progress(bytes_of(selection)) as update:
            return load_selection(selection, processes=processes, progress=update)
    except NoLog as error:
        raise click.UsageError(str(error)) from None
    except OSError as error:
        where = error.filename if error.filename is not None else ", ".join(given)
        raise click.UsageError(f"LOG={str(where)!r} cannot be read: {error.strerror}.") from None


def bytes_of(selection: Selection) -> int:
    """Return the bytes of logs that were selected."""
    return sum(map(size_of, selection.logs))


@contextmanager
def progress(length: int) -> Iterator[Callable[[int], None] | None]:
    """Show a bar for long work on a terminal; return what moves it on."""
    if length < _LONG or not sys.stderr.isatty():
        yield None
        return
    with click.progressbar(length=length, label="reading", file=sys.stderr) as bar:
        yield bar.update


def write(option: str, path: Path, content: bytes) -> None:
    """Write a command's output to a file.

    Raises:
        UsageError: The file cannot be written.
    """
    try:
        path.write_bytes(content)
    except OSError as error:
        raise click.UsageError(f"{option}={str(path)!r} cannot be written: {error.strerror}.") from None
