"""The live sources, by the names that the setting ``intensity`` has for them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import partial
from importlib import import_module

from eco2ai_callbacks.carbon.live import cache
from eco2ai_callbacks.carbon.live.feed import Feed, ask
from eco2ai_callbacks.carbon.live.fetch import check_extra
from eco2ai_callbacks.carbon.live.source import Source, Unusable
from eco2ai_callbacks.carbon.live.tokens import credential
from eco2ai_callbacks.carbon.series import Series
from eco2ai_callbacks.errors import SettingsError
from eco2ai_callbacks.guard import Guard

PREFIX = "live:"
# Module and class of each: a source is imported where it is named.
_SOURCES: Mapping[str, tuple[str, str]] = {
    "carbon-intensity-gb": ("gb", "CarbonIntensityGB"),
    "eco2mix": ("eco2mix", "Eco2Mix"),
    "electricitymaps": ("electricitymaps", "ElectricityMaps"),
    "energidataservice": ("energinet", "EnergiDataService"),
    "energy-charts": ("energycharts", "EnergyCharts"),
    "entsoe": ("entsoe", "Entsoe"),
    "watttime": ("watttime", "WattTime"),
}
NAMES = tuple(_SOURCES)
# Sources that have names of their own for zones: `live:watttime:CAISO_NORTH`.
_OWN_ZONES = ("watttime",)


def source(setting: str, region: str | None, kind: str) -> Source:
    """Return the source that a setting names, for a place.

    Args:
        setting: ``live:`` and the source's name; behind another colon its own name of a zone, where it has such.
        region: The place.
        kind: The kind of factors that is asked for.

    Raises:
        SettingsError: There is no such source, or it does not know the place or the kind.
    """
    name, _, zone = setting.removeprefix(PREFIX).partition(":")
    if name not in _SOURCES or (zone and name not in _OWN_ZONES):
        # Of WattTime, as of any source with zones of its own, the zone is part of the setting.
        known = ", ".join(f"'{PREFIX}{each}'" for each in NAMES)
        raise SettingsError(f"intensity={setting!r} is no live source; accepted are {known}")
    if region is None and name not in _OWN_ZONES:
        raise SettingsError(f"intensity={setting!r} needs a place that does not depend on the machine: set region=")
    module, kind_of = _SOURCES[name]
    made: Callable[[], Source] = partial(
        getattr(import_module(f"eco2ai_callbacks.carbon.live.{module}"), kind_of),
        zone if name in _OWN_ZONES else region,
        kind,
    )
    return made()


def feed(setting: str, region: str | None, kind: str, guard: Guard) -> Feed:
    """Return the figures of the source that a setting names; it is asked once somebody asks for a mean.

    Args:
        setting: ``live:`` and the source's name.
        region: The place.
        kind: The kind of factors that is asked for.
        guard: Records failures.

    Raises:
        SettingsError: There is no such source, or the extra or a token is missing.
    """
    asked = source(setting, region, kind)
    check_extra()
    return Feed(asked, credential(asked.token_names), guard, folder=cache.folder())


def forecast(setting: str, region: str | None, kind: str) -> Series:
    """Return a source's figures of the hours ahead. Waits for them.

    Args:
        setting: ``live:`` and the source's name.
        region: The place.
        kind: The kind of factors that is asked for.

    Raises:
        SettingsError: There is no such source, the extra or a token is missing, or the source gives no figures.
    """
    asked = source(setting, region, kind)
    check_extra()
    try:
        spans, _ = ask(asked, credential(asked.token_names), time.time(), forecast=True)
    except Unusable as why:
        raise SettingsError(f"intensity={setting!r} gives no forecast: {why}") from None
    return Series(spans, asked.title, asked.kind)
