"""What a mark costs as a file grows."""

from __future__ import annotations

import statistics
import time
from pathlib import Path
from typing import Any

from turns import Turn, serve, tracker

# Marks whose median stands for one.
LAST = 9


def begin(name: str, folder: Path) -> Turn:
    run = tracker(name)(folder)
    rows, spent = 0, 0.0

    def mark(until: int, seconds: float) -> dict[str, Any]:
        nonlocal rows, spent
        end, last = time.monotonic() + seconds, []
        while rows < until and time.monotonic() < end:
            began = time.perf_counter()
            run.mark()
            took = time.perf_counter() - began
            rows, spent = rows + 1, spent + took
            last = [*last[1 - LAST :], took]
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        return {"rows": rows, "spent_s": spent, "ms": statistics.median(last) * 1000, "bytes": size}

    return mark


serve(begin)
