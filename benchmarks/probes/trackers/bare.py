"""No tracker: what the others are compared with."""

from __future__ import annotations

from pathlib import Path


class Tracker:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
