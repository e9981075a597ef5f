"""Sums of records with their bands: by the one counting rule of the run log, and in little memory."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from eco2ai_callbacks.parallel import sum_parallel
from eco2ai_callbacks.record import banded
from eco2ai_callbacks.report.of_record import OTHER, Figures, Source, plus
from eco2ai_callbacks.runlog.tally import Tally
from eco2ai_callbacks.usage import Method, Usage, component_of

# Channels and methods that are kept apart. A machine has some dozens; a log that names a new one in every line must
# not fill the memory.
MOST_CHANNELS = 256

Band = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Part:
    """The energy of one channel by one measuring method, with the ends of its band, in joules, and for how long."""

    joules: float = 0.0
    low: float = 0.0
    high: float = 0.0
    seconds: float = 0.0

    def __add__(self, other: Part) -> Part:
        """Return the sum: errors of one method add up linearly."""
        return Part(
            self.joules + other.joules, self.low + other.low, self.high + other.high, self.seconds + other.seconds
        )


@dataclass(frozen=True, slots=True)
class Sum:
    """What a group of records used.

    Args:
        usage: Seconds, joules per channel, CO2e and cost.
        parts: Its energy by channel and measuring method, with bands; energy without a known method is absent.
        measured_j: Joules from hardware counters; ``None`` where no record states its share.
        grams_band: The grams of CO2e at the lower and the upper end of the grid's factor.
        beside: Figures beside energy and CO2e and in neither of them, by the names that records have for them.
    """

    usage: Usage = field(default_factory=Usage)
    parts: Mapping[Source, Part] = field(default_factory=dict)
    measured_j: float | None = None
    grams_band: Band = (0.0, 0.0)
    beside: Mapping[str, float] = field(default_factory=dict)

    @property
    def seconds(self) -> float:
        """Duration; of parallel ranks that of the first one."""
        return self.usage.seconds

    @property
    def joules(self) -> Mapping[str, float]:
        """IT energy per channel. What a checkpoint carried over has the channel ``carried``."""
        return self.usage.joules

    @property
    def energy_kwh(self) -> float | None:
        """IT energy; ``None`` where nothing was measured."""
        return self.usage.energy_kwh

    @property
    def co2_kg(self) -> float | None:
        """CO2e with the data centre's overhead; ``None`` where nothing was measured."""
        return self.usage.co2_kg

    @property
    def cost(self) -> float | None:
        """Money; ``None`` without a price."""
        return self.usage.cost

    @property
    def power_w(self) -> float | None:
        """Mean power."""
        return self.usage.power_w

    @property
    def measured_share(self) -> float | None:
        """Energy from hardware counters / energy; ``None`` where it is not known."""
        total = self.usage.total_j
        return self.measured_j / total if total and self.measured_j is not None else None

    @property
    def energy_band_kwh(self) -> Band | None:
        """Lower and upper end of the energy; ``None`` where no band is known."""
        found: Band | None = self._banded().get("energy_band_kwh")
        return found

    @property
    def co2_band_kg(self) -> Band | None:
        """Lower and upper end of the CO2e; ``None`` where no band is known."""
        found: Band | None = self._banded().get("co2_band_kg")
        return found

    @property
    def gpu_seconds(self) -> float | None:
        """Seconds that GPUs were measured for, over all of them; ``None`` where that is not known."""
        return sum(part.seconds for (channel, _), part in self.parts.items() if component_of(channel) == "gpu") or None

    @property
    def components(self) -> dict[str, float]:
        """Joules per component."""
        found: dict[str, float] = {}
        for channel, joules in self.usage.joules.items():
            name = component_of(channel)
            found[name] = found.get(name, 0.0) + joules
        return found

    @property
    def methods(self) -> dict[str, float]:
        """Joules per measuring method."""
        found: dict[str, float] = {}
        for (_, method), part in self.parts.items():
            found[method] = found.get(method, 0.0) + part.joules
        return found

    def of(self, component: str) -> Sum:
        """Return one component's part. CO2e and cost are split by energy; no figure beside them is a component's."""
        joules = {channel: j for channel, j in self.usage.joules.items() if component_of(channel) == component}
        parts = {source: part for source, part in self.parts.items() if component_of(source[0]) == component}
        total, own = self.usage.total_j, sum(joules.values())
        share = own / total if total else 0.0
        grams, cost = (None if value is None else value * share for value in (self.usage.grams, self.usage.cost))
        band = self.grams_band[0] * share, self.grams_band[1] * share
        return Sum(Usage(self.usage.seconds, joules, grams, cost), parts, None, band)

    def __add__(self, other: Sum) -> Sum:
        """Return the sum of two usages that follow each other."""
        return _joined((self, other), self.usage + other.usage)

    def _banded(self) -> Mapping[str, Band]:
        methods: dict[str, Method] = {}
        joules: dict[str, float] = {}
        for place, ((_, name), part) in enumerate(self.parts.items()):
            if part.joules > 0:
                # The record's own function expects one method a channel; here a channel may have had several.
                methods[str(place)] = Method(name, part.low / part.joules, part.high / part.joules)
                joules[str(place)] = part.joules
        rest = (self.usage.total_j or 0.0) - sum(joules.values())
        if rest > 0:
            joules[OTHER] = rest
        grams = self.usage.grams
        spread = (self.grams_band[0] / grams, self.grams_band[1] / grams) if grams else (1.0, 1.0)
        return banded(Usage(self.usage.seconds, joules, grams), methods, spread)


