"""The command that asks a Raspberry Pi's firmware, as a process."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from eco2ai_callbacks.meters.cpu.pmic import CPU_RAILS, source

PRINTED = " VDD_CORE_A current(7)=2.50000000A\n VDD_CORE_V volt(15)=0.80000000V\n"


@pytest.mark.parametrize(
    ("script", "error", "why"),
    [
        ("echo 'Can not open /dev/vcio: permission denied' >&2; exit 255", PermissionError, "permission denied"),
        ("exit 3", OSError, "vcgencmd ended with 3"),
        (None, FileNotFoundError, "No such file"),
    ],
    ids=["denied", "fails", "missing"],
)
def test_a_command_that_fails_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str | None, error: type[OSError], why: str
) -> None:
    monkeypatch.setenv("PATH", f"{tmp_path}")
    if script is not None:
        command = tmp_path / "vcgencmd"
        command.write_text(f"#!/bin/sh\n{script}\n")
        command.chmod(0o755)
    with pytest.raises(error, match=why):
        source(CPU_RAILS).value()


def test_the_command_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    command = tmp_path / "vcgencmd"
    command.write_text(f"#!/bin/sh\n[ \"$1\" = pmic_read_adc ] && printf '%s' '{PRINTED}'\n")
    command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    assert source(CPU_RAILS).value() == 2.0
