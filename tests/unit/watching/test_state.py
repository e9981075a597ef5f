"""Runs by their latest records."""

from __future__ import annotations

from pathlib import Path

import pytest
from report_logs import hostile, training
from sessions import Written

from eco2ai_callbacks.report.load import load
from eco2ai_callbacks.watching import state as module
from eco2ai_callbacks.watching.state import LogState, RunState

LOG = Path("eco2ai.jsonl")


def state_of(*logs: Path) -> LogState:
    found = LogState()
    for log in logs or (LOG,):
        found.take(log.read_bytes().splitlines())
    return found


def shown(*logs: Path) -> RunState:
    found = state_of(*logs).chosen()
    assert found is not None
    return found


def test_a_run_is_what_its_last_record_holds() -> None:
    training(LOG, epochs=3)
    run, counted = shown(), load(LOG).runs[0]
    assert run.usage.energy_kwh == pytest.approx(counted.energy_kwh)
    assert run.usage.co2_kg == pytest.approx(counted.co2_kg)
    assert run.energy_band_kwh == pytest.approx(counted.sum.energy_band_kwh)
    assert (run.epoch, run.stage, run.ended, run.metrics) == (2, "train", "finished", {"loss": 1 / 3, "lr": 0.1})
    assert run.forecast is not None
    assert run.forecast.planned == 3


def test_a_heartbeat_counts_until_the_mark_that_covers_it() -> None:
    written = Written(LOG)
    written.mark()
    written.heartbeat(1)
    run = shown()
    assert (run.usage.total_j, run.power_w, run.ended) == (72.0, 18.0, None)
    written.mark(epoch=1)
    assert shown().usage.total_j == 108.0


def test_power_is_of_the_last_seconds() -> None:
    written = Written(LOG)
    written.mark()
    written._j += 164.0
    written.mark(epoch=1)
    assert shown().power_w == 100.0
    written.note(loss=0.5)
    assert shown().power_w == 100.0


def test_marks_within_milliseconds_make_no_power_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_SHORTEST_S", 3.0)
    written = Written(LOG)
    for epoch in range(3):
        written.mark(epoch=epoch)
    assert shown().power_w == 18.0


def test_ranks_add_up_and_end_together() -> None:
    one = Written(Path("a.jsonl"), rank=0, world_size=2)
    two = Written(Path("b.jsonl"), rank=1, world_size=2)
    one.mark()
    two.mark()
    logs = Path("a.jsonl"), Path("b.jsonl")
    run = shown(*logs)
    assert (run.usage.total_j, run.usage.seconds, run.power_w) == (72.0, 2.0, 36.0)
    one.stop()
    assert shown(*logs).ended is None
    assert shown(logs[0]).ended is None
    two.stop("interrupted")
    assert shown(*logs).ended == "finished and interrupted"
    assert shown(*logs).power_w is None


def test_a_resumed_run_goes_on() -> None:
    Written(LOG).stop("interrupted")
    second = Written(LOG)
    second.mark(epoch=1)
    run = shown()
    assert (run.ended, run.usage.total_j, run.power_w) == (None, 72.0, 18.0)


def test_the_run_that_is_trained_is_shown_before_others() -> None:
    outer = Written(LOG, "outer")
    inner = Written(LOG, "inner", parent="outer")
    inner.mark()
    assert shown().id == "outer"
    outer.stop()
    inner.stop()
    assert shown().id == "outer"
    Written(LOG, "late")
    found = state_of()
    assert found.chosen(now=1.76e9).id == "late"  # type: ignore[union-attr]
    Written(LOG, "last").stop()
    found = state_of()
    assert found.chosen(now=1.76e9).id == "late"  # type: ignore[union-attr]
    # `late` has no end and no record for hours: it was killed.
    assert found.chosen(now=1.8e9).id == "last"  # type: ignore[union-attr]
    assert found.chosen("inn", 1.8e9).id == "inner"  # type: ignore[union-attr]
    assert found.chosen("x") is None


def test_a_log_with_many_runs_keeps_the_latest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_RUNS", 3)
    for number in range(5):
        Written(LOG, f"run{number}").mark()
    assert list(state_of().runs) == ["run2", "run3", "run4"]


def test_hostile_lines_are_passed_over() -> None:
    found = state_of(*sorted(hostile().glob("*.jsonl")))
    assert len(found.runs) >= 10
    for run in found.runs.values():
        assert run.usage.seconds >= 0


def test_nothing_is_no_run() -> None:
    assert LogState().chosen() is None
    assert RunState("r").ended is None
