"""The package of this repository."""

from __future__ import annotations

from pathlib import Path

from eco2ai_callbacks import Tracker as Eco2AITracker


class Tracker:
    def __init__(self, folder: Path) -> None:
        self.log = folder / "eco2ai.jsonl"
        self.run = Eco2AITracker(log_file=str(self.log), region="FR", console=False).start()

    def mark(self) -> None:
        self.run.end_epoch()

    def finish(self) -> None:
        self.run.stop()

    def cpu_joules(self) -> float:
        return self.run.stop().joules["cpu"]

    def source(self) -> str:
        import json

        first = json.loads(self.log.read_text(encoding="utf-8").splitlines()[0])
        return next(source["reason"] for source in first["sources"] if source["used"])
