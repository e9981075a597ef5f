from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from eco2ai_callbacks.guard import Guard
from eco2ai_callbacks.record import Record
from eco2ai_callbacks.runlog.read import records, total
from eco2ai_callbacks.runlog.verify import verify
from eco2ai_callbacks.runlog.writable import OPTIONAL, without_unwritable
from eco2ai_callbacks.runlog.write import Writer
from eco2ai_callbacks.session.publishing import Publisher

RECORD = Record(run="run", writer="w", event="stage", seconds=2.0, joules={"cpu": 3.6e6}, energy_kwh=1.0)


class Broken(Mapping[str, Any]):
    """A value that no one can read."""

    def __getitem__(self, name: str) -> Any:
        raise RuntimeError("broken")

    def __iter__(self) -> Any:
        raise RuntimeError("broken")

    def __len__(self) -> int:
        return 1


SPOILT = {"an object": object(), "not a number": {"a": math.inf, "b": object()}, "broken": Broken()}


@pytest.mark.parametrize("spoilt", SPOILT)
# Without its energy_kwh a record with joules is altered: it is their sum, and the package computes both. The log's
# writer sets prev and hmac itself, whatever they were.
@pytest.mark.parametrize("name", [name for name in OPTIONAL if name not in ("energy_kwh", "prev", "hmac")])
def test_a_spoilt_optional_field_costs_nothing_but_itself(name: str, spoilt: str, tmp_path: Path):
    guard, log = Guard(), tmp_path / "log.jsonl"
    publisher = Publisher(Writer(log), [], guard)
    publisher.publish(replace(RECORD, event="start", seconds=0.0, joules={}, energy_kwh=None))
    publisher.publish(replace(RECORD, **{name: SPOILT[spoilt]}))
    publisher.publish(RECORD)
    publisher.deliver()
    found = records(log)
    assert [record.seq for record in found] == [0, 1, 2]
    assert total(found).joules == {"cpu": 2 * 3.6e6}
    verdict = verify(log)
    assert verdict.whole, verdict.first
    if name == "metrics" and spoilt != "broken":  # anything that has a text is one of those
        return
    assert getattr(found[1], name) is None
    assert guard.failures == found[1].failures
    assert guard.failures[0].startswith(f"log file: {name} is left out: ")


@pytest.mark.parametrize("name", ["epoch", "samples"])
@pytest.mark.parametrize("value", [64.0, "64", True, pytest.param(10**5000, id="of 5000 digits"), math.nan])
def test_what_json_holds_and_readers_do_not_take_is_left_out_too(name: str, value: Any):
    guard = Guard()
    record = replace(RECORD, **{name: value})
    assert getattr(without_unwritable(record, guard), name) is None
    (failure,) = guard.failures
    assert failure.startswith(f"log file: {name} is left out: ")


def test_a_sound_record_stays_the_same_object():
    guard = Guard()
    assert without_unwritable(RECORD, guard) is RECORD
    assert guard.failures == ()


def test_text_that_would_come_back_spelt_otherwise_is_left_out():
    guard = Guard()
    halves = replace(RECORD, metrics={"text": "\ud83d\ude00"})
    assert without_unwritable(halves, guard).metrics is None
    assert guard.failures == ("log file: metrics is left out: no reader would take it back (ValueError)",)


@pytest.mark.parametrize("field", [{"event": 5}, {"seconds": "2"}, {"joules": {"cpu": True}}, {"project": None}])
def test_a_record_that_readers_would_drop_is_refused(field: dict[str, Any], tmp_path: Path):
    writer = Writer(tmp_path / "log.jsonl")
    with pytest.raises(ValueError, match="no reader would take the record back"):
        writer.append(replace(RECORD, **field))
    writer.append(RECORD)
    assert records(writer.path) == [RECORD]
