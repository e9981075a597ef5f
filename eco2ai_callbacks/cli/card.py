"""``eco2ai card``: the emissions of runs in a model card."""

from __future__ import annotations

from pathlib import Path

import click

from eco2ai_callbacks.cli.report import DEFAULT, read
from eco2ai_callbacks.cli.which_runs import chosen
from eco2ai_callbacks.metrics import front_matter
from eco2ai_callbacks.metrics.model_card import TrainingType, merged
from eco2ai_callbacks.report.card import field_of
from eco2ai_callbacks.report.formats import shown
from eco2ai_callbacks.report.groups import some
from eco2ai_callbacks.report.statement import statement

CARD = "README.md"


@click.command()
@click.argument("model_dir", metavar="MODEL_DIR", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option(
    "--log",
    "logs",
    multiple=True,
    help=f"A run log; by default {DEFAULT} in MODEL_DIR, else in this folder. Repeatable.",
)
@click.option("--run", "ids", multiple=True, help="Only the run whose id begins so; by default all. Repeatable.")
@click.option("--training-type", type=click.Choice(["pre-training", "fine-tuning"]), help="What the runs were.")
@click.option("--hardware", help="The devices in words; by default the GPUs that the log names.")
@click.option("--dry-run", is_flag=True, help="Print the card's metadata as they would be, and write nothing.")
def card(
    model_dir: Path,
    logs: tuple[str, ...],
    ids: tuple[str, ...],
    training_type: TrainingType | None,
    hardware: str | None,
    dry_run: bool,
) -> None:
    """Write what runs emitted into a Hugging Face model card.

    The field co2_eq_emissions of MODEL_DIR/README.md is set: grams of CO2e, source, place and hardware. All else in the
    card stays as it is; a card that is not there is made.
    """
    inside = model_dir / DEFAULT
    found = statement(chosen(read(logs or ((str(inside),) if inside.exists() else ())), ids))
    values = field_of(found, training_type, hardware)
    if values is None:
        raise click.UsageError("nothing was measured in these runs, so the card has nothing to state.")
    if len(found.counted) > 1:
        click.echo(
            shown(f"added up: {some([run.id for run in found.counted], 'run')}; --run names one of them"), err=True
        )
    path = model_dir / CARD
    try:
        text = path.read_bytes().decode("utf-8-sig") if path.exists() else ""
        new = merged(text, values)
    except ImportError as error:
        raise click.UsageError(
            f'eco2ai card needs the package {error.name}: pip install "eco2ai_callbacks[card]".'
        ) from None
    except UnicodeDecodeError:
        raise click.UsageError(f"{path} cannot be read: it is no UTF-8 text. Nothing is written.") from None
    except ValueError as error:
        raise click.UsageError(f"{path} cannot be changed: {error}. Nothing is written.") from None
    except OSError as error:
        raise click.UsageError(f"{path} cannot be read: {error.strerror}.") from None
    if dry_run:
        click.echo(front_matter.metadata(new), nl=False)
        return
    try:
        path.write_bytes(new.encode("utf-8"))
    except OSError as error:
        raise click.UsageError(f"{path} cannot be written: {error.strerror}.") from None
    click.echo(f"{path} {'changed' if text else 'made'}: {front_matter.plain(values['emissions'])} g CO2e", err=True)
