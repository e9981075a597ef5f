"""The run's CO2 in the model cards that a Hugging Face Trainer writes."""

from __future__ import annotations

import functools
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

from eco2ai_callbacks.guard import Guard
from eco2ai_callbacks.metrics import model_card
from eco2ai_callbacks.metrics.model_card import TrainingType

_OURS = "eco2ai/"


def add_emissions_to_cards(trainer: Any, field: Callable[[TrainingType], dict[str, Any] | None], guard: Guard) -> None:
    """Patch ``trainer.create_model_card`` so that each card gets the field; no callback event exists for it.

    The rows of our figures stay out of the card's table of results.

    Args:
        trainer: A ``transformers.Trainer``.
        field: Returns the field's value for a type of training.
        guard: Records failures.
    """
    if "create_model_card" in vars(trainer):
        return
    write = type(trainer).create_model_card
    # The trainer holds the wrapper of its method: a strong reference back would be a cycle, which is freed late.
    reference: Callable[[], Any] = weakref.ref(trainer)

    @functools.wraps(write)
    def create_model_card(*args: Any, **kwargs: Any) -> None:
        this = reference()
        history = this.state.log_history
        this.state.log_history = without_ours(history)
        try:
            write(this, *args, **kwargs)
        finally:
            this.state.log_history = history
        if this.is_world_process_zero():
            guard.call("model card", lambda: _merge(this, field), None)

    trainer.create_model_card = create_model_card


def without_ours(history: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the rows of a log history without our figures; rows that hold nothing else are left out."""
    rows = ({name: value for name, value in row.items() if _OURS not in name} for row in history)
    return [row for row in rows if row.keys() - {"epoch", "step"}]


def _merge(trainer: Any, field: Callable[[TrainingType], dict[str, Any] | None]) -> None:
    origin = getattr(getattr(trainer.model, "config", None), "_name_or_path", "")
    values = field("fine-tuning" if origin else "pre-training")
    if values is not None:
        model_card.merge(Path(trainer.args.output_dir) / "README.md", values)
