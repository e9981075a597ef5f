"""Which records count."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from eco2ai_callbacks.record import Record
from eco2ai_callbacks.report.count import Count, enclosing
from eco2ai_callbacks.report.runs import Run


def record(seq: int, event: str = "epoch", **values: Any) -> Record:
    used = {} if event in ("start", "metrics", "forecast") else {"seconds": 2.0, "joules": {"cpu": 10.0}}
    label = f"2026-01-01T00:00:{2 * seq % 60:02d}+00:00"
    fixed = {"run": "r", "writer": "w", "host": "h", "project": "p", "stage": "train", "start": label, **used}
    return Record(**fixed | values, seq=seq, event=event)


def counted(*records: Record) -> Count:
    count = Count()
    for each in records:
        count.add(each)
    return count


def only(count: Count) -> Run:
    (run,) = count.result()
    return run


def test_marks_add_and_other_events_do_not() -> None:
    events = ("start", "epoch", "stage", "metrics", "forecast", "stop")
    run = only(counted(*(record(seq, event) for seq, event in enumerate(events))))
    assert (run.seconds, run.joules) == (6.0, {"cpu": 30.0})
    assert run.states == ("finished",)


@pytest.mark.parametrize(
    ("events", "joules"),
    [
        (("start", "epoch", "heartbeat", "heartbeat"), 20.0),
        (("start", "heartbeat", "epoch"), 10.0),
        (("start", "heartbeat", "epoch", "heartbeat", "stop"), 20.0),
        (("start", "heartbeat", "metrics"), 10.0),
    ],
    ids=["the last of its writer", "covered by a mark", "each covered", "what adds nothing covers nothing"],
)
def test_a_heartbeat_counts_only_as_its_writers_last_line_that_adds(events: tuple[str, ...], joules: float) -> None:
    assert only(counted(*(record(seq, event) for seq, event in enumerate(events)))).joules == {"cpu": joules}


def test_a_killed_writers_heartbeat_belongs_to_its_epoch_and_stage() -> None:
    run = only(counted(record(0, "start"), record(1, epoch=0), record(2, "heartbeat", epoch=1)))
    assert [(epoch.epoch, epoch.seconds) for epoch in run.epochs] == [(0, 2.0), (1, 2.0)]
    (portion,) = run.portions
    assert portion.stages["train"].seconds == 4.0
    assert portion.days["2026-01-01"].joules == {"cpu": 20.0}
    assert len(portion.power) == 2
    assert run.states == ("unfinished",)


def test_a_session_in_two_files_is_the_same_in_any_order() -> None:
    first = [record(0, "start", carried={"energy_kwh": 1.0, "co2_kg": None, "seconds": 1.0}), record(1, "heartbeat")]
    then = [record(2, "epoch", epoch=0), record(3, "heartbeat", epoch=1)]
    whole = only(counted(*first, *then))
    for parts in ((first, then), (then, first)):
        count = counted(*parts[0])
        count.plus(counted(*parts[1]))
        run = only(count)
        assert run.sum.usage == whole.sum.usage
        assert [dataclasses.astuple(each) for each in run.writers] == [dataclasses.astuple(w) for w in whole.writers]
    assert whole.joules == {"carried": 3.6e6, "cpu": 20.0}


def test_what_a_checkpoint_carried_counts_once() -> None:
    carried = {"energy_kwh": 1.0, "co2_kg": 0.5, "seconds": 10.0}
    run = only(counted(record(0, "start", carried=carried), record(1)))
    assert run.joules == {"carried": 3.6e6, "cpu": 10.0}
    assert run.portions[0].stages["carried"].energy_kwh == 1.0


def test_a_record_that_comes_again_is_a_copy() -> None:
    records = [record(seq, "start" if seq == 0 else "epoch") for seq in range(4)]
    count = counted(*records, *records, record(4))
    assert (count.records, count.copies) == (5, 4)
    assert only(count).joules == {"cpu": 40.0}
    other = counted(*records[2:])
    assert count.repeats(other)
    assert not count.repeats(counted(record(5)))
    assert not count.repeats(counted(record(0, run="another")))


def test_lines_out_of_order_all_count() -> None:
    assert only(counted(record(0, "start"), record(2), record(1), record(3))).joules == {"cpu": 30.0}


def test_ranks_ran_side_by_side() -> None:
    records = [
        record(seq, rank=rank, writer=f"w{rank}", host=f"h{rank}", world_size=2) for rank in (1, 0) for seq in (0, 1)
    ]
    run = only(counted(*records))
    assert (run.seconds, run.joules, run.said) == (4.0, {"cpu": 40.0}, "2 ranks")
    assert [portion.rank for portion in run.portions] == [0, 1]
    assert run.hosts == ("h1", "h0")


def test_a_session_that_goes_on_in_another_is_continued() -> None:
    link = {"writer": "w", "hash": "x"}
    run = only(
        counted(record(0, "start"), record(1), record(0, "start", writer="v", continues=link), record(1, writer="v"))
    )
    assert [(writer.id, writer.continued) for writer in run.writers] == [("w", True), ("v", False)]


def test_only_the_time_inside_another_run_is_left_out() -> None:
    """The outer run may end first: what follows is counted beside it."""
    count = counted(
        record(0, run="outer"),
        record(0, "start", run="inner", writer="v", parent="outer"),
        record(1, run="inner", writer="v", parent="outer"),
        record(2, run="inner", writer="v"),
    )
    outer, inner = count.result()
    assert inner.within == {"outer"}
    assert inner.sum.joules == {"cpu": 20.0}
    assert [each.sum.joules for each in inner.counted] == [{"cpu": 10.0}]
    assert outer.within == frozenset()


def test_a_run_inside_one_that_is_not_there_counts() -> None:
    assert only(counted(record(0, parent="elsewhere"))).counts


@pytest.mark.parametrize(
    ("parents", "found"),
    [
        ({"a": [None], "b": ["a"], "c": ["b", "a", "z"]}, {"a": "", "b": "a", "c": "ab"}),
        ({"a": ["a"]}, {"a": ""}),
        ({"a": ["b"], "b": ["a"]}, {"a": "b", "b": ""}),
        ({"a": ["b"], "b": ["c"], "c": ["a"]}, {"a": "b", "b": "c", "c": ""}),
    ],
    ids=["nested", "itself", "each other", "a circle of three"],
)
def test_a_circle_of_runs_does_not_vanish(parents: dict[str, Any], found: dict[str, str]) -> None:
    assert enclosing(parents) == {run: frozenset(outer) for run, outer in found.items()}


def test_a_chain_of_runs_has_no_depth_that_is_too_much() -> None:
    found = enclosing({str(n): [str(n + 1)] for n in range(20_000)})
    assert sum(map(len, found.values())) == 19_999
