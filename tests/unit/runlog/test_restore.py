"""Whole records from short lines, of any number of writers."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sessions import Written

from eco2ai_callbacks.runlog.read import lines, records, segments
from eco2ai_callbacks.runlog.restore import Restorer, frozen
from eco2ai_callbacks.runlog.short import DEFAULTS

EARLY = Path(__file__).parent / "schema1" / "finished.jsonl"


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "eco2ai.jsonl"


def test_writers_side_by_side_are_told_apart(log: Path) -> None:
    one, two = Written(log, run="a", project="one"), Written(log, run="b", project="two", rank=1, world_size=2)
    for _ in range(2):
        one.mark()
        two.mark()
    two.stop()
    one.stop()
    assert [(r.run, r.project, r.rank) for r in records(log)] == [("a", "one", 0), ("b", "two", 1)] * 3 + [
        ("b", "two", 1),
        ("a", "one", 0),
    ]
    assert {r.method["cpu"] for r in records(log)} == {"cpu-model:vm"}
    assert not any(line.unknown for line in lines(log))


def test_what_is_said_of_the_run_so_far_can_be_left_out(log: Path) -> None:
    log.write_bytes(EARLY.read_bytes())
    early = len(records(log))
    session = Written(log, carried={"energy_kwh": 1e-3, "co2_kg": 1e-4, "seconds": 5.0})
    session.mark()
    session.mark("stage", 1, "validate")
    session.heartbeat(1)
    session.note(loss=0.5)
    session.mark(epoch=1)
    session.stop()
    nothing = {
        name: DEFAULTS[name] for name in ("total", "attempts", "epoch_energy_kwh", "epoch_co2_kg", "epoch_total")
    }
    assert any(record.total and record.epoch_total and record.attempts for record in records(log)[early:])
    assert list(segments(log))[early:] == [replace(record, **nothing) for record in records(log)[early:]]
    assert list(segments(log))[:early] == records(log)[:early]


def test_without_the_first_line_it_is_said_what_is_not_known(log: Path) -> None:
    session = Written(log)
    session.mark()
    session.mark(epoch=1)
    log.write_text("".join(log.read_text().splitlines(keepends=True)[1:]))
    found = list(lines(log))
    assert [line.record.seconds for line in found] == [2.0, 2.0]
    assert {"host", "project", "rank", "method", "intensity"} <= set(found[0].unknown)
    assert found[0].record.band == {}


def test_a_damaged_first_line_spoils_nothing_else(log: Path) -> None:
    Written(log, run="a").mark()
    Written(log, run="b").mark()
    damaged = log.read_text().replace('{"schema"', '{"sch', 1)
    log.write_text(damaged)
    found = list(lines(log))
    assert [(line.record.run, bool(line.unknown)) for line in found] == [("a", True), ("b", False), ("b", False)]


def test_lines_of_schema_1_are_records_as_they_stand(log: Path) -> None:
    log.write_bytes(EARLY.read_bytes())
    Written(log, run="new").mark()
    found = records(log)
    assert [r.schema for r in found] == [1] * 23 + [2] * 2
    assert all(r.project == "demo" and r.host == "host" for r in found)
    assert found[2].epoch_total is not None
    assert found[2].band["cpu"] == (12.0, 72.0)


@pytest.mark.parametrize(
    "hostile",
    [
        {"joules": {"cpu": 1e308, "gpu": 1e308}, "total": {"seconds": 1.0, "joules": [1e308, 1e308]}},
        {"total": {"seconds": 1.0, "joules": [1.0, 2.0, 3.0]}},
        {"total": {"seconds": 1.0, "joules": {}}},
        {"method": {"cpu": None}, "accuracy": {"gpu": None}},
        {"accuracy": {"cpu": [0.0, 0.0, 0.0, True]}},
        {"intensity": {"g_per_kwh": 1e-320, "low": 1e300, "high": 1e300}},
        {"epoch_total": {}},
    ],
    ids=["huge", "more", "none", "nulls", "zeros", "tiny", "empty"],
)
def test_numbers_that_no_meter_measures_cost_no_more_than_their_record(hostile: dict[str, Any]) -> None:
    values: dict[str, Any] = {"schema": 2, "run": "r", "writer": "w", "seq": 0, "event": "epoch", "anchor": {"to": 0}}
    values |= {
        "joules": {"cpu": 1.0},
        "method": {"cpu": "m"},
        "accuracy": {"cpu": [0.5, 2.0, 0.0, False]},
        "co2_kg": 1.0,
    }
    record = Restorer().record(json.loads(json.dumps(values | hostile)))
    assert (record.run, record.event) == ("r", "epoch")


def test_lists_become_tuples_all_the_way_down() -> None:
    assert frozen([1, [2, {"a": [3]}]]) == (1, (2, {"a": (3,)}))
    assert frozen("text") == "text"
