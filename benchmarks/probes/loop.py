"""What a tracker adds to the CPU time of a loop that uses one core."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from busy import work
from turns import Turn, serve, tracker


def begin(name: str, folder: Path) -> Turn:
    run = tracker(name)(folder)

    def loop(rounds: int) -> dict[str, Any]:
        before = time.process_time()
        work(rounds)
        # All threads of the process: a tracker's own count too.
        used = time.process_time() - before
        return {"cpu_s": used, "running": run is not None}

    return loop


serve(begin)
