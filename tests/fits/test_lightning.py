"""The Lightning adapter, through real fits of both packages."""

from __future__ import annotations

import copy
import csv
import importlib
import importlib.util
import logging
import pickle
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from known_work import KnownWork, platform
from logcheck import by_run, by_writer, check_divided, check_whole, epochs, rows, rows_so_far, stage_sum

torch = pytest.importorskip("torch")
np = pytest.importorskip("numpy")
PACKAGES = [name for name in ("lightning.pytorch", "pytorch_lightning") if importlib.util.find_spec(name.split(".")[0])]
if not PACKAGES:
    pytest.skip("neither lightning nor pytorch_lightning is installed", allow_module_level=True)

from eco2ai_callbacks import load, track
from eco2ai_callbacks.errors import SettingsError
from eco2ai_callbacks.lightning import Eco2AICallback

# The frameworks warn of many things of their own; our warnings stay errors.
pytestmark = [
    pytest.mark.filterwarnings("default"),
    pytest.mark.filterwarnings("error:::eco2ai_callbacks"),
]


@pytest.fixture(params=PACKAGES)
def pl(request: pytest.FixtureRequest) -> ModuleType:
    return importlib.import_module(request.param)


def model(pl: ModuleType, fail_at: int | None = None, error: type[BaseException] = RuntimeError) -> Any:
    class Small(pl.LightningModule):  # type: ignore[name-defined,misc]
        def __init__(self) -> None:
            super().__init__()
            self.layer = torch.nn.Linear(16, 2)

        def training_step(self, batch: Any, index: int) -> Any:
            if fail_at is not None and self.global_step >= fail_at:
                raise error("the user's own")
            loss = torch.nn.functional.cross_entropy(self.layer(batch[0]), batch[1])
            self.log("train_loss", loss)
            return loss

        def validation_step(self, batch: Any, index: int) -> None:
            self.log("val_loss", torch.nn.functional.cross_entropy(self.layer(batch[0]), batch[1]))

        def test_step(self, batch: Any, index: int) -> None:
            self.log("test_loss", torch.nn.functional.cross_entropy(self.layer(batch[0]), batch[1]))

        def predict_step(self, batch: Any, index: int) -> Any:
            return self.layer(batch[0])

        def configure_optimizers(self) -> Any:
            return torch.optim.SGD(self.parameters(), lr=0.1)

    torch.manual_seed(0)
    return Small()


def loader(size: int = 256, batch: int = 16, **kwargs: Any) -> Any:
    generator = torch.Generator().manual_seed(0)
    data = torch.utils.data.TensorDataset(
        torch.randn(size, 16, generator=generator), torch.randint(0, 2, (size,), generator=generator)
    )
    return torch.utils.data.DataLoader(data, batch_size=batch, **kwargs)


def trainer(pl: ModuleType, callbacks: list[Any], **kwargs: Any) -> Any:
    defaults = {
        "accelerator": "cpu",
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "max_epochs": 2,
    }
    return pl.Trainer(callbacks=callbacks, **{**defaults, **kwargs})


class Collects:
    """Keeps what each epoch left in ``callback_metrics``."""

    def __new__(cls, pl: ModuleType) -> Any:
        class Keeper(pl.Callback):  # type: ignore[name-defined,misc]
            def __init__(self) -> None:
                self.seen: list[dict[str, float]] = []

            def on_train_epoch_start(self, trainer: Any, module: Any) -> None:
                self._keep(trainer)

            def on_fit_end(self, trainer: Any, module: Any) -> None:
                self._keep(trainer)

            def _keep(self, trainer: Any) -> None:
                found = {k: float(v) for k, v in trainer.callback_metrics.items() if k.startswith("eco2ai/")}
                if found:
                    self.seen.append(found)

        return Keeper()


def single(value: float) -> float:
    """What a double becomes in Lightning's tensors."""
    return float(np.float32(value))


