"""When what a Lightning epoch has logged is written."""

from __future__ import annotations

import copy
import pickle
import types
from typing import Any

import pytest
from logcheck import rows

from eco2ai_callbacks.integrations.lightning_logged import LoggedEpochs
from eco2ai_callbacks.tracker import Tracker


class Scalar:
    """A tensor without dimensions."""

    ndim = 0

    def __init__(self, value: float) -> None:
        self.value = value

    def __float__(self) -> float:
        return self.value


class Trainer:
    """A Trainer between two epochs, whose public property must not be asked for."""

    def __init__(self, first: bool = True) -> None:
        self.current_epoch = 0
        self.is_global_zero = first
        self.held: dict[str, Any] = {}
        self._logger_connector = types.SimpleNamespace(_callback_metrics=self.held)

    @property
    def callback_metrics(self) -> Any:
        raise AssertionError("this would compute what is pending")

    def complete(self, **logged: Any) -> None:
        self.held.update(logged)
        self.current_epoch += 1


def written() -> list[tuple[int, dict[str, float]]]:
    return [(row["epoch"], row["metrics"]) for row in rows() if row["event"] == "metrics"]


def tracker() -> Tracker:
    return Tracker(region="FR", console=False, heartbeat_s=0.0)


def test_an_epoch_has_what_it_logged_and_not_what_an_earlier_one_left() -> None:
    found, trainer = LoggedEpochs(), Trainer()
    with tracker() as run:
        found.write(run, trainer)  # before the first epoch
        for epoch in range(3):
            found.end(epoch)
            validated = {"val_loss": Scalar(0.5)} if epoch % 2 else {}
            trainer.complete(train_loss=Scalar(0.25), **{"eco2ai/energy_kwh": Scalar(1.0)}, **validated)
            found.write(run, trainer)
            found.write(run, trainer)
        found.end(3)
        trainer.complete()
        found.write(run, trainer)
    assert written() == [
        (0, {"train_loss": 0.25}),
        (1, {"train_loss": 0.25, "val_loss": 0.5}),
        (2, {"train_loss": 0.25}),
    ]


def test_nothing_is_written_while_the_end_of_an_epoch_is_computed_on_other_ranks_and_where_nothing_measures() -> None:
    waits, others, unmeasured = LoggedEpochs(), LoggedEpochs(), LoggedEpochs()
    first, second = Trainer(), Trainer(first=False)
    first.held["val_loss"] = Scalar(0.5)
    with tracker() as run:
        for found in (waits, others, unmeasured):
            found.end(0)
        waits.write(run, first)
        second.complete(val_loss=Scalar(0.5))
        others.write(run, second)
        first.complete()
        unmeasured.write(None, first)
    assert written() == []


@pytest.mark.parametrize(
    "copied", [copy.deepcopy, lambda each: pickle.loads(pickle.dumps(each))], ids=["copy", "pickle"]
)
def test_a_copy_holds_no_tensors(copied: Any) -> None:
    found, trainer = LoggedEpochs(), Trainer()
    found.end(0)
    trainer.complete(val_loss=lambda: None)
    with tracker() as run:
        found.write(run, trainer)
        again = copied(found)
        again.write(run, trainer)
        again.end(1)
        trainer.complete()
        trainer.held["val_loss"] = Scalar(0.5)
        again.write(run, trainer)
    assert written() == [(1, {"val_loss": 0.5})]


def test_a_lightning_that_keeps_them_elsewhere_costs_the_metrics_and_nothing_else() -> None:
    found, trainer = LoggedEpochs(), Trainer()
    del trainer._logger_connector
    found.end(0)
    trainer.complete()
    with tracker() as run:
        found.write(run, trainer)
    assert written() == []
    assert any(failure.startswith("logged metrics: ") for failure in rows()[-1]["failures"])
