"""What a record adds to sums, whatever its line holds there: worked out once, and added to each of them."""

from __future__ import annotations

from collections.abc import Mapping

from eco2ai_callbacks.record import Record
from eco2ai_callbacks.report.fields import band, mapping, moment, number, spread_of, text
from eco2ai_callbacks.usage import GRAMS_PER_KG

# The figures beside energy and CO2e; others, of a later version, are passed over.
WATER = ("water_on_site_l", "water_off_site_l")
BESIDE = (*WATER, "embodied_co2_kg", "market_co2_kg", "wall_kwh", "above_idle_kwh")
# What stands for a name that is not known, or that is one too many.
OTHER = "other"

# Channel and measuring method.
Source = tuple[str, str]


class Figures:
    """What one record adds to the sums that it is part of: of its run, its stage, its day and its epoch.

    Args:
        record: The record.
        parts: Joules by channel and method with the ends of their band; energy without a known band is absent.
        measured_j: Joules from hardware counters; ``None`` where its share is not known.
        grams: CO2e of the segment; ``None`` where it is not known.
        grams_band: The grams, with those that were carried over, at both ends of the grid's factor.
        beside: Its figures beside energy and CO2e.
        began: When its segment began, in seconds since 1970; ``None`` where no label says so.
    """

    __slots__ = ("began", "beside", "grams", "grams_band", "measured_j", "parts", "record")

    def __init__(
        self,
        record: Record,
        parts: list[tuple[Source, float, float, float]],
        measured_j: float | None,
        grams: float | None,
        grams_band: tuple[float, float],
        beside: Mapping[str, float],
        began: float | None,
    ) -> None:
        self.record: Record = record
        self.parts: list[tuple[Source, float, float, float]] = parts
        self.measured_j: float | None = measured_j
        self.grams: float | None = grams
        self.grams_band: tuple[float, float] = grams_band
        self.beside: Mapping[str, float] = beside
        self.began: float | None = began


class Deriver:
    """Works out the figures of one process's records; what these have in common, only where it changes.

    Nearly all records of a session hold the same objects for their methods and their carbon intensity.
    """

    __slots__ = ("_intensity", "_methods", "_sources", "_spread")

    def __init__(self) -> None:
        self._intensity: object = None
        self._spread = spread_of(None)
        self._methods: object = None
        self._sources: dict[str, Source] = {}

    def figures(self, record: Record) -> Figures:
        """Return the figures of a record."""
        if record.method is not self._methods:
            self._methods, self._sources = record.method, {}
        if record.intensity is not self._intensity:
            self._intensity, self._spread = record.intensity, spread_of(record.intensity)
        bands, sources = mapping(record.band), self._sources
        parts = []
        for channel, joules in record.joules.items():
            edges = band(bands.get(channel))
            if edges is not None:
                source = sources.get(channel)
                if source is None:
                    source = sources[channel] = channel, text(mapping(self._methods).get(channel)) or OTHER
                parts.append((source, joules, *edges))
        grams = None if record.co2_kg is None else record.co2_kg * GRAMS_PER_KG
        label = moment(record.start)
        return Figures(
            record,
            parts,
            _measured(record),
            grams,
            self._grams_band(record),
            _beside(record) if record.beside else {},
            None if label is None else label.timestamp(),
        )

    def _grams_band(self, record: Record) -> tuple[float, float]:
        kg = record.co2_kg or 0.0
        if record.carried:
            kg += mapping(record.carried).get("co2_kg") or 0.0
        low, high = self._spread
        return kg * GRAMS_PER_KG * low, kg * GRAMS_PER_KG * high


def plus(one: Mapping[str, float], other: Mapping[str, float]) -> Mapping[str, float]:
    """Return the sum of two mappings of figures beside energy and CO2e."""
    if not one or not other:
        return one or other
    return {name: one.get(name, 0.0) + other.get(name, 0.0) for name in BESIDE if name in one or name in other}


def _beside(record: Record) -> Mapping[str, float]:
    if record.event == "start":  # a start adds what it carried over alone
        return {}
    return {name: value for name in BESIDE if (value := number(record.beside.get(name))) is not None}


def _measured(record: Record) -> float | None:
    share = number(record.measured_share)
    return None if share is None or not record.joules else share * sum(record.joules.values())
