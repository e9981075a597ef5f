"""The sums of a row in eco2AI's CSV."""

from __future__ import annotations

from dataclasses import dataclass

from eco2ai_callbacks.record import Record


@dataclass(frozen=True, slots=True)
class Sums:
    """The sums of a row; what is not known is ``None``.

    Args:
        start: When the row begins.
        seconds: Its length.
        energy_kwh: Energy, with the data centre's overhead (PUE).
        co2_kg: CO2e, with the same overhead.
        cost: Money, with the same overhead.

    Example:
        >>> (Sums("b", 1.0, 0.5) + Sums("a", 2.0)) - Sums("a", 1.0, 0.25)
        Sums(start='a', seconds=2.0, energy_kwh=0.25, co2_kg=None, cost=None)
    """

    start: str = ""
    seconds: float = 0.0
    energy_kwh: float | None = None
    co2_kg: float | None = None
    cost: float | None = None

    @classmethod
    def of(cls, record: Record) -> Sums:
        """Return the sums of a record."""
        energy = None if record.energy_kwh is None else record.energy_kwh * record.pue
        return cls(record.start, record.seconds, energy, record.co2_kg, record.cost)

    def __add__(self, other: Sums) -> Sums:
        """Return the sums of both, from the earlier start on."""
        return Sums(
            min((sums.start for sums in (self, other) if sums.start), default=""),
            self.seconds + other.seconds,
            _plus(self.energy_kwh, other.energy_kwh),
            _plus(self.co2_kg, other.co2_kg),
            _plus(self.cost, other.cost),
        )

    def __sub__(self, other: Sums) -> Sums:
        """Return these sums without the others."""
        return Sums(
            self.start,
            self.seconds - other.seconds,
            _minus(self.energy_kwh, other.energy_kwh),
            _minus(self.co2_kg, other.co2_kg),
            _minus(self.cost, other.cost),
        )


def _plus(one: float | None, other: float | None) -> float | None:
    return (one or 0.0) + other if other is not None else one


def _minus(one: float | None, other: float | None) -> float | None:
    return None if one is None else one - (other or 0.0)
