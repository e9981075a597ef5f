"""Figures beside a run's energy and CO2e, and never part of them: water, the hardware's making, market-based CO2e."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from eco2ai_callbacks.errors import SettingsError
from eco2ai_callbacks.settings import Settings
from eco2ai_callbacks.usage import GRAMS_PER_KG

_SECONDS_PER_HOUR = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Beside:
    """The factors of these figures; one that is ``None`` gives no figure.

    Args:
        pue: The data centre's overhead.
        wue: Litres that the data centre uses for each kWh of its machines.
        wue_source: Where that is from, or why there is none though it is asked for.
        water_intensity: Litres that power plants use for each kWh of electricity.
        embodied_kg: CO2e of making the machine.
        lifetime_h: Hours over which that is spread.
        share: This process's part of the machine.
        market_intensity: Grams of CO2e per kWh of the electricity that is bought.
        market_label: Its contract or certificate.
    """

    pue: float = 1.0
    wue: float | None = None
    wue_source: str = ""
    water_intensity: float | None = None
    embodied_kg: float | None = None
    lifetime_h: float = 1.0
    share: float = 1.0
    market_intensity: float | None = None
    market_label: str = ""

    def figures(self, energy_kwh: float | None, seconds: float) -> dict[str, float]:
        """Return the figures of a time; each adds up over times as the energy does.

        Args:
            energy_kwh: IT energy; ``None`` where nothing was measured.
            seconds: Length of the time.

        Example:
            >>> Beside(pue=1.5, wue=2.0, water_intensity=4.0).figures(10.0, 3600.0)
            {'water_on_site_l': 20.0, 'water_off_site_l': 60.0}
        """
        found: dict[str, float] = {}
        if energy_kwh is not None:
            # WUE is per kWh of the machines (The Green Grid, WP 35); the grid delivers the overhead as well.
            if self.wue is not None:
                found["water_on_site_l"] = energy_kwh * self.wue
            if self.water_intensity is not None:
                found["water_off_site_l"] = energy_kwh * self.pue * self.water_intensity
            if self.market_intensity is not None:
                found["market_co2_kg"] = energy_kwh * self.pue * self.market_intensity / GRAMS_PER_KG
        if self.embodied_kg is not None and seconds > 0:
            hours = seconds / _SECONDS_PER_HOUR
            found["embodied_co2_kg"] = self.embodied_kg * self.share * hours / self.lifetime_h
        return found

    def facts(self) -> dict[str, Any] | None:
        """Return the factors as a record names them; ``None`` where there are none."""
        found: dict[str, Any] = {}
        if self.wue is not None or self.wue_source:
            found |= {"wue": self.wue, "wue_source": self.wue_source}
        if self.water_intensity is not None:
            found["water_intensity"] = self.water_intensity
        if self.embodied_kg is not None:
            made = {"embodied_kg": self.embodied_kg, "lifetime_h": self.lifetime_h, "embodied_share": self.share}
            found |= made
        if self.market_intensity is not None:
            found |= {"market_intensity": self.market_intensity, "market_label": self.market_label}
        return found or None


def beside_for(settings: Settings, place: str, pue: float, ranks: int = 1) -> Beside:
    """Return the factors that a run's figures beside are computed with.

    Args:
        settings: The settings in force.
        place: Where it runs; empty where that is not known.
        pue: The data centre's overhead.
        ranks: Number of the job's processes on this machine, which divide its making among them.
    """
    wue, source = settings.wue, ""
    if isinstance(wue, str):
        from eco2ai_callbacks.carbon.pue import provider_wue  # where the setting asks for a provider's figure

        known = provider_wue(place) if place else None
        wue = None if known is None else known.value
        source = known.source if known else f"no provider's figure is known for {place or 'an unknown place'}"
    elif wue is not None:
        source = f"setting ({settings.origin.get('wue', 'argument')})"
    return Beside(
        pue=pue,
        wue=wue,
        wue_source=source,
        water_intensity=settings.water_intensity,
        embodied_kg=settings.embodied_kg,
        lifetime_h=settings.lifetime_h,
        share=settings.embodied_share / max(1, ranks),
        market_intensity=settings.market_intensity,
        market_label=settings.market_label or "",
    )


def check(settings: Settings) -> None:
    """Check that a market-based figure has its label.

    Raises:
        SettingsError: It has none, or there is a label without a figure.
    """
    if settings.market_intensity is not None and settings.market_label is None:
        raise SettingsError(
            f"market_intensity={settings.market_intensity:g} needs the name of its contract or certificate: set "
            "market_label, such as 'supplier contract 2026'"
        )
    if settings.market_intensity is None and settings.market_label is not None:
        raise SettingsError(
            f"market_label={settings.market_label!r} names no figure: set market_intensity, in grams of CO2e per kWh"
        )
