"""The Keras adapter, through real fits on whichever backend is chosen."""

from __future__ import annotations

import copy
import csv
import os
import pickle
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import FunctionType
from typing import Any

import pytest
from known_work import KnownWork, platform
from logcheck import by_run, by_writer, check_divided, check_whole, epochs, rows, rows_so_far, stage_sum

if not os.environ.get("KERAS_BACKEND"):
    # Keras would take tensorflow, which may be missing.
    pytest.importorskip("torch")
    os.environ["KERAS_BACKEND"] = "torch"
keras = pytest.importorskip("keras")
np = pytest.importorskip("numpy")

from eco2ai_callbacks import load, track
from eco2ai_callbacks.errors import SettingsError
from eco2ai_callbacks.keras import Eco2AICallback
from eco2ai_callbacks.testing import Clock, FakeMeter, fake_platform

pytestmark = [
    pytest.mark.filterwarnings("default"),
    pytest.mark.filterwarnings("error:::eco2ai_callbacks"),
]


@pytest.fixture
def data() -> tuple[Any, Any]:
    random = np.random.default_rng(0)
    return random.random((256, 16)).astype("float32"), random.integers(0, 2, 256)


def model() -> Any:
    keras.utils.set_random_seed(0)
    net = keras.Sequential(
        [keras.Input((16,)), keras.layers.Dense(8, activation="relu"), keras.layers.Dense(2, activation="softmax")]
    )
    net.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return net


class Keeps(keras.callbacks.Callback):  # type: ignore[misc]
    """Keeps the logs that each epoch gives to a callback."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[dict[str, float]] = []

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.seen.append(dict(logs))


class Raises(keras.callbacks.Callback):  # type: ignore[misc]
    """Raises the user's own exception in the middle of the second epoch."""

    def __init__(self, error: BaseException) -> None:
        super().__init__()
        self.error = error
        self.epoch = 0

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.epoch = epoch

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if self.epoch == 1 and batch == 2:
            raise self.error


def expected(run: list[dict[str, Any]]) -> list[dict[str, float]]:
    """The scalars that a run's epochs must have logged, by its own log."""
    result = []
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
        result.append(scalars)
    return result


@pytest.mark.extra
@pytest.mark.parametrize("first", [True, False], ids=["first", "last"])
@pytest.mark.parametrize("validation", [0.0, 0.25])
def test_every_callback_and_history_get_what_the_run_log_holds(data: Any, first: bool, validation: float) -> None:
    keeps, table, ours = Keeps(), keras.callbacks.CSVLogger("keras.csv"), Eco2AICallback(region="FR")
    callbacks = [ours, keeps, table] if first else [keeps, table, ours]
    history = model().fit(*data, epochs=2, validation_split=validation, callbacks=callbacks, verbose=0).history
    run = rows()
    check_whole(run)
    with Path("keras.csv").open() as file:
        written = list(csv.DictReader(file))
    wanted = expected(run)
    assert len(wanted) == 2
    losses = ["loss", "accuracy"] + ["val_loss", "val_accuracy"] * (validation > 0)
    for number, epoch in enumerate(load("eco2ai.jsonl")[0].epochs):
        assert epoch.metrics == {name: history[name][number] for name in losses}
    for number, scalars in enumerate(wanted):
        assert ("eco2ai/val_energy_kwh" in scalars) is (validation > 0)
        for name, value in scalars.items():
            assert history[name][number] == value
            assert keeps.seen[number][name] == value
            assert float(written[number][name]) == value


def test_early_stopping_listed_before_us_can_watch_the_scalars(data: Any) -> None:
    stopper = keras.callbacks.EarlyStopping(monitor="eco2ai/total_energy_kwh", mode="min", patience=1)
    history = model().fit(*data, epochs=9, callbacks=[stopper, Eco2AICallback()], verbose=0).history
    assert len(history["loss"]) == 2  # a growing total never improves


