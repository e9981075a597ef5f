"""What every adapter does at an epoch's end: one trip, in one order; and the door for a platform of one's own."""

from __future__ import annotations

import copy
import importlib
import json
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from logcheck import rows

from eco2ai_callbacks.cli import main
from eco2ai_callbacks.distributed.messages import RankUsage
from eco2ai_callbacks.integrations.lifecycle import RunLifecycle
from eco2ai_callbacks.record import Record
from eco2ai_callbacks.testing import Clock, FakeMeter, fake_platform
from eco2ai_callbacks.tracker import Tracker

pytestmark = pytest.mark.filterwarnings("default")
os.environ.setdefault("KERAS_BACKEND", "torch")

SETTINGS: dict[str, Any] = {"region": "FR", "console": False, "heartbeat_s": 0.0, "forecast_after": 1}


class Spy:
    """Notes what happens in a fit, in its order: exchanges between two ranks, records, and what a logger gets."""

    name = "spy"

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.order: list[str] = []
        begin = RunLifecycle.begin

        def begin_with_ranks(lifecycle: RunLifecycle, **options: Any) -> Tracker:
            return begin(lifecycle, **options | {"rank": (0, 2), "gather": self.gather})

        # All adapters hand their framework's way to reach the other ranks on here.
        monkeypatch.setattr(RunLifecycle, "begin", begin_with_ranks)
        self.clock = Clock()
        self.platform = fake_platform(self.clock, FakeMeter(self.clock, {"cpu": 50.0}), sinks=(lambda *_: self,))

    def gather(self, message: Any) -> list[Any]:
        if isinstance(message, RankUsage):
            self.order.append("exchange")
        return [message, message]

    def write(self, record: Record) -> None:
        if record.event in ("epoch", "forecast"):
            self.order.append(record.event)

    def close(self) -> None: ...

    def logged(self, names: Any) -> None:
        if "eco2ai/energy_kwh" in names:
            self.order.append("logged")


def lightning(ours: Any, epochs: int, spy: Spy) -> None:
    pl = pytest.importorskip("lightning.pytorch")
    torch = pytest.importorskip("torch")

    class Logger(pl.loggers.logger.Logger):
        name = version = "spy"

        def log_metrics(self, metrics: Any, step: Any = None) -> None:
            spy.logged(metrics)

        def log_hyperparams(self, *_: Any, **__: Any) -> None: ...

    class Net(pl.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.layer = torch.nn.Linear(2, 1)

        def training_step(self, batch: Any, index: int) -> Any:
            spy.clock.advance(1.0)
            return self.layer(batch[0]).sum()

        def validation_step(self, batch: Any, index: int) -> None:
            spy.clock.advance(0.5)

        def configure_optimizers(self) -> Any:
            return torch.optim.SGD(self.parameters(), 0.01)

    data = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(torch.ones(4, 2)), batch_size=2)
    trainer = pl.Trainer(
        accelerator="cpu", max_epochs=epochs, callbacks=[ours], logger=Logger(), enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False, num_sanity_val_steps=0,
    )  # fmt: skip
    trainer.fit(Net(), data, data)


def transformers(ours: Any, epochs: int, spy: Spy) -> None:
    hf = pytest.importorskip("transformers")
    torch = pytest.importorskip("torch")

    class Net(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = torch.nn.Linear(2, 1)

        def forward(self, x: Any) -> Any:
            spy.clock.advance(1.0)
            return {"loss": self.layer(x).sum()}

    class Reports(hf.TrainerCallback):
        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
            spy.logged(logs)

    args = hf.TrainingArguments(
        "out", num_train_epochs=epochs, per_device_train_batch_size=2, report_to="none", save_strategy="no",
        disable_tqdm=True, use_cpu=True,
    )  # fmt: skip
    data = [{"x": torch.ones(2)} for _ in range(4)]
    hf.Trainer(Net(), args, train_dataset=data, callbacks=[ours, Reports()]).train()


def keras(ours: Any, epochs: int, spy: Spy) -> None:
    framework = pytest.importorskip("keras")
    numpy = pytest.importorskip("numpy")

    class Logs(framework.callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            spy.clock.advance(1.0)

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            spy.logged(logs)

    model = framework.Sequential([framework.Input((2,)), framework.layers.Dense(1)])
    model.compile("sgd", "mse")
    x, y = numpy.ones((4, 2)), numpy.ones(4)
    model.fit(x, y, validation_data=(x, y), epochs=epochs, batch_size=2, verbose=0, callbacks=[ours, Logs()])


FITS: dict[str, Callable[[Any, int, Spy], None]] = {
    "lightning": lightning,
    "transformers": transformers,
    "keras": keras,
}


def adapter(framework: str) -> Any:
    pytest.importorskip({"lightning": "lightning.pytorch"}.get(framework, framework))
    return importlib.import_module(f"eco2ai_callbacks.{framework}").Eco2AICallback


@pytest.mark.slow
@pytest.mark.parametrize("framework", FITS)
def test_an_epoch_s_end_is_one_trip_with_exactly_one_exchange(framework: str) -> None:
    found = {}
    for epochs in (2, 3):
        with pytest.MonkeyPatch.context() as patch:
            spy = Spy(patch)
            ours = adapter(framework).on_platform(spy.platform, log_file=f"{epochs}.jsonl", **SETTINGS)
            FITS[framework](ours, epochs, spy)
        found[epochs] = spy.order
    # The mark, one exchange, the forecast (none at the end, where nothing is left), and then the framework's logging.
    trip = ["epoch", "exchange", "forecast", "logged"]
    last = ["epoch", "exchange", "logged"]
    assert found[2][:7] == [*trip, *last]
    assert found[3][:11] == [*trip, *trip, *last]
    # What comes after the epochs, the end of the run, does not depend on how many there were.
    assert found[2][7:] == found[3][11:]
    assert set(found[2][7:]) <= {"exchange"}
    # What was trained alike, for longer, uses the same for each epoch.
    done = CliRunner().invoke(main, ["compare", "2.jsonl", "3.jsonl", "--format", "json"])
    short, long = (group["runs"][0] for group in json.loads(done.output)["groups"])
    assert (short["epochs"], long["epochs"]) == (2, 3)
    assert long["epoch_energy_kwh"] == pytest.approx(short["epoch_energy_kwh"])
    assert "epoch        2" in CliRunner().invoke(main, ["watch", "3.jsonl", "--once"]).output


@pytest.mark.slow
@pytest.mark.parametrize("framework", FITS)
def test_a_budget_that_the_sum_of_the_ranks_has_used_up_stops_the_fit(
    framework: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    spy = Spy(monkeypatch)
    # Two ranks of 50 W: after two epochs of 2 s the job has used 400 J at least, and each rank half of it.
    ours = adapter(framework).on_platform(spy.platform, max_energy_kwh=399 / 3.6e6, **SETTINGS)
    FITS[framework](ours, 9, spy)
    assert spy.order.count("epoch") <= 2
    assert rows(Path("eco2ai.jsonl"))[-1]["ended"].startswith("budget: the budget of ")


@pytest.mark.parametrize("framework", FITS)
def test_a_callback_on_a_platform_of_one_s_own_copies_with_it(framework: str) -> None:
    kind = adapter(framework)
    platform = fake_platform(Clock())
    ours = kind.on_platform(platform, project="mine", region="FR")
    assert isinstance(ours, kind)
    assert copy.copy(ours) is not ours
    plain = pickle.loads(pickle.dumps(kind(project="mine", region="FR")))
    assert isinstance(plain, kind)
