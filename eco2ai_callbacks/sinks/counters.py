"""What monitoring systems get of a run: counters in joules, grams and seconds, and the labels that tell runs apart."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from eco2ai_callbacks.record import Record
from eco2ai_callbacks.usage import GRAMS_PER_KG, JOULES_PER_KWH, component_of


@dataclass(frozen=True, slots=True)
class RunCounters:
    """What one rank of a run has used so far on one host.

    Args:
        labels: ``run``, ``project``, ``host`` and ``rank``: no two have the same.
        joules: IT energy by channel.
        seconds: Duration.
        grams: CO2e, with the data centre's overhead; ``None`` where nothing was measured.
        cost: Money; ``None`` without a price.
        updated: When its last record's segment ended, in seconds since 1970; ``None`` where no label says so.
        facts: What else is known: ``description``, ``region``, ``version``.
    """

    labels: Mapping[str, str]
    joules: Mapping[str, float]
    seconds: float
    grams: float | None = None
    cost: float | None = None
    updated: float | None = None
    facts: Mapping[str, str] = field(default_factory=dict)


# A value with the labels that it has beside those of its run.
_Value = tuple[float, Mapping[str, str]]


@dataclass(frozen=True, slots=True)
class Family:
    """A counter or a gauge of every run.

    Args:
        name: Its name, without a prefix and without its unit.
        unit: Its unit as words have it; empty for none.
        symbol: Its unit by UCUM, as OpenTelemetry has it.
        meaning: What it is, in one line.
        values: Returns its values of a run.
        counts: Whether it only grows.
    """

    name: str
    unit: str
    symbol: str
    meaning: str
    values: Callable[[RunCounters], Iterator[_Value]]
    counts: bool = True


def _energy(run: RunCounters) -> Iterator[_Value]:
    for channel, joules in run.joules.items():
        yield joules, {"channel": channel, "component": component_of(channel)}


def _single(name: str) -> Callable[[RunCounters], Iterator[_Value]]:
    def values(run: RunCounters) -> Iterator[_Value]:
        value = getattr(run, name)
        if value is not None:
            yield value, {}

    return values


FAMILIES: tuple[Family, ...] = (
    Family("energy", "joules", "J", "IT energy so far, by channel, without the data centre's overhead.", _energy),
    Family("co2e", "grams", "g", "CO2e so far, with the data centre's overhead.", _single("grams")),
    Family("duration", "seconds", "s", "Time so far that the records cover.", _single("seconds")),
    Family("cost", "", "1", "Money so far, in the currency of the price.", _single("cost")),
    Family(
        "last_record_timestamp", "seconds", "s", "When the last record was written.", _single("updated"), counts=False
    ),
    Family(
        "run_info", "", "1", "What is known of the run, as labels.", lambda run: iter([(1.0, run.facts)]), counts=False
    ),
)


def counters_of(record: Record) -> RunCounters | None:
    """Return what a run has used so far, from a record of it; ``None`` where the record has no total."""
    total = record.total
    if total is None:
        return None
    joules, energy, co2 = total.get("joules"), total.get("energy_kwh"), total.get("co2_kg")
    if not isinstance(joules, Mapping):
        joules = {} if energy is None else {"all": energy * JOULES_PER_KWH}
    place = record.intensity or {}
    return RunCounters(
        labels=labels(record.run, record.project, record.host, record.rank),
        joules=dict(joules),
        seconds=total.get("seconds") or 0.0,
        grams=None if co2 is None else co2 * GRAMS_PER_KG,
        cost=total.get("cost"),
        updated=_ended(record),
        facts=facts(record.description, place.get("region"), record.version),
    )


def labels(run: str, project: str, host: str, rank: int) -> Mapping[str, str]:
    """Return the labels of a run's values."""
    return {"run": run, "project": project, "host": host, "rank": str(rank)}


def facts(description: str, region: Any, version: str) -> Mapping[str, str]:
    """Return what else is known of a run."""
    return {"description": description, "region": str(region or ""), "version": version}


def _ended(record: Record) -> float | None:
    try:
        return (datetime.fromisoformat(record.start) + timedelta(seconds=record.seconds)).timestamp()
    except (ValueError, OverflowError):
        return None
