"""Totals that are recomputed from a session's records."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from altered import first, found, rechained, texts, whole, write

from eco2ai_callbacks.record import Record
from eco2ai_callbacks.runlog.sums import Sums, all_same, figures, same
from eco2ai_callbacks.runlog.verify import verify

TOTAL = "its total is not the one before it and what it adds"
EPOCH_TOTAL = "its epoch_total is not the sum of the epoch's lines"


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "eco2ai.jsonl"


def said(energy_kwh: float | None, co2_kg: float | None, seconds: float) -> dict[str, float | None]:
    return {"energy_kwh": energy_kwh, "co2_kg": co2_kg, "seconds": seconds}


def line(event: str = "epoch", total: Any = None, **fields: Any) -> Record:
    """A record that uses 1 kWh, 0.5 kg and 10 s."""
    own = {"energy_kwh": 1.0, "co2_kg": 0.5, "seconds": 10.0, "stage": "train", "epoch": 0, "attempt": 1}
    return Record(run="r", writer="w", event=event, total=total, **{**own, **fields})


def faults(*records: Record, breaks: tuple[int, ...] = ()) -> list[tuple[int, str]]:
    """Which record is wrong and why; those named in ``breaks`` do not follow from the one before."""
    sums = Sums()
    return [
        (n, why) for n, record in enumerate(records) for why in sums.faults(record.to_dict(), follows=n not in breaks)
    ]


def test_a_total_goes_on_by_what_each_record_adds() -> None:
    start = line("start", said(None, None, 0.0), energy_kwh=None, co2_kg=None, seconds=0.0)
    good, bad = line(total=said(1.0, 0.5, 10.0)), line(total=said(1.0, 0.5, 11.0))
    assert faults(start, good) == []
    assert faults(start, bad) == [(1, TOTAL)]


def test_a_heartbeat_says_what_it_holds_and_adds_nothing() -> None:
    begun, beat = line(total=said(1.0, 0.5, 10.0)), line("heartbeat", said(2.0, 1.0, 20.0))
    assert faults(begun, beat, beat, line(total=said(2.0, 1.0, 20.0))) == []
    assert faults(begun, line("heartbeat", said(1.0, 0.5, 10.0))) == [(1, TOTAL)]


def test_a_note_keeps_the_total() -> None:
    begun = line(total=said(1.0, 0.5, 10.0))
    assert faults(begun, line("metrics", said(1.0, 0.5, 10.0))) == []
    assert faults(begun, line("metrics", said(2.0, 1.0, 20.0))) == [(1, TOTAL)]


def test_behind_a_gap_no_total_and_no_epoch_is_held_against_a_record() -> None:
    begun, later = line(total=said(1.0, 0.5, 10.0)), line(total=said(7.0, 3.5, 70.0), epoch_total=said(6.0, 3.0, 60.0))
    assert faults(begun, later, breaks=(1,)) == []
    assert faults(begun, later, line(total=said(9.0, 4.5, 90.0)), breaks=(1,)) == [(2, TOTAL)]


def test_an_epoch_is_the_sum_of_its_train_marks_by_attempt() -> None:
    parts = [line("stage"), line("stage", stage="validate"), line("stage", attempt=2)]
    assert faults(*parts, line(epoch_total=said(2.0, 1.0, 20.0))) == []
    assert faults(*parts, line(epoch_total=said(3.0, 1.5, 30.0))) == [(3, EPOCH_TOTAL)]


def test_what_was_not_measured_is_no_figure_and_adds_none() -> None:
    assert figures({"seconds": 1.0}) == (None, None, 1.0)
    assert same(None, None)
    assert not same(None, 0.0)
    assert not same(0.0, None)
    begun = line(total=said(None, None, 10.0), energy_kwh=None, co2_kg=None)
    assert faults(begun, line(total=said(1.0, 0.5, 20.0))) == []


def test_figures_may_differ_by_the_order_of_summing_only() -> None:
    assert all_same((0.1 + 0.2 + 0.3, None, 1.0), (0.3 + 0.2 + 0.1, None, 1.0))
    assert same(0.0, 1e-16)
    assert not same(1.0, 1.0 + 1e-8)


class TestInALog:
    def test_an_epoch_total_that_is_not_the_sum_of_its_marks_is_named(self, log: Path):
        whole(log)
        lines = rechained(texts(log), lambda n, v: v["epoch_total"].update(seconds=5.0) if n == 2 else None)
        write(log, lines)
        assert found(verify(log)) == ("changed", 3, 2)
        assert "epoch_total" in first(verify(log)).why

    def test_a_total_that_does_not_go_on_is_named_though_all_hashes_fit(self, log: Path):
        whole(log)
        lines = rechained(texts(log), lambda n, v: v["total"].update(energy_kwh=9.0) if n == 5 else None)
        write(log, lines)
        assert [(f.kind, f.line) for f in verify(log).faults] == [("changed", 6), ("changed", 7)]
