"""eco2AI."""

from __future__ import annotations

from pathlib import Path

from eco2ai import Tracker as Eco2AITracker

JOULES_OF_A_KWH = 3.6e6


class Tracker:
    def __init__(self, folder: Path) -> None:
        file = str(folder / "emission.csv")
        self.run = Eco2AITracker(project_name="benchmark", file_name=file, alpha_2_code="FR", ignore_warnings=True)
        self.run.start_training()

    def mark(self) -> None:
        self.run.new_epoch({})

    def finish(self) -> None:
        self.run.stop_training()

    def cpu_joules(self) -> float:
        self.run.new_epoch({})
        return self.run._cpu._consumption * JOULES_OF_A_KWH

    def source(self) -> str:
        return f"TDP {self.run._cpu.tdp():g} W times the process's share by `top -b -n1`"