@pytest.mark.parametrize("scalars", ["basic", "all"])
def test_no_epoch_has_a_name_without_a_figure(data: Any, scalars: Any) -> None:
    keeps, monitor = Keeps(), "eco2ai/forecast_energy_kwh"
    stopper = keras.callbacks.EarlyStopping(monitor=monitor, mode="min", patience=9)
    saver = keras.callbacks.ModelCheckpoint("best.keras", monitor=monitor, mode="min", save_best_only=True)
    ours = Eco2AICallback(region="FR", scalars=scalars)
    history = model().fit(*data, epochs=4, callbacks=[keeps, ours, stopper, saver], verbose=0).history
    assert all(np.isfinite(value) for logs in keeps.seen for value in logs.values())
    assert {len(values) for values in history.values()} == {4}
    assert history[monitor][-1] == pytest.approx(history["eco2ai/total_energy_kwh"][-1])
    assert stopper.best == saver.best == min(history[monitor])


@pytest.mark.parametrize("planned", [1, 2])
def test_also_a_short_fit_has_the_forecast_s_name_from_its_first_epoch_on(data: Any, planned: int) -> None:
    history = model().fit(*data, epochs=planned, callbacks=[Eco2AICallback(region="FR")], verbose=0).history
    assert len(history["eco2ai/forecast_energy_kwh"]) == planned


def test_what_a_failed_meter_gives_no_more_is_left_out_and_not_invented(data: Any) -> None:
    clock = Clock()
    meter = FakeMeter(clock, {"cpu": 50.0, "gpu:GPU-a": 300.0})

    class Steps(keras.callbacks.Callback):  # type: ignore[misc]
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            clock.advance(1.0)

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            meter.on_read = lambda joules: {"cpu": joules["cpu"]}

    keeps, table = Keeps(), keras.callbacks.CSVLogger("keras.csv")
    ours = Eco2AICallback.on_platform(fake_platform(clock, meter), region="FR", scalars="all")
    model().fit(*data, epochs=2, callbacks=[ours, Steps(), keeps, table], verbose=0)
    assert "eco2ai/gpu_kwh" in keeps.seen[0]
    assert keeps.seen[0].keys() - keeps.seen[1].keys() == {"eco2ai/gpu_kwh"}
    with Path("keras.csv").open() as file:
        assert [row["eco2ai/gpu_kwh"] for row in csv.DictReader(file)][1] == "NA"


def test_nothing_is_skipped_or_doubled_for_the_callbacks_around_us(data: Any) -> None:
    before, after = Keeps(), Keeps()
    model().fit(*data, epochs=3, callbacks=[before, Eco2AICallback(), after], verbose=0)
    assert len(before.seen) == len(after.seen) == 3


def test_the_list_can_still_dispatch_without_waiting_for_batches() -> None:
    without = keras.callbacks.CallbackList([], model=model())
    found = keras.callbacks.CallbackList([Eco2AICallback()], model=model())
    assert found._async_train is without._async_train
    assert found._async_test is without._async_test
    assert found._async_predict is without._async_predict


@pytest.mark.parametrize(
    "kwargs", [{"steps_per_epoch": 3}, {"initial_epoch": 1}, {"batch_size": 7}], ids=["steps", "later start", "batches"]
)
def test_epochs_are_whole_whatever_ends_them(data: Any, kwargs: Any) -> None:
    model().fit(*data, epochs=3, callbacks=[Eco2AICallback()], verbose=0, **kwargs)
    check_whole(rows())
    assert [row["epoch"] for row in epochs(rows())] == list(range(kwargs.get("initial_epoch", 0), 3))


def test_generators_without_a_length_are_no_hindrance(data: Any) -> None:
    def batches() -> Any:
        while True:
            yield data[0][:16], data[1][:16]

    model().fit(batches(), epochs=2, steps_per_epoch=4, callbacks=[Eco2AICallback()], verbose=0)
    check_whole(rows())
    assert len(epochs(rows())) == 2


