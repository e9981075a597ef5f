"""Running sums of one rank."""

from __future__ import annotations

from typing import Any

from eco2ai_callbacks.record import Record
from eco2ai_callbacks.report.portions import PortionAdder


def record(**values: Any) -> Record:
    fixed = {"run": "r", "writer": "w", "event": "stage", "stage": "train", "seconds": 2.0, "joules": {"cpu": 10.0}}
    return Record(**fixed | values)


def test_stages_and_days_are_kept_apart() -> None:
    adder = PortionAdder()
    adder.add(record(start="2026-01-01T23:59:59+00:00"))
    adder.add(record(start="2026-01-02T00:00:01+00:00", stage="validate"))
    adder.add(record(event="start", seconds=0.0, joules={}))
    found = adder.portion(1, "h", "outer")
    assert (found.rank, found.host, found.parent, found.sum.seconds) == (1, "h", "outer", 4.0)
    assert list(found.stages) == ["train", "validate"]
    assert list(found.days) == ["2026-01-01", "2026-01-02"]
    assert len(found.power) == 2


def test_two_files_parts_add_up() -> None:
    one, other = PortionAdder(), PortionAdder()
    one.add(record())
    other.add(record())
    other.add(record(stage="validate"))
    one.plus(other)
    found = one.portion(0, "h", None)
    assert found.sum.seconds == 6.0
    assert {name: each.seconds for name, each in found.stages.items()} == {"train": 4.0, "validate": 2.0}


def test_stages_without_end_do_not_fill_the_memory() -> None:
    adder = PortionAdder()
    for number in range(200):
        adder.add(record(stage=f"s{number}"))
    found = adder.portion(0, "h", None)
    assert len(found.stages) <= 65
    assert sum(each.seconds for each in found.stages.values()) == 400.0
