"""Carbon intensities, other factors, forecasts and comparisons of models, as records state them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from eco2ai_callbacks.calibration.wall import WallFit
from eco2ai_callbacks.record import Record
from eco2ai_callbacks.report.fields import band, mapping, number, text
from eco2ai_callbacks.report.sums import Band

# Components whose methods a calibration names; there are three.
_MOST_METHODS = 8


@dataclass(frozen=True, slots=True)
class Factor:
    """A carbon intensity that a run's CO2e was computed with.

    Args:
        g_per_kwh: Grams of CO2e per kilowatt-hour.
        region: Id of the place.
        name: Name of the place.
        dataset: Where the figure is from.
        year: The year that it is of.
        kind: ``lifecycle``, ``direct``, ``estimate``, ``unstated`` or ``user``.
        found_by: How the place was found.
        pue: The data centre's overhead.
    """

    g_per_kwh: float | None
    region: str = ""
    name: str = ""
    dataset: str = ""
    year: int | None = None
    kind: str = ""
    found_by: str = ""
    pue: float = 1.0


@dataclass(frozen=True, slots=True)
class Basis:
    """The factors of a run's figures beside energy and CO2e; ``None`` where it has no such figure.

    Args:
        wue: Litres of water for each kWh of the machines, on site.
        wue_source: Where that is from.
        water_intensity: Litres for each kWh from the grid, off site.
        embodied_kg: CO2e of making the machine.
        lifetime_h: Hours over which it is spread.
        embodied_share: The part of the machine.
        market_intensity: Grams of CO2e per kWh of the electricity that is bought.
        market_label: Its contract or certificate.
        wall: The calibration of the power at the wall.
        idle_w: Power of the waiting machine, before the run.
        idle_s: How long that was measured.
    """

    wue: float | None = None
    wue_source: str = ""
    water_intensity: float | None = None
    embodied_kg: float | None = None
    lifetime_h: float | None = None
    embodied_share: float | None = None
    market_intensity: float | None = None
    market_label: str = ""
    wall: WallFit | None = None
    idle_w: float | None = None
    idle_s: float | None = None


@dataclass(frozen=True, slots=True)
class Check:
    """Joules of a machine's processors by their counters and by the model, in one session.

    Args:
        cpu: The processor's name.
        method: The model.
        counter_j: Joules by the counters.
        model_j: Joules by the model in the same time.
        seconds: That time.
        busy_s: Busy core-seconds in it.
        threads: The machine's hardware threads.
    """

    cpu: str
    method: str
    counter_j: float
    model_j: float
    seconds: float
    busy_s: float
    threads: float


@dataclass(frozen=True, slots=True)
class ExpectedTotal:
    """A forecast of the whole run, as it was written after an epoch.

    Args:
        epoch: The epoch that it was written in.
        done: Progress at that time.
        planned: Planned length, in the same unit.
        energy_kwh: Expected energy, with its band.
        co2_kg: Expected CO2e, with its band.
        seconds: Expected duration, with its band.
    """

    epoch: int | None
    done: float | None
    planned: float | None
    energy_kwh: float | None
    energy_band_kwh: Band | None
    co2_kg: float | None
    co2_band_kg: Band | None
    seconds: float | None
    seconds_band: Band | None


def factor_of(record: Record) -> Factor:
    """Return the carbon intensity of a record."""
    found: Mapping[str, Any] = mapping(record.intensity)
    year = number(found.get("year"))
    return Factor(
        number(found.get("g_per_kwh")),
        text(found.get("region")),
        text(found.get("name")),
        text(found.get("dataset")),
        None if year is None else int(year),
        text(found.get("kind")),
        text(found.get("found_by")),
        record.pue,
    )


def expected(record: Record) -> ExpectedTotal:
    """Return the forecast that a record holds."""
    found = mapping(record.metrics)
    return ExpectedTotal(
        record.epoch,
        number(found.get("done")),
        number(found.get("planned")),
        number(found.get("energy_kwh")),
        band(found.get("energy_band_kwh")),
        number(found.get("co2_kg")),
        band(found.get("co2_band_kg")),
        number(found.get("seconds")),
        band(found.get("seconds_band")),
    )


def basis_of(stated: object) -> Basis:
    """Return the factors of a record's figures beside energy and CO2e."""
    found = mapping(stated)
    names = ("wue", "water_intensity", "embodied_kg", "lifetime_h", "embodied_share", "market_intensity")
    wall = mapping(found.get("wall"))
    methods = {text(name): text(value) for name, value in list(mapping(wall.get("methods")).items())[:_MOST_METHODS]}
    baseline = mapping(found.get("baseline"))
    watts = list(mapping(baseline.get("watts")).values())
    try:
        fit = WallFit.from_dict({**wall, "methods": methods}) if wall else None
    except ValueError:
        fit = None
    return Basis(
        **{name: number(found.get(name)) for name in names},
        wue_source=text(found.get("wue_source")),
        market_label=text(found.get("market_label")),
        wall=fit,
        idle_w=sum(filter(None, map(number, watts))) if watts else None,
        idle_s=number(baseline.get("seconds")),
    )


def check_of(stated: object) -> Check | None:
    """Return a record's comparison of the model with the counters; ``None`` where it has none."""
    found = mapping(stated)
    values = [number(found.get(name)) for name in ("counter_j", "model_j", "seconds", "busy_s", "threads")]
    known = [value for value in values if value is not None and value >= 0]
    if len(known) != len(values) or not known[0] or not known[2]:
        return None
    return Check(text(found.get("cpu")), text(found.get("method")), *known)
