"""Check of the sums that the records of one session hold of their run and of its epochs."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from eco2ai_callbacks.record import Record

# Sums of the same numbers in another order differ by less.
_TOLERANCE = 1e-9

# Energy in kWh, CO2 in kg, seconds.
Figures = tuple[float | None, float | None, float | None]


class Sums:
    """The recomputed sums of the run and of its epochs, as one writer's records must hold them."""

    def __init__(self) -> None:
        self._total: Figures | None = None
        self._epochs: dict[tuple[int | None, int | None], Figures] = {}
        self._known = True

    def faults(self, record: Record, follows: bool) -> Iterator[str]:
        """Return the faults in the sums of the writer's next record.

        Args:
            record: The record.
            follows: Whether it follows the writer's previous record without a fault in the chain.
        """
        own = record.energy_kwh, record.co2_kg, record.seconds
        said = None if record.total is None else figures(record.total)
        if said is not None and self._total is not None and follows:
            adds = record.adds or record.event == "heartbeat"
            if not all_same(said, _plus(self._total, own) if adds else self._total):
                yield "its total is not the one before it and what it adds"
        if record.event != "heartbeat":
            self._total = said
        elif not follows:
            self._total = None
        self._known = self._known and follows
        if record.adds and record.stage == "train":
            epoch = record.epoch, record.attempt
            self._epochs[epoch] = _plus(self._epochs.get(epoch, (None, None, 0.0)), own)
            said = None if record.epoch_total is None else figures(record.epoch_total)
            if said is not None and self._known and not all_same(said, self._epochs[epoch]):
                yield "its epoch_total is not the sum of the epoch's lines"


def figures(sums: Mapping[str, float | None]) -> Figures:
    """Return energy, CO2 and seconds of a sum that a record holds."""
    return sums.get("energy_kwh"), sums.get("co2_kg"), sums.get("seconds")


def _plus(one: Figures, other: Figures) -> Figures:
    energy, co2, seconds = (b if a is None else a if b is None else a + b for a, b in zip(one, other, strict=True))
    return energy, co2, seconds


def all_same(one: Figures, other: Figures) -> bool:
    """Return whether two sums are equal, apart from the order of summing."""
    return all(map(same, one, other))


def same(one: float | None, other: float | None) -> bool:
    """Return whether two figures are equal, apart from the order of summing; ``None`` equals only ``None``."""
    if one is None or other is None:
        return one is other
    return math.isclose(one, other, rel_tol=_TOLERANCE, abs_tol=1e-15)
