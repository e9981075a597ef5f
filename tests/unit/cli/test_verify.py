"""The command eco2ai verify."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest
from click.testing import CliRunner

from eco2ai_callbacks import Tracker
from eco2ai_callbacks.cli import main


def verify(*args: str, env: dict[str, str] | None = None) -> tuple[int, str]:
    done = CliRunner().invoke(main, ["verify", *args], env=env)
    return done.exit_code, done.output


@pytest.fixture
def log() -> Path:
    with Tracker(region="FR", console=False, heartbeat_s=0.0) as run:
        for epoch in range(3):
            sum(range(100_000))
            run.mark(epoch=epoch)
    return Path("eco2ai.jsonl")


def test_a_whole_log_is_whole(log: Path) -> None:
    code, text = verify()
    assert code == 0
    assert " finished: " in text
    assert "whole (5 records in 1 file), by its hashes" in text


def test_a_run_without_stop_is_unfinished_and_not_altered(log: Path) -> None:
    log.write_text("".join(log.read_text().splitlines(keepends=True)[:-1]))
    code, text = verify()
    assert code == 0
    assert " unfinished: " in text


@pytest.mark.parametrize(
    ("alter", "line"),
    [
        (lambda lines: [*lines[:2], lines[2].replace('"epoch":1', '"epoch":7'), *lines[3:]], 3),
        (lambda lines: [*lines[:2], *lines[3:]], 3),
        (lambda lines: [*lines[:2], lines[3], lines[2], *lines[4:]], 3),
        (lambda lines: [*lines, lines[-1]], 6),
    ],
    ids=["a digit changed", "a line dropped", "two lines swapped", "a line appended by hand"],
)
def test_what_was_altered_is_named_by_its_line(log: Path, alter: object, line: int) -> None:
    lines = log.read_text().splitlines()
    log.write_text("\n".join(alter(lines)) + "\n")  # type: ignore[operator]
    code, text = verify()
    assert code == 1
    conclusion = text.splitlines()[-1]
    assert conclusion.startswith("altered (")
    assert f"eco2ai.jsonl, line {line} (" in conclusion


def test_a_key_that_was_not_the_logs_own_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ECO2AI_LOG_KEY", "right")
    with Tracker(region="FR", console=False, heartbeat_s=0.0):
        pass
    assert verify(env={"ECO2AI_LOG_KEY": "right"})[0] == 0
    assert verify(env={"ECO2AI_LOG_KEY": "wrong"})[0] == 1


def test_a_log_that_is_not_there_is_one_sentence() -> None:
    code, text = verify("nowhere.jsonl")
    assert code == 2
    assert "LOG='nowhere.jsonl' is not there" in text


def test_a_torn_last_line_is_named_and_altered_nothing(log: Path) -> None:
    log.write_text(log.read_text()[:-40])
    code, text = verify()
    assert code == 0
    assert "eco2ai.jsonl, line 5: torn, as a crash or a full disk leaves a line" in text


def test_a_log_that_cannot_be_read_is_one_sentence(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(log))

    # The tests may run as root, whom no permission stops.
    monkeypatch.setattr(Path, "open", refuse)
    code, text = verify()
    assert code == 2
    assert "LOG='eco2ai.jsonl' cannot be read: Permission denied." in text
