"""Count records again: other factors, PUE and prices for the same joules, and the sums that follow from them."""

from __future__ import annotations

import dataclasses
import hashlib
import math
from collections.abc import Callable, Container, Mapping
from typing import Any

from eco2ai_callbacks.cli.basis import Basis, scaled
from eco2ai_callbacks.metrics.sci import score
from eco2ai_callbacks.record import Record
from eco2ai_callbacks.report.fields import texts
from eco2ai_callbacks.runlog.hashing import LINK_DIGITS
from eco2ai_callbacks.runlog.prior import inheriting_rank
from eco2ai_callbacks.runlog.read import Line
from eco2ai_callbacks.runlog.tally import Tally, carried_usage
from eco2ai_callbacks.usage import GRAMS_PER_KG, JOULES_PER_KWH, Usage

# An epoch's marks follow each other, but for evaluations: the sums of so many epochs are kept.
_EPOCHS = 256
# A session is continued from its last line; the links to so many of its lines are kept.
_LINES = 64
# An id has 64 characters at most; seven are for the tag.
_LONGEST_ID = 57
# Relative to a total, in kWh: less is rounding of the sum.
_ROUNDING = 1e-9


@dataclasses.dataclass(slots=True)
class _Session:
    """The sums of one session as they are now, and the links to its last lines: as they were, as they are.

    ``known`` is whether a line of it has been read, ``co2_kg`` the sum of its marks.
    """

    known: bool = False
    co2_kg: float = 0.0
    total: tuple[float | None, float | None] = (None, None)
    epochs: dict[tuple[int | None, int | None], tuple[float | None, float | None]] = dataclasses.field(
        default_factory=dict
    )
    links: dict[str, str] = dataclasses.field(default_factory=dict)


class Recount:
    """Records that are counted again, in the order of a log. The joules and the seconds stay as they are.

    Runs and sessions get ids of their own, so that both logs may be read together.

    Args:
        tag: Ends the runs' ids.
        basis: Returns what a record is counted with.
        runs: The runs of the log.
        failures: Returns sentences that each further record names.
    """

    def __init__(
        self, tag: str, basis: Callable[[Record], Basis], runs: Container[str], failures: Callable[[], tuple[str, ...]]
    ) -> None:
        self._tag = tag
        self._basis = basis
        self._runs = runs
        self._failures = failures
        self._sessions: dict[str, _Session] = {}
        # By run and rank: as it was, as it is.
        self._sums: dict[tuple[str, int], tuple[Tally, Tally]] = {}

    def counted(self, line: Line) -> Record:
        """Return the next record, counted again."""
        old = line.record
        basis = self._basis(old)
        session = self._sessions.setdefault(old.writer, _Session())
        own = basis.co2_kg(old), basis.cost(old)
        carried = _carried(old, basis)
        total = self._total(old, basis, session, own, carried)
        changed: dict[str, Any] = {
            "run": self._run(old.run),
            "writer": self._writer(old.writer),
            "prev": None,
            "hmac": None,
            "parent": old.parent and self._run(old.parent),
            "siblings": tuple(map(self._run, texts(old.siblings))),
            "co2_kg": own[0],
            "cost": own[1],
            "pue": basis.pue,
            "carried": carried,
            "total": total,
            "intensity": _with_before(basis.facts(old, own[0]), old),
            "continues": self._link(old),
            "failures": tuple(dict.fromkeys((*old.failures, *self._failures()))),
            "beside": basis.beside(old),
            "basis": basis.standing(old),
        }
        if old.adds:
            session.co2_kg += own[0] or 0.0
        if old.sci is not None:
            changed["sci"] = _score(old.sci, session.co2_kg)
        if old.adds and old.stage == "train":
            changed |= self._epoch(old, session, own)
        if old.event == "forecast" and old.metrics is not None and old.total is not None and total is not None:
            changed["metrics"] = _forecast(old.metrics, old.total.get("co2_kg"), total.get("co2_kg"))
        new = dataclasses.replace(old, **changed)
        self._add(old, new)
        return new

    def written(self, line: Line, link: str | None) -> None:
        """Note the link to the line that the last record was written as."""
        session = self._sessions[line.record.writer]
        if link is not None:
            session.links[line.hash[:LINK_DIGITS]] = link
            if len(session.links) > _LINES:
                del session.links[next(iter(session.links))]

    def _run(self, run: str) -> str:
        if run not in self._runs:
            return run
        # At most as long as the setting `run_id` accepts, and still one for each run.
        return f"{run if len(run) <= _LONGEST_ID else f'{run[:40]}-{self._writer(run)}'}-{self._tag}"

    def _writer(self, writer: str) -> str:
        # As long as a writer's own, for the names of files.
        return hashlib.sha256(f"{self._tag} {writer}".encode("utf-8", "surrogatepass")).hexdigest()[:16]

    def _link(self, old: Record) -> Mapping[str, str] | None:
        if old.continues is None:
            return None
        writer, held = old.continues["writer"], old.continues["hash"]
        session = self._sessions.get(writer)
        return {
            "writer": self._writer(writer),
            "hash": session.links.get(held[:LINK_DIGITS], held) if session else held,
        }

    def _total(
        self,
        old: Record,
        basis: Basis,
        session: _Session,
        own: tuple[float | None, float | None],
        carried: Mapping[str, float | None] | None,
    ) -> Mapping[str, Any] | None:
        """Return the record's total as it is now, and keep it for the session's next record."""
        if old.total is None:
            return None
        if not session.known and old.event != "start":
            session.total = self._elsewhere(old, basis)
        session.known = True
        if old.event == "start":
            found = self._begun(old, basis, carried)
        elif old.adds or old.event == "heartbeat":
            found = _plus(session.total, own)
        else:
            found = session.total
        if old.event != "heartbeat":
            session.total = found
        co2_kg, cost = found
        total = {**old.total, "co2_kg": co2_kg}
        if cost is not None:
            total["cost"] = cost
        if co2_kg is not None and "energy_band_kwh" in total:
            total["co2_band_kg"] = basis.band(old.total, co2_kg)
        return total

    def _elsewhere(self, old: Record, basis: Basis) -> tuple[float | None, float | None]:
        """Return CO2e and cost of the total before a session's first line here, where its beginning is elsewhere."""
        held, own = old.total or {}, Usage()
        if old.adds or old.event == "heartbeat":
            grams = None if old.co2_kg is None else old.co2_kg * GRAMS_PER_KG
            own = Usage(0.0, {"own": math.fsum(old.joules.values())} if old.joules else {}, grams, old.cost)
        rest = basis.unplaced(_rest(held, own), old)
        return rest.co2_kg, rest.cost

    def _begun(
        self, old: Record, basis: Basis, carried: Mapping[str, float | None] | None
    ) -> tuple[float | None, float | None]:
        """Return CO2e and cost of the total that a session begins with.

        It is the sum of the run's records before it, and what a checkpoint carried. The rest, if there is any, is of
        records that are elsewhere.
        """
        before = [
            sums
            for (run, rank), sums in self._sums.items()
            if run == old.run and inheriting_rank(rank, old.world_size) == old.rank
        ]
        was, now = carried_usage(old.carried or {}), carried_usage(carried or {})
        for earlier, counted in before:
            was, now = was + earlier.usage, now + counted.usage
        rest = _rest(old.total or {}, was)
        if rest.joules:
            now += basis.unplaced(rest, old)
        return now.co2_kg, now.cost

    def _epoch(self, old: Record, session: _Session, own: tuple[float | None, float | None]) -> dict[str, Any]:
        """Return the fields for the whole training of the record's epoch."""
        key = old.epoch, old.attempt
        co2_kg, cost = session.epochs[key] = _plus(session.epochs.pop(key, (None, None)), own)
        if len(session.epochs) > _EPOCHS:
            del session.epochs[next(iter(session.epochs))]
        found: dict[str, Any] = {}
        if old.epoch_co2_kg is not None:
            found["epoch_co2_kg"] = co2_kg
        if old.epoch_total is not None:
            found["epoch_total"] = {**old.epoch_total, "co2_kg": co2_kg} | ({} if cost is None else {"cost": cost})
        return found

    def _add(self, old: Record, new: Record) -> None:
        sums = self._sums.setdefault((old.run, old.rank), (Tally(), Tally()))
        for tally, record in zip(sums, (old, new), strict=True):
            tally.add(
                record.writer, record.event, record.seconds, record.joules, record.co2_kg, record.cost, record.carried
            )


