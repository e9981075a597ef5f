"""The log of a training on a virtual machine with a card, written by a tracker."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import golden_run

from eco2ai_callbacks.report.load import load
from eco2ai_callbacks.report.runs import Run
from eco2ai_callbacks.testing import Clock


def trained(path: Path | str = "eco2ai.jsonl", epochs: int = 2, **settings: Any) -> str:
    """Write a run of some epochs of an hour each, with a validation of half an hour; return its id."""
    at = golden_run.bench(Clock(1000.0))
    args = {"project": "demo", "pue": 1.2, "console": False, "log_file": Path(path)}
    run = golden_run.tracker(at.machine, **args | settings)
    golden_run.begin(run, base="other")
    for epoch in range(epochs):
        run.enter("train", epoch)
        at.clock.advance(3600.0)
        run.enter("validate")
        at.clock.advance(1800.0)
        run.leave()
        run.end_epoch(epoch)
    run.stop()
    assert run.run_id is not None
    return run.run_id


def trained_runs(path: Path | str = "eco2ai.jsonl", **settings: Any) -> tuple[Run, ...]:
    """Write such a run, and read it."""
    trained(path, **settings)
    return load(path).runs


# All that a form asks for and no log holds.
NEEDED: dict[str, dict[str, str]] = {
    "boamps": {"task_family": "text classification", "data_type": "text", "infra_type": "onPremise"},
    "cyclonedx": {},
    "spdx": {},
    "sci": {},
    "ai_act": {},
}
