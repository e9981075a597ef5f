"""The command eco2ai cite."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner
from report_logs import folder, later, training

from eco2ai_callbacks.cli import main


def cite(*args: str) -> tuple[int, str]:
    done = CliRunner().invoke(main, ["cite", *args])
    return done.exit_code, done.output


def test_the_log_of_this_folder_is_the_default() -> None:
    training(Path("eco2ai.jsonl"))
    code, text = cite()
    assert code == 0
    assert text.startswith("1 run used 100 mWh (33.3 to 200 mWh) of electricity in 20 s")
    assert "\nEnergy, IT              100 mWh" in text


def test_one_run_of_many_goes_to_a_file() -> None:
    folder()
    code, text = cite("logs", "--run", "outer", "--format", "markdown", "-o", "energy.md")
    assert (code, text) == (0, "")
    assert "| Energy, IT | 40 mWh (13.3 to 80 mWh) |" in Path("energy.md").read_text()


def test_a_form_is_answered() -> None:
    training(Path("eco2ai.jsonl"))
    code, text = cite("--form", "acl", "--format", "latex")
    assert code == 0
    assert text.startswith(r"\paragraph{Responsible NLP checklist, C1: number of parameters} ")


@pytest.mark.parametrize(
    ("args", "sentence"),
    [
        (["nowhere.jsonl"], "LOG='nowhere.jsonl' is not there"),
        (["--form", "icml"], "'icml' is not one of 'neurips', 'acl', 'cvpr'"),
        (["--form", "acl", "--format", "bibtex"], "--form='acl' has no BibTeX: --format is text, markdown or latex."),
        (["-o", "nowhere/energy.md"], "--output='nowhere/energy.md' cannot be written: No such file or directory."),
        (["--run", "moon"], "--run='moon' is no run of these logs"),
    ],
    ids=["no log", "no form", "no bibtex", "no folder", "no run"],
)
def test_bad_input_is_one_sentence(args: list[str], sentence: str) -> None:
    training(Path("eco2ai.jsonl"))
    code, text = cite(*args)
    assert code == 2
    assert sentence in " ".join(text.split())


def test_what_a_later_version_has_written_is_named() -> None:
    training(Path("eco2ai.jsonl"))
    later()
    done = CliRunner().invoke(main, ["cite"])
    assert done.stderr.startswith("note: eco2ai.jsonl, line 15 has schema 9, which this version does not know")
    assert done.stdout.startswith("1 run used 100 mWh")
