"""Which runs of logs a command is about."""

from __future__ import annotations

import click
import pytest
from report_logs import folder

from eco2ai_callbacks.cli.which_runs import chosen
from eco2ai_callbacks.report.load import load


def test_all_are_chosen_or_those_whose_ids_begin_so() -> None:
    runs = load(folder())
    assert chosen(runs, ()) == runs.runs
    assert [run.id for run in chosen(runs, ("jo", "kill", "job"))] == ["job", "killed"]


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ("moon", "--run='moon' is no run of these logs, which hold: runs inner, killed, outer, job."),
        ("", "--run='' names 4 of them: runs inner, killed, outer, job."),
    ],
    ids=["none", "several"],
)
def test_another_is_one_sentence(given: str, sentence: str) -> None:
    with pytest.raises(click.UsageError) as told:
        chosen(load(folder()), (given,))
    assert told.value.message == sentence
