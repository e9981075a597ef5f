"""Carbon intensities and forecasts, as records state them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from eco2ai_callbacks.record import Record
from eco2ai_callbacks.report.fields import band, mapping, number, text
from eco2ai_callbacks.report.sums import Band


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
