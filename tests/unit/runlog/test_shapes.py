from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from altered import texts
from sessions import Written

from eco2ai_callbacks.runlog import shapes
from eco2ai_callbacks.runlog.shapes import Shapes


@pytest.fixture
def lines(tmp_path: Path) -> list[str]:
    """Return the lines of four epochs."""
    log = tmp_path / "eco2ai.jsonl"
    session = Written(log)
    for epoch in range(4):
        session.mark(epoch=epoch)
    return texts(log)[1:]


@pytest.fixture
def learnt(lines: list[str]) -> Shapes:
    """Return what was learnt from the first lines."""
    learnt = Shapes()
    for line in lines[:2]:
        assert learnt.mark(line) is None
        learnt.learn(json.loads(line))
    return learnt


def test_a_line_of_a_known_shape_says_what_json_says(learnt: Shapes, lines: list[str]):
    values = json.loads(lines[3])
    mark = learnt.mark(lines[3])
    assert mark is not None
    for name in ("run", "writer", "seq", "prev", "event", "stage", "epoch", "attempt", "joules"):
        assert getattr(mark, name) == values[name]
    assert mark.own == (values["energy_kwh"], values["co2_kg"], values["seconds"])
    assert mark.total == tuple(values["total"][name] for name in ("energy_kwh", "co2_kg", "seconds"))


def test_one_line_alone_makes_no_shape(lines: list[str]):
    learnt = Shapes()
    learnt.learn(json.loads(lines[0]))
    assert learnt.mark(lines[1]) is None


@pytest.mark.parametrize(
    "other",
    [
        pytest.param({"seconds": 1}, id="a whole number in a float's place"),
        pytest.param({"seconds": None}, id="null"),
        pytest.param({"epoch": 1.5}, id="a float in a whole number's place"),
        pytest.param({"stage": 'a "quoted" stage'}, id="an escape"),
        pytest.param({"event": "stop"}, id="another event"),
        pytest.param({"host": "other"}, id="another name"),
        pytest.param({"joules": {"ram": 1.0}}, id="another channel"),
    ],
)
def test_a_line_of_another_shape_has_none(learnt: Shapes, lines: list[str], other: dict[str, Any]):
    line = json.dumps({**json.loads(lines[3]), **other}, separators=(",", ":"))
    assert learnt.mark(line) is None


@pytest.mark.parametrize("number", ["1e400", "-1e999", "NaN", "Infinity", "01.5", "1.", ".5", "1.5 ", "\uff11.5"])
def test_what_json_refuses_or_what_is_infinite_has_no_shape(learnt: Shapes, lines: list[str], number: str):
    seconds = f'"seconds":{json.loads(lines[3])["seconds"]}'
    assert seconds in lines[3]
    assert learnt.mark(lines[3].replace(seconds, '"seconds":2.5')) is not None
    assert learnt.mark(lines[3].replace(seconds, f'"seconds":{number}')) is None


@pytest.mark.parametrize("text", ["", "{", "{}", "[]", "null", "x" * 100])
def test_other_texts_have_none(learnt: Shapes, text: str):
    assert learnt.mark(text) is None


@pytest.mark.parametrize("name", ["epoch_total", "carried", "hmac", "world_size", "method"])
def test_a_record_that_states_more_makes_no_shape(lines: list[str], name: str):
    learnt = Shapes()
    line = json.dumps({**json.loads(lines[0]), name: {}}, separators=(",", ":"))
    for _ in range(2):
        learnt.learn(json.loads(line))
    assert learnt.mark(line) is None


def test_names_with_signs_of_regular_expressions_stand_for_themselves(lines: list[str]):
    learnt = Shapes()
    values = json.loads(lines[0]) | {"joules": {"gpu:[a]*(b)+": 1.5, "\u00e9\\": 2.5}}
    line = json.dumps(values, separators=(",", ":"), ensure_ascii=False)
    for _ in range(2):
        learnt.learn(values)
    mark = learnt.mark(line)
    assert mark is not None
    assert mark.joules == values["joules"]


def test_no_log_makes_more_shapes_than_a_bound(lines: list[str], monkeypatch: pytest.MonkeyPatch):
    compiled: list[str] = []
    monkeypatch.setattr(shapes.re, "compile", lambda pattern: compiled.append(pattern) or re_of(pattern))
    learnt = Shapes()
    for channel in range(2 * shapes._MADE):
        values = json.loads(lines[0]) | {"joules": {f"gpu:{channel}": 1.5}}
        for _ in range(2):
            learnt.learn(values)
    assert len(compiled) == shapes._MADE


re_of = shapes.re.compile


def test_lines_with_the_state_of_gpus_have_a_shape(tmp_path: Path):
    log = tmp_path / "eco2ai.jsonl"
    session = Written(log)
    for epoch in range(4):
        health = {"GPU-a": {"index": 0, "seconds": 2.0 + epoch, "busy": 0.25 * epoch, "throttle": {"power cap": 0.5}}}
        session.mark(epoch=epoch, gpu_health=health)
    learnt, lines = Shapes(), texts(log)[1:]
    for line in lines[:2]:
        learnt.learn(json.loads(line))
    mark = learnt.mark(lines[3])
    assert mark is not None
    assert mark.epoch == 3
