"""The command ``eco2ai``."""

from __future__ import annotations

import click

from eco2ai_callbacks.cli.calibrate import calibrate
from eco2ai_callbacks.cli.card import card
from eco2ai_callbacks.cli.cite import cite
from eco2ai_callbacks.cli.compare import compare
from eco2ai_callbacks.cli.doctor import doctor
from eco2ai_callbacks.cli.export import export
from eco2ai_callbacks.cli.gate import gate
from eco2ai_callbacks.cli.merge import merge
from eco2ai_callbacks.cli.recompute import recompute
from eco2ai_callbacks.cli.regions import regions
from eco2ai_callbacks.cli.report import report
from eco2ai_callbacks.cli.run import run
from eco2ai_callbacks.cli.verify import verify
from eco2ai_callbacks.cli.watch import watch
from eco2ai_callbacks.cli.when import when


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="eco2ai-callbacks", prog_name="eco2ai")
def main() -> None:
    """Energy and CO2 of training, beside its loss."""


main.add_command(calibrate)
main.add_command(card)
main.add_command(cite)
main.add_command(compare)
main.add_command(doctor)
main.add_command(export)
main.add_command(gate)
main.add_command(merge)
main.add_command(recompute)
main.add_command(regions)
main.add_command(report)
main.add_command(run)
main.add_command(verify)
main.add_command(watch)
main.add_command(when)
