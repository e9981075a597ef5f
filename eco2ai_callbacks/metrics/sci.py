"""Software carbon intensity (SCI) by ISO/IEC 21031:2024: ((E x I) + M) per R.

E x I is the location-based CO2e of the energy, M the part of the hardware's making that falls to the time (embodied),
R the functional unit. The standard has neither certificates nor offsets in it.
"""

from __future__ import annotations

from typing import Any

UNITS = ("run", "epoch", "sample", "token")
_GRAMS_PER_KG = 1000.0


def per_unit(operational: float | None, embodied: float | None, units: float | None) -> float | None:
    """Return (O + M) / R in the unit of O and M; ``None`` where it is not known.

    Args:
        operational: O, the CO2e of the energy: E x I.
        embodied: M; ``None`` counts as 0, and the score then lacks it.
        units: R.

    Example:
        >>> per_unit(1500.0, 500.0, 10)
        200.0
    """
    return None if operational is None or not units else (operational + (embodied or 0.0)) / units


def g_per_unit(operational_kg: float | None, embodied_kg: float | None, units: float | None) -> float | None:
    """Return the score in grams of CO2e for one functional unit; ``None`` where it is not known.

    Args:
        operational_kg: CO2e of the energy, location-based, with the data centre's overhead.
        embodied_kg: CO2e of the hardware's making for the same time; ``None`` where no figure for it is set counts as
            0, and the score then lacks it.
        units: Number of functional units.

    Example:
        >>> g_per_unit(1.5, 0.5, 10)
        200.0
    """
    found = per_unit(operational_kg, embodied_kg, units)
    return None if found is None else found * _GRAMS_PER_KG


def score(
    unit: str, units: float | None, operational_kg: float | None, embodied_kg: float | None
) -> dict[str, Any] | None:
    """Return a record's field ``sci``; ``None`` where the score is not known.

    Args:
        unit: The functional unit, one of :data:`UNITS` or a name of the user's.
        units: Number of them.
        operational_kg: CO2e of the energy.
        embodied_kg: CO2e of the hardware's making; ``None`` where no figure for it is set.

    Example:
        >>> score("epoch", 10, 1.5, 0.5)["g_per_unit"]
        200.0
    """
    found = g_per_unit(operational_kg, embodied_kg, units)
    if found is None or operational_kg is None or units is None:
        return None
    return {
        "g_per_unit": found,
        "unit": unit,
        "units": units,
        "operational_kg": operational_kg,
        "embodied_kg": embodied_kg or 0.0,
    }


def units_of(unit: str, *, epochs: int, samples: float | None, tokens: float | None) -> float | None:
    """Return the number of functional units of a run; ``None`` where they were not counted.

    Args:
        unit: One of :data:`UNITS`.
        epochs: Epochs that have ended.
        samples: Samples that were trained on.
        tokens: Tokens that were trained on.
    """
    return {"run": 1.0, "epoch": epochs or None, "sample": samples or None, "token": tokens or None}[unit]
