"""SPDX 3.0.1, read back by the bindings that are made from its model."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from publications import trained_runs
from report_logs import hostile, training
from spdx_python_model import v3_0_1 as spdx

from eco2ai_callbacks.errors import SettingsError
from eco2ai_callbacks.export.standards.spdx import write
from eco2ai_callbacks.report.load import load

PROFILE = {
    **{"version": "1.0", "download_location": "https://example.org/model", "supplier": "us"},
    "release_time": "2026-11-28T12:00:00+02:00",
}


def written(runs: Any, **options: str) -> Any:
    """The document as objects; each is checked as it is read, and that none lacks a member."""
    text = write(runs, options)
    found = spdx.SHACLObjectSet()
    spdx.JSONLDDeserializer().read(io.BytesIO(text.encode()), found)
    assert not found.missing_ids, "a reference leads nowhere"
    # Writing checks that nothing is missing.
    spdx.JSONLDSerializer().write(found, io.BytesIO())
    for each in json.loads(text)["@graph"]:
        assert each["type"] in {"CreationInfo", "SpdxDocument", "SoftwareAgent", "Organization", "ai_AIPackage"}
    return found


def package(found: Any) -> Any:
    (one,) = found.foreach_type("ai_AIPackage")
    return one


def test_the_energy_is_that_of_the_run_in_kilowatt_hours() -> None:
    runs = trained_runs()
    model = package(written(runs))
    (energy,) = model.ai_energyConsumption.ai_trainingEnergyConsumption
    assert float(energy.ai_energyQuantity) == runs[0].energy_kwh
    assert energy.ai_energyUnit == spdx.ai_EnergyUnitType.kilowattHour
    assert not model.ai_energyConsumption.ai_finetuningEnergyConsumption
    assert model.name == "demo"
    assert "IT energy, without" in model.comment
    assert "partly measured" in model.comment


def test_a_quantity_is_a_decimal_without_an_exponent() -> None:
    training(Path("eco2ai.jsonl"), epochs=1)
    runs = load("eco2ai.jsonl").runs
    (text,) = {line.strip() for line in write(runs, {}).splitlines() if "ai_energyQuantity" in line}
    assert text.startswith('"ai_energyQuantity": "0.0000')
    assert "e-" not in text


def test_the_ai_profile_is_claimed_only_with_all_that_it_asks() -> None:
    runs = trained_runs()
    (document,) = written(runs, version="1.0").foreach_type("SpdxDocument")
    assert spdx.ProfileIdentifierType.ai not in list(document.profileConformance)
    found = written(runs, **PROFILE, activity="fine-tuning")
    (document,) = found.foreach_type("SpdxDocument")
    assert spdx.ProfileIdentifierType.ai in list(document.profileConformance)
    model = package(found)
    assert (model.software_packageVersion, model.suppliedBy.name) == ("1.0", "us")
    assert model.releaseTime.isoformat() == "2026-11-28T10:00:00+00:00"
    assert len(model.ai_energyConsumption.ai_finetuningEnergyConsumption) == 1


def test_hostile_names_are_texts() -> None:
    assert package(written(load(hostile()).runs, name="<b>")).name == "<b>"


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"activity": "cooking"}, "activity='cooking' is not accepted; accepted: training, fine-tuning."),
        ({"release_time": "soon"}, "release_time='soon' is not accepted; accepted: a time such as"),
    ],
    ids=["activity", "time"],
)
def test_what_is_not_accepted_is_one_sentence(options: dict[str, str], sentence: str) -> None:
    with pytest.raises(SettingsError) as told:
        write(trained_runs(), options)
    assert str(told.value).startswith(sentence)
