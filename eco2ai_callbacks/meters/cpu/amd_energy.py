"""Find the energy counters of AMD's processors in the hwmon chip ``amd_energy``, which some sites let users read."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from eco2ai_callbacks.errors import MeterUnavailable
from eco2ai_callbacks.meters.cpu.powercap import DEFAULT_CAP_W, PACKAGE, Zone, describe
from eco2ai_callbacks.meters.hwmon import of_chip

NAME, CHIP = "amd_energy", "amd_energy"
# The sockets' counters; the others are the cores', which they contain. (Linux 5.8 to 5.12 and AMD's driver since:
# Documentation/hwmon/amd_energy.rst)
_SOCKET = re.compile(r"Esocket(\d+)")
# The driver adds up the processor's 32 bits in 64.
_RANGE_UJ = 2**62


@dataclass(frozen=True, slots=True)
class SocketZone(Zone):
    """One socket's counter, whose path is the counter's file."""

    def read_uj(self) -> int:
        """Return the counter's value; raises ``OSError`` or ``ValueError`` where there is no valid one."""
        content = self.path.read_bytes().strip()
        if not content.isdigit():
            raise ValueError("not a number")
        return int(content)

    def unreadable(self, zones: Sequence[Zone], error: OSError | ValueError) -> MeterUnavailable:
        """Return the exception for a machine none of whose sockets can be read, with what permits a group to."""
        if not isinstance(error, PermissionError):
            return MeterUnavailable(f"unreadable: {self.path}: {describe(error)}")
        files = " ".join(str(zone.path) for zone in zones)
        return MeterUnavailable(
            f"unreadable: no permission to read {self.path}",
            'sudo groupadd --system --force power && sudo usermod --append --groups power "$USER"\n'
            f"sudo chgrp power {files} && sudo chmod 0440 {files}    # until the next boot",
        )


def locate(root: Path) -> tuple[Zone, ...]:
    """Return the sockets' counters, readable or not; none where there is no such chip.

    Args:
        root: The root of the file system.
    """
    return tuple(
        SocketZone(int(match[1]), None, PACKAGE, sensor.path, _RANGE_UJ, DEFAULT_CAP_W)
        for sensor in of_chip(root, CHIP.__eq__)
        if sensor.energy and (match := _SOCKET.fullmatch(sensor.label)) is not None
    )
