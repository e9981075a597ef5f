"""Software Carbon Intensity, ISO/IEC 21031: (E x I + M) per R.

Specification: https://sci.greensoftware.foundation/ (1.1.0, Green Software Foundation). It publishes no schema.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from eco2ai_callbacks.errors import SettingsError, refusal
from eco2ai_callbacks.export.standards.boundary import OPTION, Bounded, asked, in_json, without_none
from eco2ai_callbacks.export.standards.options import Options
from eco2ai_callbacks.metrics.sci import per_unit
from eco2ai_callbacks.report.runs import Run
from eco2ai_callbacks.usage import GRAMS_PER_KG

STANDARD = "ISO/IEC 21031, Software Carbon Intensity 1.1.0"
_SECONDS_PER_HOUR = 3600.0
# What the records have of M, among their figures beside energy and CO2e.
HELD = "embodied_co2_kg"

OPTIONS: dict[str, str] = {
    "unit": "the functional unit R, such as 'training' or '1000 tokens'; units is needed then",
    "units": "how many functional units the runs did",
    "embodied_g": "M: grams of CO2e of the manufacture of the hardware that are the runs' part; from the records where "
    "embodied_kg was set",
    "total_embodied_g": "TE: grams of CO2e of the manufacture of all of the hardware, in place of embodied_g",
    "lifespan_hours": "EL: how long the hardware is expected to be used, for total_embodied_g",
    "resource_share": "RR/ToR: share of the hardware that was reserved, from 0 to 1, for total_embodied_g",
    **OPTION,
}


def write(runs: Sequence[Run], options: Mapping[str, str]) -> str:
    """Return runs as the terms of the formula in JSON; the score is there where R and M are known.

    Args:
        runs: The runs.
        options: What no log holds, by the names in :data:`OPTIONS`.

    Raises:
        SettingsError: An option is missing or not accepted, or nothing was measured.
    """
    given, told = asked("sci", runs, options, OPTIONS)
    intensity = told.found.g_per_kwh
    operational = None if intensity is None else told.energy_kwh * intensity
    embodied = _embodied(told, given)
    unit, units = given.text("unit"), given.number("units")
    if (unit is None) != (units is None):
        given.needed("unit" if unit is None else "units")
    if units == 0:
        raise SettingsError(refusal("units='0'", "a number above 0"))
    terms: dict[str, Any] = {
        "standard": STANDARD,
        "E_kwh": told.energy_kwh,
        "E_band_kwh": told.band_kwh,
        "I_g_per_kwh": intensity,
        "O_g": operational,
        "M_g": embodied,
        "R": None if unit is None else {"unit": unit, "count": units},
        "O_g_per_R": per_unit(operational, None, units),
        "sci_g_per_R": None if embodied is None else per_unit(operational, embodied, units),
        "boundary": told.boundary,
        "kind": told.kind,
        "attribution": {channel: phrase for run in told.found.counted for channel, phrase in run.attribution.items()},
        "notes": [*told.basis, *_notes(told, embodied, units)],
    }
    return in_json(without_none(terms))


def _embodied(told: Bounded, options: Options) -> float | None:
    """Return M: as it is given, by TE x (TiR / EL) x (RR / ToR) with the runs' duration as TiR, or from the records."""
    direct, total = options.number("embodied_g"), options.number("total_embodied_g")
    lifespan, share = options.number("lifespan_hours"), options.number("resource_share", most=1.0)
    if total is None:
        for name, value in (("lifespan_hours", lifespan), ("resource_share", share)):
            if value is not None:
                raise SettingsError(f"{name}={value:g} needs the option total_embodied_g.")
        return _held(told) if direct is None else direct
    if direct is not None:
        raise SettingsError(f"embodied_g={direct:g} and total_embodied_g={total:g} exclude each other.")
    if lifespan is None or share is None:
        options.needed("lifespan_hours" if lifespan is None else "resource_share")
    if not lifespan:
        raise SettingsError(refusal("lifespan_hours='0'", "a number above 0"))
    return total * (told.found.sum.seconds / _SECONDS_PER_HOUR / lifespan) * (share or 0.0)


def _held(told: Bounded) -> float | None:
    """Return M as the records of all runs hold it, where the setting `embodied_kg` was set."""
    if not all(HELD in run.sum.beside for run in told.found.counted):
        return None
    return told.found.sum.beside[HELD] * GRAMS_PER_KG


def _notes(told: Bounded, embodied: float | None, units: float | None) -> list[str]:
    notes = ["E of this standard is that of all reserved hardware; a channel with the job's part alone is less."]
    if told.found.g_per_kwh is None:
        notes.append("I is not known: the logs hold no carbon intensity, or several PUEs.")
    missing = [name for name, value in (("M", embodied), ("R", units)) if value is None]
    if missing:
        notes.append(f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} not known, so there is no score.")
    return notes
