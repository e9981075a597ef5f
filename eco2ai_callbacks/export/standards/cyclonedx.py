"""CycloneDX 1.7: a machine-learning bill of materials with the energy of each activity.

Format: https://cyclonedx.org/docs/1.7/json/ (ECMA-424).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from eco2ai_callbacks.export.standards.boundary import OPTION, Bounded, asked, document_id, in_json, name_of, now
from eco2ai_callbacks.export.standards.options import Options
from eco2ai_callbacks.report.groups import grouped
from eco2ai_callbacks.report.runs import Run, Runs
from eco2ai_callbacks.report.sums import Sum

TRAININGS = ("training", "fine-tuning")
SOURCES = (
    *("coal", "oil", "natural-gas", "nuclear", "wind", "solar"),
    *("geothermal", "hydropower", "biofuel", "unknown", "other"),
)
# Activities of stages; a stage that is not here is "other".
_ACTIVITIES = {"validate": "validation", "test": "validation", "predict": "inference"}
_KG_PER_TONNE = 1000.0

OPTIONS: dict[str, str] = {
    "name": "name of the model (needed where the runs have not one project)",
    "version": "version of the model",
    "activity": "what the stage 'train' is: 'training' (default) or 'fine-tuning'",
    "provider": "organization that provided the electricity",
    "energy_source": f"what it was made from: {', '.join(SOURCES)}; 'unknown' by default",
    **OPTION,
}


def write(runs: Sequence[Run], options: Mapping[str, str]) -> str:
    """Return runs as a bill of materials in JSON, with one entry for each stage.

    Args:
        runs: The runs.
        options: What no log holds, by the names in :data:`OPTIONS`.

    Raises:
        SettingsError: An option is missing or not accepted, or nothing was measured.
    """
    given, told = asked("cyclonedx", runs, options, OPTIONS)
    version = given.text("version")
    model = {
        "type": "machine-learning-model",
        "bom-ref": "model",
        "name": name_of(told.found, given),
        **({} if version is None else {"version": version}),
        "modelCard": {
            "considerations": {
                "environmentalConsiderations": {
                    "energyConsumptions": list(_entries(told, given)),
                    "properties": list(_properties(basis=told.basis)),
                }
            }
        },
    }
    bom = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.7",
        "serialNumber": document_id(told.found, "cyclonedx").urn,
        "version": 1,
        "metadata": {
            "timestamp": now().isoformat(),
            "tools": {"components": [{"type": "application", "name": name} for name in told.found.software]},
        },
        "components": [model],
    }
    return in_json(bom)


def _entries(told: Bounded, options: Options) -> Iterator[dict[str, Any]]:
    training = options.choice("activity", TRAININGS) or "training"
    source = options.choice("energy_source", SOURCES) or "unknown"
    organization = options.text("provider")
    for row in grouped(Runs(told.found.runs), "stage").rows:
        (stage,), used = row.keys, row.sum
        if not used.energy_kwh:
            continue
        energy = {"value": used.energy_kwh * told.factor, "unit": "kWh"}
        provider = {
            "organization": {} if organization is None else {"name": organization},
            "energySource": source,
            "energyProvided": energy,
        }
        carbon = {} if used.co2_kg is None else {"co2CostEquivalent": _tonnes(used.co2_kg)}
        yield {
            "activity": training if stage == "train" else _ACTIVITIES.get(stage, "other"),
            "energyProviders": [provider],
            "activityEnergyCost": energy,
            **carbon,
            "properties": list(_properties(stage=[stage], **_bands(used, told.factor))),
        }


def _tonnes(kg: float) -> dict[str, Any]:
    return {"value": kg / _KG_PER_TONNE, "unit": "tCO2eq"}


def _bands(used: Sum, factor: float) -> dict[str, list[str]]:
    energy, co2 = used.energy_band_kwh, used.co2_band_kg
    found: dict[str, list[str]] = {}
    if energy is not None:
        found["energy_band_kwh"] = [f"{energy[0] * factor:.6g} to {energy[1] * factor:.6g}"]
    if co2 is not None:
        found["co2_band_t"] = [f"{co2[0] / _KG_PER_TONNE:.6g} to {co2[1] / _KG_PER_TONNE:.6g}"]
    return found


def _properties(**values: list[str]) -> Iterator[dict[str, str]]:
    for name, lines in values.items():
        yield from ({"name": f"eco2ai:{name}", "value": line} for line in lines)
