"""Which run a fit goes on with where processes were killed."""

from __future__ import annotations

import subprocess
import sys

from logcheck import rows

from eco2ai_callbacks.integrations.lifecycle import RunLifecycle
from eco2ai_callbacks.session.identity import Checkpoint

QUIET = {"region": "FR", "console": False, "heartbeat_s": 0.0}


def killed_run(**settings: object) -> str:
    """A run that another process began and that a SIGKILL ended."""
    args = ", ".join(f"{name}={value!r}" for name, value in {**QUIET, **settings}.items())
    code = f"import os; from eco2ai_callbacks import Tracker; Tracker({args}).start(); os.kill(os.getpid(), 9)"
    subprocess.run([sys.executable, "-c", code], check=False)
    return str(rows()[-1]["run"])


def test_else_the_only_one_in_the_log_without_an_end() -> None:
    run = killed_run()
    assert RunLifecycle(QUIET).continued() == Checkpoint(run)
    assert RunLifecycle({**QUIET, "project": "another"}).continued() is None
    assert RunLifecycle({**QUIET, "log_file": None}).continued() is None


def test_two_open_runs_are_none_to_continue() -> None:
    assert killed_run() != killed_run()
    assert RunLifecycle(QUIET).continued() is None