class Summed:
    """What has a ``sum``, and shows its figures as its own."""

    __slots__ = ()

    if TYPE_CHECKING:  # a property in one class, a field in another, for which this would be a default

        @property
        def sum(self) -> Sum:
            """The sum."""

    @property
    def seconds(self) -> float:
        """Duration: the time that its records cover; of parallel ranks that of the first one."""
        return self.sum.seconds

    @property
    def joules(self) -> Mapping[str, float]:
        """IT energy per channel."""
        return self.sum.joules

    @property
    def energy_kwh(self) -> float | None:
        """IT energy; ``None`` where nothing was measured."""
        return self.sum.energy_kwh

    @property
    def co2_kg(self) -> float | None:
        """CO2e, with the data centre's overhead; ``None`` where nothing was measured."""
        return self.sum.co2_kg


def parallel(sums: Iterable[Sum]) -> Sum:
    """Return the sum of ranks that ran side by side: the seconds are those of the first one."""
    found = list(sums)
    return _joined(found, sum_parallel(each.usage for each in found))


def in_turn(sums: Iterable[Sum]) -> Sum:
    """Return the sum of usages that follow each other."""
    found = list(sums)
    whole = sum_parallel(each.usage for each in found)
    seconds = sum(each.usage.seconds for each in found)
    return _joined(found, Usage(seconds, whole.joules, whole.grams, whole.cost))


def _joined(sums: Iterable[Sum], usage: Usage) -> Sum:
    parts: dict[Source, Part] = {}
    measured: float | None = None
    low = high = 0.0
    beside: Mapping[str, float] = {}
    for each in sums:
        beside = plus(beside, each.beside)
        for source, part in each.parts.items():
            parts[source] = parts[source] + part if source in parts else part
        if each.measured_j is not None:
            measured = (measured or 0.0) + each.measured_j
        low, high = low + each.grams_band[0], high + each.grams_band[1]
    return Sum(usage, parts, measured, (low, high), beside)


class Adder:
    """A running :class:`Sum` of one process's records."""

    __slots__ = ("_beside", "_high", "_low", "_measured", "_parts", "_tally")

    def __init__(self) -> None:
        self._tally = Tally()
        self._parts: dict[Source, list[float]] = {}
        self._measured: float | None = None
        self._low = self._high = 0.0
        self._beside: Mapping[str, float] = {}

    def add(self, figures: Figures) -> None:
        """Add a record that counts: a mark, a ``start`` that carries usage over, or a writer's last heartbeat."""
        record, parts = figures.record, self._parts
        joules = record.joules
        if len(parts) >= MOST_CHANNELS:
            joules = capped(joules, {channel for channel, _ in parts})
        self._tally.add(record.writer, record.event, record.seconds, joules, record.co2_kg, record.cost, record.carried)
        for source, part_j, low_j, high_j in figures.parts:
            held = parts.get(source)
            if held is None:
                key = source if len(parts) < MOST_CHANNELS else (OTHER, OTHER)
                held = parts.setdefault(key, [0.0, 0.0, 0.0, 0.0])
            held[0] += part_j
            held[1] += low_j
            held[2] += high_j
            held[3] += record.seconds
        if figures.measured_j is not None:
            self._measured = (self._measured or 0.0) + figures.measured_j
        low, high = figures.grams_band
        self._low += low
        self._high += high
        if figures.beside:
            self._beside = plus(self._beside, figures.beside)

    def plus(self, other: Adder) -> None:
        """Add what another file holds of the same process."""
        mine, its = self.sum, other.sum
        both = mine + its
        tally = Tally()
        tally.add("", "stop", both.seconds, both.joules, both.co2_kg, both.cost)
        self._tally = tally
        self._parts = {s: [part.joules, part.low, part.high, part.seconds] for s, part in both.parts.items()}
        self._measured = both.measured_j
        self._low, self._high = both.grams_band
        self._beside = both.beside

    @property
    def sum(self) -> Sum:
        """The sum so far."""
        parts = {source: Part(*held) for source, held in self._parts.items()}
        return Sum(self._tally.usage, parts, self._measured, (self._low, self._high), self._beside)


def capped(joules: Mapping[str, float], known: set[str]) -> Mapping[str, float]:
    """Return energy with the channels that are not known put together."""
    if joules.keys() <= known:
        return joules
    found = {channel: value for channel, value in joules.items() if channel in known}
    found[OTHER] = found.get(OTHER, 0.0) + sum(value for channel, value in joules.items() if channel not in known)
    return found
