"""Answers to the forms of conferences."""

from __future__ import annotations

from pathlib import Path

import pytest
from publications import trained_runs
from report_logs import folder, training

from eco2ai_callbacks.report.load import load
from eco2ai_callbacks.report.paper_forms import FORMS, acl, cvpr, neurips
from eco2ai_callbacks.report.statement import statement


@pytest.mark.parametrize("name", FORMS)
def test_every_answer_is_under_its_question(name: str) -> None:
    found = FORMS[name](statement(trained_runs()))
    assert all(answer.lines and all(answer.lines) for answer in found)
    words = " ".join(line for answer in found for line in answer.lines)
    for part in ("1 x NVIDIA L4", "3 GPU-hours", "276 Wh (252 to 324 Wh)"):
        assert part in words
    assert "nvml-energy" in words


def test_neurips_asks_for_each_run_and_for_all() -> None:
    workers, each, total = neurips(statement(load(folder())))
    assert "question 8" in workers.question
    assert [line.partition(":")[0] for line in each.lines] == ["Run demo, killed", "Run other, outer", "Run demo, job"]
    assert total.lines[0].startswith("3 runs: 26 s, 200 mWh")
    assert "for the authors to add" in total.lines[-1]


def test_what_no_log_holds_is_the_authors_to_add() -> None:
    parameters, _, infrastructure = acl(statement(trained_runs()))
    assert "C1" in parameters.question
    assert parameters.lines == ("For the authors to add: no log holds it.",)
    assert "for the authors to add" in infrastructure.lines[-1]


def test_cvpr_has_a_section_for_what_was_tried() -> None:
    sections = cvpr(statement(load(folder())))
    assert [answer.question.partition(": ")[2] for answer in sections] == [
        *("hardware specifications", "compute of each reported result", "development", "logs", "verification"),
    ]
    assert sections[2].lines[-1] == "How the runs ended: 1 unfinished, 2 finished."


def test_many_runs_are_counted() -> None:
    for number in range(22):
        training(Path(f"{number:02}.jsonl"), f"run{number:02}", epochs=0)
    _, each, _ = neurips(statement(load("*.jsonl")))
    assert len(each.lines) == 21
    assert each.lines[-1].startswith("2 more runs")
