"""Running sums of one rank by phase: what each record's phases say, with the bands of the rank's whole energy."""

from __future__ import annotations

import math

from eco2ai_callbacks.phases.times import OTHER
from eco2ai_callbacks.report.fields import text
from eco2ai_callbacks.report.of_record import Figures
from eco2ai_callbacks.report.sums import Part, Sum
from eco2ai_callbacks.runlog.tally import carried_usage
from eco2ai_callbacks.usage import Usage

# Phases that are kept apart; a session names no more than some dozens.
_MOST = 64


class PhaseSums:
    """The running sums; energy of records without phases is ``other``."""

    __slots__ = ("_held",)

    def __init__(self) -> None:
        # Seconds, joules, grams and cost.
        self._held: dict[str, list[float]] = {}

    def add(self, figures: Figures) -> None:
        """Add a record that counts."""
        record = figures.record
        if record.event == "start":
            carried = carried_usage(record.carried or {})
            self._plus("carried", carried.seconds, carried.total_j or 0.0, carried.grams or 0.0, carried.cost or 0.0)
            return
        grams, cost = figures.grams or 0.0, record.cost or 0.0
        if not record.phases:
            self._plus(OTHER, record.seconds, math.fsum(record.joules.values()), grams, cost)
            return
        whole = math.fsum(joules for _, joules in record.phases.values())
        for name, (seconds, joules) in record.phases.items():
            share = joules / whole if whole else 1 / len(record.phases)
            self._plus(name, seconds, joules, grams * share, cost * share)

    def plus(self, other: PhaseSums) -> None:
        """Add what another log holds of it."""
        for name, held in other._held.items():
            self._plus(name, *held)

    def sums(self, whole: Sum) -> dict[str, Sum]:
        """Return the sum of each phase. Channels and methods have the same part in each: records do not tell more.

        Args:
            whole: The sum of all.
        """
        total = math.fsum(held[1] for held in self._held.values())
        found = {}
        for name, (seconds, joules, grams, cost) in self._held.items():
            share = joules / total if total else 0.0
            usage, measured = whole.usage, whole.measured_j
            emitted = share if usage.grams is None else grams / usage.grams if usage.grams else 0.0
            found[name] = Sum(
                Usage(
                    seconds,
                    {channel: value * share for channel, value in usage.joules.items()},
                    None if usage.grams is None else grams,
                    None if usage.cost is None else cost,
                ),
                {s: Part(part.joules * share, part.low * share, part.high * share) for s, part in whole.parts.items()},
                None if measured is None else measured * share,
                (whole.grams_band[0] * emitted, whole.grams_band[1] * emitted),
            )
        return found

    def _plus(self, name: str, seconds: float, joules: float, grams: float, cost: float) -> None:
        held = self._held.get(name)
        if held is None:
            key = text(name) if len(self._held) < _MOST else OTHER
            held = self._held.setdefault(key, [0.0, 0.0, 0.0, 0.0])
        held[0] += seconds
        held[1] += joules
        held[2] += grams
        held[3] += cost
