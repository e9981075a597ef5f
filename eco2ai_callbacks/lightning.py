"""Energy and CO2 per epoch in Lightning's own logging, for Trainers of ``lightning`` and of ``pytorch_lightning``."""

from __future__ import annotations

import functools
import logging
import warnings
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Self, Unpack

from eco2ai_callbacks.distributed.messages import Gather
from eco2ai_callbacks.distributed.process_group import has_torch_group, torch_group, torch_store
from eco2ai_callbacks.integrations.callstack import call_of
from eco2ai_callbacks.integrations.fit_phases import CHECKPOINT, DATA, LOGGING, TRAIN, VALIDATION
from eco2ai_callbacks.integrations.lifecycle import RunLifecycle
from eco2ai_callbacks.integrations.lightning_callbacks import Callback, LastCallback
from eco2ai_callbacks.integrations.lightning_logged import LoggedEpochs
from eco2ai_callbacks.integrations.run_facts import log_facts
from eco2ai_callbacks.phases.times import OTHER
from eco2ai_callbacks.session.context import Platform
from eco2ai_callbacks.session.identity import Checkpoint
from eco2ai_callbacks.settings import SettingsArgs, by_name
from eco2ai_callbacks.tracker import Tracker

if TYPE_CHECKING:
    from lightning.pytorch import LightningModule, Trainer


