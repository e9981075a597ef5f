"""``eco2ai cite``: what a paper states of its runs."""

from __future__ import annotations

from pathlib import Path

import click

from eco2ai_callbacks.cli.report import read
from eco2ai_callbacks.cli.which_runs import chosen
from eco2ai_callbacks.report.cite import FORMATS, cited
from eco2ai_callbacks.report.paper_forms import FORMS
from eco2ai_callbacks.report.statement import statement


@click.command()
@click.argument("logs", nargs=-1, metavar="[LOG]...")
@click.option(
    "--format", "form", type=click.Choice(FORMATS), default="text", show_default=True, help="What is written."
)
@click.option("--form", "answers", type=click.Choice(tuple(FORMS)), help="Answer the questions of a conference's form.")
@click.option("--run", "ids", multiple=True, help="Only the run whose id begins so; by default all. Repeatable.")
@click.option("-o", "--output", type=click.Path(path_type=Path, dir_okay=False), help="Write to a file.")
def cite(logs: tuple[str, ...], form: str, answers: str | None, ids: tuple[str, ...], output: Path | None) -> None:
    """Write a paragraph and a table on runs, for a paper's appendix.

    They state GPU-hours, energy with its band, CO2e, the methods, the carbon intensity with its dataset and year, the
    place, and what is not in the figures. `--format bibtex` lists the sources.

    LOG is what `eco2ai report` reads; eco2ai.jsonl by default.
    """
    if form == "bibtex" and answers is not None:
        raise click.UsageError(f"--form={answers!r} has no BibTeX: --format is text, markdown or latex.")
    text = cited(statement(chosen(read(logs), ids)), form, answers)
    if output is None:
        click.echo(text, nl=False)
        return
    try:
        output.write_text(text, encoding="utf-8")
    except OSError as error:
        raise click.UsageError(f"--output={str(output)!r} cannot be written: {error.strerror}.") from None
