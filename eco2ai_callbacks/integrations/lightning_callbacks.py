"""The class of callbacks that Trainers of ``lightning`` and of ``pytorch_lightning`` accept, and the last of a fit."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING, Any

from eco2ai_callbacks.integrations.fit_phases import DATA, FitPhases

if TYPE_CHECKING:
    from lightning.pytorch import Callback as Callback
    from lightning.pytorch import LightningModule, Trainer

    _BASES: tuple[type, ...]
else:
    _BASES = tuple(
        importlib.import_module(f"{package}.callbacks").Callback
        for package in ("lightning.pytorch", "pytorch_lightning")
        if importlib.util.find_spec(package.partition(".")[0]) is not None
    )
    if not _BASES:
        raise ImportError("eco2ai_callbacks.lightning needs Lightning: pip install 'eco2ai-callbacks[lightning]'")
    # A Trainer of either package accepts only callbacks of its own; ours subclasses both where both are installed.
    Callback = type("Callback", _BASES, {})


class LastCallback(Callback):
    """The last callback during a fit: after it comes the next batch.

    Args:
        fit: The fit's phases.
    """

    def __init__(self, fit: FitPhases) -> None:
        super().__init__()
        self._fit = fit

    @classmethod
    def put(cls, trainer: Trainer, fit: FitPhases) -> None:
        """Put one at the end of a Trainer's callbacks."""
        cls.remove(trainer)
        trainer.callbacks.append(cls(fit))

    @classmethod
    def remove(cls, trainer: Trainer) -> None:
        """Take it from a Trainer's callbacks."""
        trainer.callbacks[:] = [each for each in trainer.callbacks if not isinstance(each, cls)]

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Begin to wait for data."""
        self._fit.turn(DATA)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin to wait for data again."""
        self._fit.turn(DATA)