class Eco2AICallback(Callback):
    """A Lightning callback that logs every epoch's energy and CO2 beside its loss.

    Args:
        settings: See :class:`~eco2ai_callbacks.settings.Settings`.

    Raises:
        SettingsError: A setting has a value that is not accepted.

    Example:
        >>> import lightning as L  # doctest: +SKIP
        >>> L.Trainer(max_epochs=3, callbacks=[Eco2AICallback()])  # doctest: +SKIP
    """

    # Set on the callback that ECO2AI_AUTO adds.
    automatic = False

    def __init__(self, *by_position: object, **settings: Unpack[SettingsArgs]) -> None:
        super().__init__()
        if by_position:
            raise by_name("Eco2AICallback", by_position[0])
        self._lifecycle = RunLifecycle(settings)
        self._restored: Checkpoint | None = None
        self._samples: int | None = None
        self._step = 0
        self._logged = LoggedEpochs()

    @classmethod
    def on_platform(cls, platform: Platform, **settings: Unpack[SettingsArgs]) -> Self:
        """Return a callback that measures a given platform in place of this machine; tests pass a fake."""
        callback = cls(**settings)
        callback._lifecycle = RunLifecycle(settings, platform)
        return callback

    def __getstate__(self) -> dict[str, Any]:
        """Return the state for a copy, without the module's logging, which Lightning sets on every callback."""
        return {name: value for name, value in self.__dict__.items() if name not in ("log", "log_dict")}

    # --- fit -------------------------------------------------------------------------------------------------------

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start a run, or continue the one that the checkpoint names."""
        if self._leads(trainer):
            tracker = self._begin(trainer, fit=True, done=self._done(trainer, trainer.current_epoch))
            log_facts(tracker, trainer.loggers if trainer.is_global_zero else ())
            self._restored, self._step = None, trainer.global_step
            self._logged = LoggedEpochs()
            fit = self._lifecycle.fit
            fit.count(trainer, "save_checkpoint", CHECKPOINT)
            for logger in trainer.loggers:
                fit.count(logger, "log_metrics", LOGGING)
            LastCallback.put(trainer, fit)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin an epoch; the time before it was set-up, or time between two epochs."""
        self._logged.write(self._lifecycle.tracker, trainer)
        if tracker := self._lifecycle.tracker:
            self._samples = None
            tracker.enter("train", trainer.current_epoch)
            self._lifecycle.fit.turn(DATA)

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Begin a step: its batch is there."""
        self._lifecycle.fit.turn(TRAIN)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Count the step and its samples, as far as they are wanted; stop where the budget is used up in an epoch."""
        settings = self._lifecycle.settings
        found = samples_in(batch) if settings.scalars == "all" or settings.every_n_steps else None
        if settings.scalars == "all" and found is not None:
            self._samples = (self._samples or 0) + found
        if settings.every_n_steps and (tracker := self._lifecycle.tracker):
            self._count_step(trainer, tracker, found)
        self._lifecycle.fit.step_ended(OTHER)
        if self._lifecycle.is_over_budget(
            lambda: trainer.global_step if len(trainer.optimizers) == 1 else None,
            lambda: self._planned(trainer),
            trainer.current_epoch,
        ):
            trainer.should_stop = True

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Close the epoch, log its figures on every rank, and stop the fit where the budget is used up."""
        if tracker := self._lifecycle.tracker:
            self._lifecycle.fit.turn(TRAIN)  # the mark waits for what the GPU has queued
            epoch = trainer.current_epoch
            planned = tracker.guard.call("forecast", lambda: self._planned(trainer), None)
            done = self._done(trainer, epoch + 1)
            report = tracker.end_epoch(epoch, samples=self._samples, done=done, planned=planned)
            self._lifecycle.fit.turn(OTHER)
            self._log(tracker, pl_module, report.scalars)
            self._logged.end(epoch)
            if report.stop:
                trainer.should_stop = True

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write what the last epoch has logged."""
        self._logged.write(self._lifecycle.tracker, trainer)

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """End the run."""
        self._lifecycle.end()
        LastCallback.remove(trainer)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """End the run as interrupted; its usage until now is kept."""
        self._logged.write(self._lifecycle.tracker, trainer)
        self._lifecycle.end("interrupted")
        LastCallback.remove(trainer)

    def phase(self, name: str) -> AbstractContextManager[None]:
        """Return a ``with`` block whose time and energy are counted apart from the fit's own phases.

        Args:
            name: Name of the phase.
        """
        return self._lifecycle.phase(name)

    # --- validation, test, prediction ------------------------------------------------------------------------------

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin a validation; the sanity check before a fit counts as set-up."""
        self._enter(trainer, "validate")

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Log the figures of a validation outside of a fit; inside a fit the epoch's end logs them."""
        if trainer.state.fn == "validate":
            self._leave_logging(pl_module, "val")

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Return to the training, or end the run of a validation outside of a fit."""
        self._leave(trainer)

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin a test."""
        self._enter(trainer, "test")

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Log the test's figures."""
        self._leave_logging(pl_module, "test")

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """End the test."""
        self._leave(trainer)

    def on_predict_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin a prediction."""
        self._enter(trainer, "predict")

    def on_predict_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """End the prediction; its hooks cannot log, so the loggers get the figures directly."""
        if tracker := self._lifecycle.tracker:
            found = tracker.figures.stage(tracker.leave(), "predict")
            for logger in trainer.loggers:
                tracker.guard.call(
                    type(logger).__name__,
                    lambda logger=logger: logger.log_metrics(found, step=trainer.global_step),  # type: ignore[misc]
                    None,
                )
        self._leave(trainer)

    # --- checkpoints -----------------------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """Return the run's id and totals."""
        last = self._lifecycle.last
        return {} if last is None else dict(last.to_dict())

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Store the run that the checkpoint belongs to; the fit that follows continues it."""
        self._restored = Checkpoint.from_dict(state_dict)

    # --- inside ----------------------------------------------------------------------------------------------------

    def _begin(self, trainer: Trainer, *, fit: bool, done: float | None = None) -> Tracker:
        package = type(trainer).__module__.partition(".")[0]
        name = "lightning.pytorch" if package == "lightning" else package
        calls = ("_fit_impl",) if fit else ("_validate_impl", "_test_impl", "_predict_impl")
        return self._lifecycle.begin(
            fit=fit,
            checkpoint=self._restored,
            done=done,
            call=call_of(calls, package),
            rank=(trainer.global_rank, trainer.world_size),
            quiet=not trainer.is_global_zero or not logging.getLogger(name).isEnabledFor(logging.INFO),
            gather=_gather(trainer) if fit else None,
            store=torch_store(),
        )

    def _done(self, trainer: Trainer, epochs: int) -> float:
        """Return the progress of the fit in steps; in epochs where each of several optimizers counts steps."""
        return trainer.global_step if len(trainer.optimizers) == 1 else epochs

    def _planned(self, trainer: Trainer) -> float | None:
        """Return the planned length of the fit. Before its first step, this would load the data too early."""
        steps = len(trainer.optimizers) == 1
        planned: float | None = trainer.estimated_stepping_batches if steps else trainer.max_epochs
        return planned

    def _leads(self, trainer: Trainer) -> bool:
        """Return whether this callback of ours measures: the user's does, where ECO2AI_AUTO has added another."""
        ours = [each for each in trainer.callbacks if isinstance(each, Eco2AICallback)]
        return min(ours, key=lambda each: each.automatic, default=self) is self

    def _enter(self, trainer: Trainer, stage: str) -> None:
        if trainer.sanity_checking or not self._leads(trainer):
            return
        if trainer.state.fn == "fit":
            if tracker := self._lifecycle.tracker:
                tracker.enter(stage, trainer.current_epoch)
                self._lifecycle.fit.turn(VALIDATION)
        else:
            self._begin(trainer, fit=False).enter(stage)

    def _leave_logging(self, pl_module: LightningModule, name: str) -> None:
        if tracker := self._lifecycle.tracker:
            self._log(tracker, pl_module, tracker.figures.stage(tracker.leave(), name))

    def _leave(self, trainer: Trainer) -> None:
        if trainer.sanity_checking:
            return
        if trainer.state.fn != "fit":
            self._lifecycle.end()
        elif tracker := self._lifecycle.tracker:
            tracker.leave()
            self._lifecycle.fit.turn(OTHER)

    def _count_step(self, trainer: Trainer, tracker: Tracker, samples: int | None) -> None:
        """Count a batch, and log the window of steps that it ends where Lightning logs the values of a step."""
        done, self._step = trainer.global_step - self._step, trainer.global_step
        if row := tracker.step(samples, number=trainer.global_step, steps=done):
            step = getattr(trainer.fit_loop.epoch_loop, "_batches_that_stepped", trainer.global_step)
            for logger in trainer.loggers:
                tracker.guard.call(type(logger).__name__, functools.partial(logger.log_metrics, row, step=step), None)

    def _log(self, tracker: Tracker, pl_module: LightningModule, found: Mapping[str, float]) -> None:
        prog_bar = self._lifecycle.settings.prog_bar
        tracker.guard.call(
            "Lightning's logging", lambda: pl_module.log_dict(dict(found), prog_bar=prog_bar, batch_size=1), None
        )


def samples_in(batch: Any) -> int | None:
    """Return the number of samples in a batch: the first tensor's first dimension; ``None`` without a tensor."""
    shape = getattr(batch, "shape", None)
    if shape is not None:
        return int(shape[0]) if len(shape) else 1
    parts = batch.values() if isinstance(batch, Mapping) else batch if isinstance(batch, list | tuple) else ()
    return next((found for part in parts if (found := samples_in(part)) is not None), None)


def _gather(trainer: Trainer) -> Gather | None:
    if trainer.world_size < 2:
        return None
    # Logged figures have been summed up over the ranks already.
    warnings.filterwarnings("ignore", message=r"It is recommended to use `self\.log\('eco2ai/")
    if has_torch_group():
        group = torch_group()
        return group and group.gather
    # A strategy with collectives of its own, such as XLA's.
    return lambda told: [trainer.strategy.broadcast(told, src=rank) for rank in range(trainer.world_size)]


if __name__ == "__main__":
    from eco2ai_callbacks.integrations.script import launch

    launch("lightning")
