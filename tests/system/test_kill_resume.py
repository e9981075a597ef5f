"""A training that is killed and resumed has used what all its parts have used, in every framework."""

from __future__ import annotations

import importlib
import os
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from logcheck import ADDING, Row, by_run, by_writer, close, epochs, rows, rows_so_far

from eco2ai_callbacks.runlog.verdict import Verdict
from eco2ai_callbacks.runlog.verify import verify

# The frameworks warn of many things of their own; our warnings stay errors.
pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="a training is killed in a process of its own"),
    pytest.mark.filterwarnings("default"),
    pytest.mark.filterwarnings("error:::eco2ai_callbacks"),
]

if not os.environ.get("KERAS_BACKEND"):
    # Keras would take tensorflow, which may be missing.
    pytest.importorskip("torch")
    os.environ["KERAS_BACKEND"] = "torch"

EPOCHS, SAMPLES, BATCH = 6, 16, 4
KILLED_IN = 2
HEARTBEAT_S = 0.5
# How much later than it should the thread may get a processor.
LATE_S = 0.3
BEGUN = Path("begun")
SETTINGS = {"region": "FR", "console": False, "heartbeat_s": HEARTBEAT_S}
Hook = Callable[[int, int], None]


def nothing(epoch: int, batch: int) -> None:
    """Train on."""


# --- the three frameworks, with a checkpoint after each epoch ---------------------------------------------------------


def lightning_fit(hook: Hook = nothing, *, resume: bool = True, **settings: Any) -> float:
    """Train, from the last checkpoint on where there is one; returns the total that was logged last."""
    torch = pytest.importorskip("torch")
    pl = pytest.importorskip("lightning.pytorch")
    from eco2ai_callbacks.lightning import Eco2AICallback

    class Small(pl.LightningModule):  # type: ignore[name-defined,misc]
        def __init__(self) -> None:
            super().__init__()
            self.layer = torch.nn.Linear(4, 2)

        def training_step(self, batch: Any, index: int) -> Any:
            hook(self.current_epoch, index)
            return torch.nn.functional.cross_entropy(self.layer(batch[0]), batch[1])

        def configure_optimizers(self) -> Any:
            return torch.optim.SGD(self.parameters(), lr=0.1)

    data = torch.utils.data.TensorDataset(torch.randn(SAMPLES, 4), torch.arange(SAMPLES) % 2)
    trainer = pl.Trainer(
        max_epochs=EPOCHS, accelerator="cpu", logger=False, enable_progress_bar=False, enable_model_summary=False,
        callbacks=[Eco2AICallback(**SETTINGS, **settings), pl.callbacks.ModelCheckpoint("checkpoints", save_last=True)],
    )  # fmt: skip
    trainer.fit(Small(), torch.utils.data.DataLoader(data, BATCH), ckpt_path="last" if resume else None)
    return float(trainer.callback_metrics["eco2ai/total_energy_kwh"])


def transformers_fit(hook: Hook = nothing, *, resume: bool = True, restore: bool = False, **settings: Any) -> float:
    """Train, from the last checkpoint on where there is one; returns the total that was logged last."""
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    from eco2ai_callbacks.transformers import Eco2AICallback

    class Small(torch.nn.Module):  # type: ignore[name-defined,misc]
        def __init__(self) -> None:
            super().__init__()
            self.layer = torch.nn.Linear(4, 2)

        def forward(self, x: Any, labels: Any) -> Any:
            logits = self.layer(x)
            return {"loss": torch.nn.functional.cross_entropy(logits, labels), "logits": logits}

    class Hooked(transformers.TrainerCallback):  # type: ignore[name-defined,misc]
        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            hook(*divmod(state.global_step - 1, SAMPLES // BATCH))

    data = [{"x": torch.randn(4), "labels": index % 2} for index in range(SAMPLES)]
    args = transformers.TrainingArguments(
        output_dir="checkpoints", num_train_epochs=EPOCHS, per_device_train_batch_size=BATCH, report_to="none",
        disable_tqdm=True, save_strategy="epoch", use_cpu=True, restore_callback_states_from_checkpoint=restore,
    )  # fmt: skip
    ours = Eco2AICallback(**SETTINGS, **settings)
    trainer = transformers.Trainer(Small(), args, train_dataset=data, callbacks=[ours, Hooked()])
    trainer.train(resume_from_checkpoint=resume and any(Path("checkpoints").glob("checkpoint-*")))
    return [row["eco2ai/total_energy_kwh"] for row in trainer.state.log_history if "eco2ai/energy_kwh" in row][-1]


def keras_fit(hook: Hook = nothing, *, resume: bool = True, **settings: Any) -> float:
    """Train, from the last checkpoint on where there is one; returns the total that was logged last."""
    keras = pytest.importorskip("keras")
    np = pytest.importorskip("numpy")
    from eco2ai_callbacks.keras import Eco2AICallback

    class Hooked(keras.callbacks.Callback):  # type: ignore[misc]
        epoch = 0

        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            self.epoch = epoch

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            hook(self.epoch, batch)

    net = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, activation="softmax")])
    net.compile("sgd", "sparse_categorical_crossentropy")
    backup = keras.callbacks.BackupAndRestore("checkpoints", delete_checkpoint=False)
    callbacks = [backup, Eco2AICallback(**SETTINGS, **settings), Hooked()]
    history = net.fit(
        np.random.default_rng(0).random((SAMPLES, 4)).astype("float32"), np.arange(SAMPLES) % 2,
        epochs=EPOCHS, batch_size=BATCH, verbose=0, callbacks=callbacks,
    ).history  # fmt: skip
    return history["eco2ai/total_energy_kwh"][-1]