def logged_as(run: list[dict[str, Any]]) -> list[dict[str, float]]:
    """The scalars that a run's epochs must have logged, by its own log."""
    expected = []
    for row in epochs(run):
        scalars = {
            "eco2ai/energy_kwh": row["epoch_total"]["energy_kwh"],
            "eco2ai/co2_kg": row["epoch_total"]["co2_kg"],
            "eco2ai/total_energy_kwh": row["total"]["energy_kwh"],
            "eco2ai/total_co2_kg": row["total"]["co2_kg"],
        }
        if any(other["stage"] == "validate" and other["epoch"] == row["epoch"] for other in run):
            scalars["eco2ai/val_energy_kwh"] = stage_sum(run, "validate", row["epoch"])
            scalars["eco2ai/val_co2_kg"] = stage_sum(run, "validate", row["epoch"], "co2_kg")
        expected.append(scalars)
    return expected


@pytest.mark.extra
@pytest.mark.parametrize("first", [True, False], ids=["first", "last"])
def test_each_epoch_logs_what_the_run_log_holds(pl: ModuleType, first: bool) -> None:
    keeper, ours = Collects(pl), Eco2AICallback(region="FR")
    fit = trainer(pl, [ours, keeper] if first else [keeper, ours])
    fit.fit(model(pl), loader(), loader(64))
    run = rows()
    check_whole(run)
    expected = logged_as(run)
    assert len(expected) == 2
    for seen, wanted in zip(keeper.seen, expected, strict=True):
        forecast = {f"eco2ai/forecast_{name}" for name in ("energy_kwh", "co2_kg", "seconds")}
        assert seen.keys() == wanted.keys() | forecast
        for name, value in wanted.items():
            assert seen[name] == pytest.approx(single(value), rel=1e-7), name


def test_the_run_log_holds_what_each_epoch_logged_and_nothing_is_computed_for_that(pl: ModuleType) -> None:
    losses: list[dict[str, float]] = []

    class Ahead(pl.Callback):  # type: ignore[name-defined,misc]
        """Logs for the next epoch before our hook: that is pending until this epoch's end."""

        def on_train_epoch_start(self, trainer: Any, module: Any) -> None:
            self.log("begun", float(trainer.current_epoch), on_epoch=True)
            pending.append(next(item for item in trainer._results.values() if item.meta.name == "begun"))

    class Behind(pl.Callback):  # type: ignore[name-defined,misc]
        def on_train_epoch_start(self, trainer: Any, module: Any) -> None:
            assert pending[-1]._computed is None

        def on_validation_end(self, trainer: Any, module: Any) -> None:
            validated.append(float(trainer.callback_metrics["val_loss"]))

        def on_train_batch_end(self, trainer: Any, *_: Any) -> None:
            losses.append({"train_loss": float(trainer.callback_metrics["train_loss"])})

    pending: list[Any] = []
    validated: list[float] = []
    fit = trainer(
        pl, [Ahead(), Eco2AICallback(), Behind()], max_epochs=3, check_val_every_n_epoch=2, num_sanity_val_steps=0
    )
    fit.fit(model(pl), loader(64), loader(64))
    check_whole(rows())
    assert len(validated) == 1
    last = [losses[end] for end in (3, 7, 11)]
    expected: list[dict[str, float]] = [{**each, "begun": float(epoch)} for epoch, each in enumerate(last)]
    expected[1]["val_loss"] = validated[0]
    assert [dict(epoch.metrics) for epoch in load("eco2ai.jsonl")[0].epochs] == expected


