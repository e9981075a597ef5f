"""The command eco2ai run where nothing is run; what it measures is in ``tests/system``."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from eco2ai_callbacks.cli import child
from eco2ai_callbacks.cli.run import run as command
from eco2ai_callbacks.settings import NAMES


def run(*args: str) -> tuple[int, str]:
    done = CliRunner().invoke(command, list(args))
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.output


def test_every_option_of_a_setting_says_what_is_accepted() -> None:
    code, text = run("--help")
    assert code == 0
    named = {line.split()[0].removeprefix("--").replace("-", "_") for line in text.splitlines() if " VALUE " in line}
    assert {"region", "pue", "scope", "heartbeat_s"} <= named <= set(NAMES)


def test_a_wrong_setting_is_a_question_of_usage() -> None:
    code, text = run("--scope", "galaxy", "--", "true")
    assert code == 2
    assert "scope='galaxy'" in text


def test_without_a_command_there_is_nothing_to_run() -> None:
    assert run()[0] == 2


@pytest.mark.skipif(not child.available(), reason="this system cannot wait without reaping")
def test_a_command_that_is_not_there_is_named_and_nothing_is_logged() -> None:
    assert run("--region", "FR", "--", "no-such-program") == (127, "eco2ai run: no-such-program was not found\n")
    assert not list(Path().iterdir())


def test_elsewhere_than_on_linux_there_is_the_decorator(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child, "available", lambda: False)
    code, text = run("--", "true")
    assert code == 1
    assert "this command needs Linux; in a program, use eco2ai_callbacks.track" in text
