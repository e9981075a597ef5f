"""The facts of a run in the configuration of the loggers beside it: W&B, MLflow, TensorBoard."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from eco2ai_callbacks.metrics.run_facts import Facts
from eco2ai_callbacks.tracker import Tracker

# The longest value of a parameter that all versions of MLflow accept.
_LONGEST = 250


def log_facts(tracker: Tracker, loggers: Iterable[object]) -> None:
    """Write the facts of a run once, at its start, into each logger's configuration; what is there stays.

    Args:
        tracker: The tracker of the run.
        loggers: Lightning's loggers, or the callbacks of a Trainer or of Keras; others than loggers are passed over.
    """
    facts = tracker.figures.facts
    for each in loggers if facts else ():
        write = _WRITERS.get(_kind(each))
        if write is not None:
            name = f"{type(each).__name__}'s configuration"
            tracker.guard.call(name, functools.partial(write, each, facts), None)


def _kind(logger: object) -> str:
    """Return what a logger is, by the names of its classes: no framework is imported for that."""
    for each in type(logger).__mro__:
        if each.__name__ in _WRITERS:
            return each.__name__
        package = each.__module__.partition(".")[0]
        if package in ("wandb", "mlflow"):  # their own callbacks for Keras
            return package
    return ""


# --- W&B -------------------------------------------------------------------------------------------------------------


def _into_wandb(run: Any, facts: Facts) -> None:
    if run is not None:
        held = set(run.config.keys())
        run.config.update({name: value for name, value in facts.items() if name not in held})


def _of_wandb_logger(logger: Any, facts: Facts) -> None:
    _into_wandb(logger.experiment, facts)


def _of_wandb_callback(callback: Any, facts: Facts) -> None:
    _into_wandb(getattr(callback._wandb, "run", None), facts)


def _of_wandb(_: Any, facts: Facts) -> None:
    _into_wandb(sys.modules["wandb"].run, facts)


# --- MLflow ----------------------------------------------------------------------------------------------------------


def _missing(held: Mapping[str, str], facts: Facts) -> dict[str, str]:
    # A parameter cannot be changed, and MLflow refuses another value.
    return {name: str(value)[:_LONGEST] for name, value in facts.items() if name not in held}


def _of_mlflow_logger(logger: Any, facts: Facts) -> None:
    client, run = logger.experiment, logger.run_id
    for name, value in _missing(client.get_run(run).data.params, facts).items():
        client.log_param(run, name, value)


def _into_active_run(mlflow: Any, facts: Facts) -> None:
    run = mlflow.active_run()
    if run is not None:
        mlflow.log_params(_missing(mlflow.get_run(run.info.run_id).data.params, facts))


def _of_mlflow_callback(callback: Any, facts: Facts) -> None:
    _into_active_run(callback._ml_flow, facts)


def _of_mlflow(_: Any, facts: Facts) -> None:
    _into_active_run(sys.modules["mlflow"], facts)


# --- TensorBoard -----------------------------------------------------------------------------------------------------


# A text beside the hyperparameters: a second set of these would hide the user's.
_TAG = "eco2ai/run"


def _table(facts: Facts) -> str:
    rows = [f"| {name} | {str(value).replace('|', '/')} |" for name, value in facts.items()]
    return "\n".join(["| fact | value |", "|---|---|", *rows])


def _into_tensorboard(writer: Any, facts: Facts) -> None:
    if writer is not None:
        writer.add_text(_TAG, _table(facts))


def _of_tensorboard_logger(logger: Any, facts: Facts) -> None:
    _into_tensorboard(logger.experiment, facts)


def _of_tensorboard_callback(callback: Any, facts: Facts) -> None:
    _into_tensorboard(callback.tb_writer, facts)


def _of_keras_tensorboard(callback: Any, facts: Facts) -> None:
    # Its writers belong to one fit, so they are asked for here; `summary` is TensorFlow's module.
    with callback._train_writer.as_default():
        callback.summary.text(_TAG, _table(facts), step=0)


# Lightning's loggers, transformers' callbacks, Keras's callback, and the packages whose own callbacks Keras has.
_WRITERS: Mapping[str, Callable[[Any, Facts], None]] = {
    "WandbLogger": _of_wandb_logger,
    "MLFlowLogger": _of_mlflow_logger,
    "TensorBoardLogger": _of_tensorboard_logger,
    "WandbCallback": _of_wandb_callback,
    "MLflowCallback": _of_mlflow_callback,
    "TensorBoardCallback": _of_tensorboard_callback,
    "TensorBoard": _of_keras_tensorboard,
    "wandb": _of_wandb,
    "mlflow": _of_mlflow,
}
