"""The last callback of a Keras fit, which sees when all others have had a step's or an epoch's end."""

from __future__ import annotations

from typing import Any

import keras

from eco2ai_callbacks.integrations.fit_phases import DATA, FitPhases
from eco2ai_callbacks.phases.times import OTHER


class LastCallback(keras.callbacks.Callback):
    """The last callback of a list: what the others do at a step's and an epoch's end is over.

    Args:
        fit: The fit's phases.
    """

    async_safe = True

    def __init__(self, fit: FitPhases) -> None:
        super().__init__()
        self._fit = fit

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Begin to wait for data."""
        self._fit.turn(DATA)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Begin what lies between two epochs."""
        self._fit.turn(OTHER)
