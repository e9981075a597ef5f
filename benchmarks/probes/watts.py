"""The CPU energy that a tracker reports for a load whose core-seconds are counted."""

from __future__ import annotations

import resource
import time
from pathlib import Path
from typing import Any

from busy import keep_busy, start_child
from turns import Turn, serve, tracker

# One worker's life: shorter than any tracker's sampling period.
SHORT_S = 0.05


def children_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def child(seconds: float) -> float:
    before = children_s()
    start_child(seconds).wait()
    return children_s() - before


def workers(seconds: float) -> float:
    before, end = children_s(), time.monotonic() + seconds
    while time.monotonic() < end:
        start_child(SHORT_S).wait()
    return children_s() - before


def wait(seconds: float) -> float:
    time.sleep(seconds)
    return 0.0


LOADS = {"own": keep_busy, "child": child, "workers": workers, "wait": wait}


def begin(name: str, folder: Path) -> Turn:
    run = tracker(name)(folder)
    began = time.monotonic()

    def load(kind: str, seconds: float) -> dict[str, Any]:
        if kind == "ready":
            return {}
        core_s = LOADS[kind](seconds)
        joules = run.cpu_joules()
        return {"core_s": core_s, "wall_s": time.monotonic() - began, "joules": joules, "source": run.source()}

    return load


serve(begin)
