from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from eco2ai_callbacks.integrations.unmeasured import report_if_nothing_is_measured
from eco2ai_callbacks.tracker import Tracker

SAID = "eco2ai: the launcher has measured nothing: nobody trained\n"


@pytest.fixture(autouse=True)
def start(monkeypatch: pytest.MonkeyPatch) -> None:
    """Undo at a test's end what the report does to the class."""
    monkeypatch.setattr(Tracker, "start", Tracker.start)


@pytest.fixture
def report(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    for name in ("RANK", "WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    registered: list[Callable[[], None]] = []
    report_if_nothing_is_measured("the launcher", "nobody trained", registered.append)
    return registered[0]


def test_where_no_tracker_has_started_one_sentence_says_so(
    report: Callable[[], None], capsys: pytest.CaptureFixture[str]
) -> None:
    report()
    assert capsys.readouterr().err == SAID


@pytest.mark.parametrize("log", ["eco2ai.jsonl", None], ids=["with a log", "without one"])
def test_a_tracker_of_this_process_is_enough(
    report: Callable[[], None], capsys: pytest.CaptureFixture[str], log: str | None
) -> None:
    with Tracker(log_file=log, region="FR", console=False) as run:
        assert run.run_id
    report()
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("name", ["eco2ai.jsonl", "eco2ai.0123456789abcdef.jsonl"], ids=["the log", "one beside it"])
def test_a_log_that_another_process_has_written_to_is_enough(
    report: Callable[[], None], capsys: pytest.CaptureFixture[str], name: str
) -> None:
    Path(name).write_text("{}\n")
    report()
    assert capsys.readouterr().err == ""


def test_of_several_ranks_one_speaks(
    report: Callable[[], None], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    said = []
    for rank in ("0", "1"):
        monkeypatch.setenv("RANK", rank)
        report()
        said.append(capsys.readouterr().err)
    assert said == [SAID, ""]


def test_a_forked_child_says_nothing(
    report: Callable[[], None], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("os.getpid", lambda: -1)
    report()
    assert capsys.readouterr().err == ""
