"""zeus."""

from __future__ import annotations

from pathlib import Path

from zeus.monitor import ZeusMonitor


class Tracker:
    def __init__(self, folder: Path) -> None:
        self.run = ZeusMonitor(log_file=folder / "zeus.csv")
        self.energy: dict[int, float] | None = {}
        self.run.begin_window("epoch")

    def mark(self) -> None:
        self.run.end_window("epoch")
        self.run.begin_window("epoch")

    def finish(self) -> None:
        self.energy = self.run.end_window("epoch").cpu_energy

    def cpu_joules(self) -> float:
        self.finish()
        if self.energy is None:
            raise RuntimeError("measures no CPU here (RAPL is needed)")
        return sum(self.energy.values())

    def source(self) -> str:
        return "RAPL"