FITS: dict[str, Callable[..., float]] = {
    "lightning": lightning_fit,
    "transformers": transformers_fit,
    "keras": keras_fit,
}


# --- killing ----------------------------------------------------------------------------------------------------------


def hold(epoch: int, batch: int) -> None:
    """Train on until the middle of the third epoch, and there for ever."""
    if epoch == KILLED_IN and batch == 0:
        BEGUN.write_text(str(time.monotonic()))
    while epoch == KILLED_IN and batch == 1:
        time.sleep(0.005)


def train_and_be_killed(framework: str, folder: Path) -> None:
    """What the child process does; never returns."""
    try:
        signal.alarm(60)  # should nobody kill it
        os.chdir(folder)
        os.environ.update(TMPDIR=str(folder), HOME=str(folder))
        tempfile.tempdir = str(folder)
        if torch := sys.modules.get("torch"):
            torch.set_num_threads(1)  # of the threads that the parent has, a forked child has none
        FITS[framework](hold, resume=False)
    except BaseException:  # noqa: BLE001 - whatever it is, it is not to go on with the parent's tests
        traceback.print_exc()
    finally:
        os._exit(1)


def kill(framework: str, folder: Path) -> float:
    """Let a training be killed in a folder; returns what it lost: the seconds that no record holds."""
    log = folder / "eco2ai.jsonl"
    child = os.fork()
    if child == 0:
        train_and_be_killed(framework, folder)
    deadline = time.monotonic() + 60
    while not (log.exists() and beats_of(rows_so_far(log))):
        assert os.waitpid(child, os.WNOHANG) == (0, 0), "the training has ended by itself"
        assert time.monotonic() < deadline, "there is no heartbeat"
        time.sleep(0.01)
    time.sleep(0.8 * HEARTBEAT_S)
    os.kill(child, signal.SIGKILL)
    ended = time.monotonic()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    return ended - float((folder / BEGUN).read_text()) - beats_of(rows(log))[-1]["seconds"]


def beats_of(found: list[Row]) -> list[Row]:
    """The heartbeats in the epoch in which it is killed."""
    return [row for row in found if row["event"] == "heartbeat" and row["epoch"] == KILLED_IN]


