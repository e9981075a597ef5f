"""codecarbon."""

from __future__ import annotations

from pathlib import Path

from codecarbon import OfflineEmissionsTracker

JOULES_OF_A_KWH = 3.6e6


class Tracker:
    def __init__(self, folder: Path) -> None:
        self.run = OfflineEmissionsTracker(country_iso_code="FRA", output_dir=str(folder), log_level="error")
        self.run.start()

    def mark(self) -> None:
        self.run.flush()

    def finish(self) -> None:
        self.run.stop()

    def cpu_joules(self) -> float:
        self.run.stop()
        return self.run.final_emissions_data.cpu_energy * JOULES_OF_A_KWH

    def source(self) -> str:
        cpu = next(part for part in self.run._hardware if type(part).__name__ == "CPU")
        return f"{cpu._mode} of the {cpu._tracking_mode}, TDP {cpu._tdp} W"
