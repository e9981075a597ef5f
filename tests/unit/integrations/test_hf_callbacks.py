from __future__ import annotations

from types import ModuleType, SimpleNamespace
from typing import Any

from eco2ai_callbacks.integrations.hf_callbacks import include_in_all, log_row, surround


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


def test_a_reporter_is_among_all_once_in_every_module_that_names_them():
    one, two = ModuleType("one"), ModuleType("two")
    for module in (one, two):
        module.get_available_reporting_integrations = lambda: ["tensorboard"]  # type: ignore[attr-defined]
    for _ in range(2):
        include_in_all("eco2ai", one, two)
    assert [m.get_available_reporting_integrations() for m in (one, two)] == [["tensorboard", "eco2ai"]] * 2
