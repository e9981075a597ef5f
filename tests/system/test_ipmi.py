"""The power by IPMI, with a program in the place of ``ipmitool``."""

from __future__ import annotations

from pathlib import Path

import pytest

from eco2ai_callbacks.calibration.http_meter import MeterError
from eco2ai_callbacks.calibration.ipmi_meter import IpmiMeter


def program(folder: Path, content: str) -> IpmiMeter:
    path = folder / "ipmitool"
    path.write_text(f"#!/bin/sh\n{content}\n")
    path.chmod(0o755)
    return IpmiMeter(1.0, str(path))


def test_the_program_is_asked(tmp_path: Path) -> None:
    printed = "    Instantaneous power reading:                   216 Watts"
    meter = program(tmp_path, f"test \"$*\" = 'dcmi power reading' && echo '{printed}'")
    assert meter.read() == 216.0
    assert meter.shown == f"{tmp_path}/ipmitool dcmi power reading"


def test_a_program_that_hangs_or_cannot_be_started_is_one_sentence(tmp_path: Path) -> None:
    meter = program(tmp_path, "exec sleep 60")
    object.__setattr__(meter, "timeout_s", 0.05)
    with pytest.raises(MeterError, match=r"did not answer within 0.05 s"):
        meter.read()
    meter = program(tmp_path, "")
    Path(meter.program).write_text("#!/no/such/interpreter\n")
    with pytest.raises(MeterError, match="cannot be started: No such file"):
        meter.read()
