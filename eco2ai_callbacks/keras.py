"""Energy and CO2 per epoch in Keras's own logs, on the torch, jax and tensorflow backends."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any, Self, Unpack

import keras

from eco2ai_callbacks.distributed.process_group import (
    Group,
    Ranks,
    check_ranks,
    find_group,
    jax_group,
    torch_group,
    torch_rank,
    torch_store,
)
from eco2ai_callbacks.guard import Guard
from eco2ai_callbacks.integrations.callstack import call_of, local, owner
from eco2ai_callbacks.integrations.fit_phases import CHECKPOINT, DATA, LOGGING, TRAIN, VALIDATION
from eco2ai_callbacks.integrations.keras_last import LastCallback
from eco2ai_callbacks.integrations.lifecycle import RunLifecycle
from eco2ai_callbacks.integrations.logged import logged
from eco2ai_callbacks.integrations.run_facts import log_facts
from eco2ai_callbacks.metrics.scalars import PREFIX, UNITS
from eco2ai_callbacks.phases.times import OTHER
from eco2ai_callbacks.session.context import Platform
from eco2ai_callbacks.settings import SettingsArgs, by_name
from eco2ai_callbacks.tracker import Tracker

# torch's wrappers that synchronise the ranks in every step.
_SYNCHRONIZED = ("DistributedDataParallel", "FullyShardedDataParallel")


class Eco2AICallback(keras.callbacks.Callback):
    """A Keras callback that adds every epoch's energy and CO2 to its logs, for History and all other callbacks.

    Args:
        ranks: Framework whose process group the ranks exchange figures over: ``torch``, ``jax`` or ``auto``. All ranks
            must then run the same fits with the same epochs. By default they exchange where Keras synchronises them:
            with a distribution of ``keras.distribution`` on jax, and with a layer that torch runs data-parallel.
        settings: See :class:`~eco2ai_callbacks.settings.Settings`.

    Raises:
        SettingsError: A setting has a value that is not accepted.

    Example:
        >>> model.fit(x, y, epochs=3, callbacks=[Eco2AICallback()])  # doctest: +SKIP
    """

    # Keras may go on with the next batch while a batch's end is still being reported.
    async_safe = True

    def __init__(self, *by_position: object, ranks: Ranks = None, **settings: Unpack[SettingsArgs]) -> None:
        super().__init__()
        if by_position:
            raise by_name("Eco2AICallback", by_position[0])
        self._ranks = check_ranks(ranks)
        self._lifecycle = RunLifecycle(settings)
        self._fitting = False
        self._alone = False
        self._epoch = 0
        self._cut_short = False
        # Batches of the epoch so far, and the sizes of its data: of a batch, of the last one, and how many.
        self._batches = 0
        self._sizes: tuple[int, int, int] | None = None
        self._row: dict[str, float] = {}

    @classmethod
    def on_platform(cls, platform: Platform, *, ranks: Ranks = None, **settings: Unpack[SettingsArgs]) -> Self:
        """Return a callback that measures a given platform in place of this machine; tests pass a fake."""
        callback = cls(ranks=ranks, **settings)
        callback._lifecycle = RunLifecycle(settings, platform)
        return callback

    def __getstate__(self) -> dict[str, Any]:
        """Return the state for a copy, without the model and the state of a running call."""
        return {**self.__dict__, "_model": None, "_fitting": False, "_alone": False}

    def set_model(self, model: keras.Model) -> None:
        """Move to the front of the list, so that the callbacks listed before this one get the figures too."""
        super().set_model(model)
        found = owner(keras.callbacks.CallbackList, lambda each: self in each.callbacks)
        if found is not None:
            found.callbacks.remove(self)
            found.callbacks.insert(0, self)
            others = [each for each in found.callbacks if not isinstance(each, LastCallback)]
            found.callbacks[:] = [*others, LastCallback(self._lifecycle.fit)]
            for each in found.callbacks:
                if isinstance(each, keras.callbacks.ProgbarLogger):
                    self._keep_from(each)

    # --- fit -------------------------------------------------------------------------------------------------------

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Note that a fit begins; the number of its first epoch shows whether it continues a run."""
        self._fitting = True

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Begin an epoch, and the run with the first one."""
        if self._fitting:
            self._fitting = False
            others = owner(keras.callbacks.CallbackList, lambda each: self in each.callbacks)
            log_facts(self._begin(fit=True, first_epoch=epoch), getattr(others, "callbacks", ()))
            self._count()
        self._epoch, self._cut_short = epoch, False
        if tracker := self._lifecycle.tracker:
            self._batches, self._sizes = 0, tracker.guard.call("samples", _sizes, None)
            tracker.enter("train", epoch)
            self._lifecycle.fit.turn(DATA)

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Add the figures of a window of steps, and stop where the budget is used up within an epoch."""
        self._lifecycle.fit.turn(LOGGING)
        row, self._row = self._row, {}
        if row and logs is not None:
            logs.update(row)
        params = self.params or {}
        if self._lifecycle.is_over_budget(
            lambda: self._epoch + (batch + 1) / params["steps"] if params.get("steps") else None,
            lambda: params.get("epochs"),
            self._epoch,
        ):
            self._cut_short = self.model.stop_training = True

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Close the epoch, add its figures to its logs, and stop the fit where the budget is used up."""
        if tracker := self._lifecycle.tracker:
            self._lifecycle.fit.turn(TRAIN)  # the mark waits for what the GPU has queued
            samples = tracker.guard.call("samples", self._samples, None)
            planned = (self.params or {}).get("epochs") or 0
            metrics = logged(tracker.guard, lambda: logs) or None
            report = tracker.end_epoch(epoch, samples=samples, planned=planned, metrics=metrics)
            if logs is not None:
                logs.update(report.scalars)
            self._lifecycle.fit.turn(LOGGING)
            if report.stop:
                self.model.stop_training = True

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """End the run."""
        self._lifecycle.end()

    def phase(self, name: str) -> AbstractContextManager[None]:
        """Return a ``with`` block whose time and energy are counted apart from the fit's own phases.

        Args:
            name: Name of the phase.
        """
        return self._lifecycle.phase(name)

    # --- validation, test, prediction ------------------------------------------------------------------------------

    def on_test_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Begin a validation in the fit, or the run of an evaluation outside of a fit."""
        self._enter("validate", "test", ("evaluate",))

    def on_test_end(self, logs: dict[str, Any] | None = None) -> None:
        """Return to the training, or end the run of an evaluation outside of a fit."""
        self._leave()

    def on_predict_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Begin a prediction."""
        self._enter("predict", "predict", ("predict",))

    def on_predict_end(self, logs: dict[str, Any] | None = None) -> None:
        """End the prediction."""
        self._leave()

    # --- inside ----------------------------------------------------------------------------------------------------

    def _begin(self, *, fit: bool, first_epoch: int = 0, calls: tuple[str, ...] = ("fit",)) -> Tracker:
        group = self._group() if fit else None
        return self._lifecycle.begin(
            fit=fit,
            checkpoint=self._lifecycle.continued(first_epoch) if first_epoch > 0 and not _in_search() else None,
            done=first_epoch if fit else None,
            call=call_of(calls, "keras"),
            rank=(group.rank, group.size) if group else torch_rank(),
            quiet=not (self.params or {}).get("verbose", 1),
            gather=group and group.gather,
            store=torch_store(),
        )

    def _count(self) -> None:
        """Count the calls of the model's that no hook brackets: steps, which hooks report late, and saving."""
        fit = self._lifecycle.fit
        fit.count_steps(self.model, "train_function", self._stepped)
        for method in ("save", "save_weights"):
            fit.count(self.model, method, CHECKPOINT)

    def _stepped(self) -> None:
        """Count one call of the model's train function, which does several steps where the model says so."""
        tracker = self._lifecycle.tracker
        if self._lifecycle.settings.every_n_steps and tracker is not None:
            steps = int(getattr(self.model, "steps_per_execution", 1) or 1)
            samples = None
            if self._sizes is not None:
                size, last, batches = self._sizes
                steps = min(steps, batches - self._batches)
                samples = steps * size - (size - last if self._batches + steps >= batches else 0)
            self._batches += steps
            self._row = tracker.step(samples, steps=steps) or self._row

    def _group(self) -> Group | None:
        """Return the ranks to exchange with: those that the user names, else those that the fit synchronises.

        A process group alone does not make Keras synchronise: each process may run fits of its own.
        """
        if self._ranks is not None:
            return find_group(self._ranks, Guard())
        backend = keras.backend.backend()
        if backend == "torch" and any(type(part).__name__ in _SYNCHRONIZED for part in self.model.modules()):
            return torch_group()
        if backend == "jax" and keras.distribution.distribution() is not None:
            return jax_group()
        return None

    def _keep_from(self, line: keras.callbacks.ProgbarLogger) -> None:
        """Keep the figures from the progress line; with ``prog_bar`` it shows the epoch's energy and CO2."""
        settings, show = self._lifecycle.settings, line.on_epoch_end
        shown = UNITS[settings.units].of(PREFIX) if settings.prog_bar else {}

        def on_epoch_end(epoch: int, logs: dict[str, Any] | None = None) -> None:
            show(epoch, {name: value for name, value in (logs or {}).items() if name in shown or PREFIX not in name})

        step = line.on_train_batch_end

        def on_train_batch_end(batch: int, logs: dict[str, Any] | None = None) -> None:
            step(batch, {name: value for name, value in (logs or {}).items() if PREFIX not in name})

        line.on_epoch_end = on_epoch_end
        if settings.every_n_steps:
            line.on_train_batch_end = on_train_batch_end

    def _samples(self) -> int | None:
        """Return the number of an epoch's samples, which only the calling loop holds.

        ``None`` for generators, and where the epoch was cut short: Keras may have gone on for some batches.
        """
        sizes, steps = None if self._cut_short else _sizes(), (self.params or {}).get("steps")
        if sizes is None or steps is None:
            return None
        size, last, batches = sizes
        return int(steps) * size - (size - last if steps >= batches else 0)

    def _enter(self, inside_fit: str, alone: str, calls: tuple[str, ...]) -> None:
        tracker = self._lifecycle.tracker
        if tracker is not None and tracker.call_is_running:
            tracker.enter(inside_fit)
            self._lifecycle.fit.turn(VALIDATION)
        else:
            self._alone = True
            self._begin(fit=False, calls=calls).enter(alone)

    def _leave(self) -> None:
        if tracker := self._lifecycle.tracker:
            tracker.leave()
            self._lifecycle.fit.turn(OTHER)
            if self._alone:
                self._lifecycle.end()
        self._alone = False


def _in_search() -> bool:
    """Return whether Keras Tuner has called: a trial goes on with another one's model, and is a run of its own."""
    return call_of(("search",), "keras_tuner") is not None


def _sizes() -> tuple[int, int, int] | None:
    """Return the sizes of a fit's batches, of the last one, and how many there are; ``None`` for generators."""
    data: Any = getattr(local("epoch_iterator", "fit"), "data_adapter", None)
    if data is None or not data.batch_size or data.num_batches is None:
        return None
    size = int(data.batch_size)
    return size, int(data.partial_batch_size) if data.has_partial_batch else size, int(data.num_batches)


if __name__ == "__main__":
    from eco2ai_callbacks.integrations.script import launch

    launch("keras")