def test_every_attached_logger_gets_the_scalars(pl: ModuleType) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    loggers = importlib.import_module(f"{pl.__name__}.loggers")
    both = [loggers.CSVLogger("csv"), loggers.TensorBoardLogger("tb")]
    fit = trainer(pl, [Eco2AICallback(region="FR")], logger=both, log_every_n_steps=1)
    fit.fit(model(pl), loader(), loader(64))
    expected = logged_as(rows())

    with (Path(both[0].log_dir) / "metrics.csv").open() as file:
        table = [row for row in csv.DictReader(file) if row.get("eco2ai/energy_kwh")]
    events = EventAccumulator(both[1].log_dir)
    events.Reload()
    for name in expected[0]:
        wanted = [single(row[name]) for row in expected]
        assert [float(row[name]) for row in table] == pytest.approx(wanted, rel=1e-6), name
        assert [event.value for event in events.Scalars(name)] == pytest.approx(wanted, rel=1e-6), name


def test_validation_is_never_mixed_into_the_training_epochs(pl: ModuleType) -> None:
    fit = trainer(pl, [Eco2AICallback()], val_check_interval=0.25)
    fit.fit(model(pl), loader(), loader(64))
    run = rows()
    check_whole(run)
    for epoch in (0, 1):
        stages = [r["stage"] for r in run if r["epoch"] == epoch and r["event"] in ("stage", "epoch")]
        assert stages.count("validate") == 4
        assert stages.count("train") in (4, 5)  # the last validation may end with the epoch
    assert len(epochs(run)) == 2


def test_the_sanity_check_before_a_fit_is_setup(pl: ModuleType) -> None:
    fit = trainer(pl, [Eco2AICallback()], num_sanity_val_steps=2, max_epochs=1)
    fit.fit(model(pl), loader(), loader(64))
    run = rows()
    assert [r["stage"] for r in run[:3]] == ["other", "other", "train"]
    assert sum(r["stage"] == "validate" for r in run) == 1


def test_a_second_fit_of_the_same_callback_is_another_run(pl: ModuleType) -> None:
    ours = Eco2AICallback()
    for _ in range(2):
        trainer(pl, [ours], max_epochs=1).fit(model(pl), loader())
    runs = by_run(rows())
    assert len(runs) == 2
    check_whole(rows())


@pytest.mark.extra
def test_validate_test_and_predict_join_the_last_run_and_log_their_own_figures(pl: ModuleType) -> None:
    ours = Eco2AICallback()
    fit = trainer(pl, [ours], max_epochs=1, logger=importlib.import_module(f"{pl.__name__}.loggers").CSVLogger("csv"))
    module = model(pl)
    fit.fit(module, loader())
    validated = fit.validate(module, loader(64), verbose=False)[0]
    tested = fit.test(module, loader(64), verbose=False)[0]
    fit.predict(module, loader(64))
    found = rows()
    check_whole(found)
    assert len(by_run(found)) == 1
    assert [session[-2]["stage"] for session in by_writer(found)[1:]] == ["validate", "test", "predict"]
    assert validated["eco2ai/val_energy_kwh"] == pytest.approx(single(stage_sum(found, "validate", None)), rel=1e-6)
    assert tested["eco2ai/test_energy_kwh"] == pytest.approx(single(stage_sum(found, "test", None)), rel=1e-6)
    table = (Path(fit.logger.log_dir) / "metrics.csv").read_text()
    assert "eco2ai/predict_energy_kwh" in table


def test_validation_before_any_fit_opens_a_run_of_its_own(pl: ModuleType) -> None:
    trainer(pl, [Eco2AICallback()]).validate(model(pl), loader(64), verbose=False)
    check_whole(rows())
    assert [r["stage"] for r in rows() if r["event"] == "stage"][-1] == "validate"


@pytest.mark.parametrize(
    ("kwargs", "epochs_done", "data"),
    [
        ({"max_steps": 20, "max_epochs": -1}, 2, {}),
        ({"accumulate_grad_batches": 4}, 2, {}),
        ({"fast_dev_run": True}, 1, {}),
        ({"limit_train_batches": 3}, 2, {}),
        ({"max_time": "00:00:05:00"}, 2, {}),
        ({}, 2, {"num_workers": 2}),
    ],
    ids=["max_steps in mid-epoch", "accumulation", "fast_dev_run", "limited", "max_time", "workers"],
)
def test_epochs_are_whole_whatever_ends_them(pl: ModuleType, kwargs: Any, epochs_done: int, data: Any) -> None:
    trainer(pl, [Eco2AICallback()], **kwargs).fit(model(pl), loader(**data), loader(64))
    check_whole(rows())
    assert [row["epoch"] for row in epochs(rows())] == list(range(epochs_done))


