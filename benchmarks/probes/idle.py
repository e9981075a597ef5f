"""What a tracker uses while the program waits."""

from __future__ import annotations

import resource
import time
from pathlib import Path
from typing import Any

from turns import Turn, serve, tracker


def cpu_s() -> float:
    own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


def begin(name: str, folder: Path) -> Turn:
    run = tracker(name)(folder)

    def wait(seconds: float) -> dict[str, Any]:
        before = cpu_s()
        time.sleep(seconds)
        used = cpu_s() - before
        # The tracker must still be there.
        run.mark()
        return {"cpu_s": used, "threads": len(list(Path("/proc/self/task").iterdir())) - 1}

    return wait


serve(begin)
