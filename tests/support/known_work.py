"""Work whose time and CPU time are known, and the split of a log that must follow from it."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from logcheck import rows

from eco2ai_callbacks.record import ADDING_EVENTS
from eco2ai_callbacks.session.context import Platform
from eco2ai_callbacks.testing import FakeMeter, fake_platform

# Watts of a busy thread, and of the memory.
CPU_W, RAM_W = 10.0, 4.0
# A share may differ by so much of the whole from the truth.
NEAR = 0.05


def platform() -> Platform:
    """Return a machine by this machine's clocks whose processors draw power for this process's CPU time alone."""
    before = time.process_time()

    def read(joules: dict[str, float]) -> dict[str, float]:
        return joules | {"cpu": CPU_W * (time.process_time() - before)}

    meter = FakeMeter(time.monotonic, {"cpu": CPU_W, "ram": RAM_W}, on_read=read)
    return fake_platform(time.monotonic, meter, cpu_ns=time.process_time_ns)


class KnownWork:
    """What was done for how long, by phase, as this process's clocks count it."""

    def __init__(self) -> None:
        # Up to the end of the first step all is set-up, which holds the framework's own as well.
        self.stepped = False
        self.wall: dict[str, float] = {}
        self.cpu: dict[str, float] = {}

    def sleep(self, phase: str, seconds: float) -> None:
        """Wait."""
        with self._counted(phase):
            time.sleep(seconds)

    def burn(self, phase: str, seconds: float) -> None:
        """Use the CPU for so many seconds of CPU time."""
        with self._counted(phase):
            until = time.process_time() + seconds
            while time.process_time() < until:
                pass

    @contextlib.contextmanager
    def _counted(self, phase: str) -> Iterator[None]:
        wall, cpu = time.perf_counter(), time.process_time()
        yield
        if not self.stepped:
            return
        self.wall[phase] = self.wall.get(phase, 0.0) + time.perf_counter() - wall
        self.cpu[phase] = self.cpu.get(phase, 0.0) + time.process_time() - cpu

    def check(self, log: str | Path = "eco2ai.jsonl") -> Mapping[str, tuple[float, float]]:
        """Hold the split of a log to the truth, and to its own total; return it.

        The framework's own work is not known: it may add to any phase, which is little unless the machine is busy.
        """
        run = [row for row in rows(Path(log)) if row["event"] in ADDING_EVENTS]
        found = split(run)
        seconds = math.fsum(row["seconds"] for row in run)
        joules = math.fsum(value for row in run for value in row["joules"].values())
        assert math.isclose(math.fsum(each[0] for each in found.values()), seconds, rel_tol=1e-5)
        assert math.isclose(math.fsum(each[1] for each in found.values()), joules, rel_tol=1e-5)
        truth = {name: (lasted, CPU_W * self.cpu[name] + RAM_W * lasted) for name, lasted in self.wall.items()}
        for place, whole in enumerate((seconds, joules)):
            unknown = whole - math.fsum(each[place] for each in truth.values())
            for name, known in truth.items():
                off = found[name][place] - known[place]
                assert -NEAR * whole <= off <= NEAR * whole + unknown, (name, place, found, truth)
        return found


def split(run: list[dict[str, Any]]) -> dict[str, tuple[float, float]]:
    """Return the phases of records that add up; what has none is ``other``."""
    found: dict[str, tuple[float, float]] = {}
    for row in run:
        whole = {"other": (row["seconds"], math.fsum(row["joules"].values()))}
        for phase, (seconds, joules) in (row.get("phases") or whole).items():
            held = found.get(phase, (0.0, 0.0))
            found[phase] = held[0] + seconds, held[1] + joules
    return found
