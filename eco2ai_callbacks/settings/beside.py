"""The settings for figures beside energy and CO2e, off by default: water, making, contracts, idle power, SCI.

``Settings`` inherits them: one mechanism, in ``entry``, ``forms`` and ``schema``, serves the fields of both classes.
Their declarations look alike because a helper that made a field would hide its type and default from type checkers.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from eco2ai_callbacks.settings import forms
from eco2ai_callbacks.settings.entry import entry

# Four years, the service life by which Cloud Carbon Footprint spreads the making of a server.
FOUR_YEARS_H = 35_040.0


@dataclass(frozen=True, slots=True, kw_only=True)
class BesideSettings:
    """The settings for figures beside energy and CO2e; none of them changes those."""

    wue: float | str | None = field(
        default=None,
        metadata=entry(
            "Water that the data centre uses for each kWh of its machines (WUE); 'provider' takes what is published.",
            forms.number_or(
                "provider", forms.number("a number from 0 to 100, in litres per kWh, or None", 0.0, 100.0, none=True)
            ),
            command=True,
        ),
    )
    water_intensity: float | None = field(
        default=None,
        metadata=entry(
            "Water that the grid's power plants use for each kWh of electricity; your own figure.",
            forms.number("a number from 0 to 1000, in litres per kWh, or None", 0.0, 1000.0, none=True),
            command=True,
        ),
    )
    embodied_kg: float | None = field(
        default=None,
        metadata=entry(
            "CO2e of making the machine, spread over its service life; your own figure.",
            forms.number("a number of 0 or more, in kg of CO2e, or None", 0.0, none=True),
            command=True,
        ),
    )
    lifetime_h: float = field(
        default=FOUR_YEARS_H,
        metadata=entry(
            "Service life of the machine, over which embodied_kg is spread.",
            forms.number("a number above 0, in hours", 0.0, above=True),
            command=True,
        ),
    )
    embodied_share: float = field(
        default=1.0,
        metadata=entry(
            "The job's part of the machine, for embodied_kg; ranks on one machine divide it among them.",
            forms.number("a number above 0 and up to 1", 0.0, 1.0, above=True),
            command=True,
        ),
    )
    market_intensity: float | None = field(
        default=None,
        metadata=entry(
            "Carbon intensity of the electricity that you buy, for a second, market-based figure.",
            forms.number("a number from 0 to 5000, in grams of CO2e per kWh, or None", 0.0, 5000.0, none=True),
            command=True,
        ),
    )
    market_label: str | None = field(
        default=None,
        metadata=entry(
            "Contract or certificate that market_intensity is of, as records name it.",
            forms.text("a text that is not empty, or None", none=True),
            command=True,
        ),
    )
    baseline_s: float = field(
        default=0.0,
        metadata=entry(
            "How long the machine is measured before a run, for its energy above idle; 0 measures none.",
            forms.number("a number of 0 (off) or from 1 to 600, in seconds", 1.0, 600.0, off=True),
            command=True,
        ),
    )
    sci_unit: str | None = field(
        default=None,
        metadata=entry(
            "Functional unit of the SCI score (ISO/IEC 21031) in the last record of a run; None computes none.",
            forms.choice("run", "epoch", "sample", "token", none=True),
            command=True,
        ),
    )
