"""Carbon intensity of electricity by place, in g CO2e/kWh, with the source of each figure."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, fields
from functools import cache
from typing import Any

from eco2ai_callbacks.carbon import places, tables
from eco2ai_callbacks.carbon.places import WORLD, Spot
from eco2ai_callbacks.errors import SettingsError

KINDS = ("best", "lifecycle", "direct")

# Quantiles of the countries' figures that bound the band of the world's average.
_SPREAD = (0.05, 0.95)


@dataclass(frozen=True, slots=True)
class Intensity:
    """A carbon intensity with its origin, in a form to print beside a result.

    Args:
        g_per_kwh: Grams of CO2e per kilowatt-hour, location-based average.
        region: Id of the place that it is for; ``WORLD`` where the place is unknown.
        name: English name of that place.
        dataset: The source's id in the table of datasets (see :func:`dataset`); ``user`` for the user's own figure.
        year: The year that it describes; ``None`` where the source states none.
        kind: ``lifecycle``, ``direct`` (at the power plant), ``estimate`` (imputed), ``unstated`` or ``user``.
        level: Level of the place that the figure describes: the place itself, or one that contains it.
        low: Lower end of the band in g/kWh; below ``g_per_kwh`` only where the world's average is used for a place.
        high: Upper end of the band in g/kWh.
        found_by: How the place was found: ``setting``, ``time zone``, ``unknown``, ...
        note: Remarks on the figure, as one phrase; empty if none.
        factor_of: Id of the place that the figure describes: ``FR`` for a French cloud region without its own.
    """

    g_per_kwh: float
    region: str
    name: str
    dataset: str
    year: int | None
    kind: str
    level: str
    low: float
    high: float
    found_by: str = "setting"
    note: str = ""
    factor_of: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON."""
        return {each.name: getattr(self, each.name) for each in fields(self)}


@dataclass(frozen=True, slots=True)
class Dataset:
    """A published source of carbon intensities.

    Args:
        id: Short name, as results hold it.
        title: The publication, with its publisher.
        version: Edition or release.
        url: The publisher's page.
        licence: Licence of the figures.
        kind: ``lifecycle``, ``direct``, ``estimate`` or ``unstated``.
        gases: ``CO2e`` or ``CO2``.
        retrieved: Date on which the figures were retrieved, in ISO format.
        note: Remarks on its figures; empty if none.
    """

    id: str
    title: str
    version: str
    url: str
    licence: str
    kind: str
    gases: str
    retrieved: str
    note: str


@dataclass(frozen=True, slots=True)
class _Series:
    """One dataset's figures for one place; ``None`` is the year of a figure whose source states none."""

    place: str
    dataset: str
    kind: str
    by_year: dict[int | None, float]


@dataclass(frozen=True, slots=True)
class _Choice:
    """One figure of a series, and whether it is newer than the run because there is no earlier one."""

    series: _Series
    year: int | None
    later: bool


def lookup(
    region: str, *, kind: str = "best", year: int | None = None, run_year: int | None = None, found_by: str = "setting"
) -> Intensity:
    """Return the carbon intensity of a place.

    Where the place has no such figure, that of the place that contains it is used (cloud region, eGRID subregion,
    bidding zone or subdivision, country); ``level`` and ``factor_of`` name it. The world's is used only where none has
    any figure.

    Args:
        region: ``FR``, ``FRA``, ``France``, ``US-CA``, ``California``, ``RU-MOW``, ``Москва``, ``aws:eu-west-3``,
            ``eGRID:CAMX``, ``World``; in any case.
        kind: ``lifecycle``, ``direct``, or ``best``: the figure of the smallest place that has one (a cloud provider's,
            an official one for a subdivision, Ember's for a country, so that countries are comparable).
        year: The only year that is accepted; ``None`` takes the newest.
        run_year: Year of the run; newer figures are used only where there are no earlier ones.
        found_by: How the place was found.

    Raises:
        SettingsError: The name is unknown or ambiguous, or there is no such figure.

    Example:
        >>> lookup("France").region
        'FR'
    """
    return _lookup(places.resolve(region), kind, year, run_year, found_by)


def eco2ai_lookup(
    alpha_2_code: str, region: str | None = None, *, kind: str = "best", year: int | None = None
) -> Intensity:
    """Return the carbon intensity of a place that is named as eco2AI names it.

    Args:
        alpha_2_code: The country.
        region: A region of it, in any of eco2AI's spellings; ``None``, empty or ``Whole country`` for all of it.

    Raises:
        SettingsError: There is no such country, or no such region in it.
    """
    country = places.resolve(alpha_2_code)
    if not region or places.fold(region) == "whole country":
        return _lookup(country, kind, year, None, "setting")
    return _lookup(places.resolve(region, within=country.id), kind, year, None, "setting")


def world(*, kind: str = "best", year: int | None = None, found_by: str = "unknown") -> Intensity:
    """Return the world's average, for an unknown place; its band is the spread of the countries' figures.

    Args:
        kind: Checked, and otherwise ignored: the best figure is used, whose kind the result holds.
        year: The only year that is accepted; ``None`` takes the newest.
        found_by: How the place was found.

    Raises:
        SettingsError: There is no figure of that year.
    """
    _check_kind(kind)
    return _lookup(places.place(WORLD), "best", year, None, found_by)


