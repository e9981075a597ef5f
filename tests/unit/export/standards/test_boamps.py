"""BoAmps 1.1."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from boamps_fields import REPORT
from publications import NEEDED, trained_runs
from report_logs import training

from eco2ai_callbacks.errors import SettingsError
from eco2ai_callbacks.export.standards.boamps import OPTIONS, write
from eco2ai_callbacks.report.load import load
from eco2ai_callbacks.report.runs import Run

GIVEN = NEEDED["boamps"]


def written(runs: tuple[Run, ...], **options: str) -> dict[str, Any]:
    report: dict[str, Any] = json.loads(write(runs, GIVEN | options))
    jsonschema.Draft4Validator(REPORT).validate(report)
    return report


def test_a_run_is_one_measure_with_its_energy_time_and_methods() -> None:
    runs = trained_runs()
    report = written(runs)
    (measure,) = report["measures"]
    assert measure["powerConsumption"] == runs[0].energy_kwh
    assert measure["measurementDuration"] == runs[0].seconds == 10800.0
    assert measure["measurementMethod"] == "eco2ai-callbacks"
    assert (measure["cpuTrackingMode"], measure["gpuTrackingMode"]) == ("cpu-model:vm", "nvml-energy")
    assert report["infrastructure"]["components"] == [
        {"componentName": "NVIDIA L4", "componentType": "gpu", "nbComponent": 1}
    ]
    assert report["environment"]["country"] == "France"
    assert report["environment"]["powerSourceCarbonIntensity"] == pytest.approx(runs[0].factors[0].g_per_kwh)
    assert report["task"]["algorithms"] == [{"epochsNumber": 2}]
    assert "partly measured" in report["task"]["taskDescription"]
    assert "IT energy, without" in report["task"]["taskDescription"]
    assert "quality" not in report


def test_several_runs_are_several_measures_that_add_up() -> None:
    training(Path("outer.jsonl"), "outer", 1)
    training(Path("inner.jsonl"), "inner", 1, parent="outer")
    training(Path("other.jsonl"), "other", 2)
    runs = load("*.jsonl")
    report = written(runs.runs, cpus="1", boundary="facility")
    assert len(report["measures"]) == 2
    total = sum(each["powerConsumption"] for each in report["measures"])
    assert total == pytest.approx(1.2 * (runs.sum.energy_kwh or 0.0))
    assert "epochsNumber" not in report["task"]["algorithms"][0]


def test_options_fill_what_no_log_holds() -> None:
    texts = {"framework": "torch", "cloud_provider": "aws", "licensing": "CC BY 4.0", "task_stage": "finetuning"}
    more = {"parameters_billion": "0.1", "cpus": "2", "cpu_name": "EPYC", "ram_gb": "64", "gpu_memory_gb": "24"}
    report = written(trained_runs(), **texts, **more, publisher="us", confidentiality="public")
    assert report["task"]["taskStage"] == "finetuning"
    assert report["task"]["algorithms"][0] == {"framework": "torch", "parametersNumber": 0.1, "epochsNumber": 2}
    assert [each["componentType"] for each in report["infrastructure"]["components"]] == ["gpu", "cpu", "ram"]
    assert report["infrastructure"]["cloudProvider"] == "aws"
    assert report["header"]["publisher"] == {"name": "us", "confidentialityLevel": "public"}


def test_a_place_that_is_not_known_is_left_out() -> None:
    assert "environment" not in written(trained_runs(region=None, intensity_year=None))


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"task_family": ""}, "boamps needs the option task_family, which no log holds: what the model is for"),
        ({"data_type": "smell"}, "data_type='smell' is not accepted; accepted: tabular, audio"),
        ({"infra_type": " "}, "boamps needs the option infra_type"),
        ({"publisher": "us"}, "boamps needs the option confidentiality"),
        ({"cpu_name": "EPYC"}, "cpu_name='EPYC' needs the option cpus: number of processors"),
        ({"cpus": "two"}, "cpus='two' is not accepted; accepted: a whole number"),
        ({"quality": "high"}, "quality='high' is no option of boamps; accepted are task_family"),
    ],
    ids=["missing", "no kind", "empty", "no confidentiality", "no number", "no whole number", "unknown"],
)
def test_what_is_missing_or_not_accepted_is_one_sentence(options: dict[str, str], sentence: str) -> None:
    with pytest.raises(SettingsError) as told:
        write(trained_runs(), GIVEN | options)
    assert str(told.value).startswith(sentence)


def test_a_log_without_a_gpu_asks_for_the_processors() -> None:
    training(Path("eco2ai.jsonl"))
    with pytest.raises(SettingsError, match="needs the option cpus"):
        write(load("eco2ai.jsonl").runs, GIVEN)


def test_every_option_says_what_it_is() -> None:
    assert all(OPTIONS.values())
    assert GIVEN.keys() < OPTIONS.keys()
