from __future__ import annotations

from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from eco2ai_callbacks.integrations.hf_callbacks import amounts, include_in_all, log_row, show_in_table, surround


class Last:
    """A callback at the end of a list."""


def test_the_list_is_replaced_and_the_one_that_is_walked_stays_as_it_is():
    one, two, ours, last = object(), object(), object(), Last()
    walked = [one, ours, two]
    handler = SimpleNamespace(callbacks=walked)
    surround(handler, ours, last)
    assert handler.callbacks == [ours, one, two, last]
    assert walked == [one, ours, two]


def test_an_earlier_last_callback_leaves_the_list():
    one, ours, last = object(), object(), Last()
    handler = SimpleNamespace(callbacks=[ours, one, Last(), Last()])
    surround(handler, ours, last)
    assert handler.callbacks == [ours, one, last]


def test_a_row_is_logged_and_kept_and_the_flag_of_the_loss_row_stays():
    told: list[Any] = []
    control = SimpleNamespace(should_log=True)

    def on_log(args: Any, state: Any, control: Any, logs: Any) -> None:
        control.should_log = False
        told.append(logs)

    state = SimpleNamespace(epoch=1.0, global_step=8, log_history=[])
    log_row(SimpleNamespace(on_log=on_log), None, state, control, {"eco2ai/energy_kwh": 2.0})
    assert told == [{"eco2ai/energy_kwh": 2.0, "epoch": 1.0}]
    assert state.log_history == [{"eco2ai/energy_kwh": 2.0, "epoch": 1.0, "step": 8}]
    assert control.should_log


class Table:
    """As transformers' NotebookTrainingTracker keeps its lines."""

    def __init__(self, *lines: list[Any]) -> None:
        self.inner_table = [list(line) for line in lines] or None
        self.written: list[dict[str, Any]] = []

    def write_line(self, values: dict[str, Any]) -> None:
        self.written.append(values)


@pytest.mark.parametrize(
    ("first", "lines", "expected"),
    [
        ("Step", (["Step", "Training Loss"],), {"Step": 8, "Training Loss": "No log", "Energy": "1 Wh"}),
        ("Step", (["Step", "Training Loss"], [8, 0.5]), {"Step": 8, "Energy": "1 Wh"}),
        ("Step", (["Step", "Training Loss"], [4, 0.5]), {"Step": 8, "Training Loss": "No log", "Energy": "1 Wh"}),
        ("Epoch", (["Epoch"], [1]), {"Epoch": 2, "Energy": "1 Wh"}),
        ("Epoch", (), {"Epoch": 2, "Energy": "1 Wh"}),
    ],
    ids=["first line", "same step", "later step", "epochs", "no table yet"],
)
def test_a_notebooks_table_gets_cells_in_the_row_of_the_step(first: str, lines: Any, expected: dict[str, Any]):
    table, others = Table(*lines), [object(), SimpleNamespace(training_tracker=None, first_column="Step")]
    notebook = SimpleNamespace(training_tracker=table, first_column=first)
    state = SimpleNamespace(epoch=2.0, global_step=8)
    show_in_table(SimpleNamespace(callbacks=[*others, notebook]), state, {"Energy": "1 Wh"})
    assert table.written == [expected]


@pytest.mark.parametrize(
    ("scalars", "units"),
    [
        ({"eco2ai/energy_kwh": 1.23e-5, "eco2ai/co2_kg": 1.5e-6}, "kWh"),
        ({"eco2ai/energy_wh": 1.23e-2, "eco2ai/co2_g": 1.5e-3}, "Wh"),
    ],
    ids=["kWh", "Wh"],
)
def test_small_figures_are_shown_with_their_prefix(scalars: dict[str, float], units: str):
    assert amounts(scalars, units) == {"Energy": "12.3 mWh", "CO2e": "1.5 mg"}
    assert amounts({}, units) == {}


def test_a_reporter_is_among_all_once_in_every_module_that_names_them():
    one, two = ModuleType("one"), ModuleType("two")
    for module in (one, two):
        module.get_available_reporting_integrations = lambda: ["tensorboard"]  # type: ignore[attr-defined]
    for _ in range(2):
        include_in_all("eco2ai", one, two)
    assert [m.get_available_reporting_integrations() for m in (one, two)] == [["tensorboard", "eco2ai"]] * 2
