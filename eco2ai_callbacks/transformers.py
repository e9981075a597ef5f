"""Energy and CO2 per epoch in the Hugging Face Trainer's own logging, for every reporter of ``report_to``."""

from __future__ import annotations

import time
from contextlib import AbstractContextManager
from typing import Any, Self, Unpack

from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments, integrations
from transformers.integrations import INTEGRATION_TO_CALLBACK, integration_utils
from transformers.trainer_callback import CallbackHandler
from transformers.utils import logging

from eco2ai_callbacks.distributed.process_group import torch_group, torch_store
from eco2ai_callbacks.integrations.callstack import call_of, owner
from eco2ai_callbacks.integrations.fit_phases import DATA, TRAIN
from eco2ai_callbacks.integrations.hf_callbacks import amounts, include_in_all, log_row, show_in_table, surround
from eco2ai_callbacks.integrations.hf_last import LastCallback
from eco2ai_callbacks.integrations.hf_logged import LoggedRows, is_closing
from eco2ai_callbacks.integrations.hf_model_card import add_emissions_to_cards
from eco2ai_callbacks.integrations.lifecycle import RunLifecycle
from eco2ai_callbacks.integrations.run_facts import log_facts
from eco2ai_callbacks.session.context import Platform
from eco2ai_callbacks.session.identity import Checkpoint
from eco2ai_callbacks.settings import SettingsArgs, by_name
from eco2ai_callbacks.tracker import Tracker

# Key of the run in checkpoints: not the class's name, under which Trainer would look for an object to restore.
STATE_KEY = "eco2ai"