def user(g_per_kwh: float, *, region: str = "", found_by: str = "setting") -> Intensity:
    """Return an intensity from the user's own figure.

    Args:
        g_per_kwh: Grams of CO2e per kilowatt-hour.
        region: The place that it is for, as the user spells it.

    Raises:
        SettingsError: The figure is negative or not finite.
    """
    if not (math.isfinite(g_per_kwh) and g_per_kwh >= 0):
        raise SettingsError(f"g_per_kwh={g_per_kwh!r} is no intensity; accepted are finite numbers from 0 on")
    g_per_kwh = float(g_per_kwh)
    return Intensity(
        g_per_kwh=g_per_kwh,
        region=region,
        name=region,
        dataset="user",
        year=None,
        kind="user",
        level="user",
        low=g_per_kwh,
        high=g_per_kwh,
        found_by=found_by,
        factor_of=region,
    )


def search(text: str = "") -> list[Intensity]:
    """Return the intensities of the places with a word in their code or name that starts with ``text``; all for ``''``.

    Example:
        >>> [found.region for found in search("aws:eu-west")]
        ['aws:eu-west-1', 'aws:eu-west-2', 'aws:eu-west-3']
    """
    return [_lookup(spot, "best", None, None, "setting") for spot in places.search(text)]


def dataset(dataset_id: str) -> Dataset:
    """Return the dataset whose id a result holds."""
    return Dataset(*next(tables.rows("datasets", dataset_id)))


def _lookup(spot: Spot, kind: str, year: int | None, run_year: int | None, found_by: str) -> Intensity:
    _check_kind(kind)
    known: list[_Series] = []
    for around in places.chain(spot):
        if around.id == WORLD and known:
            break  # the error names the place's other years or kinds; the world's figure would be further off
        series = _series(around.id)
        known += series
        choices = [choice for one in series if (choice := _choose(one, kind, year, run_year)) is not None]
        if choices:
            return _intensity(spot, around, min(choices, key=lambda choice: choice.later), found_by)
    raise SettingsError(_lacking(spot, kind, year, known))


def _check_kind(kind: str) -> None:
    if kind not in KINDS:
        raise SettingsError(f"intensity_kind={kind!r} is not known; accepted are {', '.join(KINDS)}")


def _series(place_id: str) -> list[_Series]:
    return [
        _Series(row[0], row[1], row[2], dict(map(_figure, row[3].split(" "))))
        for row in tables.rows("factors", place_id)
    ]


def _figure(text: str) -> tuple[int | None, float]:
    year, _, g_per_kwh = text.partition("=")
    return (int(year) if year != "-" else None), float(g_per_kwh)


def _choose(series: _Series, kind: str, year: int | None, run_year: int | None) -> _Choice | None:
    """Return the requested figure; ``None`` where the series lacks it."""
    if kind not in ("best", series.kind):
        return None
    if year is not None:
        return _Choice(series, year, False) if year in series.by_year else None
    years = [known for known in series.by_year if known is not None]
    if not years:
        return _Choice(series, None, False)
    earlier = [known for known in years if run_year is None or known <= run_year]
    return _Choice(series, max(earlier), False) if earlier else _Choice(series, min(years), True)


def _intensity(spot: Spot, around: Spot, choice: _Choice, found_by: str) -> Intensity:
    g_per_kwh = choice.series.by_year[choice.year]
    notes = [
        "" if around.id == spot.id else f"no such figure of its own, so that of {around.label}",
        "the table has none as early as the run" if choice.later else "",
        dataset(choice.series.dataset).note,
    ]
    low, high = _world_spread() if around.id == WORLD else (g_per_kwh, g_per_kwh)
    return Intensity(
        g_per_kwh=g_per_kwh,
        region=spot.id,
        name=spot.name,
        dataset=choice.series.dataset,
        year=choice.year,
        kind=choice.series.kind,
        level=around.level,
        low=low,
        high=high,
        found_by=found_by,
        note="; ".join(filter(None, notes)),
        factor_of=around.id,
    )


def _lacking(spot: Spot, kind: str, year: int | None, known: Iterable[_Series]) -> str:
    asked = f"intensity_kind={kind!r}" + ("" if year is None else f", intensity_year={year}")
    there = "; ".join(f"{one.place} {one.kind} {_years(one)}" for one in known)
    return f"{asked} is not in the table for region={spot.id!r}; there are: {there}"


def _years(series: _Series) -> str:
    years = sorted(year for year in series.by_year if year is not None)
    if not years:
        return "of no stated year"
    return str(years[0]) if len(years) == 1 else f"{years[0]}-{years[-1]}"


@cache
def _world_spread() -> tuple[float, float]:
    """Return the 5 % and 95 % quantiles of the countries' newest life-cycle figures, in g CO2e/kWh."""
    newest = []
    for row in tables.every("factors"):
        if len(row[0]) == 2 and row[2] == "lifecycle":
            newest.append(_figure(row[3].rpartition(" ")[2])[1])
    newest.sort()
    low, high = (newest[round(share * (len(newest) - 1))] for share in _SPREAD)
    return low, high
