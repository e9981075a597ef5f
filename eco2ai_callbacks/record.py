"""One line of the run log: its fields, and which events add up."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from eco2ai_callbacks.bands import combined_band
from eco2ai_callbacks.plain import FROZEN, frozen, loggable, plain
from eco2ai_callbacks.usage import Method, Usage, kwh

SCHEMA = 2
ADDING_EVENTS = frozenset({"epoch", "stage", "stop"})
EVENTS = ADDING_EVENTS | {"start", "heartbeat", "forecast", "metrics"}
STAGES = ("train", "validate", "test", "predict", "other")


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """The usage of one segment of a run, and how it was measured.

    Energies are IT energy in joules or kWh; ``co2_kg`` and ``cost`` include the data centre's overhead (``pue``).
    What was not measured is absent from a mapping, or ``None``.

    Args:
        run: Id of the whole job, all its ranks and resumed parts.
        writer: Random id of the one tracker session that writes; ``seq``, ``prev`` and heartbeats count per writer.
        seq: Number of the record within its writer, from 0.
        prev: Hash of the writer's line before this one.
        hmac: Keyed hash of this line, where a key is set.
        parent: Id of the run inside which this one was measured; a reader's sum must include only one of the two.
        host: Hash of the host's boot id.
        rank: Number of the process within the job, from 0; its figures are its own.
        world_size: Number of processes within the job.
        event: ``epoch``, ``stage``, ``stop`` (these add up), ``start``, ``heartbeat``, ``forecast`` or ``metrics``.
        epoch: Number of the epoch, from 0.
        attempt: Number of the epoch's attempt, from 1; 2 and up where it is repeated.
        phases: Seconds and joules of each phase of the segment; they add up to its own. ``None`` where none was named.
        gpu_health: State of each GPU over the segment, by its UUID, as far as its driver reports it: load, clock,
            temperature, shares of the time in which it was slowed down or idle. ``None`` where nothing was looked at.
        steps: Training steps of the segment: number of the last one, how many, their samples and tokens.
        attempts: The latest attempts of the run's epochs so far, as ranges: first epoch, last epoch, attempt.
        stage: ``train``, ``validate``, ``test``, ``predict`` or ``other``.
        start: When the segment began, ISO 8601 with the zone's offset: a label, never a duration.
        seconds: Length of the segment.
        joules: Energy per channel.
        method: Measuring method of each channel.
        band: Lower and upper end of the band in joules, per channel.
        accuracy: Accuracy of each channel's method: lower and upper end as factors, joules that each edge adds, whether
            the joules come from a hardware energy counter.
        attribution: Whose energy each channel holds: the job's, the whole machine's, the whole device's.
        covers: Which components each channel's figure includes.
        measured_share: Energy from hardware counters / energy.
        not_covered: Hardware that draws power here and that no meter reads.
        intensity: The grid's factor: g/kWh, region, dataset, year, kind, how the region was found.
        epoch_energy_kwh: In ``epoch``: energy of the epoch's whole training; ``energy_kwh`` is what this record adds to
            the run, the part since the last mark.
        epoch_co2_kg: In ``epoch``: CO2e of the epoch's whole training.
        epoch_total: In ``epoch``: sum of the epoch's ``train`` marks (``energy_kwh``, ``co2_kg``, ``seconds``).
        total: The run so far, this record included (as ``epoch_total``, and ``joules`` per channel,
            ``energy_band_kwh``, ``co2_band_kg``; with a price also ``cost``). The last record of a run suffices to
            continue it.
        metrics: Values that the framework logged: numbers and texts, and ``None`` for NaN and infinity.
            In ``forecast``: the expected usage of the whole run at its end.
        shared_with: Ids of other runs that used the same devices.
        failures: Failures so far, one sentence each.
        ended: In ``stop``: ``finished`` or ``interrupted``, or what stopped it.
        sources: In ``start``: every source of energy figures, used or not, with the reason.
        carried: In ``start``: usage that a checkpoint held and the log did not; it is part of the total.
        continues: In ``start``: the writer that is continued, and the hash of its last line.
        beside: Figures beside energy and CO2e and in neither of them, where a setting asks for them; they add up:
            ``water_on_site_l``, ``water_off_site_l``, ``embodied_co2_kg``, ``market_co2_kg``, ``wall_kwh``.
        basis: The factors of the figures beside, with their sources.
        sci: In ``stop``: the session's score by ISO/IEC 21031, where ``sci_unit`` asks for it.
        model_check: In ``stop``: joules of the whole machine's processors by their counters and by the model.
        siblings: Ids of other runs of the same process that were measured at the same time and not around or inside
            this one: the joules are this run's part of what they used together.
    """

    schema: int = SCHEMA
    run: str
    writer: str
    seq: int = 0
    prev: str | None = None
    hmac: str | None = None
    parent: str | None = None
    project: str = ""
    description: str = ""
    host: str = ""
    rank: int = 0
    world_size: int = 1
    pid: int = 0
    event: str
    epoch: int | None = None
    attempt: int | None = None
    stage: str = "other"
    start: str = ""
    seconds: float = 0.0
    joules: Mapping[str, float] = field(default_factory=dict)
    method: Mapping[str, str] = field(default_factory=dict)
    band: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    accuracy: Mapping[str, tuple[float, float, float, bool]] = field(default_factory=dict)
    attribution: Mapping[str, str] = field(default_factory=dict)
    covers: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    measured_share: float | None = None
    not_covered: tuple[str, ...] = ()
    energy_kwh: float | None = None
    co2_kg: float | None = None
    epoch_energy_kwh: float | None = None
    epoch_co2_kg: float | None = None
    pue: float = 1.0
    intensity: Mapping[str, Any] | None = None
    cost: float | None = None
    samples: int | None = None
    tokens: int | None = None
    epoch_total: Mapping[str, Any] | None = None
    total: Mapping[str, Any] | None = None
    metrics: Mapping[str, Any] | None = None
    shared_with: tuple[str, ...] = ()
    failures: tuple[str, ...] = ()
    ended: str | None = None
    version: str = ""
    sources: tuple[Mapping[str, Any], ...] | None = None
    carried: Mapping[str, float | None] | None = None
    continues: Mapping[str, str] | None = None
    attempts: tuple[tuple[int, int, int], ...] | None = None
    beside: Mapping[str, float] = field(default_factory=dict)
    basis: Mapping[str, Any] | None = None
    sci: Mapping[str, Any] | None = None
    model_check: Mapping[str, Any] | None = None
    phases: Mapping[str, tuple[float, float]] | None = None
    steps: tuple[int, int, int | None, int | None] | None = None
    gpu_health: Mapping[str, Mapping[str, Any]] | None = None
    siblings: tuple[str, ...] = ()

    @property
    def adds(self) -> bool:
        """Whether the record's figures are part of the run's sum."""
        return self.event in ADDING_EVENTS

    def to_dict(self) -> dict[str, Any]:
        """Return plain values in the order of the fields, for JSON."""
        return {name: self.plain(name) for name in FIELDS}

    def plain(self, name: str) -> Any:
        """Return one field's value as :meth:`to_dict` holds it."""
        value = getattr(self, name)
        # Only metrics come from outside; a value that JSON cannot hold must not cost the record its energy.
        return loggable(value) if name == "metrics" and value is not None else plain(value)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Record:
        """Return the record of plain values, the inverse of :meth:`to_dict`; unknown fields are skipped."""
        return cls(
            **{
                name: value if type(value) in FROZEN else frozen(value)
                for name, value in values.items()
                if name in _NAMES
            }
        )


