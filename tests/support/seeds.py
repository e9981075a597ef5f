"""Groups of runs that are repeats of each other, with a known energy for each epoch."""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from sessions import Written

# Joules of an epoch, and of the rest of a run.
EPOCH_J, REST_J = 36.0, 36.0


def seed(
    log: Path, run: str, factor: float = 1.0, *, epochs: int = 4, loss: float = 1.0, ends: bool = True, **fields: Any
) -> Written:
    """Write a run whose epochs use ``factor`` times 36 J, with a loss that goes down as 1/epoch."""
    written = Written(log, run, **{"version": "0.1.0"} | fields)
    for epoch in range(epochs):
        written._j += (factor - 1.0) * EPOCH_J
        written.mark("epoch", epoch, samples=100, metrics={"val_loss": loss / (epoch + 1), "lr": 0.1})
    if ends:
        written.stop()
    return written


def seeds(log: Path, project: str, factors: Iterable[float], **fields: Any) -> None:
    """Write one run for each factor."""
    for number, factor in enumerate(factors):
        seed(log, f"{project}{number}", factor, **{"project": project} | fields)


def base_and_pruned(log: Path = Path("eco2ai.jsonl")) -> None:
    """Write five runs, and five that use 12 % less."""
    log.write_bytes(_base_and_pruned())


@functools.cache
def _base_and_pruned() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "eco2ai.jsonl"
        seeds(log, "base", (1.0, 1.01, 0.99, 1.02, 0.98))
        seeds(log, "pruned", (0.88, 0.89, 0.87, 0.9, 0.86))
        return log.read_bytes()
