"""Find the processor's energy counters among the kernel's performance events (PMU ``power``), for whom those allow."""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from eco2ai_callbacks.errors import MeterUnavailable
from eco2ai_callbacks.meters.cpu.powercap import DEFAULT_CAP_W, DRAM, PACKAGE, Zone, describe

NAME = "perf"
# The unit with the counters; AMD's processors have the same since Linux 5.8. (Linux: arch/x86/events/rapl.c)
PMU = "sys/bus/event_source/devices/power"
_EVENTS = {"energy-pkg": PACKAGE, "energy-ram": DRAM}
# perf_event_open's number by architecture (Linux: syscall tables).
_SYSCALLS = {"x86_64": 298, "i686": 336, "i386": 336, "aarch64": 241, "ppc64le": 319, "s390x": 331, "riscv64": 241}
# perf_event_attr: its first size (PERF_ATTR_SIZE_VER0), of which only type, size and config are set.
_ATTR_SIZE = 64
_PARANOID = "proc/sys/kernel/perf_event_paranoid"
# Counters of a whole processor are open to everybody below this value (Linux: Documentation/admin-guide/
# perf-security.rst, perf_event_paranoid).
_OPEN_BELOW = 1
# The kernel adds up the processor's 32 bits in 64.
_RANGE_UJ = 2**62
_UJ_PER_J = 1e6


class Events(Protocol):
    """What opens and reads events: the kernel, or a stub."""

    def open(self, kind: int, config: int, cpu: int) -> int:
        """Return the descriptor of an event of a whole processor; raises ``OSError``."""
        ...

    def read(self, descriptor: int) -> bytes:
        """Return an event's value; raises ``OSError``."""
        ...

    def close(self, descriptor: int) -> None:
        """Close an event; raises ``OSError``."""
        ...


class OpenEvent:
    """An open event, which is closed once nobody holds it any more.

    Args:
        events: What has opened it.
        number: Its descriptor.
    """

    def __init__(self, events: Events, number: int) -> None:
        self._events = events
        self._number = number

    def read(self) -> bytes:
        """Return its value; raises ``OSError``."""
        return self._events.read(self._number)

    def __del__(self) -> None:
        with contextlib.suppress(OSError):
            self._events.close(self._number)


@dataclass(frozen=True, slots=True)
class PerfZone(Zone):
    """One energy counter, as an open event.

    Args:
        event: The open event; none where there is none.
        scale_j: Joules of one step.
    """

    event: OpenEvent | None = None
    scale_j: float = 0.0

    def read_uj(self) -> int:
        """Return the counter's value; raises ``OSError`` or ``ValueError`` where there is no valid one."""
        content = self.event.read() if self.event else b""
        if len(content) != 8:
            raise ValueError("not a number")
        steps: int = struct.unpack("=Q", content)[0]
        # It begins at 0 when it is opened; a counter that stands at 0 counts as one that does not count.
        return 1 + int(steps * self.scale_j * _UJ_PER_J)

    def unreadable(self, _zones: Sequence[Zone], error: OSError | ValueError) -> MeterUnavailable:
        """Return the exception for a machine none of whose packages can be read."""
        return MeterUnavailable(f"unreadable: {self.label}: {describe(error)}")


def exists(root: Path) -> bool:
    """Return whether the kernel has the processor's energy as events."""
    return any((root / PMU / "events" / event).exists() for event in _EVENTS)


def locate(root: Path, events: Events | None = None) -> tuple[Zone, ...]:
    """Return the counters of packages and memory as open events.

    Args:
        root: The root of the file system.
        events: What opens events; the kernel by default.

    Raises:
        MeterUnavailable: Where there are none, or this user may not open them; with the commands that permit it.
    """
    if not exists(root):
        raise MeterUnavailable("absent: the kernel has no energy events (PMU power)")
    try:
        return tuple(_zones(root, events or kernel()))
    except (OSError, ValueError) as error:
        if not isinstance(error, PermissionError):
            raise MeterUnavailable(f"unreadable: {root / PMU}: {describe(error)}") from None
        paranoid = _text(root / _PARANOID)
        raise MeterUnavailable(
            f"unreadable: no permission to open energy events (kernel.perf_event_paranoid is {paranoid or 'unknown'})",
            f"sudo sysctl kernel.perf_event_paranoid={_OPEN_BELOW - 1}\n"
            'or for one interpreter alone: sudo setcap cap_perfmon=ep "$(readlink -f "$(command -v python3)")"',
        ) from None


def _zones(root: Path, events: Events) -> Iterator[Zone]:
    pmu = root / PMU
    kind = int(_text(pmu / "type"))
    cpus = _cpus(_text(pmu / "cpumask"))
    if not cpus:
        raise ValueError("it counts on no processor")
    for event, name in _EVENTS.items():
        match = re.fullmatch(r"event=(0x[0-9a-f]+|\d+)", _text(pmu / "events" / event))
        if match is None:
            continue
        scale_j = _scale(pmu / "events", event)
        for number, cpu in enumerate(cpus):
            opened = OpenEvent(events, events.open(kind, int(match[1], 0), cpu))
            yield PerfZone(number, None, name, pmu, _RANGE_UJ, DEFAULT_CAP_W, opened, scale_j)


def _scale(events: Path, event: str) -> float:
    scale_j = float(_text(events / f"{event}.scale"))
    unit = _text(events / f"{event}.unit")
    if unit != "Joules" or not 0 < scale_j < 1:
        raise ValueError(f"{event} counts in steps of {scale_j:g} {unit or 'an unknown unit'}")
    return scale_j


def _cpus(mask: str) -> list[int]:
    """Return the processors of a list such as ``0,18-19``: one of each package."""
    found: list[int] = []
    for part in mask.split(","):
        match = re.fullmatch(r"(\d+)(?:-(\d+))?", part)
        if match is not None:
            found += range(int(match[1]), int(match[2] or match[1]) + 1)
    return found


def kernel() -> Events:
    """Return what opens events of the kernel."""
    return _Kernel()


class _Kernel:
    """The kernel itself."""

    def open(self, kind: int, config: int, cpu: int) -> int:
        """Open a counter of a whole processor (perf_event_open(2)); it is closed where another program is executed."""
        number = _SYSCALLS.get(os.uname().machine)
        if number is None:
            raise ValueError(f"perf_event_open has no known number on {os.uname().machine}")
        attributes = ctypes.create_string_buffer(struct.pack("=IIQ", kind, _ATTR_SIZE, config), _ATTR_SIZE)
        cloexec = 8  # PERF_FLAG_FD_CLOEXEC
        libc = ctypes.CDLL(None, use_errno=True)
        descriptor = libc.syscall(
            ctypes.c_long(number),
            attributes,
            ctypes.c_int(-1),
            ctypes.c_int(cpu),
            ctypes.c_int(-1),
            ctypes.c_ulong(cloexec),
        )
        if descriptor < 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code))
        return int(descriptor)

    def read(self, descriptor: int) -> bytes:
        return os.read(descriptor, 8)

    def close(self, descriptor: int) -> None:
        os.close(descriptor)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        return ""
