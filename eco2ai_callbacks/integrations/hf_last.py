"""The last callback of a Hugging Face Trainer, which sees what all others have decided, and so what comes next."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_callback import CallbackHandler

from eco2ai_callbacks.integrations.callstack import owner
from eco2ai_callbacks.integrations.fit_phases import CHECKPOINT, DATA, LOGGING, VALIDATION
from eco2ai_callbacks.integrations.hf_callbacks import log_row
from eco2ai_callbacks.integrations.lifecycle import RunLifecycle
from eco2ai_callbacks.phases.times import OTHER

Decided = Callable[[TrainingArguments, TrainerState, TrainerControl], None]


class LastCallback(TrainerCallback):
    """The last callback of a Trainer, wherever the flow callback stands.

    After a step the Trainer logs, evaluates and saves, in this order, where its control asks for it; each clears its
    flag. No hook begins them, so each begins where the one before has ended.

    Args:
        lifecycle: The run of the training.
        decided: Called when all other callbacks have had a step's or an epoch's end.
        state: The Trainer's state where its training begins.
    """

    def __init__(self, lifecycle: RunLifecycle, decided: Decided, state: TrainerState) -> None:
        self._lifecycle = lifecycle
        self._fit = lifecycle.fit
        self._decided = decided
        self._then = DATA
        self._counted = _counts(state)

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Pass the decisions on, and begin what they ask for, else to wait for data."""
        self._count(args, state, control)
        self._decided(args, state, control)
        self._then = DATA
        self._fit.step_ended(self._next(control))

    def on_epoch_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Pass the decisions on, and begin what they ask for."""
        self._decided(args, state, control)
        self._then = OTHER
        self._fit.turn(self._next(control))

    def on_log(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Begin what comes after a row, unless it was logged in the middle of something else."""
        self._ends(LOGGING, control)

    def on_evaluate(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Begin what comes after an evaluation."""
        self._ends(VALIDATION, control)

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Begin what comes after a checkpoint."""
        self._ends(CHECKPOINT, control)

    def _count(self, args: TrainingArguments, state: TrainerState, control: TrainerControl) -> None:
        """Count a step, and log the window of steps that it ends."""
        tracker = self._lifecycle.tracker
        if not self._lifecycle.settings.every_n_steps or tracker is None:
            return
        now = _counts(state)
        steps, tokens = now[0] - self._counted[0], now[1] - self._counted[1]
        self._counted = now
        samples = steps * args.gradient_accumulation_steps * args.train_batch_size
        row = tracker.step(samples, tokens or None, number=state.global_step, steps=steps)
        handler = owner(CallbackHandler, lambda each: self in each.callbacks) if row else None
        if handler is not None:
            tracker.guard.call("reporters", lambda: log_row(handler, args, state, control, row), None)

    def _ends(self, phase: str, control: TrainerControl) -> None:
        if self._fit.phase == phase:
            self._fit.turn(self._next(control))

    def _next(self, control: TrainerControl) -> str:
        if control.should_log:
            return LOGGING
        if control.should_evaluate:
            return VALIDATION
        return CHECKPOINT if control.should_save else self._then


def _counts(state: TrainerState) -> tuple[int, int]:
    """Return the steps and the tokens so far."""
    return state.global_step, state.num_input_tokens_seen