@pytest.mark.parametrize("planned", [20, None], ids=["steps", "open"])
def test_a_stream_without_an_end_has_rows_and_forecasts_by_steps(
    data: Any, planned: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("eco2ai_callbacks.metrics.figures.LOOK_S", 0.0)

    def batches() -> Any:
        while True:
            yield data[0][:16], data[1][:16]

    class Stops(keras.callbacks.Callback):  # type: ignore[misc]
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            self.model.stop_training = batch == 19

    listed = [Eco2AICallback(every_n_steps=8, gpus=()), Stops()]
    model().fit(batches(), steps_per_epoch=planned, callbacks=listed, verbose=0)
    check_whole(rows())
    assert [row["epoch"] for row in epochs(rows())] == [0]
    windows = [tuple(row["steps"]) for row in rows() if row["steps"]]
    assert windows == [(8, 8, None, None), (16, 8, None, None), (20, 4, None, None)]
    told = [row["metrics"] for row in rows() if row["event"] == "forecast"]
    # Keras counts in epochs. Where no end is known there is nothing to forecast.
    assert {(each["epochs"], each["planned"]) for each in told} == ({(0, 1)} if planned else set())


def test_stopping_in_mid_epoch_still_closes_epoch_and_run(data: Any) -> None:
    class Stops(keras.callbacks.Callback):  # type: ignore[misc]
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            self.model.stop_training = batch == 2

    model().fit(*data, epochs=3, callbacks=[Stops(), Eco2AICallback()], verbose=0)
    check_whole(rows())
    assert len(epochs(rows())) == 1


def test_a_second_fit_of_the_same_callback_is_another_run(data: Any) -> None:
    ours, net = Eco2AICallback(), model()
    for _ in range(2):
        net.fit(*data, epochs=1, callbacks=[ours], verbose=0)
    assert len(by_run(rows())) == 2
    check_whole(rows())


@pytest.mark.extra
def test_evaluate_and_predict_alone_join_the_last_run(data: Any) -> None:
    ours, net = Eco2AICallback(), model()
    net.fit(*data, epochs=1, callbacks=[ours], verbose=0)
    net.evaluate(*data, callbacks=[ours], verbose=0)
    net.predict(data[0], callbacks=[ours], verbose=0)
    net.fit(*data, epochs=1, callbacks=[ours], verbose=0)
    runs = list(by_run(rows()).values())
    check_whole(rows())
    assert len(runs) == 2
    assert [session[-2]["stage"] for session in by_writer(runs[0])[1:]] == ["test", "predict"]


@pytest.mark.parametrize("error", [RuntimeError("the user's own"), KeyboardInterrupt()], ids=["error", "interrupt"])
def test_what_was_used_until_an_exception_is_in_the_log(data: Any, error: BaseException) -> None:
    ours = Eco2AICallback(heartbeat_s=0.5)
    with pytest.raises(type(error)) as raised:
        model().fit(*data, epochs=3, batch_size=16, callbacks=[Raises(error), ours], verbose=0)
    assert raised.value is error  # and its traceback keeps the frame of the fit
    deadline = time.monotonic() + 20
    while rows_so_far()[-1]["event"] != "stop" and time.monotonic() < deadline:
        time.sleep(0.05)
    run = rows()
    check_whole(run)
    assert run[-1]["ended"] == "interrupted"
    assert (run[-1]["stage"], run[-1]["epoch"]) == ("train", 1)


@pytest.mark.parametrize("kept", [False, True], ids=["dropped", "kept"])
def test_fits_that_end_by_an_exception_are_neither_around_nor_inside_of_each_other(data: Any, kept: bool) -> None:
    """As in a search over learning rates, whose trials have callbacks of their own and are ended by an exception."""
    errors: list[BaseException] = []
    for error in (FloatingPointError(), None, KeyboardInterrupt(), None):
        callbacks = [Eco2AICallback(heartbeat_s=0.0), *([Raises(error)] if error else [])]
        try:
            model().fit(*data, epochs=2, batch_size=16, callbacks=callbacks, verbose=0)
        except (FloatingPointError, KeyboardInterrupt) as found:
            errors += [found] if kept else []
            del error
    check_whole(rows())
    assert [row["parent"] for row in rows() if row["event"] == "start"] == [None] * 4
    ended = {row["run"]: row["ended"] for row in rows() if row["event"] == "stop"}
    assert list(ended.values()) == ["interrupted", "finished", "interrupted", "finished"]
    assert [len(epochs(found)) for found in by_run(rows()).values()] == [1, 2, 1, 2]


def test_a_fit_inside_a_fit_is_a_part_of_it(data: Any) -> None:
    class Fits(keras.callbacks.Callback):  # type: ignore[misc]
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            model().fit(*data, epochs=1, callbacks=[Eco2AICallback()], verbose=0)

    model().fit(*data, epochs=1, callbacks=[Eco2AICallback(), Fits()], verbose=0)
    outer, inner = (row for row in rows() if row["event"] == "start")
    assert (outer["parent"], inner["parent"]) == (None, outer["run"])


def test_fits_in_threads_divide_what_the_process_uses(data: Any) -> None:
    """As a search whose trials run in threads: what they have used is the process's, and none is inside another."""
    nets, barrier = [model() for _ in range(4)], threading.Barrier(4, timeout=60)

    class Waits(keras.callbacks.Callback):  # type: ignore[misc]
        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            barrier.wait()

        def on_train_end(self, logs: Any = None) -> None:
            barrier.wait()

    def fit(net: Any) -> None:
        callbacks = [Waits(), Eco2AICallback(region="FR", console=False)]
        net.fit(*data, epochs=2, batch_size=16, callbacks=callbacks, verbose=0)

    with track(region="FR", console=False, log_file="around.jsonl") as around, ThreadPoolExecutor(4) as pool:
        list(pool.map(fit, nets))
    check_divided(4, around)


def test_a_fit_after_a_failed_fit_closes_that_and_is_counted_by_itself(data: Any) -> None:
    ours = Eco2AICallback()
    with pytest.raises(RuntimeError):
        model().fit(*data, epochs=3, batch_size=16, callbacks=[ours, Raises(RuntimeError())], verbose=0)
    model().fit(*data, epochs=1, callbacks=[ours], verbose=0)
    failed, good = by_run(rows()).values()
    assert failed[-1]["ended"] == "interrupted"
    assert good[-1]["ended"] == "finished"
    check_whole(rows())


def test_an_evaluation_after_a_failed_fit_is_not_part_of_it(data: Any) -> None:
    ours, net = Eco2AICallback(), model()
    with pytest.raises(RuntimeError):
        net.fit(*data, epochs=3, batch_size=16, callbacks=[ours, Raises(RuntimeError())], verbose=0)
    net.evaluate(*data, callbacks=[ours], verbose=0)
    check_whole(rows())
    first, second = by_writer(rows())
    assert first[-1]["ended"] == "interrupted"
    assert second[-2]["stage"] == "test"


@pytest.mark.extra
@pytest.mark.parametrize("error", [RuntimeError("the user's own"), KeyboardInterrupt()], ids=["error", "interrupt"])
@pytest.mark.parametrize("named", [True, False], ids=["named", "found"])
def test_backup_and_restore_goes_on_with_the_run(data: Any, error: BaseException, named: bool) -> None:
    def fit(*more: Any, **settings: Any) -> None:
        ours = Eco2AICallback(heartbeat_s=0.0, **settings)
        backup = keras.callbacks.BackupAndRestore("backup")
        model().fit(*data, epochs=3, batch_size=16, verbose=0, callbacks=[backup, ours, *more])

    with pytest.raises(type(error)):
        fit(Raises(error))
    fit(**({"run_id": rows()[0]["run"]} if named else {}))
    assert len(by_run(rows())) == 1
    check_whole(rows())
    assert [(row["epoch"], row["attempt"]) for row in epochs(rows())] == [(0, 1), (1, 2), (2, 1)]
    assert [row["ended"] for row in rows() if row["event"] == "stop"] == ["interrupted", "finished"]


@pytest.mark.parametrize("module", ["keras_tuner.src.engine.base_tuner", "mine"], ids=["search", "own code"])
def test_a_later_first_epoch_in_a_search_of_keras_tuner_continues_no_run(data: Any, module: str) -> None:
    def search(fit: Any) -> None:
        fit()

    called = FunctionType(search.__code__, {"__name__": module})
    ours = Eco2AICallback()
    model().fit(*data, epochs=1, callbacks=[ours], verbose=0)
    trial = copy.deepcopy(ours)
    called(lambda: model().fit(*data, initial_epoch=1, epochs=2, callbacks=[trial], verbose=0))
    runs = [[row["epoch"] for row in epochs(run)] for run in by_run(rows()).values()]
    assert runs == ([[0, 1]] if module == "mine" else [[0], [1]])


@pytest.mark.extra
def test_one_line_is_printed_and_verbose_0_silences_it(data: Any, capsys: pytest.CaptureFixture[str]) -> None:
    model().fit(*data, epochs=1, callbacks=[Eco2AICallback(region="FR")], verbose=2)
    assert sum(line.startswith("eco2ai: ") for line in capsys.readouterr().err.splitlines()) == 1
    model().fit(*data, epochs=1, callbacks=[Eco2AICallback(region="FR")], verbose=0)
    assert "eco2ai" not in capsys.readouterr().err


def test_the_training_itself_is_unchanged(data: Any) -> None:
    weights = []
    for callbacks in ([], [Eco2AICallback()]):
        net = model()
        net.fit(*data, epochs=2, validation_split=0.25, callbacks=callbacks, verbose=0)
        weights.append(net.get_weights())
    assert all(np.array_equal(one, other) for one, other in zip(*weights, strict=True))


def test_a_model_that_was_measured_is_saved_loaded_and_cloned(data: Any) -> None:
    ours, net = Eco2AICallback(), model()
    net.fit(*data, epochs=1, callbacks=[ours], verbose=0)
    net.save("net.keras")
    loaded, cloned = keras.models.load_model("net.keras"), keras.models.clone_model(net)
    cloned.compile("sgd", "sparse_categorical_crossentropy")
    for again in (loaded, cloned):
        again.fit(*data, epochs=1, callbacks=[ours], verbose=0)
    assert len(by_run(rows())) == 3
    check_whole(rows())


def test_a_used_callback_pickles_and_copies_without_its_model(data: Any) -> None:
    ours = Eco2AICallback(project="mine")
    model().fit(*data, epochs=1, callbacks=[ours], verbose=0)
    for copied in (pickle.loads(pickle.dumps(ours)), copy.deepcopy(ours)):
        assert copied._model is None
        model().fit(*data, epochs=1, callbacks=[copied], verbose=0)
    assert {row["project"] for row in rows()} == {"mine"}
    assert len(by_run(rows())) == 3


def test_ranks_are_exchanged_with_only_where_the_fit_synchronises_them_or_the_user_asks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from eco2ai_callbacks import keras as adapter

    group = object()
    monkeypatch.setattr(adapter, "torch_group", lambda: group)
    monkeypatch.setattr(adapter, "jax_group", lambda: group)
    monkeypatch.setattr(adapter, "find_group", lambda ranks, guard: (ranks, group))
    monkeypatch.setattr(keras.backend, "backend", lambda: "torch")

    class DistributedDataParallel: ...

    def model_of(*parts: object) -> Any:
        return type("Model", (), {"modules": lambda self: iter(parts)})()

    ours = Eco2AICallback()
    ours._model = model_of(object())
    assert ours._group() is None
    ours._model = model_of(object(), DistributedDataParallel())
    assert ours._group() is group
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    monkeypatch.setattr(keras.distribution, "distribution", lambda: None)
    assert ours._group() is None
    monkeypatch.setattr(keras.distribution, "distribution", object)
    assert ours._group() is group
    assert Eco2AICallback(ranks="torch")._group() == ("torch", group)
    with pytest.raises(SettingsError, match=r"ranks='all' \(from argument\) is not accepted"):
        Eco2AICallback(ranks="all")


@pytest.mark.extra
def test_the_phases_of_a_fit_are_what_it_did_and_steps_have_rows() -> None:
    work = KnownWork()
    ours = Eco2AICallback.on_platform(platform(), region="FR", scalars="all", every_n_steps=4)

    class Slow(keras.utils.PyDataset):  # type: ignore[misc]
        def __len__(self) -> int:
            return 10

        def __getitem__(self, index: int) -> Any:
            work.sleep("data", 0.04)
            return np.ones((2, 4), "float32"), np.ones((2, 1), "float32")

    class Works(keras.Model):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.layer = keras.layers.Dense(1)

        def call(self, inputs: Any) -> Any:
            return self.layer(inputs)

        def train_step(self, *args: Any) -> Any:
            work.burn("train", 0.03)
            with ours.phase("augment"):
                work.burn("augment", 0.03)
            return super().train_step(*args)

        def test_step(self, *args: Any) -> Any:
            work.burn("validation", 0.1)
            return super().test_step(*args)

        def save_weights(self, *args: Any, **kwargs: Any) -> None:
            work.sleep("checkpoint", 0.2)
            super().save_weights(*args, **kwargs)

    class Logs(keras.callbacks.Callback):  # type: ignore[misc]
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            work.stepped = True
            if logs.keys() & {"eco2ai/step_j_per_step"}:
                seen.append((batch, logs))

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            work.sleep("logging", 0.1)

    seen: list[tuple[int, dict[str, float]]] = []
    net = Works()
    # Eager: a compiled step would run the work once.
    net.compile("sgd", "mse", run_eagerly=True)
    held = np.ones((4, 4), "float32"), np.ones((4, 1), "float32")
    saves = keras.callbacks.ModelCheckpoint("w.weights.h5", save_weights_only=True)
    history = net.fit(
        Slow(), epochs=2, validation_data=held, validation_batch_size=2, callbacks=[Logs(), ours, saves], verbose=0
    ).history
    found = work.check()
    assert found.keys() == {"setup", "data", "train", "augment", "validation", "checkpoint", "logging", "other"}
    assert set(work.wall) == found.keys() - {"setup", "other"}
    assert not {"save", "save_weights"} & vars(net).keys()
    assert type(net.train_function).__module__ != ours.__module__
    assert "counted" not in type(net.train_function).__name__.lower()
    names = {f"eco2ai/phase_{name}_{part}" for name in found for part in ("seconds", "kwh")}
    assert all(len(history[name]) == 2 for name in names)
    assert [batch for batch, _ in seen] == [3, 7, 3, 7]
    assert [tuple(row["steps"]) for row in rows() if row["steps"]] == [
        *((4, 4, None, None), (8, 4, None, None), (10, 2, None, None)),
        *((14, 4, None, None), (18, 4, None, None), (20, 2, None, None)),
    ]
    with ours.phase("after"):
        pass  # no fit runs, so it counts nothing


def test_the_samples_of_a_window_of_steps_are_known_of_arrays() -> None:
    x, y = np.ones((22, 16), "float32"), np.zeros(22)
    model().fit(x, y, batch_size=4, epochs=1, callbacks=[Eco2AICallback(every_n_steps=4)], verbose=0)
    assert [tuple(row["steps"]) for row in rows() if row["steps"]] == [(4, 4, 16, None), (6, 2, 6, None)]
