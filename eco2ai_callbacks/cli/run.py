"""``eco2ai run``: measure a command, whatever it is, with all the processes that it starts."""

from __future__ import annotations

import os
import signal
import sys
from typing import Any

import click

from eco2ai_callbacks.cli import child
from eco2ai_callbacks.errors import SettingsError
from eco2ai_callbacks.session.context import RunContext
from eco2ai_callbacks.settings import COMMAND_NAMES, accepted, describe, spelled
from eco2ai_callbacks.tracker import Tracker


def _options(function: Any) -> Any:
    """Add an option for each setting that a command has, spelled as in the ``ECO2AI_*`` variables."""
    for name in reversed(COMMAND_NAMES):
        flag = f"--{name.replace('_', '-')}"
        text = f"{describe(name)} Accepted: {accepted(name)}."
        function = click.option(flag, name, metavar="VALUE", help=text)(function)
    return function


@click.command(context_settings={"ignore_unknown_options": False, "allow_interspersed_args": False})
@click.option("-q", "--quiet", is_flag=True, help="Leave out the line at the end.")
@_options
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
@click.pass_context
def run(context: click.Context, /, command: tuple[str, ...], quiet: bool, **values: str | None) -> None:
    """Run COMMAND and measure it, with all the processes that it starts, until it ends.

    Its input, output, terminal, signals and exit code are passed through; one line is printed at the end, to standard
    error. A callback or tracker inside it writes its own epochs, and names this run as the one around it: they count
    once. GPUs are those that CUDA_VISIBLE_DEVICES leaves, unless --gpus names others.

    \b
    Examples:
      eco2ai run -- python train.py --epochs 3
      eco2ai run --region FR --project demo make -j8
    """
    if not child.available():
        raise click.ClickException("this command needs Linux; in a program, use eco2ai_callbacks.track")
    try:
        tracker = Tracker(**{name: spelled(text) for name, text in values.items() if text is not None})  # type: ignore[arg-type]
    except SettingsError as error:
        raise click.UsageError(str(error)) from None
    try:
        child.check(command)
        code = _measured(command, tracker, quiet)
    except child.Refused as why:
        click.echo(f"eco2ai run: {why}", err=True)
        code = why.code
    _let_go()
    context.exit(code)


def _measured(command: tuple[str, ...], tracker: Tracker, quiet: bool) -> int:
    process = child.Child(command)
    # The command is held until all meters run, so that its first instruction is measured.
    tracker.start(RunContext(base="other", pid=process.pid, quiet=quiet))
    try:
        process.release()
    except child.Refused:
        tracker.stop("not started")
        raise
    # The memory's energy is known from these reads alone: an ended command holds none.
    code = process.wait(tracker.read)
    tracker.stop(_ended(code))
    process.reap()
    return code


def _let_go() -> None:
    """Flush stdio now, so that a hung-up terminal cannot change the exit code."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, stream.fileno())
            os.close(nowhere)


def _ended(code: int) -> str:
    if code == 0:
        return "finished"
    number = code - child.BY_SIGNAL
    known = number in [each.value for each in signal.Signals]
    return f"ended by {signal.Signals(number).name}" if known else f"exit code {code}"
