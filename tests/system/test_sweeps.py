"""Searches over hyperparameters through the libraries that make them: each trial is a run, inside of that around all.

`tox -e libraries` has the libraries. The examples are those of docs/libraries.md.
"""

from __future__ import annotations

import importlib.util
import json
import os
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from guides import run_section
from sweeps import PAGE, SECTIONS, Watched, check_sweep, left

from eco2ai_callbacks import load, track
from eco2ai_callbacks.cli import main
from eco2ai_callbacks.runlog.verify import verify

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]  # what the libraries say of so small a training

SETTINGS: dict[str, Any] = {"region": "FR", "console": False}
# Settings of the examples come from the environment: nothing of a machine's own counters is used.
NO_COUNTERS = {"ECO2AI_POWERCAP_ROOT": "nowhere", "ECO2AI_GPUS": "none", "ECO2AI_CONSOLE": "false"}


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> Watched:
    for name, value in NO_COUNTERS.items():
        monkeypatch.setenv(name, value)
    if "torch" in sys.modules or importlib.util.find_spec("torch"):
        import torch

        torch.set_num_threads(1)
    return Watched(monkeypatch)


def burn(seconds: float = 0.02) -> None:
    """Use so much CPU time of this thread."""
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        sum(range(500))


def for_keras_tuner() -> dict[str, Any]:
    os.environ.setdefault("KERAS_BACKEND", "torch")
    pytest.importorskip("keras_tuner")
    import keras
    import numpy

    keras.utils.disable_interactive_logging()
    return {"x": numpy.ones((800, 8), "float32"), "y": numpy.ones((800, 1), "float32")}


def lightning_model(rate: float = 0.01) -> Any:
    pl = pytest.importorskip("lightning.pytorch")
    import torch

    class Net(pl.LightningModule):  # type: ignore[name-defined,misc]
        def __init__(self) -> None:
            super().__init__()
            self.layer = torch.nn.Linear(4, 1)
            self.lr, self.batch_size = rate, 4

        def training_step(self, batch: Any, index: int) -> Any:
            burn()
            return self.layer(batch[0]).square().mean()

        def validation_step(self, batch: Any, index: int) -> None:
            self.log("val_loss", self.layer(batch[0]).square().mean())

        def train_dataloader(self) -> Any:
            return lightning_data(self.batch_size)

        def val_dataloader(self) -> Any:
            return lightning_data()

        def configure_optimizers(self) -> Any:
            return torch.optim.SGD(self.parameters(), lr=self.lr)

    return Net()


def lightning_data(batch_size: int = 4) -> Any:
    from torch import ones
    from torch.utils.data import DataLoader, TensorDataset

    return DataLoader(TensorDataset(ones(64, 4)), batch_size=batch_size)


def for_lightning_tuner() -> dict[str, Any]:
    return {"model": lightning_model()}