def _rest(total: Mapping[str, Any], known: Usage) -> Usage:
    """Return the part of a total that is not known, without channels; empty where it is rounding."""
    energy, held = known.energy_kwh or 0.0, total.get("energy_kwh") or 0.0
    grams, cost = total.get("co2_kg"), total.get("cost")
    if abs(held - energy) <= _ROUNDING * max(held, energy):
        return Usage()
    return Usage(
        0.0,
        {"elsewhere": (held - energy) * JOULES_PER_KWH},
        None if grams is None else grams * GRAMS_PER_KG - (known.grams or 0.0),
        None if cost is None else cost - (known.cost or 0.0),
    )


def _with_before(facts: Mapping[str, Any] | None, old: Record) -> Mapping[str, Any] | None:
    """Return the field ``intensity`` with the figures from before; those that all lines share stand in the first."""
    if facts is None:
        return None
    was = old.intensity or {}
    before = {"co2_kg": old.co2_kg, "cost": old.cost, "pue": old.pue, "g_per_kwh": was.get("g_per_kwh")}
    if old.total is not None:
        before["total_co2_kg"] = old.total.get("co2_kg")
    if old.event == "start":
        before |= {"run": old.run, "writer": old.writer, "intensity": was}
    return {**facts, "before": before}


def _carried(old: Record, basis: Basis) -> Mapping[str, float | None] | None:
    if old.carried is None:
        return None
    usage = basis.unplaced(carried_usage(old.carried), old)
    found = {**old.carried, "co2_kg": usage.co2_kg}
    return found if usage.cost is None else {**found, "cost": usage.cost}


def _score(was: Mapping[str, Any], co2_kg: float) -> Mapping[str, Any] | None:
    """Return a session's SCI score with its CO2e as it is now."""
    return score(str(was.get("unit", "")), _number(was.get("units")), co2_kg, _number(was.get("embodied_kg")))


def _number(value: object) -> float | None:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _forecast(metrics: Mapping[str, Any], was: float | None, now: float | None) -> Mapping[str, Any]:
    """Return a forecast whose CO2e has changed as that of the run so far has."""
    if not was or now is None:
        return metrics
    found, ratio = dict(metrics), now / was
    if (co2_kg := scaled(metrics.get("co2_kg"), ratio)) is not None:
        found["co2_kg"] = co2_kg
    if (band := metrics.get("co2_band_kg")) is not None:
        found["co2_band_kg"] = tuple(edge * ratio for edge in band)
    return found


def _plus(
    one: tuple[float | None, float | None], other: tuple[float | None, float | None]
) -> tuple[float | None, float | None]:
    return _sum(one[0], other[0]), _sum(one[1], other[1])


def _sum(one: float | None, other: float | None) -> float | None:
    return other if one is None else one if other is None else one + other
