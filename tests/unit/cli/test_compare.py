"""The command eco2ai compare."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from report_logs import hostile
from seeds import base_and_pruned, seed

from eco2ai_callbacks.cli import main
from eco2ai_callbacks.comparing import spread

LOG = Path("eco2ai.jsonl")


@pytest.fixture(autouse=True)
def _few_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spread, "_MOST_SAMPLES", 400)


def compare(*args: str) -> tuple[int, str]:
    done = CliRunner().invoke(main, ["compare", *args])
    assert done.exception is None or isinstance(done.exception, SystemExit)
    return done.exit_code, done.output


def test_projects_of_the_log_of_this_folder_are_compared() -> None:
    base_and_pruned()
    code, text = compare("base", "pruned")
    assert code == 0
    assert "pruned uses 12 % [" in text
    assert compare("--group-by", "project") == (0, text)
    assert (
        compare("--group-by", "project", "--baseline", "pruned", "--log", "eco2ai.jsonl")[1].count("base uses 14 %") > 1
    )


def test_logs_are_compared_and_the_result_is_a_file() -> None:
    base_and_pruned(Path("all.jsonl"))
    seed(Path("one.jsonl"), "x", 2.0)
    code, text = compare("all.jsonl", "one.jsonl", "--format", "json", "-o", "found.json")
    assert (code, text) == (0, "")
    first = json.loads(Path("found.json").read_text())["comparisons"][0]
    assert first["cannot_tell"] == ["one.jsonl is a single run, so how far repeats differ is not known"]


def test_a_value_of_a_metric_is_to_be_reached() -> None:
    base_and_pruned()
    code, text = compare("base", "pruned", "--metric", "val_loss", "--reach", "0.5", "--tolerance", "0")
    assert code == 0
    assert "to reach val_loss <= 0.5" in text
    assert compare("base", "pruned", "--metric", "lr", "--mode", "max")[0] == 0


@pytest.mark.parametrize(
    ("args", "sentence"),
    [
        (["base"], "give two or more runs, projects or logs to compare, or --group-by."),
        (["base", "nope"], "'nope' cannot be compared"),
        (["base", "nope.jsonl"], "LOG='nope.jsonl' is not there"),
        (["base", "pruned", "--reach", "1"], "--reach=1 is a value of no metric: give --metric NAME too."),
        (["base", "pruned", "--metric", "val_loss", "--reach", "nan"], "'nan' is no amount"),
        (["base", "pruned", "--mode", "max"], "--mode='max' is for no metric"),
        (["base", "pruned", "--metric", "lr"], "give --mode min or --mode max"),
        (["base", "pruned", "--baseline", "base"], "--baseline='base' needs --group-by"),
        (["--group-by", "project", "--baseline", "x"], "--baseline='x' is no project of these runs"),
        (["--group-by", "version"], "makes no two groups"),
        (["--group-by", "project", "a.jsonl", "--log", "b.jsonl"], "give the logs either as arguments or with --log"),
        (["base", "pruned", "--tolerance", "5"], "'5' is no share"),
        (["base", "pruned", "-o", "nowhere/x"], "--output='nowhere/x' cannot be written"),
        (["base", "\x1bred"], "'\\x1bred' cannot be compared"),
    ],
    ids=range(14),
)
def test_bad_input_is_one_sentence(args: list[str], sentence: str) -> None:
    base_and_pruned()
    code, text = compare(*args)
    assert code == 2
    assert sentence in text
    assert "Traceback" not in text


def test_hostile_logs_are_compared_without_harm() -> None:
    hostile()
    code, text = compare("--group-by", "project", "hostile")
    assert code == 0
    assert not set("\x1b\x07\u202e") & {*text}
    assert "per epoch" in text


def test_an_empty_selection_is_one_sentence() -> None:
    LOG.write_text("")
    code, text = compare("--group-by", "project")
    assert code == 2
    assert "makes no two groups: there is no run" in text
