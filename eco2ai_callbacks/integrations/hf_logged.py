"""What a Hugging Face Trainer logs of an epoch, written when it is over: rows come after the end of an epoch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from eco2ai_callbacks.integrations.logged import logged, numbers
from eco2ai_callbacks.tracker import Tracker


class LoggedRows:
    """The latest numbers of the rows of an epoch: those of its last loss row and of its last evaluation."""

    def __init__(self) -> None:
        self._found: dict[str, float] = {}

    def add(self, tracker: Tracker | None, state: Any, row: Mapping[str, Any] | None) -> None:
        """Add a row on the process that logs; of each name the latest number is kept.

        Args:
            tracker: Measures the training; ``None`` where nothing does.
            state: The Trainer's state.
            row: The row. The closing row is left out: it is about the whole training.
        """
        if tracker is None or not row or not state.is_world_process_zero or is_closing(row):
            return
        # Each row has the Trainer's progress, which is no metric.
        found = logged(tracker.guard, lambda: {name: row[name] for name in row if name != "epoch"})
        self._found = numbers(self._found | found)

    def write(self, tracker: Tracker | None, epoch: int | None) -> None:
        """Write what the rows of an epoch have held, if anything, and begin with the next epoch.

        Args:
            tracker: Measures the training; ``None`` where nothing does.
            epoch: Number of the epoch that is over; ``None`` before the first one, of which nothing is written.
        """
        found, self._found = self._found, {}
        if found and tracker is not None and epoch is not None:
            tracker.write("metrics", found, epoch=epoch)


def is_closing(row: Mapping[str, Any]) -> bool:
    """Return whether a row is the one that a Trainer logs at the end of its training."""
    return "train_runtime" in row and "train_loss" in row
