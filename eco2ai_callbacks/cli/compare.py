"""``eco2ai compare``: whether one group of runs uses less energy than another."""

from __future__ import annotations

from pathlib import Path

import click

from eco2ai_callbacks.cli.amounts import finite, share
from eco2ai_callbacks.cli.report import DEFAULT, read, write
from eco2ai_callbacks.comparing.forms import FORMATS, as_format
from eco2ai_callbacks.comparing.groups import BY, NoGroup, by_key, by_names
from eco2ai_callbacks.comparing.verdict import NotComparable, Question
from eco2ai_callbacks.comparing.verdict import compare as compared
from eco2ai_callbacks.report.formats import shown


@click.command()
@click.argument("names", nargs=-1, metavar="[A B...]")
@click.option("--log", "logs", multiple=True, metavar="LOG", help=f"Where runs are looked for.  [default: {DEFAULT}]")
@click.option("--group-by", "by", type=click.Choice(BY), help="Compare runs that have this in common; A B... are logs.")
@click.option("--baseline", metavar="NAME", help="With --group-by: the group that the others are compared with.")
@click.option("--metric", metavar="NAME", help="The metric that shows how good a run is.")
@click.option(
    "--reach",
    type=float,
    callback=finite,
    metavar="VALUE",
    help="Compare the energy to reach this value of the metric.",
)
@click.option("--mode", type=click.Choice(("min", "max")), help="Whether a lower or a higher value is better.")
@click.option(
    "--tolerance",
    callback=share,
    default="2%",
    show_default=True,
    metavar="SHARE",
    help="Difference up to which metrics are equal.",
)
@click.option("--same-hardware", is_flag=True, help="State that the hosts are equal, though the logs cannot show it.")
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of the resampling.")
@click.option("--format", "form", type=click.Choice(FORMATS), default="text", show_default=True)
@click.option("-o", "--output", type=click.Path(path_type=Path, dir_okay=False), help="Write to a file.")
def compare(
    names: tuple[str, ...],
    logs: tuple[str, ...],
    by: str | None,
    baseline: str | None,
    metric: str | None,
    reach: float | None,
    mode: str | None,
    tolerance: float,
    same_hardware: bool,
    seed: int,
    form: str,
    output: Path | None,
) -> None:
    """Compare the energy of runs: per epoch, to reach a value of a metric, and in all.

    A, B and so on are groups: a run's id or its beginning, a project with all of its runs, or a log, a folder or a
    pattern. Each is compared with the first one. Runs of a group are repeats, such as seeds: a difference counts where
    it is more than these differ by, by a bootstrap interval (95 %) and the rank test of Mann and Whitney. It is said
    where that cannot be told: other methods, hardware or hosts, or a single run.

    All figures are IT energy, without the overhead of the data centre.

    \b
    Examples:
      eco2ai compare baseline pruned --log 'logs/*.jsonl'
      eco2ai compare 5e1f 77aa --metric val_loss --reach 0.25
      eco2ai compare --group-by description logs/
    """
    if reach is not None and metric is None:
        raise click.UsageError(f"--reach={reach:g} is a value of no metric: give --metric NAME too.")
    if mode is not None and metric is None:
        raise click.UsageError(f"--mode={mode!r} is for no metric: give --metric NAME too.")
    if baseline is not None and by is None:
        raise click.UsageError(f"--baseline={baseline!r} needs --group-by; without it, the first name is the baseline.")
    if by is None and len(names) < 2:
        raise click.UsageError("give two or more runs, projects or logs to compare, or --group-by.")
    if by is not None and names and logs:
        raise click.UsageError("with --group-by, give the logs either as arguments or with --log.")
    question = Question(metric, reach, None if mode is None else mode == "min", tolerance, same_hardware, seed)
    try:
        groups = by_names(names, logs or (DEFAULT,), read) if by is None else by_key(read(names or logs), by, baseline)
        text = as_format(compared(groups, question), form)
    except (NoGroup, NotComparable) as error:
        raise click.UsageError(shown(str(error))) from None
    if output is None:
        click.echo(text, nl=False)
    else:
        write("--output", output, text.encode())