def for_hugging_face() -> dict[str, Any]:
    pytest.importorskip("transformers")
    pytest.importorskip("optuna")
    import torch

    class Net(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = torch.nn.Linear(4, 1)

        def forward(self, x: Any, labels: Any) -> dict[str, Any]:
            burn()
            out = self.layer(x)
            return {"loss": (out - labels).square().mean(), "logits": out}

    data = [{"x": torch.ones(4), "labels": torch.ones(1)} for _ in range(64)]
    return {"make_model": Net, "train_data": data, "eval_data": data[:16]}


def for_optuna() -> dict[str, Any]:
    pytest.importorskip("optuna")
    pytest.importorskip("lightning.pytorch")
    return {"make_model": lightning_model, "train_data": lightning_data(), "val_data": lightning_data()}


READERS = dict(
    zip(SECTIONS, (for_keras_tuner, for_lightning_tuner, for_hugging_face, for_optuna), strict=True)
)  # fmt: skip


@pytest.mark.parametrize("section", SECTIONS)
def test_an_example_s_search_is_one_run_with_its_trials_inside(section: str, watched: Watched) -> None:
    names = run_section(PAGE, section, **READERS[section]())
    around, others = check_sweep(watched, inside=3)
    assert around.project == "search"
    projects = Counter(run.project for run in others)
    if section == "Lightning's Tuner":
        assert projects == {"learning rate": 1, "batch size": 1, "fit": 1}
    else:
        assert projects == {"trials": 3}
    assert {run.states for run in (around, *others)} == {("finished",)}
    fits = [run for run in others if run.project in ("trials", "fit")]
    assert [[epoch.epoch for epoch in run.epochs] for run in fits] == [[0, 1]] * len(fits)
    shown = CliRunner().invoke(main, ["report", "--by", "sweep", "--format", "json"])
    (row,) = json.loads(shown.stdout)["rows"]
    assert (row["sweep"], row["project"], row["note"]) == (around.id, "search", "3 runs inside")
    assert row["energy_kwh"] == pytest.approx(around.energy_kwh)
    # The trackers of the callbacks that somebody still holds, and the example's own.
    names.clear()
    assert left() == (0, [])


def test_a_trial_of_hyperband_is_no_continuation_of_another_run(
    watched: Watched, caplog: pytest.LogCaptureFixture
) -> None:
    given = for_keras_tuner()
    import keras
    import keras_tuner

    from eco2ai_callbacks.keras import Eco2AICallback

    def build(choices: Any) -> Any:
        net = keras.Sequential([keras.layers.Dense(choices.Int("units", 1, 64)), keras.layers.Dense(1)])
        net.compile("sgd", "mse")
        return net

    x, y = given["x"][:32], given["y"][:32]
    ours = Eco2AICallback(project="trials", **SETTINGS)
    build(keras_tuner.HyperParameters()).fit(x, y, epochs=2, callbacks=[ours])  # a run that the copies know of
    tuner = keras_tuner.Hyperband(build, "val_loss", max_epochs=2, factor=2, directory="tuning")
    with track(project="search", **SETTINGS):
        tuner.search(x, y, validation_split=0.25, callbacks=[ours])
    assert verify(Path("eco2ai.jsonl")).whole
    before, search, *trials = load("eco2ai.jsonl").runs
    assert (before.parent, search.project) == (None, "search")
    assert len(trials) == len(tuner.oracle.trials)
    assert {run.parent for run in trials} == {search.id}
    begun = sorted(tuner.oracle.get_trial(each).hyperparameters["tuner/initial_epoch"] for each in tuner.oracle.trials)
    assert sorted(run.epochs[0].epoch for run in trials) == begun
    assert {0, 1} == set(begun)
    assert "counted as a new one" not in caplog.text


def test_trials_by_name_are_runs_and_one_that_is_pruned_keeps_its_epochs(watched: Watched) -> None:
    given = for_hugging_face()
    import optuna
    from transformers import Trainer, TrainingArguments

    import eco2ai_callbacks.transformers  # noqa: F401 - makes the name known

    class Second(optuna.pruners.BasePruner):  # type: ignore[misc]
        def prune(self, study: Any, trial: Any) -> bool:
            return bool(trial.number == 1)

    args = TrainingArguments("out", num_train_epochs=2, eval_strategy="epoch", report_to=["eco2ai"], disable_tqdm=True)
    data = {"train_dataset": given["train_data"], "eval_dataset": given["eval_data"]}
    trainer = Trainer(args=args, model_init=given["make_model"], **data)

    def choose(trial: Any) -> dict[str, float]:
        return {"learning_rate": trial.suggest_float("learning_rate", 1e-4, 1e-2, log=True)}

    with track(project="search", **SETTINGS):
        trainer.hyperparameter_search(choose, n_trials=3, backend="optuna", pruner=Second())
    _, trials = check_sweep(watched, inside=3)
    assert [[epoch.epoch for epoch in run.epochs] for run in trials] == [[0, 1], [0], [0, 1]]
    del trainer, trials
    assert left() == (0, [])
