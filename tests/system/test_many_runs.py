"""Many runs in one process, as sweeps and notebooks make them, leave nothing behind."""

from __future__ import annotations

import contextlib
import gc
import threading
from collections import Counter
from pathlib import Path

import pytest
from logcheck import by_run, rows

from eco2ai_callbacks import Tracker, track
from eco2ai_callbacks.runlog.verify import verify

SETTINGS = {"region": "FR", "console": False, "heartbeat_s": 0.0, "gpus": ()}


def finishes() -> None:
    with track(project="sweep", **SETTINGS), Tracker(project="trial", **SETTINGS) as run:  # type: ignore[arg-type]
        run.enter("validate")
        run.leave()
        run.end_epoch(0, planned=2)


def fails() -> None:
    with contextlib.suppress(FloatingPointError), Tracker(**SETTINGS) as run:  # type: ignore[arg-type]
        run.end_epoch(0)
        raise FloatingPointError


def is_run_again() -> None:
    # As a cell that nobody stops: the next one ends it.
    Tracker(project="cell", **SETTINGS).start().end_epoch(0)  # type: ignore[arg-type]


def left_behind() -> tuple[Counter[str], int, int]:
    """Objects of the package by their class, threads, and open files."""
    gc.collect()
    names = (f"{type(each).__module__}.{type(each).__qualname__}" for each in gc.get_objects())
    ours = Counter(name for name in names if name.startswith("eco2ai_callbacks"))
    return ours, threading.active_count(), len(list(Path("/proc/self/fd").iterdir()))


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs Linux's /proc")
def test_many_runs_leave_no_object_no_thread_and_no_file_open() -> None:
    def some(count: int) -> None:
        for _ in range(count):
            finishes()
            fails()
            is_run_again()
        Tracker(project="cell", **SETTINGS).start().stop()  # type: ignore[arg-type]

    some(3)  # caches are filled
    before = left_behind()
    some(20)
    assert left_behind() == before
    found = by_run(rows())
    assert len(found) == 23 * 4 + 2
    assert verify(Path("eco2ai.jsonl")).whole
    ended = Counter(run[-1]["ended"] for run in found.values())
    assert ended == {"finished": 23 * 2 + 2, "interrupted": 23 * 2}
