"""landauer-gap, whose module is ``joules``."""

from __future__ import annotations

from pathlib import Path

from joules import Session


class Tracker:
    def __init__(self, folder: Path) -> None:
        self.file = folder / "joules.json"
        self.run = Session(estimate=True)
        self.phase = self.run.begin("epoch")

    def mark(self) -> None:
        self.run.end(self.phase)
        self.phase = self.run.begin("epoch")

    def finish(self) -> None:
        self.run.end(self.phase)
        self.run.close()
        self.run.save(str(self.file))

    def cpu_joules(self) -> float:
        self.run.end(self.phase)
        self.run.close()
        return sum(meter.energy_j for meter in self.run.meters if meter.kind in {"cpu", "est"})

    def source(self) -> str:
        return ", ".join(f"{meter.name} ({meter.method})" for meter in self.run.meters)
