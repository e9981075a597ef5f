"""The command eco2ai report."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from report_logs import folder, training
from sessions import Written

from eco2ai_callbacks.cli import main

# The name of the module is also that of the command, in the package.
module = importlib.import_module("eco2ai_callbacks.cli.report")


def report(*args: str) -> tuple[int, str]:
    done = CliRunner().invoke(main, ["report", *args])
    return done.exit_code, done.output


def test_the_log_of_this_folder_is_the_default() -> None:
    training(Path("eco2ai.jsonl"))
    code, text = report()
    assert code == 0
    assert text.splitlines()[2].startswith("run    demo     100 mWh (33.3 to 200 mWh)")


def test_it_writes_a_file() -> None:
    folder()
    code, text = report("logs", "--by", "stage", "--format", "json", "-o", "report.json")
    assert (code, text) == (0, "")
    rows = json.loads(Path("report.json").read_text())["rows"]
    assert [row["stage"] for row in rows] == ["train", "validate", "other"]


@pytest.mark.parametrize(
    ("args", "sentence"),
    [
        (["nowhere.jsonl"], "LOG='nowhere.jsonl' is not there"),
        (["notes.jsonl"], "LOG='notes.jsonl' is no run log"),
        (["eco2ai.jsonl", "-o", "nowhere/report.txt"], "--output='nowhere/report.txt' cannot be written"),
        (["eco2ai.jsonl", "--by", "moon"], "'moon' is not one of 'project', 'sweep', 'run'"),
    ],
    ids=["no log", "no record", "no folder", "no group"],
)
def test_bad_input_is_one_sentence(args: list[str], sentence: str) -> None:
    training(Path("eco2ai.jsonl"))
    Path("notes.jsonl").write_text("{}\n")
    code, text = report(*args)
    assert code == 2
    assert sentence in text
    assert "Traceback" not in text


def test_a_log_that_cannot_be_read_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    training(Path("eco2ai.jsonl"))

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied", "eco2ai.jsonl")

    monkeypatch.setattr(module, "load_selection", refuse)
    code, text = report()
    assert code == 2
    assert "LOG='eco2ai.jsonl' cannot be read: Permission denied." in text


@pytest.mark.parametrize("kind", ["html", "png", "svg", "pdf"])
def test_a_page_without_the_extra_is_one_sentence(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    training(Path("eco2ai.jsonl"))
    for name in ("altair", "jinja2", "vl_convert"):
        monkeypatch.setitem(sys.modules, name, None)
    for name in ("page", "pictures", "charts", "chart_parts"):
        monkeypatch.delitem(sys.modules, f"eco2ai_callbacks.report.{name}", raising=False)
    code, text = report(f"--{kind}", "out")
    assert code == 2
    assert f"--{kind} needs the package" in text
    assert 'pip install "eco2ai_callbacks[report]"' in text
    assert not Path("out").exists()


def test_a_page_and_a_picture_are_written() -> None:
    for name in ("altair", "jinja2", "vl_convert"):
        pytest.importorskip(name)
    training(Path("eco2ai.jsonl"))
    code, text = report("--html", "page.html", "--svg", "charts.svg")
    assert (code, text) == (0, "page.html written\ncharts.svg written\n")
    assert Path("page.html").read_text().startswith("<!DOCTYPE html>")
    Path("empty.jsonl").write_text("")
    code, text = report("empty.jsonl", "--svg", "none.svg")
    assert code == 2
    assert "--svg: there is nothing to draw" in text


def test_long_work_on_a_terminal_has_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_LONG", 0)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    with module.progress(100) as update:
        assert update is not None
        update(100)
    monkeypatch.setattr(module, "_LONG", 101)
    with module.progress(100) as update:
        assert update is None


def test_scores_and_models_are_asked_for_by_options() -> None:
    training(Path("eco2ai.jsonl"))
    code, text = report("--sci", "epoch")
    assert code == 0
    assert "g/epoch" in text
    assert "note: SCI: without the making of the hardware in run run" in text
    code, text = report("--sci", "600:request", "--format", "json")
    assert json.loads(text)["sci_unit"] == "request"
    code, text = report("--sci", "epoch", "--format", "csv")
    assert "sci_g_per_unit" in text.splitlines()[0]
    check = {"cpu": "A", "method": "m", "counter_j": 2.0, "model_j": 1.0, "seconds": 1.0, "busy_s": 1.0, "threads": 1.0}
    Written(Path("checked.jsonl"), "c").mark("stop", None, "other", None, ended="finished", model_check=check)
    code, text = report("checked.jsonl", "--check-models")
    assert (code, "x0.50" in text) == (0, True)
    code, text = report("checked.jsonl", "--check-models", "--format", "json", "-o", "models.json")
    assert json.loads(Path("models.json").read_text())[0]["cpu"] == "A"


@pytest.mark.parametrize(
    ("args", "sentence"),
    [
        (["--sci", "step"], "--sci='step' is no functional unit; accepted are run, epoch"),
        (["--sci", "run", "--by", "day"], "--sci=run --by=day: scores are of each run or each project"),
        (["--check-models"], "no record of these logs compares a model with counters"),
        (["--check-models", "--format", "latex"], "--format=latex: accepted are text and json"),
    ],
    ids=["no unit", "by day", "no check", "no form"],
)
def test_what_these_options_refuse_is_one_sentence(args: list[str], sentence: str) -> None:
    training(Path("eco2ai.jsonl"))
    code, text = report(*args)
    assert code == 2
    assert sentence in " ".join(text.split())
