"""``eco2ai watch``: what a run uses while it is trained, in another terminal."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import click

from eco2ai_callbacks.cli.amounts import finite
from eco2ai_callbacks.cli.report import DEFAULT
from eco2ai_callbacks.errors import SettingsError
from eco2ai_callbacks.host.machine import read_host
from eco2ai_callbacks.host.registry import Registry
from eco2ai_callbacks.runlog.paths import files_of
from eco2ai_callbacks.settings import resolve
from eco2ai_callbacks.watching.follow import Follower
from eco2ai_callbacks.watching.frame import ENDED, Budget, Frame, frame_of
from eco2ai_callbacks.watching.neighbours import neighbours_of
from eco2ai_callbacks.watching.state import LogState

_POSITIVE = click.FloatRange(min=0, min_open=True)
_SETTING = "[default: the setting max"


@click.command()
@click.argument("log", default=DEFAULT, type=click.Path(path_type=Path, dir_okay=False))
@click.option("--run", "begin", metavar="ID", help="The run, by its id or the beginning of it.")
@click.option(
    "--interval",
    type=click.FloatRange(0.1, 3600),
    callback=finite,
    default=1.0,
    show_default=True,
    help="Seconds between two frames.",
)
@click.option(
    "--max-kwh", type=_POSITIVE, callback=finite, metavar="KWH", help=f"Energy budget.  {_SETTING}_energy_kwh]"
)
@click.option("--max-kg", type=_POSITIVE, callback=finite, metavar="KG", help=f"CO2e budget.  {_SETTING}_co2_kg]")
@click.option("--until-end", is_flag=True, help="Leave when the run has ended.")
@click.option("--once", is_flag=True, help="Print one frame as plain text and leave; needs no terminal.")
def watch(
    log: Path,
    begin: str | None,
    interval: float,
    max_kwh: float | None,
    max_kg: float | None,
    until_end: bool,
    once: bool,
) -> None:
    """Show what a run uses while it is trained: power, energy, CO2e, epoch, forecast, budget, who shares the device.

    LOG is the run log; eco2ai.jsonl by default. It may be renamed, replaced or cut off meanwhile, and need not be there
    yet. The run with the latest record is shown; where it has ended, the next one follows. Ctrl-C leaves.

    Figures are those of the latest records, so they are as old as the last mark or heartbeat. Nothing is written to the
    log, and the training does not notice.
    """
    budget = _budget(max_kwh, max_kg)
    follower = Follower(log)
    with contextlib.closing(follower), contextlib.suppress(KeyboardInterrupt):
        frames = _frames(log, follower, begin, budget, until_end)
        if once:
            if not files_of(log):
                raise click.UsageError(f"LOG={str(log)!r} is not there; accepted is a run log such as {DEFAULT}.")
            click.echo(next(frames).text, nl=False)
            return
        try:
            from eco2ai_callbacks.watching.screen import show
        except ImportError as error:
            needs = f'watch needs the package {error.name}: pip install "eco2ai_callbacks[watch]"'
            raise click.UsageError(f"{needs}; --once prints one frame without it.") from None
        if not sys.stdout.isatty():
            raise click.UsageError("watch needs a terminal; --once prints one frame without one.")
        show(frames, lambda: time.sleep(interval))


def _frames(log: Path, follower: Follower, begin: str | None, budget: Budget, until_end: bool) -> Iterator[Frame]:
    """Return the frame of each moment.

    Raises:
        UsageError: The log cannot be read.
    """
    state, host = LogState(), read_host().hash
    registry = Registry(host)
    while True:
        try:
            state.take(follower.read())
        except OSError as error:
            raise click.UsageError(f"LOG={str(log)!r} cannot be read: {error.strerror}.") from None
        now = time.time()
        run = state.chosen(begin, now)
        near = None if run is None or run.ended is not None else neighbours_of(run, registry, host)
        where = str(log) if begin is None else f"{log} with an id that begins with {begin}"
        if run is None and state.unknown_schema is not None:
            where += f", which has lines of schema {state.unknown_schema} that this version does not know"
        frame = frame_of(run, where, now, budget, near)
        yield frame
        if until_end and frame.state == ENDED:
            return


def _budget(max_kwh: float | None, max_kg: float | None) -> Budget:
    """Return the budget of the options, else of the settings of this folder.

    Raises:
        UsageError: A setting is not accepted.
    """
    if max_kwh is not None or max_kg is not None:
        return Budget(max_kwh, max_kg)
    try:
        settings = resolve()
    except SettingsError as error:
        raise click.UsageError(str(error)) from None
    energy, co2 = settings.max_energy_kwh, settings.max_co2_kg
    origin = next((settings.origin[name] for name in ("max_energy_kwh", "max_co2_kg") if name in settings.origin), "")
    return Budget(energy, co2, origin)