@pytest.fixture(params=FITS)
def framework(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    pytest.importorskip({"lightning": "lightning.pytorch"}.get(name, name))
    if name == "keras" and os.environ["KERAS_BACKEND"] != "torch":
        pytest.skip("a process with this backend's threads cannot be forked")
    importlib.import_module(f"eco2ai_callbacks.{name}")
    return name


@pytest.fixture(scope="session")
def all_killed() -> dict[str, tuple[Path, float]]:
    """A training of each framework is killed once."""
    return {}


@pytest.fixture
def killed(
    framework: str, all_killed: dict[str, tuple[Path, float]], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, float]:
    """The folder that a killed training has left, and how many seconds it lost."""
    if framework not in all_killed:
        folder = tmp_path_factory.mktemp(framework)
        all_killed[framework] = (folder, kill(framework, folder))
    return all_killed[framework]


@pytest.fixture
def left(killed: tuple[Path, float], tmp_path: Path) -> list[Row]:
    """Stand in a copy of that folder; the lines of its log."""
    shutil.copytree(killed[0], tmp_path, dirs_exist_ok=True)
    found = rows()
    assert [(row["epoch"], row["attempt"]) for row in epochs(found)] == [(0, 1), (1, 1)]
    assert found[-1] == beats_of(found)[-1]
    assert list(Path("checkpoints").iterdir())
    return found


def counted(found: list[Row], name: str = "energy_kwh") -> float:
    """What the lines add up to: all marks, and the last heartbeat of a writer that was killed after it."""
    total = 0.0
    for session in by_writer(found):
        adding = [row for row in session if row["event"] in (*ADDING, "heartbeat")]
        total += sum(row[name] for row in adding if row["event"] != "heartbeat")
        total += adding[-1][name] if adding[-1]["event"] == "heartbeat" else 0.0
        total += (session[0]["carried"] or {}).get(name, 0.0)
    return total


def whole() -> Verdict:
    verdict = verify(Path("eco2ai.jsonl"))
    assert verdict.whole, verdict.first
    return verdict


def check_sums(run: list[Row]) -> None:
    """The run's last total is what all its parts add up to."""
    assert run[-1]["event"] == "stop"
    assert run[-1]["ended"] == "finished"
    assert not run[-1]["failures"]
    for name in ("energy_kwh", "co2_kg", "seconds"):
        assert close(run[-1]["total"][name], counted(run, name)), name


# --- the tests --------------------------------------------------------------------------------------------------------


def test_a_kill_costs_no_more_than_a_heartbeat_of_the_open_epoch(killed: tuple[Path, float], left: list[Row]) -> None:
    assert killed[1] < HEARTBEAT_S + LATE_S
    assert beats_of(left)[0]["seconds"] < HEARTBEAT_S + LATE_S, "so much would have been lost before it"
    assert close(left[-1]["total"]["energy_kwh"], counted(left))
    assert [run.state for run in whole().runs] == ["unfinished"]


@pytest.mark.parametrize(
    ("framework", "how"),
    [("lightning", {}), ("transformers", {}), ("transformers", {"restore": True}), ("keras", {})],
    ids=["lightning", "transformers", "transformers, restoring callbacks", "keras"],
    indirect=["framework"],
)
def test_a_resumed_training_has_used_what_both_parts_have(
    framework: str, how: dict[str, bool], left: list[Row]
) -> None:
    shown = FITS[framework](**how)
    found = rows()
    assert found[: len(left)] == left
    run, *others = by_run(found).values()
    assert not others
    first, second = by_writer(run)
    assert second[0]["continues"]["writer"] == first[0]["writer"]
    assert second[0]["carried"] is None
    assert [(row["epoch"], row["attempt"]) for row in epochs(second)] == [(2, 2), (3, 1), (4, 1), (5, 1)]
    assert beats_of(first)[-1]["attempt"] == 1
    check_sums(run)
    assert close(run[-1]["total"]["energy_kwh"], counted(first) + counted(second))
    # Lightning shows single precision.
    assert shown == pytest.approx(
        epochs(run)[-1]["total"]["energy_kwh"], rel=1e-6 if framework == "lightning" else 1e-12
    )
    (checked,) = whole().runs
    assert checked.state == "finished"
    assert close(checked.usage.energy_kwh, run[-1]["total"]["energy_kwh"])


def test_a_training_that_begins_anew_is_a_run_of_its_own(framework: str, left: list[Row]) -> None:
    """The checkpoint is gone, the log is not: what was burnt stays in it, unfinished."""
    shutil.rmtree("checkpoints")
    FITS[framework]()
    old, new = by_run(rows()).values()
    assert old == left
    assert [(row["epoch"], row["attempt"]) for row in epochs(new)] == [(epoch, 1) for epoch in range(EPOCHS)]
    assert new[0]["carried"] is None
    check_sums(new)
    verdict = whole()
    assert [run.state for run in verdict.runs] == ["unfinished", "finished"]
    assert close(sum(run.usage.energy_kwh for run in verdict.runs), counted(old) + counted(new))


def test_a_training_that_begins_anew_goes_on_with_the_run_that_is_named(framework: str, left: list[Row]) -> None:
    shutil.rmtree("checkpoints")
    FITS[framework](run_id=left[0]["run"])
    (run,) = by_run(rows()).values()
    _, second = by_writer(run)
    attempts = [(epoch, 2 if epoch <= KILLED_IN else 1) for epoch in range(EPOCHS)]
    assert [(row["epoch"], row["attempt"]) for row in epochs(second)] == attempts
    check_sums(run)
    assert [checked.state for checked in whole().runs] == ["finished"]


def test_where_the_log_is_lost_the_checkpoint_knows_what_was_used(
    framework: str, left: list[Row], caplog: pytest.LogCaptureFixture
) -> None:
    saved = epochs(left)[-1]["total"]
    Path("eco2ai.jsonl").unlink()
    FITS[framework]()
    (run,) = by_run(rows()).values()
    assert [row["epoch"] for row in epochs(run)] == [2, 3, 4, 5]
    check_sums(run)
    whole()
    if framework == "keras":  # whose checkpoints have no place for it
        assert run[0]["run"] != left[0]["run"]
        assert "set run_id=" in caplog.text
    else:
        assert run[0]["run"] == left[0]["run"]
        for name in ("energy_kwh", "co2_kg", "seconds"):
            assert close(run[0]["carried"][name], saved[name]), name


@pytest.mark.parametrize("framework", ["keras"], indirect=True)
def test_a_fit_that_finds_its_run_in_the_log_takes_no_other(
    framework: str, left: list[Row], caplog: pytest.LogCaptureFixture
) -> None:
    """Not that of another project, and none that is finished."""
    shutil.copytree("checkpoints", "kept")
    keras_fit(project="another")
    old, other = by_run(rows()).values()
    assert old == left
    assert other[0]["continues"] is None
    assert "set run_id=" in caplog.text
    shutil.rmtree("checkpoints")
    shutil.copytree("kept", "checkpoints")
    keras_fit()
    mine, _ = by_run(rows()).values()
    assert mine[: len(left)] == left
    check_sums(mine)
    shutil.rmtree("checkpoints")
    shutil.copytree("kept", "checkpoints")
    keras_fit()
    assert len(by_run(rows())) == 3
    whole()
