"""The power by IPMI, as ``ipmitool`` prints it, and a program in its place that misbehaves."""

from __future__ import annotations

import doctest

import pytest

from eco2ai_callbacks.calibration import ipmi_meter as module
from eco2ai_callbacks.calibration.http_meter import MeterError
from eco2ai_callbacks.calibration.ipmi_meter import IpmiMeter, watts_of

PRINTED = """
    Instantaneous power reading:                   216 Watts
    Minimum during sampling period:                 96 Watts
    Maximum during sampling period:                418 Watts
    Average power reading over sample period:      218 Watts
    IPMI timestamp:                           03/01/26 10:11:12 UTC
    Sampling period:                          00000001 Seconds.
    Power reading state is:                   activated

"""


def test_the_examples_in_the_docstrings_hold() -> None:
    assert doctest.testmod(module).failed == 0


def test_the_power_of_the_moment_counts() -> None:
    assert watts_of("x", PRINTED) == 216.0


@pytest.mark.parametrize(
    ("printed", "complaint", "why"),
    [
        ("", "", "its output has no line with it"),
        ("", "DCMI request failed because: Invalid command (c1)\nmore", "Invalid command (c1)$"),
        (
            "",
            "Could not open device at /dev/ipmi0 or /dev/ipmi/0 or /dev/ipmidev/0: Permission denied",
            "Permission denied; it needs the driver ipmi_si, and root",
        ),
        (PRINTED.replace("activated", "deactivated").replace("216", "0"), "", "power reading is deactivated"),
        (PRINTED.replace("216", "-5"), "", "no line"),
    ],
    ids=["nothing", "no DCMI", "no right", "deactivated", "negative"],
)
def test_what_gives_no_power_is_one_sentence(printed: str, complaint: str, why: str) -> None:
    with pytest.raises(MeterError, match=why.replace("(", r"\(").replace(")", r"\)")) as error:
        watts_of("ipmitool dcmi power reading", printed, complaint)
    assert "\n" not in str(error.value)


def test_a_program_that_is_missing_is_one_sentence() -> None:
    with pytest.raises(MeterError, match="'no-such-tool' is not installed or not on the PATH"):
        IpmiMeter(program="no-such-tool").read()
