"""What all forms are told: the boundary, the kind of the figures, and what they leave out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from publications import trained_runs
from report_logs import training

from eco2ai_callbacks.errors import SettingsError
from eco2ai_callbacks.export.standards.boundary import OPTION, Bounded, bounded, document_id, name_of, now
from eco2ai_callbacks.export.standards.options import Options
from eco2ai_callbacks.report.load import load
from eco2ai_callbacks.report.runs import Run
from eco2ai_callbacks.report.statement import statement

KNOWN = {**OPTION, "name": "name of the model"}


def told(runs: tuple[Run, ...], **given: str) -> Bounded:
    return bounded(runs, Options("form", given, KNOWN))


def test_the_facility_s_energy_is_the_it_energy_times_the_pue() -> None:
    runs = trained_runs()
    it, facility = told(runs), told(runs, boundary="facility")
    assert it.energy_kwh == runs[0].energy_kwh
    assert facility.energy_kwh == pytest.approx(1.2 * it.energy_kwh)
    assert facility.band_kwh == pytest.approx(tuple(1.2 * edge for edge in it.band_kwh or ()))
    assert (it.said, facility.said) == (
        "IT energy, without the data centre's overhead (PUE)",
        "energy with the data centre's overhead (PUE 1.2)",
    )


def test_several_pues_have_no_facility_energy() -> None:
    for name, pue in (("a", 1.2), ("b", 1.5)):
        training(Path(f"{name}.jsonl"), name, pue=pue)
    with pytest.raises(SettingsError, match=r"the runs have several PUEs \(1.2 and 1.5\); accepted is 'it'"):
        told(load("*.jsonl").runs, boundary="facility")


def test_estimates_are_called_so() -> None:
    training(Path("eco2ai.jsonl"))
    found = told(load("eco2ai.jsonl").runs)
    assert found.kind == "estimated"
    assert found.basis[0].endswith("it is estimated (0% by hardware counters).")
    assert told(trained_runs("gpu.jsonl")).kind == "partly measured"


def test_sensors_are_measurements_as_counters_are() -> None:
    training(Path("eco2ai.jsonl"))
    (run,) = load("eco2ai.jsonl")
    assert told((replace(run, hardware=frozenset({"cpu-model:vm"})),)).kind == "measured"


def test_a_model_s_name_is_its_project_or_asked_for() -> None:
    for name in ("a", "b"):
        training(Path(f"{name}.jsonl"), name, project=name)
    both, one = statement(load("*.jsonl")), statement(load("a.jsonl"))
    assert name_of(one, Options("form", {}, KNOWN)) == "a"
    assert name_of(both, Options("form", {"name": "m"}, KNOWN)) == "m"
    with pytest.raises(SettingsError, match="form needs the option name"):
        name_of(both, Options("form", {}, KNOWN))


def test_a_document_of_the_same_runs_has_the_same_id() -> None:
    training(Path("a.jsonl"), "a")
    found = statement(load("a.jsonl"))
    assert document_id(found, "x") == document_id(found, "x") != document_id(found, "y")
    assert now().utcoffset() is not None
