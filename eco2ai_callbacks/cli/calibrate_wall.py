"""``eco2ai calibrate wall``: fit what a meter at the wall shows to what is measured of the components."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import click

from eco2ai_callbacks.calibration import readings
from eco2ai_callbacks.calibration.http_meter import PRESETS, TIMEOUT_S, MeterError, meter_for
from eco2ai_callbacks.calibration.ipmi_meter import IpmiMeter
from eco2ai_callbacks.calibration.lookup import by_component
from eco2ai_callbacks.calibration.readings import Reading, ReadingError
from eco2ai_callbacks.calibration.sweep import QUICK_SETTLE_S, QUICK_STEP_S, SETTLE_S, STEP_S, Sample, Step, plan
from eco2ai_callbacks.calibration.wall import POOR, WallFit, WallFitError, fit_wall
from eco2ai_callbacks.calibration.wall_steps import CLOCK_LAGS_S, LAGS_S, Poller, fit_steps
from eco2ai_callbacks.cli.calibrate_steps import Bench, check, keep, measure, this_bench
from eco2ai_callbacks.errors import SettingsError
from eco2ai_callbacks.meters.cpu.busy import MachineBusy
from eco2ai_callbacks.meters.discovery import Discovery, MeterContext, discover
from eco2ai_callbacks.settings import Settings, resolve

# Holds user:password of a meter: not an option, which other users of the machine could read.
USER_VARIABLE = "ECO2AI_METER_USER"
KINDS = ("typed", "csv", "json", *PRESETS, "ipmi")
# Meters without an address.
_LOCAL = ("typed", "csv", "ipmi")


class PowerMeter(Protocol):
    """A meter that is asked for its power."""

    @property
    def shown(self) -> str:
        """The meter, as messages name it."""

    def read(self) -> float:
        """Return the power in watts now; raises :class:`MeterError`."""


@click.command()
@click.option("--meter", type=click.Choice(KINDS), help="Where the readings come from.")
@click.option("--url", help="Address of a json, shelly, shelly1, tasmota or redfish meter.")
@click.option("--path", help="Where in its answer the watts are, such as PowerControl[0].PowerConsumedWatts.")
@click.option("--scale", type=float, default=1.0, show_default=True, help="Watts for each unit of the answer.")
@click.option("--timeout", type=click.FloatRange(0.1, 60), default=TIMEOUT_S, show_default=True, help="Seconds.")
@click.option("--insecure", is_flag=True, help="Accept any certificate, as of a BMC that signed its own.")
@click.option("--csv", "table", type=click.Path(path_type=Path, dir_okay=False), help="A table that a logger writes.")
@click.option("--runs", type=click.Path(path_type=Path, dir_okay=False), help="Fit a table of finished runs instead.")
@click.option("--gpu/--no-gpu", default=None, help="Load the GPUs too. Default: where torch and a GPU are there.")
@click.option("--quick", is_flag=True, help="Fewer and shorter loads.")
@click.option("--seconds", type=click.FloatRange(1, 600), help="Seconds of each load, for meters that are slow.")
@click.option("--file", type=click.Path(path_type=Path, dir_okay=False), help="Where to store the calibration.")
def wall(
    meter: str | None,
    url: str | None,
    path: str | None,
    scale: float,
    timeout: float,
    insecure: bool,
    table: Path | None,
    runs: Path | None,
    gpu: bool | None,
    quick: bool,
    seconds: float | None,
    file: Path | None,
) -> None:
    """Fit the energy at the wall to the energy of the components, beside a wall meter, PDU or BMC.

    \b
    --meter typed    you type the watts that the meter shows, once for each load
    --meter csv      a logger writes times and watts into --csv FILE meanwhile
    --meter json     --url and --path of anything that answers with JSON
    --meter shelly | shelly1 | tasmota | redfish    --url http://HOST
    --meter ipmi     this machine's BMC, by the program ipmitool

    Nothing else is contacted or started. A user and password are read from ECO2AI_METER_USER (user:password) and never
    shown. Tables have a first line: time,watts for --csv, and seconds,measured_kwh,wall_kwh for --runs.
    """
    if (meter is None) == (runs is None):
        raise click.UsageError(f"give either --meter ({', '.join(KINDS)}) or --runs")
    bench = this_bench()
    try:
        if runs is not None:
            finish(fit_wall(readings.table_runs(_text(runs))), bench, file)
            return
        if (meter == "csv") != (table is not None):
            raise click.UsageError("--meter csv and --csv FILE belong together")
        if (meter in _LOCAL) == (url is not None):
            raise click.UsageError(f"--meter {meter} {'takes no' if url else 'needs an'} address by --url")
        asked: PowerMeter | None = IpmiMeter(timeout) if meter == "ipmi" else None
        if url is not None and meter is not None:
            user = os.environ.get(USER_VARIABLE, "")
            options = {"user": user, "scale": scale, "timeout_s": timeout, "verify": not insecure}
            asked = meter_for(meter, url, path, **options)
        settings = resolve({"scope": "machine"})
        loads_gpu = _has_gpu() if gpu is None else gpu
        fit = calibrate_wall(bench, settings, asked=asked, table=table, gpu=loads_gpu, quick=quick, seconds=seconds)
        finish(fit, bench, file)
    except SettingsError as error:
        raise click.UsageError(str(error)) from None
    except (WallFitError, MeterError, ReadingError) as why:
        raise click.ClickException(f"{why}.") from None


def calibrate_wall(
    bench: Bench,
    settings: Settings,
    *,
    asked: PowerMeter | None = None,
    table: Path | None = None,
    gpu: bool = False,
    quick: bool = False,
    seconds: float | None = None,
) -> WallFit:
    """Measure and fit beside a meter; a person types its readings where there is neither an address nor a table.

    Args:
        bench: The machine.
        settings: The settings in force, for the whole machine.
        asked: The meter.
        table: The table that a logger writes.
        gpu: Whether to load the GPUs too.
        quick: Fewer and shorter loads.
        seconds: Seconds of each load.
    """
    check(bench)
    settle_s, step_s = (QUICK_SETTLE_S, QUICK_STEP_S) if quick else (SETTLE_S, STEP_S)
    step_s = seconds or step_s
    # Asked at the end of each load, a person needs the time for a few of them only.
    loads = plan(bench.host.threads, quick=quick or (asked is None and table is None), gpu=gpu)
    context = MeterContext(bench.host, None, bench.root / "proc", bench.root, clock=bench.clock)
    with contextlib.ExitStack() as opened:
        found = discover(settings, context)
        for meter in found.meters:
            opened.callback(meter.close)
        if not found.meters:
            raise WallFitError("nothing is measured here, so that there is nothing to fit the wall to")
        measured = Measured(bench, found)
        if asked is not None:
            first = asked.read()
            click.echo(f"{asked.shown} shows {first:.1f} W.")
            poller = Poller(asked.read, bench.clock, bench.sleep)
            steps = measure(bench, loads, measured, settle_s, step_s, wait=poller.wait)
            shown, lags = poller.readings, LAGS_S
            if poller.failures:
                click.echo(f"Note: {len(poller.failures)} readings failed, the last of them: {poller.failures[-1]}.")
        elif table is not None:
            # Later the table's times, seconds since 1970, become those of this clock.
            offset_s = time.time() - bench.clock()
            steps = measure(bench, loads, measured, settle_s, step_s)
            shown = [Reading(r.t - offset_s, r.watts) for r in readings.table_readings(_text(table))]
            lags = CLOCK_LAGS_S
        else:
            shown, lags = [], (0.0,)
            steps = measure(bench, loads, measured, settle_s, step_s, during=lambda _: _ask(shown, bench))
            shown = _held(shown, steps)
        methods = by_component(measured.methods)
    fit, lag_s, without = fit_steps(steps, shown, settle_s, methods, lags)
    if lag_s:
        click.echo(
            f"The meter's readings are {abs(lag_s):g} s {'late' if lag_s > 0 else 'early'}; that is allowed for."
        )
    if without:
        click.echo(f"Note: {without} of {len(steps)} loads are left out, for they had no usable reading.")
    return fit


def finish(fit: WallFit, bench: Bench, file: Path | None) -> None:
    """Show and store a fit.

    Args:
        fit: The fit.
        bench: The machine.
        file: Where to store it.
    """
    click.echo(
        f"wall = {fit.base_w:.1f} W + {fit.slope:.3f} x measured, from {fit.runs} runs of {fit.least_w:.0f} to "
        f"{fit.most_w:.0f} W"
    )
    click.echo(f"Left out one by one, runs are off by {fit.error:.1%} (median); 90 % lie within {fit.band:.1%}.")
    if fit.error > POOR:
        click.echo(
            click.style(
                f"Warning: the fit is poor (above {POOR:.0%}): the meter may show another machine too, or what is "
                "measured may be an estimate.",
                fg="yellow",
            )
        )
    click.echo(f"Stored in {keep(fit, bench, file)}.")


class Measured:
    """Reads all meters of the machine, as a run of the whole machine does, and its busy time.

    Args:
        bench: The machine.
        found: Its meters.
    """

    def __init__(self, bench: Bench, found: Discovery) -> None:
        self._clock, self._meters = bench.clock, found.meters
        self._busy = MachineBusy(bench.root / "proc")

    @property
    def methods(self) -> Mapping[str, str]:
        """The method of each channel."""
        return {channel: method.name for meter in self._meters for channel, method in meter.methods.items()}

    def __call__(self) -> Sample:
        """Return all channels now."""
        joules: dict[str, float] = {}
        failures: list[str] = []
        for meter in self._meters:
            try:
                joules |= meter.read()
            except (OSError, ValueError) as error:
                failures.append(f"{meter.name}: {error}")
            failures += meter.failures
        return Sample(self._clock(), joules, self._busy.read(), tuple(failures))


def _ask(shown: list[Reading], bench: Bench) -> None:
    """Ask for the watts that the meter shows, until they can be read or nothing is typed."""
    while True:
        text = click.prompt("  the meter shows (watts; empty to leave it out)", default="", show_default=False)
        try:
            watts = readings.typed_watts(text)
        except ReadingError as why:
            click.echo(f"  {why}")
            continue
        if watts is not None:
            shown.append(Reading(bench.clock(), watts))
        return


def _held(shown: list[Reading], steps: list[Step]) -> list[Reading]:
    """Return what a person typed as readings of all of the step: a person waits until the display is steady."""
    return [
        Reading(step.start + (step.end - step.start) * part / 4, reading.watts)
        for step in steps
        for reading in shown
        if step.start <= reading.t <= step.end
        for part in range(5)
    ]


def _has_gpu() -> bool:
    try:
        import torch
    except ImportError:
        return False
    return bool(torch.cuda.is_available())


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise ReadingError(f"{path} cannot be read: {error.strerror}") from None
