"""The command eco2ai as a program."""

from __future__ import annotations

import subprocess
import sys


def test_the_module_is_the_same_command() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "eco2ai_callbacks", "--help"], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("Usage: eco2ai ")
    for command in ("doctor", "regions"):
        assert f"\n  {command} " in done.stdout
