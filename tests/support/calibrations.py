"""Machines whose power is known, for calibrations: their counters and busy time follow the load by a fake clock."""

from __future__ import annotations

import csv
import dataclasses
import datetime
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from proc_tree import ProcTree

from eco2ai_callbacks.calibration.fit import CpuFit, Point
from eco2ai_callbacks.calibration.loads import Load
from eco2ai_callbacks.calibration.machine import Machine
from eco2ai_callbacks.calibration.store import Entry
from eco2ai_callbacks.calibration.wall import WallFit, WallRun
from eco2ai_callbacks.cli.calibrate_steps import Bench
from eco2ai_callbacks.host.machine import Host
from eco2ai_callbacks.testing import BARE_METAL, Clock, PowercapTree

TOOLS = Path(__file__).parents[2] / "tools/cpu_calibration"
DAY = datetime.date(2026, 11, 28)
MACHINE = Machine(BARE_METAL.cpu_name, 1, 12, "performance", "on")
CPU_FIT = CpuFit(12, 10.0, 8.0, 6.0, 3.0, 0.05, 1.2, 20, 76.0)
WALL_FIT = WallFit(50.0, 1.1, 0.03, 0.06, 10, 20.0, 300.0, {"cpu": "rapl"})
CPU_ENTRY = Entry(MACHINE, CPU_FIT, DAY, "0.1.0")
WALL_ENTRY = Entry(MACHINE, WALL_FIT, DAY, "0.1.0")


class FakeMachine:
    """A machine in a folder: 12 threads, ``power`` watts at so many busy threads.

    Args:
        base: The folder.
        power: The truth.
        host: The machine's facts.
        others: Busy threads of other programs.
    """

    def __init__(
        self,
        base: Path,
        power: Callable[[float], float] = lambda busy: 10.0 + 8.0 * min(busy, 6.0) + 3.0 * max(0.0, busy - 6.0),
        host: Host = BARE_METAL,
        others: float = 0.0,
    ) -> None:
        self.clock = Clock(1000.0)
        self.power, self.others, self.host = power, others, host
        self.proc = ProcTree(base)
        self.tree = PowercapTree(base)
        self.package = self.tree.add_package(0)
        self.load = Load()
        self.loads: list[Load] = []
        self.ended = False
        self.on_tick: Callable[[], None] = lambda: None
        self._busy_s = 0.0
        folder = base / "sys/devices/system/cpu"
        (folder / "cpufreq/policy0").mkdir(parents=True)
        (folder / "cpufreq/policy0/scaling_governor").write_text("performance\n")
        (folder / "intel_pstate").mkdir()
        (folder / "intel_pstate/no_turbo").write_text("0\n")
        self.bench = Bench(
            host, base, self.clock, self.sleep, lambda cpus, gpu: self.workers(), range(host.threads), DAY
        )

    def workers(self) -> FakeMachine:
        return self

    def put(self, load: Load) -> None:
        self.load = load
        self.loads.append(load)

    def close(self) -> None:
        self.load, self.ended = Load(), True

    @property
    def busy(self) -> float:
        return min(float(self.host.threads), self.load.threads * self.load.part + self.others)

    @property
    def watts(self) -> float:
        return self.power(self.busy)

    def sleep(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self._busy_s += self.busy * seconds
        self.proc.machine(user=round(100 * self._busy_s))
        self.tree.advance(self.package, self.watts * seconds)
        self.on_tick()


def sweeps() -> Iterator[tuple[str, int, list[Point]]]:
    """Yield the published sweeps: machine, threads, points."""
    rows = list(_rows("sweeps.csv"))
    for name in dict.fromkeys(row["machine"] for row in rows):
        own = [row for row in rows if row["machine"] == name]
        threads = int(own[0]["threads"]) * int(own[0]["sockets"])
        yield (
            name,
            threads,
            [Point(float(row["utilisation_percent"]) / 100 * threads, float(row["rapl_w"])) for row in own],
        )


def relative_sweeps() -> dict[str, list[tuple[float, float]]]:
    """Return the published sweeps by machine, as load (0 to 1) and power over design power."""
    found: dict[str, list[tuple[float, float]]] = {}
    for row in _rows("sweeps.csv"):
        part = float(row["rapl_w"]) / float(row["tdp_w"]) / int(row["sockets"])
        found.setdefault(row["machine"], []).append((float(row["utilisation_percent"]) / 100, part))
    return found


def wall_runs(device: str) -> list[WallRun]:
    """Return the published runs beside a wall meter, on the ``CPU`` or the ``GPU``."""
    return [
        WallRun(float(row["seconds"]), float(row["codecarbon_j"]), float(row["meter_j"]))
        for row in _rows("wall_runs.csv")
        if ("RTX" in row["device"]) == (device == "GPU")
    ]


def write(path: Path, *entries: Entry | str) -> Path:
    """Write a store, only the user's own to write."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{entry if isinstance(entry, str) else entry.line()}\n" for entry in entries))
    path.chmod(0o600)
    return path


def on_day(entry: Entry, days: int) -> Entry:
    """Return an entry made so many days later."""
    return dataclasses.replace(entry, day=entry.day + datetime.timedelta(days=days))


def _rows(name: str) -> Sequence[dict[str, str]]:
    with (TOOLS / name).open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(line for line in lines if not line.startswith("#")))
