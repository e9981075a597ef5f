from __future__ import annotations

import json
from importlib import resources
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from sessions import Written

from eco2ai_callbacks import Tracker
from eco2ai_callbacks.record import EVENTS, FIELDS, SCHEMA, STAGES, Record
from eco2ai_callbacks.runlog.validate import is_checked, is_record

SINCE_SCHEMA_2 = ("accuracy", "beside", "basis", "sci", "model_check", "phases", "steps", "gpu_health", "siblings")
SCHEMA_1 = Path(__file__).parent / "schema1"
TOTAL = {"energy_kwh": 1.0, "co2_kg": 2.0, "seconds": 3.0}


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    text = resources.files("eco2ai_callbacks.runlog").joinpath("schema.json").read_text(encoding="utf-8")
    found: dict[str, Any] = json.loads(text)
    return found


@pytest.fixture(scope="module")
def validator(schema: dict[str, Any]) -> jsonschema.Draft202012Validator:
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_it_has_exactly_the_fields_of_a_record_in_their_order(schema: dict[str, Any]):
    assert tuple(schema["properties"]) == (*FIELDS, "anchor")
    assert schema["required"] == ["schema", "run", "writer", "seq", "event"]
    assert schema["additionalProperties"] is False
    assert all(field["description"] for field in schema["properties"].values())


def test_it_names_the_same_version_events_and_stages(schema: dict[str, Any]):
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["properties"]["schema"]["enum"] == [1, SCHEMA]
    assert set(schema["properties"]["event"]["enum"]) == EVENTS
    assert tuple(schema["properties"]["stage"]["enum"]) == STAGES


def test_lines_that_are_written_are_valid(validator: jsonschema.Draft202012Validator, tmp_path: Path):
    log = tmp_path / "log.jsonl"
    Written(log, carried={"energy_kwh": 1.0, "co2_kg": None, "seconds": 0.0}).mark()
    session = Written(log, key="k", parent="p", cost=0.5, samples=1, tokens=2, shared_with=("r",), failures=("f",))
    session.mark(metrics={"loss": 0.5})
    session.heartbeat()
    session.note("forecast", energy_kwh=3.0)
    session.stop()
    found = rows(log)
    assert {row["schema"] for row in found} == {SCHEMA}
    for row in found:
        validator.validate(row)


@pytest.mark.parametrize("name", ["finished", "keyed"])
def test_lines_of_schema_1_are_valid(validator: jsonschema.Draft202012Validator, name: str):
    found = rows(SCHEMA_1 / f"{name}.jsonl")
    assert {row["schema"] for row in found} == {1}
    for row in found:
        validator.validate(row)
        assert is_record(row)


def test_lines_of_a_real_run_are_valid(validator: jsonschema.Draft202012Validator, tmp_path: Path):
    with Tracker(log_file=tmp_path / "log.jsonl", console=False, region="FR", price=0.2) as run:
        run.mark(samples=10, metrics={"loss": float("nan")})
        run.write("metrics", {"accuracy": 0.5})
    found = rows(tmp_path / "log.jsonl")
    assert [row["event"] for row in found] == ["start", "epoch", "metrics", "stop"]
    assert "failures" not in found[-1]
    for row in found:
        validator.validate(row)


@pytest.mark.parametrize(
    "wrong",
    [
        {"event": "mark"},
        {"stage": "training"},
        {"seq": -1},
        {"seconds": -1.0},
        {"seconds": None},
        {"joules": {"cpu": None}},
        {"joules": {"cpu": -1.0}},
        {"band": {"cpu": [1.0]}},
        {"band": {"cpu": [1.0, 2.0, 3.0]}},
        {"pue": 0.5},
        {"measured_share": 1.5},
        {"total": {"energy_kwh": 1.0}},
        {"total": TOTAL | {"more": 1.0}},
        {"prev": "abc"},
        {"attempt": 0},
        {"continues": {"writer": "w"}},
        {"schema": 3},
        {"unknown": 1},
        {"anchor": {}},
        {"anchor": {"to": -1}},
        {"accuracy": {"cpu": [1.0, 2.0, 0.0]}},
        {"method": {"cpu": 1}},
    ],
)
def test_other_lines_are_not(validator: jsonschema.Draft202012Validator, wrong: dict[str, Any]):
    right = json.loads(json.dumps(Record(run="run", writer="w", event="epoch", total=TOTAL).to_dict()))
    validator.validate(right)
    assert not validator.is_valid(right | wrong)


