"""pyJoules."""

from __future__ import annotations

from pathlib import Path

from pyJoules.energy_meter import EnergyContext
from pyJoules.handler.csv_handler import CSVHandler

MICROJOULES = 1e6


class Tracker:
    def __init__(self, folder: Path) -> None:
        self.handler = CSVHandler(str(folder / "pyjoules.csv"))
        self.context = EnergyContext(handler=self.handler)
        self.meter = self.context.__enter__()

    def mark(self) -> None:
        self.meter.record("epoch")

    def finish(self) -> None:
        self.context.__exit__(None, None, None)
        self.handler.save_data()

    def cpu_joules(self) -> float:
        if not self.meter.devices:
            raise RuntimeError("measures no CPU here (RAPL is needed)")
        self.meter.stop()
        samples = self.meter.get_trace()
        return (
            sum(
                value
                for sample in samples
                for domain, value in sample.energy.items()
                if str(domain).startswith("package")
            )
            / MICROJOULES
        )

    def source(self) -> str:
        return "RAPL"
