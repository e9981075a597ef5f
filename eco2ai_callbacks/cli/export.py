"""``eco2ai export``: run logs in the forms of other tools."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

import click

from eco2ai_callbacks.cli.report import DEFAULT, bytes_of, progress
from eco2ai_callbacks.export.forms import FORMS, Form, NotExported
from eco2ai_callbacks.export.write import export as export_logs
from eco2ai_callbacks.report.formats import shown
from eco2ai_callbacks.report.groups import notes
from eco2ai_callbacks.report.select import NoLog, selected


class _Forms(click.Command):
    """The command, whose help names each form with its summary."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the forms below the options."""
        del ctx
        with formatter.section("Forms"):
            formatter.write_dl([(form.name, _summary(form)) for form in FORMS.values()])


def _summary(form: Form) -> str:
    return f"{form.summary} Extra: {form.extra}." if form.extra else form.summary


@click.command(cls=_Forms)
@click.argument("logs", nargs=-1, metavar="[LOG]...")
@click.option("--format", "name", type=click.Choice(list(FORMS)), metavar="FORM", help="The form; see below.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="The file to write; a text may do without.")
@click.option("--force", is_flag=True, help="Write over a file that exists.")
@click.option("--set", "given", multiple=True, metavar="KEY=VALUE", help="An option of the form; may be repeated.")
@click.option("--options", "listed", is_flag=True, help="Show what --set accepts for the form, and exit.")
def export(
    logs: tuple[str, ...], name: str | None, output: Path | None, force: bool, given: tuple[str, ...], listed: bool
) -> None:
    """Write run logs in a form that another tool reads.

    LOG is as for `eco2ai report`: a run log, a folder, a pattern, a CSV of eco2AI or CodeCarbon, or an address;
    eco2ai.jsonl by default. What is added up is what `eco2ai report` adds up.

    \b
    Examples:
      eco2ai export logs --format parquet --output runs.parquet
      eco2ai export --format prometheus --output /var/lib/node_exporter/eco2ai.prom --force
      eco2ai export --format codecarbon --output emissions.csv
    """
    if name is None:
        raise click.UsageError(f"--format is missing; accepted are {', '.join(FORMS)}.")
    form = FORMS[name]
    try:
        if listed:
            _show_options(form)
            return
        options = _pairs(given)
        with selected(logs or (DEFAULT,)) as selection, progress(form.readings * bytes_of(selection)) as update:
            found = export_logs(selection, form, options, output=output, force=force, progress=update)
    except (NotExported, NoLog) as error:
        raise click.UsageError(str(error)) from None
    except OSError as error:
        where = error.filename if error.filename is not None else ", ".join(logs or (DEFAULT,))
        raise click.UsageError(f"LOG={str(where)!r} cannot be read: {error.strerror}.") from None
    for note in notes(found.runs):
        click.echo(f"note: {shown(note)}", err=True)
    if output is not None:
        click.echo(f"{output} written", err=True)
    elif sys.stdout.isatty():
        click.echo(for_terminal(found.text), nl=False)
    else:
        click.echo(found.text.encode("utf-8", "backslashreplace"), nl=False)


def for_terminal(text: str) -> str:
    """Return a text without what a terminal would carry out, and without the rest of lines that are very long."""
    return "".join(f"{shown(line)}\n" for line in text.split("\n")[:-1])


def _show_options(form: Form) -> None:
    options = form.load().OPTIONS
    for key, meaning in options.items():
        click.echo(f"{key}  {meaning}")
    if not options:
        click.echo(f"--format {form.name} has no options.")


def _pairs(given: Iterable[str]) -> dict[str, str]:
    """Return options by key.

    Raises:
        NotExported: One is no pair, or a key comes twice.
    """
    found: dict[str, str] = {}
    for each in given:
        key, sign, value = each.partition("=")
        if not sign or not key:
            raise NotExported(f"--set {each!r} is no pair; accepted is KEY=VALUE.")
        if key in found:
            raise NotExported(f"--set {key} is given twice: {found[key]!r} and {value!r}.")
        found[key] = value
    return found
