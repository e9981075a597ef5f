"""``eco2ai recompute``: count a run log again with other factors, PUE or prices, into a new log beside it."""

from __future__ import annotations

import dataclasses
import hashlib
import os
from functools import lru_cache
from pathlib import Path
from typing import Any

import click

from eco2ai_callbacks.carbon.beside import beside_for
from eco2ai_callbacks.carbon.grid import Grid, check, grid_for
from eco2ai_callbacks.carbon.places import WORLD, exists
from eco2ai_callbacks.cli.basis import Basis
from eco2ai_callbacks.cli.recount import Recount
from eco2ai_callbacks.errors import SettingsError
from eco2ai_callbacks.guard import Guard
from eco2ai_callbacks.record import Record
from eco2ai_callbacks.report.formats import shown
from eco2ai_callbacks.runlog.read import lines
from eco2ai_callbacks.runlog.verdict import CheckedRun
from eco2ai_callbacks.runlog.verify import verify
from eco2ai_callbacks.runlog.write import Writer
from eco2ai_callbacks.settings import Settings, accepted, describe, resolve, spelled

KEY = "ECO2AI_LOG_KEY"
FACTORS = ("region", "g_per_kwh", "intensity", "intensity_kind", "intensity_year")
# Of the figures beside CO2e; the making of the hardware depends on how many ranks a machine had, which no record tells.
BESIDE = ("wue", "water_intensity", "market_intensity", "market_label")
OPTIONS = (*FACTORS, "pue", "price", *BESIDE)


def _options(function: Any) -> Any:
    """Add an option for each setting that a log can be counted again with."""
    for name in reversed(OPTIONS):
        text = f"{describe(name)} Accepted: {accepted(name)}."
        function = click.option(f"--{name.replace('_', '-')}", name, metavar="VALUE", help=text)(function)
    return function


@click.command()
@click.argument("log", type=click.Path(path_type=Path))
@click.option(
    "--output", required=True, metavar="FILE", type=click.Path(path_type=Path), help="The new log; it must not exist."
)
@_options
def recompute(log: Path, output: Path, **values: str | None) -> None:
    """Count the CO2e, cost and water of LOG again, into a new log that 'eco2ai verify' can check.

    LOG stays as it is, and so does its energy. What no option names stays too: with --pue alone the factors are those
    of the log; with --intensity, --intensity-kind or --intensity-year its place is. Each record keeps its figures from
    before in intensity.before. Runs get new ids, which end in the same six characters.

    \b
    Examples:
      eco2ai recompute eco2ai.jsonl --output with_pue.jsonl --pue 1.2
      eco2ai recompute eco2ai.jsonl --output by_hours.jsonl --intensity hours_FR.csv
      eco2ai recompute eco2ai.jsonl --output in_sweden.jsonl --region SE
    """
    given = {name: text for name, text in values.items() if text is not None}
    if not given:
        names = ", ".join(f"--{name.replace('_', '-')}" for name in OPTIONS)
        raise click.UsageError(f"nothing to count with was given; accepted are {names}")
    if output.exists():
        raise click.UsageError(f"--output={str(output)!r} exists; a log is never written over")
    try:
        # No variable and no file may change what is counted.
        settings = resolve({name: spelled(text) for name, text in given.items()}, environ={}, folder=Path(os.sep),
                           site_files=())  # fmt: skip
        check(settings)
        before = verify(log, os.environ.get(KEY))
        if before.first is not None and before.faults:
            raise click.ClickException(f"LOG={str(log)!r} was altered, so it is not counted again: {before.first}")
        if not before.records:
            raise click.UsageError(f"LOG={str(log)!r} is not there, or no line of it is a record")
        for file, unread in before.unread:
            click.echo(f"{file}, {unread}", err=True)
        _write(log, output, settings, frozenset(given), [run.id for run in before.runs])
    except SettingsError as error:
        raise click.UsageError(str(error)) from None
    except OSError as error:
        raise click.UsageError(f"{error.filename or log} cannot be read or written: {error.strerror}") from None
    after = verify(output, os.environ.get(KEY))
    for was, now in zip(before.runs, after.runs, strict=True):
        click.echo(shown(_line(was, now)))
    click.echo(f"{after.records} records in {output}")
    if after.faults:
        raise click.ClickException(f"the new log is not whole, which is a fault of this program: {after.first}")


