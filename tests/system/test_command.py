"""The command eco2ai as a program."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

from steady import steady

from eco2ai_callbacks.cli import main
from eco2ai_callbacks.testing import Clock


def test_the_module_is_the_same_command() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "eco2ai_callbacks", "--help"], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("Usage: eco2ai ")
    for command in ("compare", "doctor", "gate", "regions", "watch"):
        assert f"\n  {command} " in done.stdout


def test_the_installed_command_is_this_group() -> None:
    (found,) = entry_points(group="console_scripts", name="eco2ai")
    assert found.load() is main


def test_a_gate_s_exit_code_is_that_of_the_process() -> None:
    def gate(*args: str) -> tuple[int, str]:
        done = subprocess.run(
            [sys.executable, "-m", "eco2ai_callbacks", "gate", *args], capture_output=True, text=True, check=False
        )
        assert "Traceback" not in done.stderr
        return done.returncode, done.stdout

    clock = Clock()
    with steady(clock, log_file=Path("eco2ai.jsonl"), run_id="one") as run:
        clock.advance(36.0)
        run.end_epoch()
    assert gate("--max-kwh", "0.0009") == (
        *(1, "failed: run one used 1 Wh per run, above the limit of 900 mWh (--max-kwh).\n"),
    )
    assert gate("--max-kwh", "0.001")[0] == 0
    assert gate("nowhere.jsonl", "--max-kwh", "1") == (2, "")
