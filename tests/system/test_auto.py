"""``ECO2AI_AUTO``: the installed entry points, through real Trainers of both packages."""

from __future__ import annotations

import importlib
import importlib.util
import subprocess
import sys
from importlib.metadata import entry_points
from types import ModuleType
from typing import Any

import pytest
from logcheck import by_run, by_writer, check_whole, epochs, rows

from eco2ai_callbacks.auto import callbacks
from eco2ai_callbacks.errors import SettingsError

torch = pytest.importorskip("torch")
PACKAGES = [name for name in ("lightning.pytorch", "pytorch_lightning") if importlib.util.find_spec(name.split(".")[0])]
if not PACKAGES:
    pytest.skip("neither lightning nor pytorch_lightning is installed", allow_module_level=True)

from eco2ai_callbacks.lightning import Eco2AICallback

pytestmark = [
    pytest.mark.filterwarnings("default"),
    pytest.mark.filterwarnings("error:::eco2ai_callbacks"),
]


@pytest.fixture(params=PACKAGES)
def pl(request: pytest.FixtureRequest) -> ModuleType:
    return importlib.import_module(request.param)


@pytest.fixture
def auto(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ECO2AI_AUTO", "1")
    monkeypatch.setenv("ECO2AI_PROJECT", "automatic")


def model(pl: ModuleType, own: Any = None) -> Any:
    class Small(pl.LightningModule):  # type: ignore[name-defined,misc]
        def __init__(self) -> None:
            super().__init__()
            self.layer = torch.nn.Linear(8, 2)

        def training_step(self, batch: Any, index: int) -> Any:
            return self.layer(batch[0]).square().mean()

        def validation_step(self, batch: Any, index: int) -> None:
            self.layer(batch[0])

        def configure_optimizers(self) -> Any:
            return torch.optim.SGD(self.parameters(), lr=0.1)

        def configure_callbacks(self) -> Any:
            return [] if own is None else [own]

    return Small()


def data() -> Any:
    return torch.utils.data.DataLoader(torch.utils.data.TensorDataset(torch.randn(32, 8)), batch_size=8)


def trainer(pl: ModuleType, given: Any = None, **kwargs: Any) -> Any:
    defaults = {
        "accelerator": "cpu",
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "max_epochs": 2,
    }
    return pl.Trainer(callbacks=given, **{**defaults, **kwargs})


def ours(made: Any) -> list[Any]:
    return [each for each in made.callbacks if isinstance(each, Eco2AICallback)]


@pytest.mark.parametrize("group", [f"{package}.callbacks_factory" for package in PACKAGES])
def test_the_entry_point_is_installed(group: str) -> None:
    found = [point for point in entry_points(group=group) if point.name == "eco2ai"]
    assert [point.load() for point in found] == [callbacks]


@pytest.mark.parametrize("value", [None, "", "0", "no"])
def test_without_the_variable_nothing_is_added(
    pl: ModuleType, monkeypatch: pytest.MonkeyPatch, value: str | None
) -> None:
    if value is not None:
        monkeypatch.setenv("ECO2AI_AUTO", value)
    assert ours(trainer(pl)) == []


def test_without_the_variable_nothing_is_imported() -> None:
    script = "import sys, eco2ai_callbacks.auto as a; assert a.callbacks() == []; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    loaded = {name for name in done.stdout.split() if name.startswith("eco2ai_callbacks.")}
    folder = "eco2ai_callbacks.integrations"
    assert loaded == {"eco2ai_callbacks.auto", folder, f"{folder}.callstack"}


@pytest.mark.usefixtures("auto")
def test_every_trainer_gets_one_that_logs(pl: ModuleType) -> None:
    for _ in range(2):
        fit = trainer(pl)
        fit.fit(model(pl), data(), data())
        assert len(ours(fit)) == 1
        assert fit.callback_metrics["eco2ai/energy_kwh"] > 0
    check_whole(rows())
    assert [len(epochs(run)) for run in by_run(rows()).values()] == [2, 2]
    assert {row["project"] for row in rows()} == {"automatic"}


@pytest.mark.usefixtures("auto")
def test_a_list_that_two_trainers_share_is_no_hindrance(pl: ModuleType) -> None:
    shared = [pl.callbacks.LambdaCallback()]
    for _ in range(2):
        fit = trainer(pl, shared)
        fit.fit(model(pl), data())
        assert len(ours(fit)) == 1
    assert len(by_run(rows())) == 2
    check_whole(rows())


@pytest.mark.usefixtures("auto")
def test_the_users_own_wins(pl: ModuleType) -> None:
    fit = trainer(pl, Eco2AICallback(project="own"))
    fit.fit(model(pl), data(), data())
    fit.validate(model(pl), data(), verbose=False)
    assert {row["project"] for row in rows()} == {"own"}
    assert len(by_run(rows())) == 1
    check_whole(rows())


@pytest.mark.usefixtures("auto")
def test_the_users_own_wins_where_it_comes_later(pl: ModuleType) -> None:
    fit = trainer(pl)
    fit.callbacks.append(Eco2AICallback(project="own"))
    assert len(ours(fit)) == 2
    fit.validate(model(pl), data(), verbose=False)
    fit.fit(model(pl), data(), data())
    assert {row["project"] for row in rows()} == {"own"}
    assert len(by_writer(rows())) == 2
    check_whole(rows())


@pytest.mark.usefixtures("auto")
def test_the_models_own_wins(pl: ModuleType) -> None:
    fit = trainer(pl)
    fit.fit(model(pl, Eco2AICallback(project="own")), data())
    assert {row["project"] for row in rows()} == {"own"}
    assert len(by_run(rows())) == 1
    check_whole(rows())


@pytest.mark.usefixtures("auto")
def test_a_checkpoint_of_the_users_own_is_gone_on_with(pl: ModuleType) -> None:
    saver = pl.callbacks.ModelCheckpoint(dirpath="ckpt", save_last=True)
    trainer(pl, [Eco2AICallback(), saver], enable_checkpointing=True, max_epochs=1).fit(model(pl), data())
    trainer(pl).fit(model(pl), data(), ckpt_path="ckpt/last.ckpt")
    assert len(by_run(rows())) == 1
    assert [row["epoch"] for row in epochs(rows())] == [0, 1]


@pytest.mark.usefixtures("auto")
def test_a_wrong_variable_is_said_when_the_trainer_is_made(pl: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ECO2AI_SCOPE", "galaxy")
    with pytest.raises(SettingsError, match="ECO2AI_SCOPE"):
        trainer(pl)
