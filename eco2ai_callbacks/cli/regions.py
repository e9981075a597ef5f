"""``eco2ai regions``: search the table of carbon intensities."""

from __future__ import annotations

import click

from eco2ai_callbacks.carbon.intensity import search


@click.command()
@click.argument("text", default="")
def regions(text: str) -> None:
    """List places with their carbon intensity: all, or those whose code or name has a word that begins like TEXT."""
    found = search(text)
    if not found:
        raise click.ClickException(f"no place has a code or a name that begins like {text!r}")
    width = max(len(row.region) for row in found)
    for row in found:
        year = "-" if row.year is None else row.year
        source = row.dataset if row.factor_of == row.region else f"{row.dataset}, of {row.factor_of}"
        figure = f"{row.g_per_kwh:8.1f} g/kWh  {year!s:>4}  {row.kind:<9}"
        click.echo(f"{row.region:<{width}}  {figure}  {row.name} [{source}]")
