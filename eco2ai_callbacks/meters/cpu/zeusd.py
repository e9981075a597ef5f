"""Ask the daemon zeusd for the processors' counters, where a site runs it to let users without root read them."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eco2ai_callbacks.errors import MeterUnavailable
from eco2ai_callbacks.meters.cpu.powercap import DEFAULT_CAP_W, DRAM, PACKAGE, Zone, describe

NAME = "zeusd"
# What the daemon is asked. (Zeus's repository: zeusd/src/routes/cpu.rs and server.rs)
_DISCOVER, _ENERGY = "/discover", "/cpu/get_cumulative_energy?cpu_ids={}&cpu={}&dram={}"
# A working daemon answers within milliseconds; a read must not keep a training waiting for longer.
_TIMEOUT_S = 1.0
# No answer to these questions is longer.
_LONGEST = 65536
# The daemon adds up the processor's counters, so that they do not wrap.
_RANGE_UJ = 2**62
_HINT = "the daemon must run with the API group for reading CPUs, and its socket must be open to this user"


@dataclass(frozen=True, slots=True)
class DaemonZone(Zone):
    """One counter; its path is the daemon's socket."""

    def read_uj(self) -> int:
        """Return the counter's value; raises ``OSError`` or ``ValueError`` where there is no valid one."""
        memory = self.name == DRAM
        words = ("false", "true") if memory else ("true", "false")
        answer = ask(self.path, _ENERGY.format(self.package, *words)).get(str(self.package))
        value = answer.get("dram_energy_uj" if memory else "cpu_energy_uj") if isinstance(answer, dict) else None
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            raise ValueError("not a number")
        return value

    def unreadable(self, _zones: Sequence[Zone], error: OSError | ValueError) -> MeterUnavailable:
        """Return the exception for a machine none of whose packages can be read."""
        return MeterUnavailable(f"unreadable: {self.path}: {describe(error)}", _HINT)


def locate(path: Path) -> tuple[Zone, ...]:
    """Return the counters of packages and memory that the daemon has.

    Args:
        path: The daemon's socket.

    Raises:
        MeterUnavailable: Where it does not answer, or reads no processor.
    """
    try:
        found = ask(path, _DISCOVER)
    except (OSError, ValueError) as error:
        raise MeterUnavailable(f"unreadable: {path}: {describe(error)}", _HINT) from None
    cpus, memories = found.get("cpu_ids"), found.get("dram_available")
    if not isinstance(cpus, list) or not all(type(cpu) is int and cpu >= 0 for cpu in cpus):
        raise MeterUnavailable(f"unreadable: {path}: it does not answer as zeusd does", _HINT)
    if not cpus:
        raise MeterUnavailable(f"absent: the daemon at {path} reads no processor", _HINT)
    memories = memories if isinstance(memories, list) else []
    zones = [DaemonZone(cpu, None, PACKAGE, path, _RANGE_UJ, DEFAULT_CAP_W) for cpu in cpus]
    for cpu, available in zip(cpus, memories, strict=False):
        if available is True:
            zones.append(DaemonZone(cpu, None, DRAM, path, _RANGE_UJ, DEFAULT_CAP_W))
    return tuple(zones)


def ask(path: Path, question: str) -> dict[str, Any]:
    """Return the daemon's answer to a GET request, which is a JSON object.

    Args:
        path: Its socket.
        question: The path of the request.

    Raises:
        OSError: Where it does not answer in time, or with an error.
        ValueError: Where the answer is no JSON object.
    """
    connection = _Connection(path)
    try:
        connection.request("GET", question)
        response = connection.getresponse()
        content = response.read(_LONGEST)
    except http.client.HTTPException as error:
        raise OSError(None, f"no answer of HTTP ({type(error).__name__})") from None
    finally:
        connection.close()
    if response.status != http.client.OK:
        kind = PermissionError if response.status in (401, 403) else OSError
        raise kind(None, f"the daemon answers {response.status} {response.reason}")
    answer = json.loads(content)
    if not isinstance(answer, dict):
        raise ValueError("the daemon's answer is no object")
    return answer


class _Connection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=_TIMEOUT_S)
        self._path = str(path)

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self.sock.settimeout(_TIMEOUT_S)
            self.sock.connect(self._path)
        except OSError:
            self.sock.close()
            raise