FIELDS = tuple(f.name for f in dataclasses.fields(Record))
_NAMES = frozenset(FIELDS)


def measured(usage: Usage, methods: Mapping[str, Method]) -> dict[str, Any]:
    """Return the fields of a record for usage, its methods and its bands.

    Args:
        usage: Usage in the record's segment.
        methods: Measuring method of each channel.
    """
    known = {channel: methods[channel] for channel in usage.joules if channel in methods}
    return {
        "seconds": usage.seconds,
        "joules": usage.joules,
        **described(known),
        **segment_bands(usage.joules, known),
        "energy_kwh": usage.energy_kwh,
        "co2_kg": usage.co2_kg,
        "cost": usage.cost,
    }


def described(methods: Mapping[str, Method]) -> dict[str, Any]:
    """Return the fields of a record that describe the measuring methods of its channels."""
    return {
        "method": {channel: method.name for channel, method in methods.items()},
        "attribution": {channel: method.attribution for channel, method in methods.items()},
        "accuracy": {c: (method.low, method.high, method.edge_j, method.counter) for c, method in methods.items()},
    }


def segment_bands(joules: Mapping[str, float], methods: Mapping[str, Method]) -> dict[str, Any]:
    """Return the fields of a record that follow from its joules and the accuracy of their methods.

    Args:
        joules: Joules of each channel.
        methods: Measuring method of the channels; one without a method has no band and is not called measured.
    """
    total = math.fsum(joules.values())
    counters = math.fsum(j for channel, j in joules.items() if channel in methods and methods[channel].counter)
    return {
        "band": {channel: methods[channel].band(j) for channel, j in joules.items() if channel in methods},
        "measured_share": counters / total if total else None,
    }


