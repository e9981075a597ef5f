"""The command eco2ai gate."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner
from report_logs import hostile, later
from seeds import seed, seeds

from eco2ai_callbacks.cli import main

LOG, BASE = Path("eco2ai.jsonl"), Path("baseline.jsonl")


@pytest.fixture(autouse=True)
def _no_workflow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)


def gate(*args: str, **environ: str) -> tuple[int, str, str]:
    done = CliRunner().invoke(main, ["gate", *args], env=environ)
    assert done.exception is None or isinstance(done.exception, SystemExit)
    return done.exit_code, done.stdout, done.stderr


def test_the_exit_code_and_one_sentence_tell_the_result() -> None:
    seed(LOG, "a")
    assert gate("--max-kwh", "1")[:2] == (
        *(0, "passed: run a used 50 mWh per run, within the limit of 1 kWh (--max-kwh).\n"),
    )
    assert gate("--max-kwh", "1e-6")[:2] == (
        *(1, "failed: run a used 50 mWh per run, above the limit of 1 mWh (--max-kwh).\n"),
    )


def test_a_baseline_sets_the_limit() -> None:
    seeds(BASE, "demo", (1.0, 1.01, 0.99))
    seed(LOG, "new", 1.5, project="demo")
    code, text, notes = gate("--budget", "10%", "--baseline", "baseline.jsonl")
    assert code == 1
    assert text.startswith("failed: project demo used 70 mWh per run, above the limit of ")
    assert "note: all figures are IT energy" in notes
    assert gate("--budget", "60%", "--baseline", "baseline.jsonl", "--per", "epoch")[0] == 0


def test_the_summary_is_appended_to_the_workflows_own() -> None:
    seed(LOG, "a")
    Path("summary.md").write_text("before\n")
    assert gate("--max-kwh", "1", GITHUB_STEP_SUMMARY="summary.md")[0] == 0
    assert Path("summary.md").read_text().startswith("before\n### Energy: passed\n")
    gate("--max-kwh", "1e-6", "--summary", "own.md", GITHUB_STEP_SUMMARY="summary.md")
    assert Path("own.md").read_text().startswith("### Energy: failed\n")
    assert "failed" not in Path("summary.md").read_text()


def test_one_project_is_checked_alone() -> None:
    seed(LOG, "a", project="small")
    seed(LOG, "b", 9.0, project="large")
    assert gate("--max-kwh", "1e-4", "--project", "small")[0] == 0
    assert gate("--max-kwh", "1e-4", "--project", "large")[0] == 1


@pytest.mark.parametrize(
    ("args", "sentence"),
    [
        ([], "give a limit: --max-kwh KWH, or --budget SHARE with --baseline LOG."),
        (["--budget", "10%"], "--budget needs --baseline LOG too."),
        (["--max-kwh", "1", "--baseline", "eco2ai.jsonl"], "--baseline needs --budget SHARE too."),
        (["--budget", "10", "--baseline", "eco2ai.jsonl"], "'10' is no share"),
        (["--budget", "10%", "--baseline", "eco2ai.jsonl"], "--baseline has no other run of project demo"),
        (["--max-kwh", "0"], "0 is not in the range"),
        (["--max-kwh", "nan"], "'nan' is no amount"),
        (["nowhere.jsonl", "--max-kwh", "1"], "LOG='nowhere.jsonl' is not there"),
        (["--max-kwh", "1", "--project", "x"], "--project='x' has no run in eco2ai.jsonl"),
        (["--max-kwh", "1", "--summary", "nowhere/x.md"], "--summary='nowhere/x.md' cannot be written"),
    ],
    ids=range(10),
)
def test_bad_input_is_one_sentence(args: list[str], sentence: str) -> None:
    seed(LOG, "a")
    code, text, errors = gate(*args)
    assert code == 2
    assert sentence in errors
    assert "Traceback" not in text + errors


def test_hostile_logs_are_checked_without_harm() -> None:
    hostile()
    Path("hostile/odd.jsonl").unlink()
    code, text, notes = gate("hostile", "--max-kwh", "1e-6")
    assert code == 1
    assert len(text.splitlines()) == 1
    assert not set("\x1b\x07\u202e") & {*text, *notes}


@pytest.mark.parametrize("place", ["log", "baseline"])
def test_a_limit_does_not_pass_what_it_cannot_read(place: str) -> None:
    seed(LOG, "run")
    seed(BASE, "base")
    later(LOG if place == "log" else BASE)
    code, text, errors = gate("--budget", "10%", "--baseline", str(BASE))
    assert (code, text) == (2, "")
    assert "has schema 9, which this version does not know" in errors
    assert "update eco2ai_callbacks to check it." in errors
