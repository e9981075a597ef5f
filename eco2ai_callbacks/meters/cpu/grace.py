"""Find the power sensors of NVIDIA's Grace processors, which are ACPI power meters."""

from __future__ import annotations

import re
from pathlib import Path

from eco2ai_callbacks.meters.hwmon import Sensor, of_chip
from eco2ai_callbacks.meters.tally import Source

NAME = "Grace"
_CHIPS = frozenset({"power_meter", "acpi_power_meter"})
# What the firmware calls the sensors: of a socket its module (on Grace Hopper with the GPU), the processor with its
# memory and chip, the processor's cores and the rest of the chip. (NVIDIA Grace Performance Tuning Guide, power
# telemetry; Linux: acpi_power_meter.rst, power1_oem_info)
_LABEL = re.compile(r"(Module|Grace|CPU|SysIO) Power Socket (\d+)")
# The sensor of a socket with all that is not the GPU's.
_WANTED = "Grace"
# A Grace socket is limited to 500 W (NVIDIA Grace CPU data sheet): a figure of three times as much is an error.
_MOST_W = 1500.0
# ACPI power meters state their accuracy by themselves, and these do not: this project's figure.
_BAND = (0.9, 1.1)
# The socket's sensor includes its memory.
COVERS = frozenset({"cpu", "ram"})
HINT = 'sudo usermod --append --groups power "$USER", with a udev rule that lets that group read power1_average'


def locate(root: Path) -> tuple[Sensor, ...]:
    """Return one sensor for each socket; none where this is no such machine.

    Args:
        root: The root of the file system.
    """
    found: dict[int, Sensor] = {}
    for sensor in of_chip(root, _CHIPS.__contains__):
        match = None if sensor.energy else _LABEL.fullmatch(sensor.label)
        if match is not None and match[1] == _WANTED:
            found.setdefault(int(match[2]), sensor)
    return tuple(found[socket] for socket in sorted(found))


def source(sensor: Sensor) -> Source:
    """Return a socket's sensor as a source."""
    return Source("grace-power", sensor.read, False, _BAND, _MOST_W, sensor.limit_w, step_s=1.0)
