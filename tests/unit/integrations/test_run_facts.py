"""The facts of a run in configurations, by fakes of loggers; tests/fits/test_loggers.py has the real ones."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from steady import steady

from eco2ai_callbacks import Tracker
from eco2ai_callbacks.integrations.run_facts import log_facts
from eco2ai_callbacks.testing import Clock

MINE = {"eco2ai/pue": 9.9, "lr": 0.1}


class Config(dict[str, Any]):
    """W&B's configuration of a run, which warns where a value changes."""

    def update(self, values: Any) -> None:  # type: ignore[override]
        assert not values.keys() & self.keys(), "a value that is there is written again"
        super().update(values)


class MLflow(ModuleType):
    """MLflow's module and its client, whose parameters cannot be changed."""

    def __init__(self) -> None:
        super().__init__("mlflow")
        self.params: dict[str, str] = {name: str(value) for name, value in MINE.items()}
        self.run = SimpleNamespace(info=SimpleNamespace(run_id="7"), data=SimpleNamespace(params=self.params))
        self.active: Any = self.run

    def active_run(self) -> Any:
        return self.active

    def get_run(self, run_id: str) -> Any:
        assert run_id == "7"
        return self.run

    def log_param(self, run_id: str, name: str, value: str) -> None:
        assert run_id == "7"
        self.log_params({name: value})

    def log_params(self, values: dict[str, str]) -> None:
        assert not values.keys() & self.params.keys(), "MLflow refuses a second value"
        assert all(len(value) <= 250 for value in values.values())
        self.params.update(values)


class Writer:
    """TensorBoard's writer."""

    def __init__(self) -> None:
        self.texts: list[tuple[str, str]] = []

    def add_text(self, tag: str, text: str) -> None:
        self.texts.append((tag, text))


def logger(name: str, module: str = "theirs", **fields: Any) -> Any:
    """An object of a subclass of a logger's class, as users write them."""
    base = type(name, (), {"__module__": module})
    made = type("Mine", (base,), {"__module__": "mine"})()
    vars(made).update(fields)
    return made


@pytest.fixture
def run() -> Any:
    with steady(Clock(), log_file=None, pue=1.2) as tracker:
        yield tracker
    assert tracker.guard.failures == ()


def check(held: Any, run: Tracker, text: bool = False) -> None:
    wanted = {**run.figures.facts, **MINE}
    assert dict(held) == ({name: str(value) for name, value in wanted.items()} if text else wanted)


@pytest.mark.parametrize("kind", ["WandbLogger", "WandbCallback", "WandbMetricsLogger"])
def test_w_and_b_gets_them_beside_the_user_s_own(kind: str, run: Tracker, monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = SimpleNamespace(config=Config(MINE))
    module = ModuleType("wandb")
    module.run = theirs  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "wandb", module)
    place = "wandb.integration.keras" if kind == "WandbMetricsLogger" else "theirs"
    found = logger(kind, place, experiment=theirs, _wandb=module)
    for _ in range(2):  # as where a run is continued
        log_facts(run, [object(), found])
        check(theirs.config, run)


@pytest.mark.parametrize("kind", ["MLFlowLogger", "MLflowCallback", "MlflowCallback"])
def test_mlflow_gets_them_once(kind: str, run: Tracker, monkeypatch: pytest.MonkeyPatch) -> None:
    mlflow = MLflow()
    monkeypatch.setitem(sys.modules, "mlflow", mlflow)
    place = "mlflow.keras.callback" if kind == "MlflowCallback" else "theirs"
    found = logger(kind, place, experiment=mlflow, run_id="7", _ml_flow=mlflow)
    for _ in range(2):
        log_facts(run, [found])
        check(mlflow.params, run, text=True)


@pytest.mark.parametrize("kind", ["TensorBoardLogger", "TensorBoardCallback"])
def test_tensorboard_gets_them_as_a_text(kind: str, run: Tracker) -> None:
    writer = Writer()
    log_facts(run, [logger(kind, experiment=writer, tb_writer=writer)])
    ((tag, text),) = writer.texts
    assert tag == "eco2ai/run"
    assert len(text.splitlines()) == 2 + len(run.figures.facts)
    assert "| eco2ai/pue | 1.2 |" in text


def test_the_callback_of_keras_writes_them_with_its_writer_of_the_fit(run: Tracker) -> None:
    writer = Writer()
    open_writers: list[Writer] = []

    @contextlib.contextmanager
    def as_default() -> Iterator[None]:
        open_writers.append(writer)
        yield
        open_writers.remove(writer)

    def text(tag: str, data: str, step: int) -> None:
        assert step == 0
        open_writers[-1].add_text(tag, data)

    fit = SimpleNamespace(as_default=as_default)
    callback = logger("TensorBoard", "keras.src.callbacks.tensorboard", _train_writer=fit)
    callback.summary = SimpleNamespace(text=text)
    log_facts(run, [callback])
    ((tag, table),) = writer.texts
    assert tag == "eco2ai/run"
    assert "| eco2ai/pue | 1.2 |" in table
    assert not open_writers


def test_loggers_that_write_nothing_are_passed_over(run: Tracker) -> None:
    mlflow = MLflow()
    mlflow.active = None
    nothing = [
        logger("WandbCallback", _wandb=None),
        logger("WandbCallback", _wandb=SimpleNamespace(run=None)),
        logger("MLflowCallback", _ml_flow=mlflow),
        logger("TensorBoardCallback", tb_writer=None),
        logger("CSVLogger"),
    ]
    log_facts(run, nothing)
    assert mlflow.params.keys() == MINE.keys()


def test_one_that_fails_is_named_and_the_others_get_them() -> None:
    writer = Writer()
    with steady(Clock(), log_file=None) as run:
        log_facts(run, [logger("WandbLogger"), logger("TensorBoardLogger", experiment=writer)])
    assert len(writer.texts) == 1
    (failure,) = run.guard.failures
    assert failure.startswith("Mine's configuration: ")


def test_before_a_start_nothing_is_written() -> None:
    writer = Writer()
    log_facts(steady(Clock(), log_file=None), [logger("TensorBoardLogger", experiment=writer)])
    assert writer.texts == []