class Eco2AICallback(TrainerCallback):
    """A Trainer callback that logs every epoch's energy and CO2 as a row of ``log_history``, and to every reporter.

    Args:
        settings: See :class:`~eco2ai_callbacks.settings.Settings`.

    Raises:
        SettingsError: A setting has a value that is not accepted.

    Example:
        >>> Trainer(model, args, train_dataset=data, callbacks=[Eco2AICallback(region="FR")])  # doctest: +SKIP
    """

    # Set on the callback that the user has not made.
    automatic = False

    def __init__(self, *by_position: object, **settings: Unpack[SettingsArgs]) -> None:
        if by_position:
            raise by_name("Eco2AICallback", by_position[0])
        self._lifecycle = RunLifecycle(settings)
        self._born = time.monotonic_ns()
        self._epoch: int | None = None
        self._seen = (0, 0)
        self._logged = LoggedRows()
        self._evaluating = False
        self._alone = False

    @classmethod
    def on_platform(cls, platform: Platform, **settings: Unpack[SettingsArgs]) -> Self:
        """Return a callback that measures a given platform in place of this machine; tests pass a fake."""
        callback = cls(**settings)
        callback._lifecycle = RunLifecycle(settings, platform)
        return callback

    # --- training --------------------------------------------------------------------------------------------------

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Start a run, or continue the one that the checkpoint names."""
        handler = self._handler()
        if handler is not None:
            if not self._leads(handler):
                return  # named in report_to and given as a callback: only one of the two measures
            surround(handler, self, LastCallback(self._lifecycle, self._after_all, state))
        self._epoch, self._evaluating, self._alone = None, False, False
        self._logged = LoggedRows()
        checkpoint = Checkpoint.from_dict((state.stateful_callbacks.get(STATE_KEY) or {}).get("attributes", {}))
        tracker = self._begin(args, state, ("train",), checkpoint)
        self._save(state)
        trainer = owner(Trainer, lambda each: each.state is state)
        if trainer is not None:
            add_emissions_to_cards(trainer, self._lifecycle.model_card, tracker.guard)

    def on_epoch_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Begin an epoch; the first one's number is taken from the state, also after a resume."""
        if tracker := self._lifecycle.tracker:
            if self._epoch is None and state.is_world_process_zero:  # by now, all reporters are set up
                log_facts(tracker, getattr(self._handler(), "callbacks", ()))
            self._logged.write(tracker, self._epoch)
            # The state's epoch is steps divided by steps: a whole number may be short by a rounding error.
            self._epoch = int((state.epoch or 0.0) + 1e-6) if self._epoch is None else self._epoch + 1
            self._seen = (state.global_step, state.num_input_tokens_seen)
            tracker.enter("train", self._epoch)
            self._lifecycle.fit.turn(DATA)

    def on_step_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Begin a step: its batches are there."""
        self._lifecycle.fit.turn(TRAIN)

    def on_epoch_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **objects: Any
    ) -> None:
        """Close the epoch, log its row, and stop where the budget is used up."""
        if tracker := self._lifecycle.tracker:
            self._lifecycle.fit.turn(TRAIN)  # the mark waits for what the GPU has queued
            samples, tokens = self._counts(args, state, objects.get("train_dataloader"))
            report = tracker.end_epoch(
                self._epoch, samples=samples, tokens=tokens, done=state.global_step, planned=state.max_steps
            )
            if report.stop:
                control.should_training_stop = True
            self._save(state)
            # A validation has a row of its own.
            row = report.train | report.total | report.forecast
            if (handler := self._handler()) is not None:
                tracker.guard.call("reporters", lambda: log_row(handler, args, state, control, row), None)
                cells = amounts(row, self._lifecycle.settings.units)
                tracker.guard.call("notebook's table", lambda: show_in_table(handler, state, cells), None)

    def on_train_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """End the run; a row logged in this hook would open a second run in some reporters."""
        self._logged.write(self._lifecycle.tracker, self._epoch)
        self._save(state)
        self._lifecycle.end()

    def phase(self, name: str) -> AbstractContextManager[None]:
        """Return a ``with`` block whose time and energy are counted apart from the fit's own phases.

        Args:
            name: Name of the phase.
        """
        return self._lifecycle.phase(name)

    # --- evaluation and prediction ---------------------------------------------------------------------------------

    def on_prediction_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Begin an evaluation that no earlier hook announced, at its first step; also one outside of training."""
        if self._evaluating:
            return
        tracker = self._lifecycle.tracker
        if tracker is not None and tracker.call_is_running:
            self._evaluate()
            return
        handler = self._handler()
        if handler is None or self._leads(handler):
            self._alone = self._evaluating = True
            self._begin(args, state, ("evaluate", "predict"), None)

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, Any] | None = None,
        **_: Any,
    ) -> None:
        """Add an evaluation's figures to its row, and the totals to the closing row."""
        tracker = self._lifecycle.tracker
        if tracker is None or logs is None:
            return
        self._logged.add(tracker, state, logs)
        if is_closing(logs):
            tracker.mark("stage", stage="other")
            found = tracker.figures.totals()
        elif self._evaluating and (key := next((k for k in logs if k.endswith("_runtime")), None)):
            found = self._evaluated(tracker, key.removesuffix("runtime"))
        else:
            return
        logs.update(found)
        if state.log_history:  # holds a copy that was made before
            state.log_history[-1].update(found)

    def on_evaluate(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        metrics: dict[str, float] | None = None,
        **_: Any,
    ) -> None:
        """Close an evaluation that no row has closed, and end the run of one outside of training."""
        self._finish_evaluation(metrics, "validate")
        self._logged.add(self._lifecycle.tracker, state, metrics)
        self._save(state)

    def on_predict(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        metrics: dict[str, float] | None = None,
        **_: Any,
    ) -> None:
        """Close a prediction, and end the run of one outside of training."""
        self._finish_evaluation(metrics, "predict")

    # --- inside ----------------------------------------------------------------------------------------------------

    def _handler(self) -> CallbackHandler | None:
        return owner(CallbackHandler, lambda each: self in each.callbacks)

    def _after_all(self, args: TrainingArguments, state: TrainerState, control: TrainerControl) -> None:
        """Begin an evaluation that comes next, and stop where the budget is used up within an epoch.

        Called when all callbacks have had a step's or an epoch's end.
        """
        if control.should_evaluate:
            self._evaluate()
            self._save(state)
        if self._lifecycle.is_over_budget(lambda: state.global_step, lambda: state.max_steps, self._epoch):
            control.should_training_stop = True

    def _leads(self, handler: CallbackHandler) -> bool:
        """Return whether this callback of ours measures: the user's before an added one, the first before others."""
        ours = [each for each in handler.callbacks if isinstance(each, Eco2AICallback)]
        return min(ours, key=lambda each: (each.automatic, each._born)) is self

    def _begin(
        self, args: TrainingArguments, state: TrainerState, calls: tuple[str, ...], checkpoint: Checkpoint | None
    ) -> Tracker:
        group = torch_group() if "train" in calls and args.world_size > 1 else None
        return self._lifecycle.begin(
            fit="train" in calls,
            checkpoint=checkpoint,
            done=state.global_step if "train" in calls else None,
            call=call_of(calls, "transformers"),
            rank=(args.process_index, args.world_size),
            quiet=not state.is_world_process_zero or logging.get_verbosity() >= logging.ERROR,
            gather=group and group.gather,
            store=torch_store(),
        )

    def _counts(self, args: TrainingArguments, state: TrainerState, loader: Any) -> tuple[int, int | None]:
        """Return the epoch's samples that this process has trained on, and its tokens, where they are counted.

        The last batch may be smaller: no epoch has more samples than this process's part of the data.
        """
        steps, tokens = state.global_step - self._seen[0], state.num_input_tokens_seen - self._seen[1]
        samples = steps * args.gradient_accumulation_steps * args.train_batch_size
        data: Any = getattr(loader, "dataset", None)
        if hasattr(data, "__len__"):
            samples = min(samples, -(-len(data) // args.world_size))
        # The count of tokens is already the whole job's.
        return samples, tokens if tokens and state.is_world_process_zero else None

    def _evaluate(self) -> None:
        if (tracker := self._lifecycle.tracker) and not self._evaluating:
            self._evaluating = True
            tracker.enter("validate", self._epoch)

    def _evaluated(self, tracker: Tracker, prefix: str, stage: str = "validate") -> dict[str, float]:
        self._evaluating = False
        if self._alone:
            name = "test" if prefix.startswith("test") and stage == "validate" else stage
            usage = tracker.mark("stage", stage=name)
        else:
            usage = tracker.leave()
        return tracker.figures.stage(usage, prefix=prefix)

    def _finish_evaluation(self, metrics: dict[str, float] | None, stage: str) -> None:
        if (tracker := self._lifecycle.tracker) and self._evaluating:
            key = next((k for k in metrics or {} if k.endswith("_runtime")), f"{stage}_runtime")
            found = self._evaluated(tracker, key.removesuffix("runtime"), stage)
            if metrics is not None:
                metrics.update(found)
        if self._alone:
            self._alone = False
            self._lifecycle.end()

    def _save(self, state: TrainerState) -> None:
        last = self._lifecycle.last
        if last is not None:
            state.stateful_callbacks[STATE_KEY] = {"args": {}, "attributes": last.to_dict()}


class AutomaticCallback(Eco2AICallback):
    """The callback that ``report_to`` and the launcher add; it leaves the measuring to one that the user has given."""

    automatic = True


def is_ours(callback: object) -> bool:
    """Return whether a Trainer's callback, given as an object or as a class, is ours."""
    return issubclass(callback if isinstance(callback, type) else type(callback), Eco2AICallback)


INTEGRATION_TO_CALLBACK[STATE_KEY] = AutomaticCallback
include_in_all(STATE_KEY, integration_utils, integrations)


if __name__ == "__main__":
    from eco2ai_callbacks.integrations.script import launch

    launch("transformers")
