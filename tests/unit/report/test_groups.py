"""Sums by what a reader asks for."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from report_logs import folder, training
from sessions import Written

from eco2ai_callbacks.host.gpu_health import GpuHealth
from eco2ai_callbacks.report import series
from eco2ai_callbacks.report.groups import BY, grouped, notes
from eco2ai_callbacks.report.load import load
from eco2ai_callbacks.report.runs import Run, Runs, Writer
from eco2ai_callbacks.runlog.read import Unread

# Joules of a mark, and those of the logs of the folder: two ranks with seven marks, four, and two.
J = 36.0
TOTAL = (14 + 4 + 2) * J


@pytest.mark.parametrize("by", BY)
def test_rows_that_count_add_up_to_the_total(by: str) -> None:
    found = grouped(load(folder()), by)
    assert found.total.usage.total_j == pytest.approx(TOTAL)
    rows = sum(row.sum.usage.total_j or 0.0 for row in found.rows if row.counts)
    # Epochs have no row for what lies between and behind them: four sessions' ends.
    assert rows == pytest.approx(TOTAL - (3 * J if by == "epoch" else 0.0))


def test_a_run_inside_another_one_is_shown_and_not_added() -> None:
    found = grouped(load(folder()), "run")
    notes_by_run = {row.keys[0]: (row.counts, row.note) for row in found.rows}
    assert notes_by_run["inner"] == (False, "finished, inside outer")
    assert notes_by_run["job"] == (True, "finished, 2 ranks")
    assert notes_by_run["killed"] == (True, "unfinished")
    assert found.counted == 3
    alone = grouped(load("logs/inner.jsonl"), "run")
    assert alone.rows[0].counts
    assert "which was not given" in alone.rows[0].note


def test_a_sweep_is_a_run_with_its_trials_inside_and_has_their_total() -> None:
    study = Written(Path("study.jsonl"), "study", project="search")
    for number in range(3):
        training(Path(f"trial{number}.jsonl"), f"trial{number}", 1, parent="study")
    training(Path("fold.jsonl"), "fold", 1, parent="trial0")
    study.mark("stage")
    study.stop()
    training(Path("alone.jsonl"), "alone", 1)
    found = grouped(load("*.jsonl"), "sweep")
    assert found.names == ("sweep", "project")
    rows = {row.keys: row for row in found.rows}
    assert rows.keys() == {("study", "search"), ("(none)", "")}
    # What the study has used includes its trials, and counts once.
    assert rows["study", "search"].sum.usage.total_j == pytest.approx(2 * J)
    assert rows["study", "search"].note == "4 runs inside"
    assert rows["(none)", ""].note == "1 run"
    assert found.total.usage.total_j == pytest.approx(6 * J)


def test_trials_without_their_sweep_s_own_record_are_its_sum() -> None:
    for number in range(2):
        training(Path(f"trial{number}.jsonl"), f"trial{number}", 1, parent="study")
    training(Path("fold.jsonl"), "fold", 1, parent="trial0")
    (row,) = grouped(load("*.jsonl"), "sweep").rows
    assert (row.keys, row.note) == (("study", "demo"), "3 runs inside, which was not given itself")
    assert row.sum.usage.total_j == pytest.approx(8 * J)


def test_runs_that_name_each_other_are_a_sweep_of_one_of_them() -> None:
    training(Path("one.jsonl"), "one", 1, parent="two")
    training(Path("two.jsonl"), "two", 1, parent="one")
    found = grouped(load("*.jsonl"), "sweep")
    assert sum(row.sum.usage.total_j or 0.0 for row in found.rows) == pytest.approx(found.total.usage.total_j)


def test_the_groups_have_their_names() -> None:
    runs = load(folder())
    names = {
        by: {row.keys[0] for row in grouped(runs, by).rows} for by in ("project", "stage", "host", "component", "day")
    }
    assert names == {
        "project": {"demo", "other"},
        "stage": {"train", "validate", "other"},
        "host": {"host0", "host1", "host"},
        "component": {"cpu"},
        "day": {"2026-01-01"},
    }


def test_ranks_of_a_stage_ran_side_by_side() -> None:
    rows = {
        row.keys[0]: row.sum
        for row in grouped(load(["logs/rank0.jsonl", "logs/rank1.jsonl"] if folder() else ""), "stage").rows
    }
    assert (rows["validate"].seconds, rows["validate"].usage.total_j) == (4.0, 4 * J)


def test_a_group_that_is_none_is_one_sentence() -> None:
    with pytest.raises(ValueError, match="by='moon' is no group; accepted are project, sweep, run"):
        grouped(Runs(), "moon")


def test_a_reader_is_told_what_limits_the_figures() -> None:
    log = Path("torn.jsonl")
    training(log)
    log.write_bytes(log.read_bytes() + b'{"schema":1,"ru')
    found = "\n".join(notes(load([folder(), log])))
    assert "differ in kind or year, so CO2e is not comparable: " in found
    assert "lifecycle 2025 in runs " in found
    assert "direct 2023 in run killed" in found
    assert "not covered: a switch" in found
    assert "not added again: run inner" in found
    assert "torn.jsonl, line 15: torn and passed over" in found
    alone = notes(load("logs/rank0.jsonl"))
    assert "ranks are missing, give their logs as well: run job (1 of 2 ranks)" in alone


def test_many_notes_are_counted() -> None:
    writer = Writer("w", 0, "h", None, None, "finished", False, 1)
    run = Run("r", writers=(writer,), failures=tuple(f"failure {n}" for n in range(12)), siblings=("s",))
    runs = Runs((run,), torn=tuple(("log", n) for n in range(9)), copies=3, foreign=("a", "b"))
    runs = dataclasses.replace(runs, unread=tuple((f"log{n}", Unread(9, n, 2)) for n in range(9)))
    found = notes(runs)
    unknown = "line 0 has schema 9, which this version does not know (it reads 1 to 2): it and 1 more are left out"
    assert f"log0, {unknown}" in found
    assert "8 more lines of schemas that this version does not know are left out" in found
    assert "7 more failures" in found
    assert "ran beside others in one process, and each has its part of what that used: run r" in found
    assert "4 more torn lines" in found
    assert "3 records stand in several logs and count once" in found
    assert "no record in files a, b" in found
    assert notes(dataclasses.replace(runs, runs=(), torn=(), unread=(), copies=0, foreign=())) == []


def test_phases_are_summed_up_and_what_has_none_is_other() -> None:
    made = Written(Path("phases.jsonl"))
    made.mark(epoch=0, phases={"data": (0.5, 6.0), "train": (1.5, 30.0)})
    made.mark(epoch=1, phases={"data": (1.0, 6.0), "train": (1.0, 30.0)})
    made.stop()
    found = grouped(load("phases.jsonl"), "phase")
    rows = {row.keys[0]: (row.sum.seconds, row.sum.usage.total_j) for row in found.rows}
    assert rows == {"data": (1.5, 12.0), "train": (2.5, 60.0), "other": (2.0, J)}
    assert sum(row.sum.co2_kg or 0.0 for row in found.rows) == pytest.approx(found.total.co2_kg)
    assert series.phases_of(load("phases.jsonl")[0]) == {"data": 12.0, "train": 60.0, "other": J}
    assert series.phases_of(load(folder())["job"]) == {}


def test_a_reader_is_told_of_gpus_that_were_slowed_down_or_idle() -> None:
    slow = {"GPU-a": GpuHealth(index=0, seconds=60.0, throttled=0.6, throttle={"power cap": 0.6})}
    whole = {"world_size": 0}
    assert notes(Runs((Run("r", gpu_health=slow, **whole), Run("s", **whole)))) == [
        "in r: GPU 0: throttled 60% of the time (power cap)"
    ]
    many = notes(Runs(tuple(Run(f"r{number}", gpu_health=slow, **whole) for number in range(8))))
    assert len(many) == 6
    assert many[-1] == "3 more sentences on GPUs that were throttled or idle"
