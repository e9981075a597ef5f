"""What a record is counted again with: factor, PUE and price."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from eco2ai_callbacks.carbon.beside import Beside
from eco2ai_callbacks.carbon.grid import Grid
from eco2ai_callbacks.record import Record, band_factors
from eco2ai_callbacks.usage import GRAMS_PER_KG, JOULES_PER_KWH, Usage

_DAY_S = 86_400.0
# Figures beside energy and CO2e that include the data centre's overhead, as CO2e does.
_OF_GRID_ENERGY = frozenset({"water_off_site_l", "market_co2_kg"})


@dataclasses.dataclass(frozen=True, slots=True)
class Basis:
    """What a record is counted with.

    Args:
        grid: Factor, PUE and price.
        factors: Whether the factor is new; otherwise CO2e changes with the PUE alone.
        water_and_market: Factors of figures beside CO2e that are new; ``None`` where there are none.
    """

    grid: Grid
    factors: bool
    water_and_market: Beside | None = None

    @property
    def pue(self) -> float:
        """The PUE."""
        return self.grid.pue

    def co2_kg(self, old: Record) -> float | None:
        """Return the CO2e of a record's joules."""
        if not self.factors:
            return scaled(old.co2_kg, self._overhead(old))
        if not old.joules:
            return None
        joules, start = math.fsum(old.joules.values()), label(old)
        if start is None:
            return self._static(joules)
        return self.grid.emissions(joules, start, old.seconds) / GRAMS_PER_KG

    def cost(self, old: Record) -> float | None:
        """Return the cost of a record's joules."""
        start = label(old)
        if self.grid.price is None or start is None:
            return scaled(old.cost, self._overhead(old))
        return self.grid.cost(old.energy_kwh, start, old.seconds)

    def unplaced(self, usage: Usage, old: Record) -> Usage:
        """Return usage whose hours are not known, counted with the static factor and the day's mean price."""
        joules, ratio = usage.total_j, self._overhead(old)
        grams = scaled(usage.grams, ratio)
        if self.factors:
            grams = None if joules is None else self._static(joules) * GRAMS_PER_KG
        cost, start = scaled(usage.cost, ratio), label(old)
        if self.grid.price is not None and start is not None and usage.energy_kwh is not None:
            cost = self.grid.cost(usage.energy_kwh, start, _DAY_S)
        return dataclasses.replace(usage, grams=grams, cost=cost)

    def beside(self, old: Record) -> Mapping[str, float]:
        """Return the record's figures beside energy and CO2e: those of the grid's energy change with the PUE."""
        ratio = self._overhead(old)
        found = {name: value * ratio if name in _OF_GRID_ENERGY else value for name, value in old.beside.items()}
        new = self.water_and_market
        return found if new is None else found | new.figures(old.energy_kwh, old.seconds)

    def standing(self, old: Record) -> Mapping[str, Any] | None:
        """Return the factors of the record's figures beside energy and CO2e."""
        new = None if self.water_and_market is None else self.water_and_market.facts()
        return old.basis if new is None else {**(old.basis or {}), **new}

    def facts(self, old: Record, co2_kg: float | None) -> Mapping[str, Any] | None:
        """Return the record's field ``intensity``, without the figures from before."""
        if not self.factors:
            return old.intensity and {**old.intensity, "pue_source": self.grid.pue_source}
        usage = Usage(old.seconds, old.joules, None if co2_kg is None else co2_kg * GRAMS_PER_KG)
        return self.grid.facts(label(old), usage)

    def band(self, total: Mapping[str, Any], co2_kg: float) -> tuple[float, float]:
        """Return the band of a total's CO2e.

        Args:
            total: The total as it was.
            co2_kg: Its CO2e now.
        """
        energy, co2 = band_factors(total)
        if not self.factors:
            return co2_kg * co2[0], co2_kg * co2[1]
        low, high = (
            # Independent errors of a product: quadrature of the logarithms.
            math.exp(sign * math.hypot(math.log(one), math.log(other))) if one > 0 and other > 0 else 0.0
            for sign, one, other in zip((-1, 1), energy, self.grid.spread, strict=True)
        )
        return co2_kg * low, co2_kg * high

    def _static(self, joules: float) -> float:
        return joules / JOULES_PER_KWH * self.grid.intensity.g_per_kwh * self.pue / GRAMS_PER_KG

    def _overhead(self, old: Record) -> float:
        return self.pue / old.pue if old.pue else 1.0


def label(old: Record) -> datetime | None:
    """Return when a record's segment began; ``None`` where its label is no time."""
    try:
        return datetime.fromisoformat(old.start)
    except ValueError:
        return None


def scaled(value: float | None, ratio: float) -> float | None:
    """Return a figure times a ratio; ``None`` stays so."""
    return None if value is None else value * ratio