def summary(usage: Usage) -> dict[str, Any]:
    """Return a sum as records hold it: ``energy_kwh``, ``co2_kg``, ``seconds``, and ``cost`` where there is a price."""
    cost = {} if usage.cost is None else {"cost": usage.cost}
    return {"energy_kwh": usage.energy_kwh, "co2_kg": usage.co2_kg, "seconds": usage.seconds, **cost}


def whole_epoch(train: Usage) -> dict[str, Any]:
    """Return the fields of an ``epoch`` record for its whole training, of which it may add only the last part.

    Args:
        train: Sum of the epoch's ``train`` marks.
    """
    return {"epoch_energy_kwh": train.energy_kwh, "epoch_co2_kg": train.co2_kg, "epoch_total": summary(train)}


def _product(one: float, other: float) -> float:
    """Return the error factor of a product from its factors' independent ones: quadrature of the logarithms."""
    if one <= 0 or other <= 0:
        return 0.0
    off = math.hypot(math.log(one), math.log(other))
    return math.exp(-off if one < 1 or other < 1 else off)


def banded(usage: Usage, methods: Mapping[str, Method], grid: tuple[float, float]) -> dict[str, Any]:
    """Return a sum with its bands: one method's channels add linearly, methods and the grid's factor in quadrature.

    Args:
        usage: The sum.
        methods: Measuring method of each channel; a channel without a method gets the relative band of the others.
        grid: Lower and upper end of the carbon intensity's band, as factors on the intensity that was used.
    """
    return summary(usage) | sum_bands(usage.joules, usage.co2_kg, methods, grid)


def sum_bands(
    joules: Mapping[str, float], co2_kg: float | None, methods: Mapping[str, Method], grid: tuple[float, float]
) -> dict[str, Any]:
    """Return the bands of a sum, as :func:`banded` does; none where no band is known."""
    parts = [(methods[c].name, j, methods[c].band(j)) for c, j in joules.items() if c in methods]
    known = math.fsum(part for _, part, _ in parts)
    total = math.fsum(joules.values())
    if not total or not known:
        return {}
    low, high = (edge / known for edge in combined_band(parts))
    result = {"energy_band_kwh": (kwh(total * low), kwh(total * high))}
    if co2_kg is not None:
        result["co2_band_kg"] = (co2_kg * _product(low, grid[0]), co2_kg * _product(high, grid[1]))
    return result


def band_factors(total: Mapping[str, Any]) -> tuple[tuple[float, float], tuple[float, float]]:
    """Return the bands of energy and CO2e of a sum that :func:`banded` made, as factors on its figures.

    Args:
        total: The sum; a band that it lacks has the factors 1 and 1.
    """
    return (
        _factors(total.get("energy_band_kwh"), total.get("energy_kwh")),
        _factors(total.get("co2_band_kg"), total.get("co2_kg")),
    )


def _factors(band: tuple[float, float] | None, value: float | None) -> tuple[float, float]:
    return (band[0] / value, band[1] / value) if band and value else (1.0, 1.0)
