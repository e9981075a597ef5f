"""The place of our callback among the others of a Hugging Face Trainer, and among transformers' reporters."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

from eco2ai_callbacks.metrics.scalars import PREFIX, UNITS
from eco2ai_callbacks.sinks.console import amount


def surround(handler: Any, first: Any, last: Any) -> None:
    """Put one callback before all others, so that it can add to rows, and one behind them, to see what they decide.

    The list is replaced: this is called from a loop over the old one, which must not change.

    Args:
        handler: The Trainer's ``CallbackHandler``.
        first: The callback to move to the front.
        last: The callback at the end; an earlier one of its class leaves the list.
    """
    others = [each for each in handler.callbacks if each is not first and not isinstance(each, type(last))]
    handler.callbacks = [first, *others, last]


def log_row(handler: Any, args: Any, state: Any, control: Any, row: dict[str, Any]) -> None:
    """Log a row of our own, as ``Trainer.log`` does; calling that would clear the flag for the epoch's loss row.

    Args:
        handler: The Trainer's ``CallbackHandler``.
        args: The Trainer's arguments.
        state: Its state, whose history gets the row.
        control: Its decisions, which stay what they are.
        row: The figures.
    """
    should_log = control.should_log
    logs = {**row, "epoch": state.epoch}
    state.log_history.append({**logs, "step": state.global_step})
    handler.on_log(args, state, control, logs)
    control.should_log = should_log


def show_in_table(handler: Any, state: Any, cells: Mapping[str, str]) -> None:
    """Add cells to the row of a notebook's table that belongs to the present step or epoch; else add that row.

    Args:
        handler: The Trainer's ``CallbackHandler``.
        state: Its state.
        cells: The texts, by column.
    """
    for each in handler.callbacks:
        # transformers' NotebookProgressCallback, while a training runs.
        table, first = getattr(each, "training_tracker", None), getattr(each, "first_column", None)
        if table is None or first is None:
            continue
        number = int(state.epoch) if first == "Epoch" else state.global_step
        columns, *lines = table.inner_table or [[first]]
        there = bool(lines) and lines[-1][0] == number
        table.write_line({**({} if there else dict.fromkeys(columns, "No log")), first: number, **cells})


def amounts(scalars: Mapping[str, float], units: str) -> dict[str, str]:
    """Return an epoch's training as texts for a table: ``{"Energy": "12.3 mWh", "CO2e": "1.5 mg"}``.

    Args:
        scalars: The epoch's scalars.
        units: The setting ``units`` that they are in.
    """
    shown = UNITS[units]
    energy, co2 = (scalars.get(name) for name in shown.of(PREFIX))
    figures = {"Energy": (energy, "Wh"), "CO2e": (co2, "g")}
    return {
        name: amount(value * 1000.0 / shown.per, unit) for name, (value, unit) in figures.items() if value is not None
    }


def include_in_all(name: str, *modules: Any) -> None:
    """Add a reporter to those that ``report_to="all"`` stands for, once; transformers keeps them in a function.

    Args:
        name: Its name in ``INTEGRATION_TO_CALLBACK``.
        modules: The modules in which transformers looks that function up.
    """
    available = modules[0].get_available_reporting_integrations

    @functools.wraps(available)
    def with_ours() -> list[str]:
        names: list[str] = available()
        return names if name in names else [*names, name]

    for module in modules:
        module.get_available_reporting_integrations = with_ours
