"""Searches over hyperparameters: the sections of a page that are about them, and what a measured process has used."""

from __future__ import annotations

import gc
import re
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from logcheck import rows

from eco2ai_callbacks import Tracker, load
from eco2ai_callbacks.report.runs import Run
from eco2ai_callbacks.runlog.verify import verify

PAGE = Path(__file__).parents[2] / "docs" / "libraries.md"
# Sections of the page that tests/system/test_sweeps.py runs.
SECTIONS = ("Keras Tuner", "Lightning's Tuner", "Hugging Face's hyperparameter_search", "Optuna")


class Watched:
    """The CPU time of this process while each tracker has measured, by run.

    Args:
        monkeypatch: Takes the watching away again.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.seconds: dict[str, float] = {}
        self._began: dict[str, float] = {}
        start, stop = Tracker.start, Tracker.stop
        monkeypatch.setattr(Tracker, "start", self._started(start))
        monkeypatch.setattr(Tracker, "stop", self._stopped(stop))

    def _started(self, start: Callable[..., Tracker]) -> Callable[..., Tracker]:
        def started(tracker: Tracker, *args: Any) -> Tracker:
            start(tracker, *args)
            assert tracker.run_id is not None
            self._began.setdefault(tracker.run_id, time.process_time())
            return tracker

        return started

    def _stopped(self, stop: Callable[..., Any]) -> Callable[..., Any]:
        def stopped(tracker: Tracker, *args: Any) -> Any:
            now, run = time.process_time(), tracker.run_id
            if run in self._began:
                self.seconds.setdefault(run, now - self._began[run])
            return stop(tracker, *args)

        return stopped


def left() -> tuple[int, list[str]]:
    """Return how many trackers there are in this process, and its threads that are ours."""
    gc.collect()
    trackers = sum(isinstance(each, Tracker) for each in gc.get_objects())
    return trackers, [each.name for each in threading.enumerate() if each.name.startswith("eco2ai")]


def check_sweep(watched: Watched, inside: int) -> tuple[Run, list[Run]]:
    """Check a log with one run and others inside it, by the CPU time of the process; return them.

    Args:
        watched: The CPU time of each run.
        inside: How many runs are inside it.
    """
    assert verify(Path("eco2ai.jsonl")).whole
    found = load("eco2ai.jsonl")
    around, *others = sorted(found.runs, key=lambda run: run.parent is not None)
    assert around.parent is None
    assert [run.parent for run in others] == [around.id] * inside
    stated = {row["attribution"]["cpu"] for row in rows() if row["event"] == "stop"}
    (watts,) = {float(re.search(r"([\d.]+) W per busy thread", each)[1]) for each in stated}  # type: ignore[index]
    seconds = sum(watched.seconds[run.id] for run in others)
    assert sum(run.joules["cpu"] for run in others) == pytest.approx(watts * seconds, rel=0.05)
    assert around.joules["cpu"] == pytest.approx(watts * watched.seconds[around.id], rel=0.05)
    assert found.sum.joules["cpu"] == around.joules["cpu"]
    return around, others
