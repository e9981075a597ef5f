"""The command eco2ai merge."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner
from report_logs import folder

from eco2ai_callbacks.cli import main


def merge(*args: str) -> tuple[int, str]:
    done = CliRunner().invoke(main, ["merge", *args])
    return done.exit_code, done.output


def test_it_names_what_it_wrote() -> None:
    folder()
    code, text = merge("logs", "-o", "all.jsonl")
    assert (code, text) == (0, "all.jsonl: 35 lines of 5 files and 4 runs; whole\n")


@pytest.mark.parametrize(
    ("args", "sentence"),
    [
        (["nowhere.jsonl", "-o", "all.jsonl"], "LOG='nowhere.jsonl' is not there"),
        (["logs", "-o", "logs/outer.jsonl"], "exists already"),
        (["table.csv", "-o", "all.jsonl"], "names no run log"),
        (["logs", "-o", "nowhere/all.jsonl"], "cannot be read or written: No such file or directory."),
    ],
    ids=["no log", "there already", "a table", "no folder"],
)
def test_bad_input_is_one_sentence(args: list[str], sentence: str) -> None:
    folder()
    Path("table.csv").write_text("a\n1\n")
    code, text = merge(*args)
    assert code == 2
    assert sentence in text
