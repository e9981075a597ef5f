"""carbontracker."""

from __future__ import annotations

from pathlib import Path

from carbontracker.tracker import CarbonTracker

JOULES_OF_A_KWH = 3.6e6
# It must be told; past this many it would end by itself.
PLANNED_EPOCHS = 1_000_000


class Tracker:
    def __init__(self, folder: Path) -> None:
        self.run = CarbonTracker(epochs=PLANNED_EPOCHS, log_dir=str(folder), verbose=0)
        self.monitor = self.run.tracker
        self.run.epoch_start()

    def mark(self) -> None:
        self.run.epoch_end()
        self.run.epoch_start()

    def finish(self) -> None:
        self.run.stop()

    def cpu_joules(self) -> float:
        self.run.epoch_end()
        cpu = self._cpu()
        return float(sum(cpu.energy_usage(self.monitor.epoch_times))) * JOULES_OF_A_KWH

    def source(self) -> str:
        handler = self._cpu().handler
        return f"{type(handler).__name__}, {getattr(handler, 'tdp', None)} W at all times"

    def _cpu(self):  # type: ignore[no-untyped-def]
        return next(part for part in self.monitor.components if part.name == "cpu")
