"""A training of many epochs, which may be killed, or write beside others."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from busy import keep_busy
from turns import Turn, serve, tracker


def begin(name: str, folder: Path) -> Turn:
    run = tracker(name)(folder)

    def train(epochs: int, seconds: float, busy: bool, finish: bool) -> dict[str, Any]:
        for _ in range(epochs):
            (keep_busy if busy else time.sleep)(seconds)
            run.mark()
        if finish:
            run.finish()
        return {"epochs": epochs}

    return train


serve(begin)
