"""The command eco2ai watch."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner
from report_logs import hostile, later, training
from sessions import Written

from eco2ai_callbacks.cli import main
from eco2ai_callbacks.watching.follow import Follower
from eco2ai_callbacks.watching.frame import Budget

module = importlib.import_module("eco2ai_callbacks.cli.watch")
LOG = Path("eco2ai.jsonl")


def watch(*args: str) -> tuple[int, str]:
    done = CliRunner().invoke(main, ["watch", *args])
    assert done.exception is None or isinstance(done.exception, SystemExit)
    return done.exit_code, done.output


def test_one_frame_needs_no_terminal_and_no_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rich", None)
    training(LOG, epochs=2)
    code, text = watch("--once")
    assert code == 0
    assert text.splitlines()[:2] == ["run run · demo · training run", "  state        ended: finished"]


def test_the_budget_is_an_option_or_the_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    Written(LOG).mark()
    monkeypatch.setenv("ECO2AI_MAX_ENERGY_KWH", "0.5")
    assert " of 500 Wh (ECO2AI_MAX_ENERGY_KWH)" in watch("--once")[1]
    assert " of 100 Wh\n" in watch("--once", "--max-kwh", "0.1")[1]
    assert "CO2e budget" in watch("--once", "--max-kg", "0.1")[1]
    monkeypatch.setenv("ECO2AI_MAX_ENERGY_KWH", "much")
    code, text = watch("--once")
    assert code == 2
    assert "max_energy_kwh" in text


def test_a_run_is_chosen_by_the_begin_of_its_id() -> None:
    Written(LOG, "first").mark()
    Written(LOG, "second").mark()
    assert watch("--once", "--run", "fi")[1].startswith("run first ")
    assert watch("--once", "--run", "x") == (0, "waiting for a run in eco2ai.jsonl with an id that begins with x\n")


@pytest.mark.parametrize(
    ("args", "sentence"),
    [
        (["--once"], "LOG='eco2ai.jsonl' is not there; accepted is a run log"),
        ([], "watch needs a terminal; --once prints one frame without one."),
        (["--interval", "0"], "--interval"),
        (["."], "is a directory"),
    ],
    ids=["no log", "no terminal", "interval", "folder"],
)
def test_bad_input_is_one_sentence(args: list[str], sentence: str) -> None:
    if not args:
        pytest.importorskip("rich")
    code, text = watch(*args)
    assert code == 2
    assert sentence in text
    assert "Traceback" not in text


def test_the_missing_extra_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == "rich"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "rich", None)
    monkeypatch.delitem(sys.modules, "eco2ai_callbacks.watching.screen", raising=False)
    code, text = watch()
    assert code == 2
    assert 'pip install "eco2ai_callbacks[watch]"' in text
    assert "--once prints one frame without it." in text


def test_a_log_that_cannot_be_read_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: object) -> None:
        raise PermissionError(13, "Permission denied")

    Written(LOG)
    monkeypatch.setattr(Follower, "read", refuse)
    code, text = watch("--once")
    assert code == 2
    assert "LOG='eco2ai.jsonl' cannot be read: Permission denied." in text


def test_frames_follow_the_log_until_the_end() -> None:
    follower = Follower(LOG)
    frames = module._frames(LOG, follower, None, Budget(), True)
    assert next(frames).state == "waiting"
    written = Written(LOG)
    written.mark()
    # Its host is not this one, and its clock is not that of today.
    assert next(frames).state == "quiet"
    LOG.rename("eco2ai.jsonl.1")
    written.stop()
    assert [frame.state for frame in frames] == ["ended"]
    follower.close()
    follower = Follower(LOG)
    endless = module._frames(LOG, follower, None, Budget(), False)
    assert [next(endless).state for _ in range(3)] == ["ended"] * 3
    follower.close()
    endless.close()


def test_frames_are_shown_at_the_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("rich")
    screen = importlib.import_module("eco2ai_callbacks.watching.screen")
    training(LOG, epochs=1)
    seen: list[Any] = []
    monkeypatch.setattr(module.time, "sleep", seen.append)
    monkeypatch.setattr(module, "sys", SimpleNamespace(stdout=SimpleNamespace(isatty=lambda: True)))

    def show(frames: Any, wait: Any) -> None:
        for frame in frames:
            seen.append(frame.state)
            wait()
        raise KeyboardInterrupt  # as Ctrl-C does

    monkeypatch.setattr(screen, "show", show)
    assert (watch("--until-end", "--interval", "3")[0], seen) == (0, ["ended", 3.0])


def test_hostile_logs_are_shown_without_harm() -> None:
    for log in sorted(hostile().glob("*.jsonl")):
        code, text = watch(str(log), "--once")
        assert code == 0
        assert not set("\x1b\x07\u202e") & {*text}


def test_a_log_of_a_later_version_is_named() -> None:
    later()
    assert "which has lines of schema 9 that this version does not know" in watch("--once")[1]
    training(LOG, epochs=1)
    assert watch("--once")[1].startswith("run run ")
