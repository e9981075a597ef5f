"""A fake of the kernel's performance events of energy: their folder in sysfs, and what opens them."""

from __future__ import annotations

import os
import struct
from collections.abc import Sequence
from pathlib import Path

# Joules of a step, as Linux states it on Intel and AMD: 2^-32.
SCALE = 2.0**-32


class PerfTree:
    """The unit ``power`` below ``sys/``.

    Args:
        base: The root of the machine's file system.
        cpus: The processors that count, one of each package.
        events: The events that there are.
        paranoid: The setting ``kernel.perf_event_paranoid``.
        kind: The unit's type.

    Example:
        >>> import tempfile
        >>> from eco2ai_callbacks.meters.cpu.perf import locate
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     tree = PerfTree(Path(folder))
        ...     found = [zone.label for zone in locate(Path(folder), tree)]
        >>> found
        ['package-0', 'package-0 dram']
    """

    def __init__(
        self,
        base: Path,
        *,
        cpus: str = "0",
        events: Sequence[str] = ("energy-pkg", "energy-ram", "energy-cores"),
        paranoid: int = 0,
        kind: int = 9,
    ) -> None:
        self.base = base
        self.pmu: Path = base / "sys/bus/event_source/devices/power"
        self.opened: list[tuple[str, int]] = []
        self.closed: list[tuple[str, int]] = []
        self._steps: dict[tuple[str, int], int] = {}
        self._cut: set[tuple[str, int]] = set()
        self._configs = dict(enumerate(events, 1))
        self._refusal: int | None = None
        for path, content in {
            self.pmu / "type": str(kind),
            self.pmu / "cpumask": cpus,
            base / "proc/sys/kernel/perf_event_paranoid": str(paranoid),
            **{self.pmu / "events" / event: f"event=0x{number:02x}" for number, event in self._configs.items()},
            **{self.pmu / "events" / f"{event}.scale": f"{SCALE!r}" for event in events},
            **{self.pmu / "events" / f"{event}.unit": "Joules" for event in events},
        }.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{content}\n")

    def open(self, kind: int, config: int, cpu: int) -> int:  # noqa: ARG002 - the kernel's arguments
        """Open an event in place of the kernel."""
        if self._refusal is not None:
            raise OSError(self._refusal, os.strerror(self._refusal))
        key = self._configs[config], cpu
        self._steps[key] = 0
        self.opened.append(key)
        return len(self.opened) - 1

    def read(self, descriptor: int) -> bytes:
        """Return an event's value, in the kernel's form."""
        if self.opened[descriptor] in self._cut:
            return b""
        return struct.pack("=Q", self._steps[self.opened[descriptor]])

    def close(self, descriptor: int) -> None:
        """Close an event."""
        self.closed.append(self.opened[descriptor])

    def refuse(self, error: int) -> None:
        """Refuse to open events with an error."""
        self._refusal = error

    def advance(self, event: str, cpu: int, joules: float) -> None:
        """Add energy to an event, which counts from its opening on."""
        self._steps[event, cpu] = self._steps.get((event, cpu), 0) + round(joules / SCALE)

    def cut(self, event: str, cpu: int) -> None:
        """Let reads of an event come to nothing."""
        self._cut.add((event, cpu))
