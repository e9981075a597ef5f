"""One run over its sessions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from eco2ai_callbacks.runlog.chain_check import Found
from eco2ai_callbacks.runlog.run_check import RunCheck

LOG = Path("log.jsonl")


def run_of(*rows: dict[str, Any]) -> RunCheck:
    run = RunCheck()
    for place, row in enumerate(rows):
        run.add(Found(LOG, place + 1, place, {"run": "r", "seq": 0, **row}, f"h{place}"))
    return run


def mark(writer: str, event: str = "epoch", **fields: Any) -> dict[str, Any]:
    return {"writer": writer, "event": event, "seconds": 2.0, "joules": {"cpu": 3.6e6}, "co2_kg": 0.4, **fields}


def start(writer: str, energy: float | None = None, seconds: float = 0.0, **fields: Any) -> dict[str, Any]:
    total = {"energy_kwh": energy, "co2_kg": None if energy is None else energy * 0.4, "seconds": seconds}
    return {"writer": writer, "event": "start", "total": total, **fields}


def follows(writer: str) -> dict[str, Any]:
    return {"continues": {"writer": writer, "hash": "h"}}


def test_the_sum_is_that_of_all_ranks_and_the_time_the_first_ones() -> None:
    run = run_of(mark("a", rank=0, world_size=2), mark("b", rank=1, seconds=5.0, world_size=2))
    assert (run.usage.energy_kwh, run.usage.seconds) == (2.0, 2.0)
    assert (run.ranks, run.world_size) == ((0, 1), 2)


def test_how_it_ended_is_what_the_sessions_say_that_nobody_continues() -> None:
    first, second = mark("a", "stop", ended="interrupted"), start("b", 1.0, 2.0, **follows("a"))
    assert run_of(first).ended == ("interrupted",)
    assert run_of(first, second).ended == ()
    assert run_of(first, second, mark("b", "stop", ended="budget")).ended == ("budget",)
    assert run_of(first, mark("c", "stop", ended=None, rank=1)).ended == ("interrupted", "finished")


def test_a_total_at_the_start_is_the_sum_of_the_lines_before() -> None:
    def faults(*rows: dict[str, Any]) -> list[tuple[str, int]]:
        return [(fault.kind, fault.line) for fault in run_of(*rows).total_faults()]

    assert faults(start("a"), mark("a"), start("b", 1.0, 2.0, **follows("a"))) == []
    assert faults(start("a"), mark("a"), start("b", 1.5, 2.0, **follows("a"))) == [("removed", 3)]
    assert faults(start("a", 1.0)) == [("changed", 1)]
    # Sessions that overlap know different lines.
    assert faults(start("a"), mark("a"), start("b", 1.5, 2.0, **follows("a")), mark("a")) == []
    # The first rank continues those that are no more.
    ranks = [start("a"), mark("a"), start("z", rank=1), mark("z", rank=1)]
    assert faults(*ranks, start("b", 2.0, 4.0, **follows("a"))) == []
    assert faults(*ranks, start("b", 1.0, 2.0, world_size=2, **follows("a"))) == []
    assert faults(*ranks, start("b", 1.0, 2.0, **follows("a"))) == [("removed", 5)]


def test_a_copy_does_not_count() -> None:
    run = run_of(mark("a"))
    copy = Found(Path("backup.jsonl"), 1, 1, {"run": "r", "seq": 0, **mark("a")}, "h0")
    run.add(copy, counts=False)
    assert run.usage.energy_kwh == 1.0
    run.count(copy)
    assert run.usage.energy_kwh == 2.0