def _line(was: CheckedRun, now: CheckedRun) -> str:
    energy, before, after = was.usage.energy_kwh, was.usage.co2_kg, now.usage.co2_kg
    if energy is None or before is None or after is None:
        return f"{was.id} -> {now.id}: nothing measured"
    change = f" ({after / before - 1:+.1%})".replace("%", " %") if before else ""
    return f"{was.id} -> {now.id}: {energy:.6g} kWh, {before:.6g} -> {after:.6g} kg CO2e{change}"


def _write(log: Path, output: Path, settings: Settings, given: frozenset[str], runs: list[str]) -> None:
    """Write the new log; where that fails, nothing is left of it."""
    guard = Guard()
    bases = _Bases(settings, given, guard)
    recount = Recount(_tag(settings, given, bases), bases.of, frozenset(runs), lambda: guard.failures)
    writers: dict[str, Writer] = {}
    unfinished = output.with_name(f"{output.name}.unfinished")
    unfinished.unlink(missing_ok=True)
    try:
        for line in lines(log):
            old = line.record
            if old.writer not in writers:
                if line.unknown:
                    raise click.ClickException(
                        f"the first lines of session {old.writer} are not in {log}, and with them its "
                        f"{', '.join(line.unknown)}; put its files together with 'eco2ai merge' first"
                    )
                # Where a session's first lines are elsewhere, the new log says so as the old one does.
                writers[old.writer] = Writer(unfinished, os.environ.get(KEY), old.prev if old.seq else None)
            writer = writers[old.writer]
            writer.append(recount.counted(line))
            recount.written(line, writer.link)
        unfinished.rename(output)
    finally:
        unfinished.unlink(missing_ok=True)


def _tag(settings: Settings, given: frozenset[str], bases: _Bases) -> str:
    """Return six characters that are the same for the same log and options."""
    named = sorted(f"{name}={getattr(settings, name)}" for name in given)
    return hashlib.sha256("\n".join([*named, bases.source]).encode()).hexdigest()[:6]


class _Bases:
    """What each record is counted with.

    Args:
        settings: The options.
        given: The names of those that are set.
        guard: Records gaps of factors over time.
    """

    def __init__(self, settings: Settings, given: frozenset[str], guard: Guard) -> None:
        self._settings = settings
        self._given = given
        self._guard = guard
        self._factors = not given.isdisjoint(FACTORS)
        self._grid = lru_cache(maxsize=256)(self._counted)

    @property
    def source(self) -> str:
        """The source of factors over time; empty without."""
        if self._settings.intensity is None:
            return ""
        grid = self._grid(self._settings.region or WORLD, None, "", None)
        return grid.over_time.known.source if grid.over_time else ""

    def of(self, old: Record) -> Basis:
        """Return what a record is counted with."""
        facts = old.intensity or {}
        year = int(old.start[:4]) if old.start[:4].isdigit() else None
        place, own = facts.get("region") or "", None
        if facts.get("dataset") == "user" or not place:
            own = facts.get("static_g_per_kwh", facts.get("g_per_kwh"))
        grid = self._grid(place, year or None, str(facts.get("found_by") or "log"), own)
        if "pue" not in self._given:
            grid = dataclasses.replace(grid, pue=old.pue, pue_source=str(facts.get("pue_source") or "log"))
        new = None
        if not self._given.isdisjoint(BESIDE):
            new = beside_for(self._settings, self._settings.region or place, grid.pue)
        return Basis(grid, self._factors, new)

    def _counted(self, place: str, year: int | None, found_by: str, own: float | None) -> Grid:
        """Return the grid for a place and a year.

        Args:
            place: The record's place.
            year: The record's year.
            found_by: How its place was found.
            own: The user's own figure that it was counted with.
        """
        settings = self._settings
        if settings.region is not None:
            return grid_for(settings, {}, year=year, guard=self._guard)
        if settings.g_per_kwh is not None or {"intensity_kind", "intensity_year"} & self._given:
            own = None
        # A place must be set: else that of this machine would be looked up.
        settings = dataclasses.replace(settings, region=place if exists(place) else WORLD)
        if own is not None:
            settings = dataclasses.replace(settings, g_per_kwh=own)
        grid = grid_for(settings, {}, year=year, guard=self._guard)
        factor = dataclasses.replace(grid.intensity, found_by=found_by)
        if own is not None:
            factor = dataclasses.replace(factor, region=place, name=place, factor_of=place)
        return dataclasses.replace(grid, intensity=factor)
