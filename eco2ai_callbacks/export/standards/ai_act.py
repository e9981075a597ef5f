"""EU AI Act, Annex XI, section 1, point 2 (d) and (e): what a model's documentation states of compute and energy.

Regulation (EU) 2024/1689, https://eur-lex.europa.eu/eli/reg/2024/1689/oj. It publishes no schema; megawatt-hours and
two significant figures are those of the Model Documentation Form of the Code of Practice (2025-07-10).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from eco2ai_callbacks.export.standards.boundary import OPTION, Bounded, asked, in_json, name_of, without_none
from eco2ai_callbacks.export.standards.options import Options
from eco2ai_callbacks.report.formats import in_markdown
from eco2ai_callbacks.report.runs import Run

LAW = "Regulation (EU) 2024/1689, Annex XI, section 1, point 2 (d) and (e)"
WRITTEN = ("json", "markdown")
_KWH_PER_MWH = 1000.0
_SECONDS_PER_DAY = 86_400.0
_HOURS_PER_DAY = 24.0

OPTIONS: dict[str, str] = {
    "form": "what is written: 'json' (default) or 'markdown'",
    "name": "name of the model (needed where the runs have not one project)",
    "flop": "floating-point operations of the training, such as 1.2e24",
    "flop_methodology": "how these were found",
    "hardware": "the hardware in words, in place of the GPUs that the logs name",
    **OPTION,
}
_TITLES = {
    "model": "Model",
    "energy_mwh": "Energy of the training (MWh)",
    "energy_band_mwh": "Band of the energy (MWh)",
    "energy_kind": "Measured or estimated",
    "energy_boundary": "Boundary",
    "energy_methodology": "Methodology",
    "training_flop": "Floating-point operations of the training",
    "training_flop_methodology": "How these were found",
    "training_began": "Training began",
    "training_ended": "Training ended",
    "training_days": "Days that the runs took",
    "hardware": "Hardware",
    "hardware_days": "Days of hardware (GPUs x days)",
}


def write(runs: Sequence[Run], options: Mapping[str, str]) -> str:
    """Return what the annex asks of runs, in JSON or Markdown; what is not known is left out.

    Args:
        runs: The runs.
        options: What no log holds, by the names in :data:`OPTIONS`.

    Raises:
        SettingsError: An option is missing or not accepted, or nothing was measured.
    """
    given, told = asked("ai-act", runs, options, OPTIONS)
    fields = without_none(_fields(told, given))
    if given.choice("form", WRITTEN) == "markdown":
        rows = [f"| {_TITLES[name]} | {in_markdown(_shown(value))} |" for name, value in fields.items()]
        return "\n".join([f"Energy and compute, by {LAW}", "", "| Field | Value |", "| :-- | :-- |", *rows]) + "\n"
    return in_json({"law": LAW, **fields})


def _fields(told: Bounded, options: Options) -> dict[str, Any]:
    found, band = told.found, told.band_kwh
    hours = found.gpu_hours
    return {
        "model": name_of(found, options),
        "energy_mwh": told.energy_kwh / _KWH_PER_MWH,
        "energy_band_mwh": None if band is None else [edge / _KWH_PER_MWH for edge in band],
        "energy_kind": told.kind,
        "energy_boundary": told.said,
        "energy_methodology": " ".join(told.basis),
        "training_flop": options.number("flop"),
        "training_flop_methodology": options.text("flop_methodology"),
        "training_began": None if found.started is None else found.started.isoformat(),
        "training_ended": None if found.ended is None else found.ended.isoformat(),
        "training_days": found.sum.seconds / _SECONDS_PER_DAY,
        "hardware": options.text("hardware") or found.hardware,
        "hardware_days": None if hours is None else hours / _HOURS_PER_DAY,
    }


def _shown(value: object) -> str:
    """Return a value for people: numbers with three figures and no exponent."""
    if isinstance(value, list):
        return " to ".join(map(_shown, value))
    # More than the two figures that the form asks for.
    return f"{Decimal(f'{value:.3g}'):f}" if isinstance(value, float) else str(value)
