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

# Watts of the meters: the processors' energy follows the CPU time, the memory's the wall time.
CPU_W, RAM_W = 10.0, 4.0
# A share may differ by so much from the truth, which holds the known work alone.
NEAR = 0.05


def platform() -> Platform:
    """Return a machine of constant power that runs by this machine's clocks."""
    meter = FakeMeter(time.monotonic, {"cpu": CPU_W, "ram": RAM_W})
    return fake_platform(time.monotonic, meter, cpu_ns=time.process_time_ns)


class KnownWork:
    """What was done for how long, by phase, as this process's clocks count it."""

    def __init__(self) -> None:
        # Up to the end of the first step all is set-up, which holds the framework's own as well.
        self.stepped = False
        self.wall: dict[str, float] = {}
        self.cpu: dict[str, float] = {}
        self._cpu_s = 0.0

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
    def fit(self) -> Iterator[None]:
        """Count the CPU time of the fit."""
        before = time.process_time()
        yield
        self._cpu_s = time.process_time() - before

    @contextlib.contextmanager
    def _counted(self, phase: str) -> Iterator[None]:
        wall, cpu = time.perf_counter(), time.process_time()
        yield
        if not self.stepped:
            return
        self.wall[phase] = self.wall.get(phase, 0.0) + time.perf_counter() - wall
        self.cpu[phase] = self.cpu.get(phase, 0.0) + time.process_time() - cpu

    def check(self, log: str | Path = "eco2ai.jsonl") -> Mapping[str, tuple[float, float]]:
        """Hold the split of a log to the truth, and to its own total; return it."""
        run = [row for row in rows(Path(log)) if row["event"] in ADDING_EVENTS]
        found = split(run)
        seconds = math.fsum(row["seconds"] for row in run)
        joules = math.fsum(value for row in run for value in row["joules"].values())
        assert math.isclose(math.fsum(each[0] for each in found.values()), seconds, rel_tol=1e-5)
        assert math.isclose(math.fsum(each[1] for each in found.values()), joules, rel_tol=1e-5)
        for phase, lasted in self.wall.items():
            assert abs(found[phase][0] - lasted) <= NEAR * seconds, (phase, found, self.wall)
            used = CPU_W * seconds * self.cpu[phase] / self._cpu_s + RAM_W * lasted
            assert abs(found[phase][1] - used) <= NEAR * joules, (phase, found, self.wall, self.cpu)
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