def test_a_dataset_without_a_length_is_no_hindrance(pl: ModuleType) -> None:
    class Endless(torch.utils.data.IterableDataset):  # type: ignore[name-defined,misc]
        def __iter__(self) -> Any:
            for _ in range(64):
                yield torch.randn(16), 0

    data = torch.utils.data.DataLoader(Endless(), batch_size=8)
    trainer(pl, [Eco2AICallback()]).fit(model(pl), data)
    check_whole(rows())
    assert len(epochs(rows())) == 2


@pytest.mark.parametrize("planned", [20, -1], ids=["max_steps", "open"])
def test_a_stream_without_an_end_has_rows_and_forecasts_by_steps(
    pl: ModuleType, planned: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("eco2ai_callbacks.metrics.figures.LOOK_S", 0.0)

    class Stream(torch.utils.data.IterableDataset):  # type: ignore[name-defined,misc]
        def __iter__(self) -> Any:
            while True:
                yield torch.randn(16), 0

    class Stops(pl.Callback):  # type: ignore[name-defined,misc]
        def on_train_batch_end(self, fit: Any, *_: Any) -> None:
            fit.should_stop = fit.global_step == 20

    listed = [Eco2AICallback(every_n_steps=8, gpus=()), Stops()]
    fit = trainer(pl, listed, max_epochs=-1, max_steps=planned)
    fit.fit(model(pl), torch.utils.data.DataLoader(Stream(), batch_size=2))
    check_whole(rows())
    assert [row["epoch"] for row in epochs(rows())] == [0]
    windows = [tuple(row["steps"]) for row in rows() if row["steps"]]
    assert windows == [(8, 8, 16, None), (16, 8, 16, None), (20, 4, 8, None)]
    told = [row["metrics"] for row in rows() if row["event"] == "forecast"]
    # Where no end is known there is nothing to forecast.
    assert {(each["epochs"], each["planned"]) for each in told} == ({(0, 20)} if planned == 20 else set())


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_what_was_used_until_an_exception_is_in_the_log(pl: ModuleType, error: type[BaseException]) -> None:
    fit = trainer(pl, [Eco2AICallback()])
    with pytest.raises((error, SystemExit)) as raised:
        fit.fit(model(pl, fail_at=20, error=error), loader(), loader(64))
    if error is RuntimeError:
        assert str(raised.value) == "the user's own"
    run = rows()
    check_whole(run)
    assert run[-1]["ended"] == "interrupted"
    assert (run[-1]["stage"], run[-1]["epoch"]) == ("train", 1)


def test_a_fit_after_a_failed_fit_is_counted_by_itself(pl: ModuleType) -> None:
    ours = Eco2AICallback()
    with pytest.raises(RuntimeError):
        trainer(pl, [ours]).fit(model(pl, fail_at=5), loader())
    trainer(pl, [ours], max_epochs=1).fit(model(pl), loader())
    failed, good = by_run(rows()).values()
    assert failed[-1]["ended"] == "interrupted"
    assert good[-1]["ended"] == "finished"
    check_whole(rows())


@pytest.mark.extra
def test_a_resumed_fit_goes_on_with_its_run(pl: ModuleType) -> None:
    checkpoints = importlib.import_module(f"{pl.__name__}.callbacks").ModelCheckpoint
    saver = checkpoints(dirpath="ckpt", save_last=True)
    fit = trainer(pl, [Eco2AICallback(), saver], enable_checkpointing=True, max_epochs=2)
    fit.fit(model(pl), loader())
    again = trainer(pl, [Eco2AICallback()], max_epochs=4)
    again.fit(model(pl), loader(), ckpt_path="ckpt/last.ckpt")
    found = rows()
    assert len(by_run(found)) == 1
    check_whole(found)
    assert [row["epoch"] for row in epochs(found)] == [0, 1, 2, 3]
    first, second = by_writer(found)
    assert second[0]["continues"]["writer"] == first[0]["writer"]
    assert second[0]["carried"] is None


def test_a_checkpoint_knows_the_total_where_the_log_is_lost(pl: ModuleType) -> None:
    checkpoints = importlib.import_module(f"{pl.__name__}.callbacks").ModelCheckpoint
    saver = checkpoints(dirpath="ckpt", save_last=True)
    trainer(pl, [Eco2AICallback(), saver], enable_checkpointing=True, max_epochs=2).fit(model(pl), loader())
    saved = epochs(rows())[-1]["total"]["energy_kwh"]
    Path("eco2ai.jsonl").unlink()
    trainer(pl, [Eco2AICallback()], max_epochs=3).fit(model(pl), loader(), ckpt_path="ckpt/last.ckpt")
    found = rows()
    assert found[0]["carried"]["energy_kwh"] == pytest.approx(saved, rel=1e-12)
    marks = sum(row["energy_kwh"] for row in found if row["event"] in ("epoch", "stage", "stop"))
    assert found[-1]["total"]["energy_kwh"] == pytest.approx(saved + marks, rel=1e-9)


def test_early_stopping_and_checkpoints_can_watch_the_scalars(pl: ModuleType) -> None:
    callbacks = importlib.import_module(f"{pl.__name__}.callbacks")
    stopper = callbacks.EarlyStopping(
        monitor="eco2ai/total_energy_kwh", mode="min", patience=1, check_on_train_epoch_end=True
    )
    saver = callbacks.ModelCheckpoint(dirpath="best", monitor="eco2ai/total_co2_kg", mode="min", filename="best")
    fit = trainer(pl, [stopper, saver, Eco2AICallback()], enable_checkpointing=True, max_epochs=9)
    fit.fit(model(pl), loader(64))
    assert fit.current_epoch == 2  # a growing total never improves: one epoch of patience
    assert saver.best_model_score == pytest.approx(single(epochs(rows())[0]["total"]["co2_kg"]), rel=1e-6)


@pytest.mark.parametrize("planned", [1, 4])
def test_early_stopping_that_insists_on_its_name_finds_a_forecast_in_the_first_epoch(
    pl: ModuleType, planned: int
) -> None:
    stopper = importlib.import_module(f"{pl.__name__}.callbacks").EarlyStopping(
        "eco2ai/forecast_energy_kwh",
        mode="min",
        patience=9,
        strict=True,
        check_finite=True,
        check_on_train_epoch_end=True,
    )
    fit = trainer(pl, [stopper, Eco2AICallback()], max_epochs=planned)
    fit.fit(model(pl), loader(64))
    assert fit.current_epoch == planned
    assert stopper.best_score > 0


@pytest.mark.extra
def test_one_line_is_printed_and_the_logger_level_silences_it(
    pl: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    trainer(pl, [Eco2AICallback(region="FR")], max_epochs=1).fit(model(pl), loader(64))
    printed = [line for line in capsys.readouterr().err.splitlines() if "eco2ai" in line]
    assert len(printed) == 1
    for part in ("Wh", "CO2e", "W mean", "estimated: cpu", "not read: ", "France"):
        assert part in printed[0]
    quiet = logging.getLogger(pl.__name__)
    before = quiet.level
    quiet.setLevel(logging.ERROR)
    try:
        trainer(pl, [Eco2AICallback(region="FR")], max_epochs=1).fit(model(pl), loader(64))
    finally:
        quiet.setLevel(before)
    assert "eco2ai" not in capsys.readouterr().err


def test_the_progress_bar_shows_the_scalars_where_that_is_asked_for(pl: ModuleType) -> None:
    for wanted in (True, False):
        fit = trainer(pl, [Eco2AICallback(prog_bar=wanted)], max_epochs=1)
        fit.fit(model(pl), loader(64))
        assert ("eco2ai/energy_kwh" in fit.progress_bar_metrics) is wanted


def test_fits_in_threads_divide_what_the_process_uses(pl: ModuleType) -> None:
    """As a search whose trials run in threads: what they have used is the process's, and none is inside another."""
    nets, barrier = [model(pl) for _ in range(4)], threading.Barrier(4, timeout=60)

    class Waits(pl.Callback):  # type: ignore[name-defined,misc]
        def on_train_epoch_start(self, *_: Any) -> None:
            barrier.wait()

        def on_train_end(self, *_: Any) -> None:
            barrier.wait()

    def fit(net: Any) -> None:
        ours = Eco2AICallback(region="FR", console=False)
        trainer(pl, [Waits(), ours]).fit(net, loader())

    with track(region="FR", console=False, log_file="around.jsonl") as around, ThreadPoolExecutor(4) as pool:
        list(pool.map(fit, nets))
    check_divided(4, around)


def test_what_a_tuner_tries_is_measured_by_a_track_around_it_and_not_taken_for_an_epoch(pl: ModuleType) -> None:
    net = model(pl)
    net.lr = 0.1
    fit = trainer(pl, [Eco2AICallback(region="FR")], max_epochs=1)
    tuner = importlib.import_module(f"{pl.__name__}.tuner").Tuner(fit)
    with track(region="FR", project="tuning", console=False):
        tuner.lr_find(net, train_dataloaders=loader(64), num_training=4, update_attr=False)
    fit.fit(net, loader(64))
    tuning, fitted = by_run(rows()).values()
    assert {row["project"] for row in tuning} == {"tuning"}
    assert sum(row["energy_kwh"] or 0.0 for row in tuning) > 0
    assert [row["parent"] for row in fitted if row["event"] == "start"] == [None]
    assert len(epochs(fitted)) == 1


def test_the_data_is_not_loaded_out_of_turn(pl: ModuleType, capfd: pytest.CaptureFixture[str]) -> None:
    trainer(pl, [Eco2AICallback()], max_epochs=3).fit(model(pl), loader(64))
    captured = capfd.readouterr()
    assert "estimate number of stepping batches" not in captured.out + captured.err


def test_console_false_prints_nothing(pl: ModuleType, capfd: pytest.CaptureFixture[str]) -> None:
    trainer(pl, [Eco2AICallback(region="FR", console=False)], max_epochs=1).fit(model(pl), loader(64))
    captured = capfd.readouterr()
    assert "eco2ai" not in captured.out + captured.err


def test_without_a_log_the_scalars_still_arrive(pl: ModuleType) -> None:
    fit = trainer(pl, [Eco2AICallback(log_file=None)], max_epochs=1)
    fit.fit(model(pl), loader(64))
    assert fit.callback_metrics["eco2ai/energy_kwh"] > 0
    assert not Path("eco2ai.jsonl").exists()


def test_all_scalars_hold_components_and_power(pl: ModuleType) -> None:
    fit = trainer(pl, [Eco2AICallback(scalars="all")], max_epochs=1)
    fit.fit(model(pl), loader(64))
    epoch = epochs(rows())[0]["epoch_total"]
    assert float(fit.callback_metrics["eco2ai/cpu_kwh"]) == pytest.approx(epoch["energy_kwh"], rel=1e-6)
    power = epoch["energy_kwh"] * 3.6e6 / epoch["seconds"]
    assert float(fit.callback_metrics["eco2ai/power_w"]) == pytest.approx(power, rel=1e-6)


def test_a_used_callback_pickles_and_copies_without_what_is_live(pl: ModuleType) -> None:
    ours = Eco2AICallback(project="mine", region="FR")
    trainer(pl, [ours], max_epochs=1).fit(model(pl), loader(64))
    for copied in (pickle.loads(pickle.dumps(ours)), copy.deepcopy(ours)):
        assert copied.state_dict() == ours.state_dict()
        trainer(pl, [copied], max_epochs=1).fit(model(pl), loader(64))
    assert {row["project"] for row in rows()} == {"mine"}
    assert len(by_run(rows())) == 3


def test_a_wrong_setting_is_refused_at_construction() -> None:
    with pytest.raises(SettingsError, match=r"pue=0\.5 .* from 1 to 10"):
        Eco2AICallback(pue=0.5)
    with pytest.raises(SettingsError, match="Atlantis"):
        Eco2AICallback(region="Atlantis")
    with pytest.raises(SettingsError, match=r"regoin.*region"):
        Eco2AICallback(regoin="FR")  # type: ignore[call-arg]


@pytest.mark.skipif(len(PACKAGES) < 2, reason="needs lightning and pytorch_lightning")
def test_one_callback_serves_the_trainers_of_both_packages() -> None:
    ours = Eco2AICallback()
    for name in PACKAGES:
        package = importlib.import_module(name)
        trainer(package, [ours], max_epochs=1).fit(model(package), loader(64))
    assert len(by_run(rows())) == 2


def test_the_command_line_interface_builds_it_from_its_class_path(
    pl: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("jsonargparse")
    cli = importlib.import_module(f"{pl.__name__}.cli").LightningCLI
    boring = importlib.import_module(f"{pl.__name__}.demos.boring_classes").BoringModel
    command = [
        "cli.py", "fit", "--trainer.max_epochs=1", "--trainer.accelerator=cpu",
        "--trainer.logger=false", "--trainer.enable_checkpointing=false", "--trainer.limit_train_batches=4",
        "--trainer.callbacks=eco2ai_callbacks.lightning.Eco2AICallback",
        "--trainer.callbacks.region=FR", "--trainer.callbacks.project=from-cli",
    ]  # fmt: skip
    monkeypatch.setattr("sys.argv", command)
    cli(boring, seed_everything_default=False)
    assert rows()[-1]["project"] == "from-cli"
    assert rows()[-1]["intensity"]["region"] == "FR"
    monkeypatch.setattr("sys.argv", [*command[:-2], "--trainer.callbacks.pue=nonsense"])
    with pytest.raises(SystemExit) as ended:
        cli(boring, seed_everything_default=False)
    assert ended.value.code != 0
    assert "pue" in capsys.readouterr().err


def test_a_logger_that_fails_on_our_scalars_does_not_stop_the_training(pl: ModuleType) -> None:
    loggers = importlib.import_module(f"{pl.__name__}.loggers")

    class Broken(loggers.CSVLogger):  # type: ignore[name-defined,misc]
        def log_metrics(self, metrics: Any, step: Any = None) -> None:
            if any(name.startswith("eco2ai/predict") for name in metrics):
                raise OSError("the logger's disk is full")
            super().log_metrics(metrics, step)

    fit = trainer(pl, [Eco2AICallback()], logger=Broken("csv"), max_epochs=1)
    predictions = fit.predict(model(pl), loader(64))
    assert len(predictions) == 4
    assert any("Broken: the logger's disk is full" in failure for failure in rows()[-1]["failures"])


def test_nothing_is_counted_after_a_fit_that_nobody_saw_end(pl: ModuleType) -> None:
    """An exception in the exception hook of another callback: ours is never told."""

    class Breaks(pl.Callback):  # type: ignore[name-defined,misc]
        def on_exception(self, trainer: Any, module: Any, exception: BaseException) -> None:
            raise ValueError("in the hook")

    ours = Eco2AICallback(heartbeat_s=0.5)
    with pytest.raises(ValueError, match="in the hook"):
        trainer(pl, [Breaks(), ours]).fit(model(pl, fail_at=5), loader())
    deadline = time.monotonic() + 20
    while rows_so_far()[-1]["event"] != "stop" and time.monotonic() < deadline:
        time.sleep(0.05)
    assert rows()[-1]["ended"] == "interrupted"


@pytest.mark.extra
def test_the_phases_of_a_fit_are_what_it_did_and_steps_have_rows() -> None:
    pl, work = importlib.import_module(PACKAGES[0]), KnownWork()
    ours = Eco2AICallback.on_platform(platform(), region="FR", scalars="all", every_n_steps=4)

    class Slow(torch.utils.data.Dataset):  # type: ignore[misc,name-defined]
        def __len__(self) -> int:
            return 20

        def __getitem__(self, index: int) -> Any:
            work.sleep("data", 0.02)
            return torch.randn(16)

    class Works(pl.LightningModule):  # type: ignore[name-defined,misc]
        def __init__(self) -> None:
            super().__init__()
            self.layer = torch.nn.Linear(16, 2)

        def training_step(self, batch: Any, index: int) -> Any:
            work.burn("train", 0.03)
            with ours.phase("augment"):
                work.burn("augment", 0.03)
            return self.layer(batch).sum()

        def on_train_batch_end(self, *args: Any) -> None:
            work.stepped = True

        def validation_step(self, batch: Any, index: int) -> None:
            work.burn("validation", 0.1)

        def on_save_checkpoint(self, checkpoint: Any) -> None:
            work.sleep("checkpoint", 0.2)

        def configure_optimizers(self) -> Any:
            return torch.optim.SGD(self.parameters(), lr=0.1)

    class Slowly(importlib.import_module(f"{pl.__name__}.loggers").CSVLogger):  # type: ignore[misc]
        def log_metrics(self, metrics: Any, step: Any = None) -> None:
            work.sleep("logging", 0.05)
            seen.append((step, dict(metrics)))

    seen: list[tuple[int, dict[str, float]]] = []
    batches = torch.utils.data.DataLoader(Slow(), batch_size=2)
    fit = trainer(pl, [ours], logger=Slowly("csv"), enable_checkpointing=True)
    fit.fit(Works(), batches, torch.utils.data.DataLoader(torch.randn(4, 16), batch_size=2))
    found = work.check()
    assert found.keys() == {"setup", "data", "train", "augment", "validation", "checkpoint", "logging", "other"}
    assert set(work.wall) == found.keys() - {"setup", "other"}
    # The Trainer and the logger are as before.
    assert [type(each).__name__ for each in fit.callbacks] == ["Eco2AICallback", "ModelCheckpoint"]
    assert "save_checkpoint" not in vars(fit)
    assert "log_metrics" not in vars(fit.logger)
    names = {f"eco2ai/phase_{name}_{part}" for name in found for part in ("seconds", "kwh")}
    assert names <= {name for _, row in seen for name in row}
    steps = [(step, row) for step, row in seen if "eco2ai/step_j_per_step" in row]
    assert [step for step, _ in steps] == [3, 7, 13, 17]
    for _, row in steps:
        assert row["eco2ai/step_j_per_sample"] == pytest.approx(row["eco2ai/step_j_per_step"] / 2)
    marks = [row for row in rows() if row["steps"]]
    assert [tuple(row["steps"]) for row in marks] == [
        *((4, 4, 8, None), (8, 4, 8, None), (10, 2, 4, None)),
        *((14, 4, 8, None), (18, 4, 8, None), (20, 2, 4, None)),
    ]
    for epoch in epochs(rows()):
        trained = [row["energy_kwh"] for row in rows() if (row["stage"], row["epoch"]) == ("train", epoch["epoch"])]
        assert sum(trained) == pytest.approx(epoch["epoch_total"]["energy_kwh"])
    with ours.phase("after"):
        pass  # no fit runs, so it counts nothing
