"""What a record adds to a sum beside seconds and joules, whatever its line holds there."""

from __future__ import annotations

from collections.abc import Mapping

from eco2ai_callbacks.record import Record
from eco2ai_callbacks.report.fields import mapping, number, spread_of
from eco2ai_callbacks.usage import GRAMS_PER_KG

# The figures beside energy and CO2e; others, of a later version, are passed over.
WATER = ("water_on_site_l", "water_off_site_l")
BESIDE = (*WATER, "embodied_co2_kg", "market_co2_kg", "wall_kwh")


def beside_of(record: Record) -> Mapping[str, float]:
    """Return the figures of a record beside its energy and CO2e."""
    if not record.beside or record.event == "start":  # a start adds what it carried over alone
        return {}
    return {name: value for name in BESIDE if (value := number(record.beside.get(name))) is not None}


def plus(one: Mapping[str, float], other: Mapping[str, float]) -> Mapping[str, float]:
    """Return the sum of two such mappings."""
    if not one or not other:
        return one or other
    return {name: one.get(name, 0.0) + other.get(name, 0.0) for name in BESIDE if name in one or name in other}


def measured_of(record: Record) -> float | None:
    """Return the joules of a record that come from hardware counters."""
    share = number(record.measured_share)
    return None if share is None or not record.joules else share * sum(record.joules.values())


def grams_band_of(record: Record) -> tuple[float, float]:
    """Return the grams of a record at the lower and the upper end of the grid's factor."""
    kg = (record.co2_kg or 0.0) + (mapping(record.carried).get("co2_kg") or 0.0)
    low, high = spread_of(record.intensity)
    return kg * GRAMS_PER_KG * low, kg * GRAMS_PER_KG * high
