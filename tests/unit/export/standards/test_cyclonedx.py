"""CycloneDX 1.7, checked by the schema that its own library holds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from publications import trained_runs
from report_logs import folder, hostile, training

from eco2ai_callbacks.errors import SettingsError
from eco2ai_callbacks.export.standards.cyclonedx import write
from eco2ai_callbacks.report.load import load
from eco2ai_callbacks.report.runs import Run


def written(runs: tuple[Run, ...], **options: str) -> dict[str, Any]:
    text = write(runs, options)
    assert JsonStrictValidator(SchemaVersion.V1_7).validate_str(text) is None
    bom: dict[str, Any] = json.loads(text)
    return bom


def energies(bom: dict[str, Any]) -> list[dict[str, Any]]:
    (model,) = bom["components"]
    found: list[dict[str, Any]] = model["modelCard"]["considerations"]["environmentalConsiderations"][
        "energyConsumptions"
    ]
    return found


def test_each_stage_is_an_activity_and_they_add_up() -> None:
    runs = trained_runs()
    found = energies(written(runs))
    assert [each["activity"] for each in found] == ["training", "validation"]
    assert sum(each["activityEnergyCost"]["value"] for each in found) == pytest.approx(runs[0].energy_kwh)
    assert sum(each["co2CostEquivalent"]["value"] for each in found) == pytest.approx(runs[0].co2_kg / 1000)
    for each in found:
        (provider,) = each["energyProviders"]
        assert provider == {
            "organization": {},
            "energySource": "unknown",
            "energyProvided": each["activityEnergyCost"],
        }


def test_the_boundary_and_the_estimate_are_stated() -> None:
    bom = written(trained_runs(), boundary="facility", activity="fine-tuning", provider="EDF", energy_source="nuclear")
    first = energies(bom)[0]
    assert first["activity"] == "fine-tuning"
    assert first["energyProviders"][0]["organization"] == {"name": "EDF"}
    notes = bom["components"][0]["modelCard"]["considerations"]["environmentalConsiderations"]["properties"]
    assert notes[0]["value"].startswith(
        "Energy is energy with the data centre's overhead (PUE 1.2); it is partly measured ("
    )
    plain = energies(written(load("eco2ai.jsonl").runs))[0]
    assert first["activityEnergyCost"]["value"] == pytest.approx(1.2 * plain["activityEnergyCost"]["value"])
    assert first["co2CostEquivalent"] == plain["co2CostEquivalent"]


@pytest.mark.parametrize("make", [folder, hostile], ids=["jobs", "hostile"])
def test_any_log_gives_a_valid_document(make: Any) -> None:
    path = make()
    runs = load(path)
    bom = written(runs.runs, name="model")
    total = sum(each["activityEnergyCost"]["value"] for each in energies(bom))
    assert total == pytest.approx(runs.sum.energy_kwh)


def test_energy_of_a_checkpoint_is_no_training() -> None:
    training(Path("eco2ai.jsonl"), carried={"energy_kwh": 1.0, "co2_kg": 0.4, "seconds": 5.0})
    runs = load("eco2ai.jsonl")
    found = energies(written(runs.runs))
    assert {each["activity"] for each in found} == {"training", "validation", "other"}
    assert sum(each["activityEnergyCost"]["value"] for each in found) == pytest.approx(runs.sum.energy_kwh)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"activity": "design"}, "activity='design' is not accepted; accepted: training, fine-tuning."),
        ({"energy_source": "sun"}, "energy_source='sun' is not accepted; accepted: coal, oil"),
        ({"boundary": "moon"}, "boundary='moon' is not accepted; accepted: it, facility."),
        ({"colour": "red"}, "colour='red' is no option of cyclonedx; accepted are name"),
    ],
    ids=["activity", "source", "boundary", "unknown"],
)
def test_what_is_not_accepted_is_one_sentence(options: dict[str, str], sentence: str) -> None:
    with pytest.raises(SettingsError) as told:
        write(trained_runs(), options)
    assert str(told.value).startswith(sentence)
