"""What an Accelerator's calls reach in a process that Accelerate passes over."""

from __future__ import annotations

from typing import Any

import pytest

from eco2ai_callbacks.integrations.accelerate_processes import pass_on


class Accelerator:
    """As Accelerate's: its methods do nothing in processes that are not the main one."""

    def __init__(self, is_main_process: bool) -> None:
        self.is_main_process = is_main_process
        self.calls: list[tuple[Any, ...]] = []

    def init_trackers(self, project_name: str, config: Any = None) -> None:
        self.calls.append(("init_trackers", project_name, config))

    def log(self, values: Any, step: int | None = None, log_kwargs: Any = None) -> None:
        self.calls.append(("log", values, step, log_kwargs))

    def end_training(self) -> None:
        self.calls.append(("end_training",))

    def get_tracker(self, name: str, unwrap: bool = False) -> Any:
        return f"Accelerate's blank for {name}"


class Ours:
    """Notes its calls among the Accelerator's."""

    name = "ours"
    tracker = "underneath"

    def __init__(self, calls: list[tuple[Any, ...]]) -> None:
        self.calls = calls

    def begin(self, accelerator: Any) -> None:
        self.calls.append(("begin", accelerator.is_main_process))

    def log(self, values: Any, step: int | None = None, **kwargs: Any) -> None:
        self.calls.append(("our log", dict(values), step, kwargs))
        values["energy"] = 1.0

    def finish(self) -> None:
        self.calls.append(("finish",))


def made(is_main_process: bool) -> tuple[Accelerator, Ours]:
    accelerator = Accelerator(is_main_process)
    ours = Ours(accelerator.calls)
    pass_on(accelerator, ours)
    return accelerator, ours


def drive(accelerator: Accelerator) -> None:
    accelerator.init_trackers("demo", config={"lr": 0.1})
    accelerator.log({"epoch": 0}, step=7, log_kwargs={"ours": {"x": 1}, "wandb": {"y": 2}})
    accelerator.end_training()


def test_another_process_calls_the_tracker_before_accelerate() -> None:
    accelerator, _ = made(is_main_process=False)
    drive(accelerator)
    assert accelerator.calls == [
        ("begin", False),
        ("init_trackers", "demo", {"lr": 0.1}),
        ("our log", {"epoch": 0}, 7, {"x": 1}),
        ("log", {"epoch": 0, "energy": 1.0}, 7, {"ours": {"x": 1}, "wandb": {"y": 2}}),
        ("finish",),
        ("end_training",),
    ]


def test_the_main_process_is_left_to_accelerate() -> None:
    accelerator, _ = made(is_main_process=True)
    drive(accelerator)
    assert [call[0] for call in accelerator.calls] == ["init_trackers", "log", "end_training"]
    assert not {"log", "init_trackers", "end_training", "get_tracker"} & vars(accelerator).keys()


def test_an_accelerator_that_is_passed_on_twice_calls_once() -> None:
    accelerator, ours = made(is_main_process=False)
    pass_on(accelerator, ours)
    drive(accelerator)
    assert len(accelerator.calls) == 6


@pytest.mark.parametrize("is_main_process", [True, False], ids=["main", "another"])
def test_trackers_are_found_by_their_name(is_main_process: bool) -> None:
    accelerator, ours = made(is_main_process)
    if not is_main_process:
        assert accelerator.get_tracker("ours") is ours
        assert accelerator.get_tracker("ours", unwrap=True) == "underneath"
    assert accelerator.get_tracker("wandb") == "Accelerate's blank for wandb"
