"""Check of the sums that the records of one session hold of their run and of its epochs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from eco2ai_callbacks.record import ADDING_EVENTS
from eco2ai_callbacks.runlog.shapes import Figures, Mark

# Sums of the same numbers in another order differ by less.
_TOLERANCE = 1e-9

# Epochs whose sums are kept where a log is read once: an epoch's marks follow each other, but for evaluations.
RECENT = 64


class Sums:
    """The recomputed sums of the run and of its epochs, as one writer's records must hold them.

    Args:
        kept: How many epochs' sums are kept, the latest; ``None`` keeps all. An epoch that is no longer kept begins
            anew, so a fault that is found with a limit must be checked without one.
    """

    __slots__ = ("_epochs", "_kept", "_known", "_total")

    def __init__(self, kept: int | None = None) -> None:
        self._total: Figures | None = None
        self._epochs: dict[tuple[int | None, int | None], Figures] = {}
        self._known = True
        self._kept = kept

    def faults(self, record: Mapping[str, Any], follows: bool) -> tuple[str, ...]:
        """Return the faults in the sums of the writer's next record.

        Args:
            record: The record's fields.
            follows: Whether it follows the writer's previous record without a fault in the chain.
        """
        found: tuple[str, ...] = ()
        event, total = record["event"], record.get("total")
        own = record.get("energy_kwh"), record.get("co2_kg"), record.get("seconds", 0.0)
        said = None if total is None else figures(total)
        adds = event in ADDING_EVENTS
        if said is not None and self._total is not None and follows:
            expected = _plus(self._total, own) if adds or event == "heartbeat" else self._total
            if said != expected and not all_same(said, expected):
                found = ("its total is not the one before it and what it adds",)
        if event != "heartbeat":
            self._total = said
        elif not follows:
            self._total = None
        self._known = self._known and follows
        if adds and record.get("stage") == "train":
            epoch = record.get("epoch"), record.get("attempt")
            before = self._epochs.get(epoch)
            marks = own if before is None else _plus(before, own)
            self._keep(epoch, marks)
            if "epoch_total" in record:
                held = None if record["epoch_total"] is None else figures(record["epoch_total"])
            else:
                # It has no other mark, by its own line.
                held = own if event == "epoch" else None
            if held is not None and held is not marks and self._known and not all_same(held, marks):
                found += ("its epoch_total is not the sum of the epoch's lines",)
        return found

    def are_next(self, mark: Mark) -> bool:
        """Return whether :meth:`faults` would find none in a mark that follows; nothing is taken."""
        if self._total is None or not all_same(mark.total, _plus(self._total, mark.own)):
            return False
        return mark.stage != "train" or (mark.event == "epoch" and (mark.epoch, mark.attempt) not in self._epochs)

    def take(self, mark: Mark) -> None:
        """Take a mark of which :meth:`are_next` is true."""
        self._total = mark.total
        if mark.stage == "train":
            self._keep((mark.epoch, mark.attempt), mark.own)

    def _keep(self, epoch: tuple[int | None, int | None], marks: Figures) -> None:
        self._epochs[epoch] = marks
        if self._kept is not None and len(self._epochs) > self._kept:
            del self._epochs[next(iter(self._epochs))]


def figures(sums: Mapping[str, float | None]) -> Figures:
    """Return energy, CO2 and seconds of a sum that a record holds."""
    return sums.get("energy_kwh"), sums.get("co2_kg"), sums.get("seconds")


def _plus(one: Figures, other: Figures) -> Figures:
    energy, co2, seconds = one
    more_energy, more_co2, more_seconds = other
    if energy is not None and co2 is not None and more_energy is not None and more_co2 is not None:
        return energy + more_energy, co2 + more_co2, _sum(seconds, more_seconds)
    return _sum(one[0], other[0]), _sum(one[1], other[1]), _sum(one[2], other[2])


def _sum(one: float | None, other: float | None) -> float | None:
    if one is None or other is None:
        return other if one is None else one
    return one + other


def all_same(one: Figures, other: Figures) -> bool:
    """Return whether two sums are equal, apart from the order of summing."""
    return one == other or (same(one[0], other[0]) and same(one[1], other[1]) and same(one[2], other[2]))


def same(one: float | None, other: float | None) -> bool:
    """Return whether two figures are equal, apart from the order of summing; ``None`` equals only ``None``."""
    if one == other:
        return True
    if one is None or other is None:
        return False
    return math.isclose(one, other, rel_tol=_TOLERANCE, abs_tol=1e-15)