EARLY = {"name": "NVML", "used": True, "reason": "", "methods": {"gpu:a": "nvml-energy"}, "covers": ["gpu"]}
GPU = {"vendor": "nvidia", "index": 0, "uuid": "a", "name": "NVIDIA L4"}
SOURCE = EARLY | {"status": "used", "measured": ["nvml-energy"], "devices": [GPU]}


@pytest.mark.parametrize(
    ("source", "valid"),
    [
        (EARLY, True),  # a log of before the facts were written
        (SOURCE, True),
        (SOURCE | {"used": False, "status": "displaced", "measured": [], "devices": []}, True),
        (SOURCE | {"status": "not needed"}, False),
        (SOURCE | {"measured": None}, False),
        (SOURCE | {"devices": [{"name": "NVIDIA L4"}]}, False),
        ({"name": "NVML"}, False),
    ],
)
def test_a_source_is_described_by_facts(
    validator: jsonschema.Draft202012Validator, source: dict[str, Any], valid: bool
):
    row = json.loads(json.dumps(Record(run="run", writer="w", event="start").to_dict()))
    row["sources"] = [source]
    assert is_record(row)
    assert validator.is_valid(row) is valid


@pytest.mark.parametrize("name", [name for name in FIELDS if name not in SINCE_SCHEMA_2])
def test_a_line_without_one_of_the_fields_is_not(validator: jsonschema.Draft202012Validator, name: str):
    (early, *_) = rows(SCHEMA_1 / "finished.jsonl")
    assert not validator.is_valid({key: value for key, value in early.items() if key != name})
    short = {"schema": 2, "run": "run", "writer": "w", "seq": 0, "event": "epoch"}
    validator.validate(short)
    assert validator.is_valid({key: value for key, value in short.items() if key != name}) is (name not in short)


@pytest.mark.parametrize(
    ("field", "valid"),
    [
        ({"joules": {"cpu": 1}}, True),
        ({"joules": {"cpu": True}}, False),
        ({"joules": {"cpu": float("inf")}}, False),
        ({"total": {"seconds": 1.0, "joules": [1.0, 2]}}, True),
        ({"total": {"seconds": 1.0, "joules": [1.0, float("inf")]}}, False),
        ({"total": {"seconds": 1.0, "joules": 1.0}}, False),
        ({"total": {"seconds": [1.0]}}, False),
        ({"total": {"seconds": 1.0, "energy_band_kwh": None}}, True),
        ({"total": {"seconds": 1.0, "energy_band_kwh": [1.0, float("inf")]}}, False),
        ({"method": {"cpu": None}}, True),
        ({"method": {"cpu": 1}}, False),
        ({"accuracy": {"cpu": [0.5, 2.0, 0.0, True]}}, True),
        ({"accuracy": {"cpu": [0.5, 2.0, 0.0, 1]}}, False),
        ({"accuracy": {"cpu": [0.5, 2.0]}}, False),
        ({"accuracy": {"cpu": None}}, True),
        ({"intensity": {"g_per_kwh": "400"}}, False),
        ({"intensity": {"g_per_kwh": 400.0, "low": None}}, True),
        ({"attempts": [[0, 1, 1.0]]}, False),
        ({"attempts": [[0, 1]]}, False),
        ({"attempts": 1}, False),
        ({"phases": {"data": [1.0, 2]}}, True),
        ({"phases": None}, True),
        ({"phases": {"data": [1.0]}}, False),
        ({"phases": {"data": [1.0, float("inf")]}}, False),
        ({"phases": [1.0, 2.0]}, False),
        ({"gpu_health": {"GPU-a": {"index": 0, "seconds": 1.0}}}, True),
        ({"gpu_health": None}, True),
        ({"gpu_health": {"GPU-a": 1.0}}, False),
        ({"gpu_health": [1.0]}, False),
        ({"steps": [50, 10, 320, None]}, True),
        ({"steps": None}, True),
        ({"steps": [50, 10, 320]}, False),
        ({"steps": [50.0, 10, 320, None]}, False),
        ({"steps": [50, 10, 320.5, None]}, False),
        ({"steps": 50}, False),
        ({"seconds": float("inf")}, False),
        ({"seconds": 10**400}, False),
        ({"epoch": 10**400}, True),
    ],
    ids=str,
)
def test_readers_take_what_they_can_compute_with(field: dict[str, Any], valid: bool):
    line = {"schema": 2, "run": "run", "writer": "w", "seq": 0, "event": "epoch"}
    for _ in range(2):  # the form of a line is remembered
        assert is_record(line | field) is valid
    many = {f"more{number}": number for number in range(100)}
    assert is_record(line | field | many) is valid
    assert is_checked(line | field)
    assert not is_checked(line | {"metrics": {}})
