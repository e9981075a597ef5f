"""Limits of energy, alone and above a baseline."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from report_logs import HOSTILE
from seeds import seed, seeds

from eco2ai_callbacks.comparing import gate as module
from eco2ai_callbacks.comparing.gate import Gated, Limits, gate, margin_of
from eco2ai_callbacks.comparing.verdict import NotComparable
from eco2ai_callbacks.report.load import load

LOG, BASE = Path("eco2ai.jsonl"), Path("baseline.jsonl")


def checked(**limits: Any) -> Gated:
    return gate(load(LOG), Limits(**limits), load(BASE) if BASE.exists() else None)


def test_each_run_is_held_to_the_limit() -> None:
    seed(LOG, "small")
    seed(LOG, "large", 2.0)
    found = checked(max_kwh=200 / 3.6e6)
    assert not found.passed
    assert found.sentence == "failed: run large used 90 mWh per run, above the limit of 55.6 mWh (--max-kwh)."
    assert checked(max_kwh=1.0).passed
    assert checked(max_kwh=1.0).sentence.endswith("; 2 checks in all.")
    assert not checked(max_kwh=50 / 3.6e6, per="epoch").passed
    assert checked(max_kwh=72 / 3.6e6, per="epoch").passed


def test_a_run_inside_another_one_is_part_of_it() -> None:
    seed(LOG, "outer")
    seed(LOG, "inner", 9.0, parent="outer")
    assert [check.name for check in checked(max_kwh=1.0).checks] == ["run outer"]


@pytest.mark.parametrize(("factor", "passed"), [(1.0, True), (1.1, True), (1.5, False), (0.2, True)])
def test_a_run_may_exceed_the_baseline_by_the_budget_and_the_spread(factor: float, passed: bool) -> None:
    seeds(BASE, "demo", (1.0, 1.05, 0.95, 1.02, 0.98))
    seed(LOG, "new", factor, project="demo")
    found = checked(budget=0.1)
    assert found.passed is passed
    assert "in 5 baseline runs; allowed are 10 %, " in found.sentence


def test_a_wide_spread_allows_what_a_narrow_one_does_not() -> None:
    seed(LOG, "new", 1.3, project="demo")
    seeds(BASE, "demo", (0.7, 1.3, 0.8, 1.2))
    assert checked(budget=0.0).passed
    BASE.unlink()
    seeds(BASE, "demo", (1.0, 1.001, 0.999, 1.0))
    assert not checked(budget=0.0).passed


def test_without_repeats_the_budget_alone_decides() -> None:
    seed(BASE, "old", project="demo")
    seed(LOG, "new", 1.2, project="demo")
    found = checked(budget=0.1)
    assert not found.passed
    assert "spread unknown: one run each" in found.sentence
    assert checked(budget=0.2).passed


def test_margins_follow_students_distribution() -> None:
    assert margin_of([1.0], [1.0]) is None
    assert margin_of([1.0, 1.0], [1.0]) == 0.0
    # exp(6.314 * 0.06738 * sqrt(1.5)) - 1: one degree of freedom.
    assert margin_of([1.0, 1.1], [1.0]) == pytest.approx(0.684, abs=0.001)


def test_runs_that_are_checked_are_no_baseline() -> None:
    seeds(BASE, "demo", (1.0, 1.0))
    seed(BASE, "new", 9.0, project="demo")
    seed(LOG, "new", 1.0, project="demo")
    assert "in 2 baseline runs" in checked(budget=0.1).sentence


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"project": "other"}, "--baseline has no other run of project other to compare with"),
        (
            {"project": "demo", "world_size": 2},
            "project demo cannot be compared with the baseline: the hardware differs",
        ),
        ({"project": "demo", "epochs": 0, "ends": False}, "nothing was measured in run new"),
    ],
    ids=["project", "hardware", "nothing"],
)
def test_what_cannot_be_checked_does_not_pass(fields: dict[str, Any], sentence: str) -> None:
    seeds(BASE, "demo", (1.0, 1.0))
    seed(LOG, "new", **fields)
    with pytest.raises(NotComparable, match=sentence):
        checked(budget=0.1)


def test_epochs_that_are_not_comparable_do_not_pass() -> None:
    seeds(BASE, "demo", (1.0, 1.0))
    written = seed(LOG, "new", project="demo", ends=False)
    written.mark("stage", 3, "validate")
    with pytest.raises(NotComparable, match="epochs have different stages"):
        checked(budget=0.1, per="epoch")
    assert checked(budget=9.0).passed
    LOG.unlink()
    seed(LOG, "new", project="demo", epochs=0)
    with pytest.raises(NotComparable, match="no epoch was measured to its end in run new"):
        checked(budget=0.1, per="epoch")


def test_no_run_is_nothing_to_check() -> None:
    LOG.write_text("")
    with pytest.raises(NotComparable, match="there is no run to check"):
        checked(max_kwh=1.0)


def test_notes_name_other_hosts_and_unfinished_runs() -> None:
    seeds(BASE, "demo", (1.0, 1.0), host="other")
    seed(LOG, "new", project="demo", ends=False)
    notes = checked(budget=0.1, max_kwh=1.0).notes
    assert "the baseline was measured on another host, or before a reboot: both must be equal machines" in notes
    assert "not finished, so a whole run would use more: run new" in notes


def test_the_summary_is_markdown_and_names_do_no_harm(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in HOSTILE:
        seed(LOG, name, project=name)
    found = checked(max_kwh=1e-9)
    lines = found.summary.splitlines()
    assert lines[0] == "### Energy: failed"
    assert sum(line.startswith("| run") for line in lines) == len(HOSTILE)
    assert not set("\x1b\x07\u202e") & {*found.summary}
    assert "<script" not in found.summary
    assert found.sentence.endswith("; and 8 more.")
    monkeypatch.setattr(module, "_MOST_ROWS", 2)
    assert "- 7 more checks passed" in checked(max_kwh=1.0).summary
