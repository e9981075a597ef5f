"""``eco2ai doctor``: which sources work here, why the others do not, and the settings in force."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date

import click

from eco2ai_callbacks.calibration.lookup import state
from eco2ai_callbacks.calibration.machine import read_machine
from eco2ai_callbacks.calibration.store import read as read_store
from eco2ai_callbacks.carbon.grid import Grid, check, grid_for
from eco2ai_callbacks.carbon.location import locate
from eco2ai_callbacks.errors import MeterUnavailable, SettingsError
from eco2ai_callbacks.guard import Guard
from eco2ai_callbacks.host.machine import Host, read_host
from eco2ai_callbacks.meters.cpu.busy import JobBusy
from eco2ai_callbacks.meters.discovery import Discovery, MeterContext, discover
from eco2ai_callbacks.meters.gpu import nvml_binding
from eco2ai_callbacks.meters.gpu.cross_check import compare
from eco2ai_callbacks.runlog.paths import file_for
from eco2ai_callbacks.settings import NAMES, Settings, resolve, stray_variables

# Makes what meters are opened with; a test calls the command with one of its own.
Around = Callable[[Host, JobBusy | None], MeterContext]


@dataclass(frozen=True, slots=True)
class _Exam:
    """The findings on this machine."""

    host: Host
    settings: Settings
    found: Discovery
    grid: Grid


@click.command()
@click.option("--gpu", is_flag=True, help="Compare each GPU's energy counter with its power for 30 seconds.")
@click.option("--seconds", default=30.0, show_default=True, type=click.FloatRange(1, 600), help="How long --gpu looks.")
@click.pass_obj
def doctor(around: Around | None, gpu: bool, seconds: float) -> None:
    """Show what can be measured here, why the rest cannot, and every setting with where it came from."""
    try:
        exam = _examine(around or MeterContext)
    except SettingsError as error:
        raise click.UsageError(str(error)) from None
    for text in (*_machine(exam), *_sources(exam), *_place(exam), *_settings(exam)):
        click.echo(text)
    if gpu:
        for text in _gpus(seconds):
            click.echo(text)


def _examine(around: Around) -> _Exam:
    settings = resolve()
    check(settings)
    host = read_host()
    job = JobBusy() if settings.scope == "process" else None
    found = discover(settings, around(host, job), Guard())
    for meter in found.meters:
        meter.close()
    return _Exam(host, settings, found, grid_for(settings))


def _machine(exam: _Exam) -> Iterator[str]:
    host = exam.host
    name = host.cpu_name or "processor without a name"
    sockets = f", {host.sockets} sockets" if host.sockets > 1 else ""
    usable = f", {host.allowed_threads:g} of them usable here" if host.allowed_threads < host.threads else ""
    yield click.style("Machine", bold=True)
    yield f"  {host.system}, {host.kind}, {name}, {host.threads} threads{sockets}{usable}"
    for line in state(read_store(), read_machine(host), date.today()):
        yield f"  calibration: {line}"
    yield from not_covered_lines(exam.found)


def not_covered_lines(found: Discovery) -> Iterator[str]:
    """Return the line that names hardware which no meter reads, where there is any.

    Args:
        found: What was found on the machine.
    """
    if found.not_covered:
        yield f"  not covered, for nothing here can read it: {', '.join(found.not_covered)}"


def _sources(exam: _Exam) -> Iterator[str]:
    yield click.style("Sources", bold=True)
    yield from source_lines(exam.found)
    if wrong := nvml_binding.complaint():
        yield f"  {wrong}; to have NVIDIA's own:"
        yield f"          {nvml_binding.command()}"


def source_lines(found: Discovery) -> Iterator[str]:
    """Return a line for each source, with the commands that would enable it.

    Args:
        found: What was found on the machine.
    """
    for source in found.sources:
        mark = click.style("used", fg="green") if source.used else "  - "
        what = f" -> {', '.join(sorted(set((source.methods or {}).values())))}" if source.used else ""
        covers = f" ({' + '.join(source.covers)})" if source.covers else ""
        yield f"  {mark}  {source.name}{covers}{what}: {source.reason}"
        for line in (source.hint or "").splitlines():
            yield f"          {line}"


def _place(exam: _Exam) -> Iterator[str]:
    grid, factor = exam.grid, exam.grid.intensity
    year = "year not stated" if factor.year is None else str(factor.year)
    yield click.style("Place", bold=True)
    yield f"  {factor.name or 'unnamed'}: {factor.g_per_kwh:g} g CO2e/kWh ({factor.kind}, {year}, {factor.dataset})"
    yield f"  found by: {factor.found_by}" + (f"; {factor.note}" if factor.note else "")
    if factor.found_by == "unknown" and (note := locate().note):
        yield f"  {note}"
    if grid.over_time is not None:
        known = grid.over_time.known
        yield f"  over time: {known.source} ({known.kind}); the figure above counts where it has a gap"
    yield f"  PUE {grid.pue:g}: {grid.pue_source}"
    if grid.warning:
        yield f"  {grid.warning}"


def _settings(exam: _Exam) -> Iterator[str]:
    yield click.style("Settings", bold=True)
    width = max(map(len, NAMES))
    for name in NAMES:
        yield f"  {name:<{width}} = {getattr(exam.settings, name)!s:<24}  {exam.settings.origin[name]}"
    for variable in stray_variables(os.environ):
        yield f"  {variable} is set, and names no setting"
    if exam.settings.log_file is not None:
        log = exam.settings.log_file.absolute()
        folder = next(parent for parent in log.parents if parent.exists())
        target = log if log.exists() else folder
        state = "can be written" if os.access(target, os.W_OK) else f"cannot be written: no right to write to {target}"
        each = "" if file_for(log, "x") == log else ", one file for each writer, for appending is not atomic there"
        yield f"  run log {log}: {state}{each}"


def _gpus(seconds: float) -> Iterator[str]:
    yield click.style(f"GPU counters against power, {seconds:g} s", bold=True)
    try:
        rows = compare(seconds)
    except MeterUnavailable as why:
        yield f"  {why.reason}"
        return
    for row in rows:
        yield f"  {row.index}: {row.name} ({row.uuid}): {row.verdict}"
