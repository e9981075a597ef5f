"""Boards of the stand-in for NVIDIA's library, and checks of what a run log holds of them."""

from __future__ import annotations

import math

import pytest
from logcheck import ADDING, Row, check_whole

A, B = "GPU-8932f937-d72c-4106-c12f-20bd9faed9f6", "GPU-e429a63e-c61c-4795-b757-5132caeb8e70"
C = "GPU-8e8d35e3-a134-0fdd-0e01-23811fdbd293"
A100, P100 = "NVIDIA A100-SXM4-80GB", "NVIDIA Tesla P100"
ENERGY, POWER = "nvmlDeviceGetTotalEnergyConsumption", "nvmlDeviceGetPowerUsage"


def adding(found: list[Row]) -> list[Row]:
    return [row for row in found if row["event"] in ADDING]


def source(found: list[Row]) -> Row:
    """What the ``start`` record says of NVML."""
    return next(each for each in found[0]["sources"] if each["name"] == "NVML")


def check_sums(found: list[Row]) -> None:
    """The log is whole, whatever failed on the way."""
    check_whole([{**row, "failures": []} for row in found])
    assert found[-1]["ended"] == "finished"


def check_drawn(found: list[Row], uuid: str, watts: float, slack_s: float) -> None:
    """The joules are those of a constant power over the records' seconds, within a percent.

    Args:
        found: Records that hold the device.
        uuid: The device.
        watts: What it draws.
        slack_s: How long a read has taken: so far the meter's time may be from the record's.
    """
    joules = math.fsum(row["joules"][f"gpu:{uuid}"] for row in found)
    truth = watts * math.fsum(row["seconds"] for row in found)
    print(f"{uuid[:8]}: {joules:.2f} J of {truth:.2f} J, {joules / truth - 1:+.3%}, reads took {slack_s * 1e3:.1f} ms")
    assert joules == pytest.approx(truth, rel=0.01, abs=2 * watts * slack_s)
