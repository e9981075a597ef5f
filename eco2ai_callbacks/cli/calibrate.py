"""``eco2ai calibrate``: measure this machine once, so that later estimates are its own."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path

import click

from eco2ai_callbacks.calibration.fit import CpuFit, FitError, Point, fit_cpu
from eco2ai_callbacks.calibration.machine import read_machine
from eco2ai_callbacks.calibration.store import choose, read
from eco2ai_callbacks.calibration.sweep import QUICK_SETTLE_S, QUICK_STEP_S, SETTLE_S, STEP_S, Sample, Step, plan
from eco2ai_callbacks.cli.calibrate_steps import Bench, check, keep, measure, this_bench
from eco2ai_callbacks.cli.calibrate_wall import wall
from eco2ai_callbacks.errors import MeterUnavailable, SettingsError
from eco2ai_callbacks.host.machine import read_host
from eco2ai_callbacks.meters.cpu.busy import MachineBusy
from eco2ai_callbacks.meters.cpu.rapl import open_rapl
from eco2ai_callbacks.settings import resolve


@click.group()
def calibrate() -> None:
    """Measure this machine once: later estimates of its CPU, or of the energy at the wall, are then its own."""


calibrate.add_command(wall)


@calibrate.command()
@click.option("--quick", is_flag=True, help="Fewer and shorter loads: half a minute instead of three, and less exact.")
@click.option("--file", type=click.Path(path_type=Path, dir_okay=False), help="Where to store the calibration.")
def cpu(quick: bool, file: Path | None) -> None:
    """Fit the CPU's power to its load, where its energy counters can be read.

    The counters are mostly readable by root alone: run this once as root. The CPU is loaded from idle to full, on some
    threads and on all of them part-time. The fit is stored for all users (/etc/eco2ai/calibration.jsonl) or, for other
    users than root, for this one (~/.config/eco2ai/calibration.jsonl). Later runs without readable counters use it as
    cpu-model:calibrated, while processor, governor and turbo are as they were.
    """
    try:
        root = resolve().powercap_root
    except SettingsError as error:
        raise click.UsageError(str(error)) from None
    calibrate_cpu(this_bench(), root, quick=quick, file=file)


def calibrate_cpu(bench: Bench, root: Path, *, quick: bool = False, file: Path | None = None) -> CpuFit:
    """Measure, fit and store.

    Args:
        bench: The machine.
        root: The powercap tree.
        quick: Fewer and shorter loads.
        file: Where to store the fit.
    """
    check(bench)
    try:
        counters = Counters(bench, root)
    except MeterUnavailable as why:
        hint = f"\n{why.hint}" if why.hint else ""
        raise click.ClickException(f"the energy counters cannot be used: {why.reason}{hint}") from None
    threads = bench.host.threads
    settle_s, step_s = (QUICK_SETTLE_S, QUICK_STEP_S) if quick else (SETTLE_S, STEP_S)
    try:
        steps = measure(bench, plan(threads, quick=quick), counters, settle_s, step_s)
    except OSError as error:
        raise click.ClickException(f"the energy counters in {root} were lost: {error.strerror or error}") from None
    usable = [step for step in steps if not step.failures]
    try:
        fit = fit_cpu([Point(step.busy, step.watts["cpu"]) for step in usable], threads)
    except FitError as why:
        raise click.ClickException(f"{why}.") from None
    for line in _table(usable, fit):
        click.echo(line)
    click.echo(
        f"Idle {fit.watts(0):.1f} W, {fit.thread_w:.2f} W a busy thread up to {fit.bend:.1f} threads, "
        f"{fit.beyond_w:.2f} W beyond; full {fit.watts(threads):.1f} W."
    )
    click.echo(
        f"Left out one by one, loads are off by {fit.error:.1%} on average; 90 % lie within x{1 / fit.factor:.2f} to "
        f"x{fit.factor:.2f}."
    )
    click.echo(f"Stored in {keep(fit, bench, file)}.")
    return fit


class Counters:
    """Reads the energy counters and the machine's busy time.

    Args:
        bench: The machine.
        root: The powercap tree.
    """

    def __init__(self, bench: Bench, root: Path) -> None:
        self._clock = bench.clock
        self._cpu, _ = open_rapl(root, bench.host, bench.clock)
        self._busy = MachineBusy(bench.root / "proc")
        self._joules = 0.0
        self._t, self._busy_s = bench.clock(), self._busy.read()

    def __call__(self) -> Sample:
        """Return the counters now."""
        now, busy_s = self._clock(), self._busy.read()
        if now > self._t:
            active_j, idle_j = self._cpu.interval(busy_s - self._busy_s, now - self._t)
            self._joules += active_j + idle_j
        self._t, self._busy_s = now, busy_s
        return Sample(now, {"cpu": self._joules}, busy_s, self._cpu.failures)


def _table(steps: Sequence[Step], fit: CpuFit) -> Iterator[str]:
    yield f"{'load':<20} {'busy threads':>12} {'measured':>10} {'fit':>10}"
    for step in steps:
        yield f"{step.load.label:<20} {step.busy:>12.2f} {step.watts['cpu']:>8.1f} W {fit.watts(step.busy):>8.1f} W"


@calibrate.command()
def share() -> None:
    """Print this machine's CPU calibration as a line for others with the same CPU.

    They add it to their own /etc/eco2ai/calibration.jsonl or ~/.config/eco2ai/calibration.jsonl. It names the
    processor, its governor and turbo state, and nothing else of this machine. Its band is wider there, for processors
    of one model differ.
    """
    entry = choose(read(), "cpu", read_machine(read_host())).entry
    if entry is None:
        raise click.ClickException("there is no calibration of this CPU to share: run 'eco2ai calibrate cpu' first")
    if entry.machine.virtual or not entry.machine.cpu:
        raise click.ClickException(
            "this calibration is for this machine alone: others cannot tell by a virtual machine's facts, or by a "
            "processor without a name, whether theirs is the same"
        )
    click.echo(dataclasses.replace(entry, shared=True).line())
