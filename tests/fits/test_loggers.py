"""Every logger that people attach gets the figures of the run log: read back from the loggers' own files."""

from __future__ import annotations

import importlib
import importlib.util
import os
import re
import shutil
import struct
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import readback
from entry_point import check_published
from logcheck import Row, check_whole, epochs, rows, stage_sum
from readback import Series

# The frameworks and the loggers warn of many things of their own; our warnings stay errors.
pytestmark = [
    pytest.mark.filterwarnings("default"),
    pytest.mark.filterwarnings("error:::eco2ai_callbacks"),
]

LOCAL = {
    "ECO2AI_REGION": "FR",
    "WANDB_MODE": "offline",
    "WANDB_SILENT": "true",
    "WANDB_CONSOLE": "off",
    "WANDB_DISABLE_CODE": "true",
    "WANDB_DISABLE_GIT": "true",
    "WANDB_ERROR_REPORTING": "false",
    "WANDB_X_DISABLE_STATS": "true",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "HF_HUB_OFFLINE": "1",
}
FIRST_AND_LAST = pytest.mark.parametrize("first", [True, False], ids=["first", "last"])


@pytest.fixture(autouse=True)
def _local(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Keep every logger on this machine, and end what a test leaves open."""
    for name, value in LOCAL.items():
        monkeypatch.setenv(name, value)
    yield
    if "wandb" in sys.modules:
        sys.modules["wandb"].finish()
        sys.modules["wandb"].teardown()


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    """Models of a few numbers gain nothing from more threads, which wait for each other where the machine is busy."""
    if importlib.util.find_spec("torch") is None:
        yield
        return
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new database of MLflow's; making one takes longer than a fit."""
    mlflow = pytest.importorskip("mlflow")
    file = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    mlflow.MlflowClient(f"sqlite:///{file}").search_experiments()
    return file


@pytest.fixture
def store(empty_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a local store of MLflow's."""
    import mlflow

    uri = f"sqlite:///{shutil.copy(empty_store, tmp_path / 'mlflow.db')}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    mlflow.set_tracking_uri(uri)
    yield uri
    mlflow.end_run()
    mlflow.set_tracking_uri(None)


@pytest.fixture
def local_trackio(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Trackio's databases in a folder of the test's own; it looks for one only when it is imported."""
    pytest.importorskip("trackio")
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] == "trackio" and hasattr(module, "TRACKIO_DIR"):
            monkeypatch.setattr(module, "TRACKIO_DIR", tmp_path / "trackio")


def single(value: float) -> float:
    """What a double becomes in single precision."""
    return struct.unpack("f", struct.pack("f", value))[0]


def check(found: Series, wanted: Series, keeps: Callable[[float], float] = float) -> None:
    """Every value of every scalar has arrived, to the last digit that the logger keeps, and no other."""
    # What is forecast depends on how fast the epochs were.
    assert {name for name in found if "eco2ai/" in name and "eco2ai/forecast_" not in name} == wanted.keys()
    for name, values in wanted.items():
        assert found[name] == [keeps(value) for value in values], name


# How to read back the configuration of a logger.
CONFIGURATION: dict[str, Callable[[], Mapping[str, Any]]] = {
    "TensorBoardLogger": lambda: readback.tensorboard_facts("tb"),
    "WandbLogger": readback.wandb_config,
    "MLFlowLogger": lambda: readback.mlflow_params(os.environ["MLFLOW_TRACKING_URI"]),
    "tensorboard": readback.tensorboard_facts,
    "wandb": readback.wandb_config,
    "mlflow": lambda: readback.mlflow_params(os.environ["MLFLOW_TRACKING_URI"]),
}


def check_facts(found: Mapping[str, Any]) -> None:
    """The configuration tells the run, its place, factor, methods, band and version, as the log does."""
    start, *_ = rows()
    assert found["eco2ai/run"] == start["run"]
    assert found["eco2ai/version"] == start["version"]
    assert found["eco2ai/region"].startswith("FR (France")
    assert float(found["eco2ai/intensity_g_per_kwh"]) == start["intensity"]["g_per_kwh"]
    assert str(start["intensity"]["year"]) in found["eco2ai/intensity_source"]
    assert float(found["eco2ai/pue"]) == start["pue"]
    for method in start["method"].values():
        assert method in found["eco2ai/method"]
        assert f"{method} x " in found["eco2ai/band"]


def figures(run: list[Row], validation: tuple[str, str] = ("eco2ai/val_energy_kwh", "eco2ai/val_co2_kg")) -> Series:
    """What a whole run with a validation in each of its two epochs has to log, by its own log."""
    check_whole(run)
    done = epochs(run)
    assert len(done) == 2
    # Each validation here lasts some milliseconds: less than one would go to the stretch that follows.
    energy, co2 = validation
    return {
        "eco2ai/energy_kwh": [row["epoch_total"]["energy_kwh"] for row in done],
        "eco2ai/co2_kg": [row["epoch_total"]["co2_kg"] for row in done],
        "eco2ai/total_energy_kwh": [row["total"]["energy_kwh"] for row in done],
        "eco2ai/total_co2_kg": [row["total"]["co2_kg"] for row in done],
        energy: [stage_sum(run, "validate", row["epoch"]) for row in done],
        co2: [stage_sum(run, "validate", row["epoch"], "co2_kg") for row in done],
    }


# --- Lightning -----------------------------------------------------------------------------------------------------

# How to make a logger, and how to read back what it has kept.
LIGHTNING: dict[str, tuple[Callable[[ModuleType], Any], Callable[[Any], Series]]] = {
    "CSVLogger": (
        lambda loggers: loggers.CSVLogger("csv"),
        lambda logger: readback.csv_table(Path(logger.log_dir) / "metrics.csv"),
    ),
    "TensorBoardLogger": (
        lambda loggers: loggers.TensorBoardLogger("tb"),
        lambda logger: readback.tensorboard("tb"),
    ),
    "WandbLogger": (
        lambda loggers: loggers.WandbLogger(project="demo", offline=True),
        lambda logger: readback.wandb_offline(),
    ),
    "MLFlowLogger": (
        lambda loggers: loggers.MLFlowLogger("demo", tracking_uri=os.environ["MLFLOW_TRACKING_URI"]),
        lambda logger: readback.mlflow_run(os.environ["MLFLOW_TRACKING_URI"]),
    ),
}
NEEDS = {"TensorBoardLogger": "tensorboard", "WandbLogger": "wandb", "MLFlowLogger": "mlflow"}


@pytest.fixture(params=["lightning.pytorch", "pytorch_lightning"])
def pl(request: pytest.FixtureRequest) -> ModuleType:
    return pytest.importorskip(request.param)


def lightning_fit(pl: ModuleType, first: bool, logger: Any) -> Any:
    import torch

    from eco2ai_callbacks.lightning import Eco2AICallback

    class Small(pl.LightningModule):  # type: ignore[name-defined,misc]
        def __init__(self, width: int = 16) -> None:
            super().__init__()
            self.save_hyperparameters()
            self.layer = torch.nn.Linear(width, 2)

        def training_step(self, batch: Any, index: int) -> Any:
            return torch.nn.functional.cross_entropy(self.layer(batch[0]), batch[1])

        def validation_step(self, batch: Any, index: int) -> None:
            self.log("val_loss", torch.nn.functional.cross_entropy(self.layer(batch[0]), batch[1]))

        def configure_optimizers(self) -> Any:
            return torch.optim.SGD(self.parameters(), lr=0.1)

    ours, other = Eco2AICallback(), pl.callbacks.EarlyStopping("val_loss", patience=9)
    fit = pl.Trainer(
        callbacks=[ours, other] if first else [other, ours],
        logger=logger,
        max_epochs=2,
        accelerator="cpu",
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    data = torch.utils.data.TensorDataset(torch.randn(64, 16), torch.randint(0, 2, (64,)))
    fit.fit(Small(), torch.utils.data.DataLoader(data, 8), torch.utils.data.DataLoader(data, 2))
    return fit


@FIRST_AND_LAST
@pytest.mark.parametrize("name", LIGHTNING)
def test_a_lightning_logger_gets_every_epoch(
    pl: ModuleType, name: str, first: bool, request: pytest.FixtureRequest
) -> None:
    if name in NEEDS:
        pytest.importorskip(NEEDS[name])
    if name == "MLFlowLogger":
        request.getfixturevalue("store")
    make, read = LIGHTNING[name]
    logger = make(importlib.import_module(f"{pl.__name__}.loggers"))
    lightning_fit(pl, first, logger)
    check(read(logger), figures(rows()), single)
    if name in CONFIGURATION:
        found = CONFIGURATION[name]()
        check_facts(found)
        # A user's own parameters, of the module and by hand, stay.
        assert name == "TensorBoardLogger" or (str(found["width"]), str(found["eco2ai/pue"])) == ("16", "1.0")


@FIRST_AND_LAST
def test_several_lightning_loggers_get_the_same_figures(pl: ModuleType, first: bool, store: str) -> None:
    for package in NEEDS.values():
        pytest.importorskip(package)
    loggers = importlib.import_module(f"{pl.__name__}.loggers")
    made = [(make(loggers), read) for make, read in LIGHTNING.values()]
    lightning_fit(pl, first, [logger for logger, _ in made])
    wanted = figures(rows())
    for logger, read in made:
        check(read(logger), wanted, single)


@FIRST_AND_LAST
def test_without_a_lightning_logger_the_trainer_still_has_them(pl: ModuleType, first: bool) -> None:
    fit = lightning_fit(pl, first, False)
    found = {name: [value.item()] for name, value in fit.callback_metrics.items()}
    check(found, {name: values[-1:] for name, values in figures(rows()).items()}, single)
    if first and pl.__name__ == "lightning.pytorch":
        check_published()
    assert {path.name for path in Path().iterdir() if path.is_file()} == {"eco2ai.jsonl"}


@pytest.mark.parametrize("package", ["lightning.fabric", "lightning_fabric"])
def test_a_fabric_loop_logs_a_tracker_s_scalars(package: str) -> None:
    fabric_module = pytest.importorskip(package)
    pytest.importorskip("tensorboard")
    import torch

    from eco2ai_callbacks import Tracker

    loggers = importlib.import_module(f"{package}.loggers")
    table, events = loggers.CSVLogger("csv"), loggers.TensorBoardLogger("tb")
    fabric = fabric_module.Fabric(accelerator="cpu", devices=1, loggers=[table, events])
    fabric.launch()
    net = torch.nn.Linear(16, 2)
    net, optimizer = fabric.setup(net, torch.optim.SGD(net.parameters(), lr=0.1))
    data = torch.utils.data.TensorDataset(torch.randn(64, 16), torch.randint(0, 2, (64,)))
    batches = fabric.setup_dataloaders(torch.utils.data.DataLoader(data, 1))
    with Tracker() as run:
        for epoch in range(2):
            run.enter("train", epoch)
            for inputs, labels in batches:
                optimizer.zero_grad()
                fabric.backward(torch.nn.functional.cross_entropy(net(inputs), labels))
                optimizer.step()
            run.enter("validate", epoch)
            for inputs, labels in batches:
                torch.nn.functional.cross_entropy(net(inputs), labels)
            run.leave()
            fabric.log_dict(run.end_epoch(epoch).scalars, step=epoch)
    for logger in fabric.loggers:
        logger.finalize("success")
    wanted = figures(rows())
    check(readback.csv_table(Path(table.log_dir) / "metrics.csv"), wanted)
    check(readback.tensorboard("tb"), wanted, single)


# --- Hugging Face --------------------------------------------------------------------------------------------------


def renamed(name: str) -> str:
    """What most reporters show a name as."""
    return f"eval/{name.removeprefix('eval_')}" if name.startswith("eval_") else f"train/{name}"


# The reader, what the reporter calls a scalar, the digits that it keeps.
HUGGING_FACE: dict[str, tuple[Callable[[], Series], Callable[[str], str], Callable[[float], float]]] = {
    "tensorboard": (readback.tensorboard, renamed, single),
    "mlflow": (lambda: readback.mlflow_run(os.environ["MLFLOW_TRACKING_URI"]), str, float),
    "wandb": (readback.wandb_offline, renamed, float),
    "trackio": (readback.trackio_run, renamed, float),
}


def prepare(name: str, request: pytest.FixtureRequest) -> None:
    """Keep a reporter's data in the test's folder; skip where it is missing."""
    if name not in pytest.importorskip("transformers.integrations").INTEGRATION_TO_CALLBACK:
        pytest.skip(f"this version of transformers has no reporter for {name}")
    pytest.importorskip(name)
    for fixture in {"mlflow": ["store"], "trackio": ["local_trackio"]}.get(name, []):
        request.getfixturevalue(fixture)


def hugging_face_data() -> list[dict[str, Any]]:
    return [{"input_ids": [1 + index % 40, 2, 3, 4], "labels": index % 2} for index in range(32)]


def hugging_face_fit(callbacks: list[Any], report_to: list[str], trainer: Any = None, arguments: Any = None) -> Any:
    import transformers

    transformers.set_seed(0)
    config = transformers.BertConfig(
        vocab_size=50, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16
    )
    args = (arguments or transformers.TrainingArguments)(
        output_dir="out",
        num_train_epochs=2,
        report_to=report_to or "none",
        eval_strategy="epoch",
        logging_strategy="epoch",
        save_strategy="no",
        disable_tqdm=True,
        use_cpu=True,
    )
    fit = (trainer or transformers.Trainer)(
        model=transformers.BertForSequenceClassification(config),
        args=args,
        train_dataset=hugging_face_data(),
        eval_dataset=hugging_face_data(),
        callbacks=callbacks,
    )
    fit.train()
    return fit


def hugging_face_figures() -> Series:
    """An evaluation has a row of its own, and the closing row holds the last totals."""
    run = rows()
    wanted = figures(run, ("eval_eco2ai/energy_kwh", "eval_eco2ai/co2_kg"))
    closing = [row for row in run if row["event"] == "stage"][-1]
    for name in ("energy_kwh", "co2_kg"):
        wanted[f"eco2ai/total_{name}"].append(closing["total"][name])
    return wanted


def check_reporter(name: str) -> None:
    read, called, keeps = HUGGING_FACE[name]
    found = read()
    check(found, {called(key): values for key, values in hugging_face_figures().items()}, keeps)
    assert len(found[called("loss")]) == len(found[called("eval_loss")]) == 2


@FIRST_AND_LAST
@pytest.mark.parametrize("name", HUGGING_FACE)
def test_a_hugging_face_reporter_gets_every_row_in_one_run(
    name: str, first: bool, request: pytest.FixtureRequest
) -> None:
    prepare(name, request)
    from transformers.integrations import INTEGRATION_TO_CALLBACK

    from eco2ai_callbacks.transformers import Eco2AICallback

    if first:
        hugging_face_fit([Eco2AICallback(), INTEGRATION_TO_CALLBACK[name]], [])
    else:  # what is given comes behind what report_to names
        hugging_face_fit([Eco2AICallback()], [name])
    check_reporter(name)
    if name in CONFIGURATION:
        found = CONFIGURATION[name]()
        check_facts(found)
        if first and name == "tensorboard":
            check_published()
        assert name == "tensorboard" or str(found["num_train_epochs"]) == "2"


@FIRST_AND_LAST
def test_several_reporters_beside_our_name_get_the_same_rows(first: bool, request: pytest.FixtureRequest) -> None:
    known = pytest.importorskip("transformers.integrations").INTEGRATION_TO_CALLBACK
    names = [name for name in HUGGING_FACE if name in known and importlib.util.find_spec(name)]
    if len(names) < 2:
        pytest.skip(f"of the reporters only {names} are there")
    for name in names:
        prepare(name, request)
    importlib.import_module("eco2ai_callbacks.transformers")
    hugging_face_fit([], ["eco2ai", *names] if first else [*names, "eco2ai"])
    for name in names:
        check_reporter(name)


@FIRST_AND_LAST
def test_a_trainer_that_merges_its_metrics_in_log_keeps_them_for_its_own_rows(first: bool) -> None:
    transformers = pytest.importorskip("transformers")
    from eco2ai_callbacks.transformers import Eco2AICallback

    class Merges(transformers.Seq2SeqTrainer):  # type: ignore[misc]
        """As TRL's trainers do: what the steps have gathered goes into the next row, and is cleared."""

        def __init__(self, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.gathered: dict[str, list[float]] = {"train": [], "eval": []}

        def compute_loss(self, model: Any, inputs: Any, *args: Any, **kwargs: Any) -> Any:
            self.gathered["train" if model.training else "eval"].append(float(inputs["input_ids"].sum()))
            return super().compute_loss(model, inputs, *args, **kwargs)

        def log(self, logs: dict[str, Any], *args: Any, **kwargs: Any) -> None:
            mode = "train" if self.model.training else "eval"
            if values := self.gathered[mode]:
                logs = {**logs, ("" if mode == "train" else "eval_") + "tokens": sum(values) / len(values)}
            super().log(logs, *args, **kwargs)
            values.clear()

    class Other(transformers.TrainerCallback):  # type: ignore[misc]
        pass

    def fit(callbacks: list[Any]) -> list[dict[str, Any]]:
        made = hugging_face_fit(callbacks, [], Merges, transformers.Seq2SeqTrainingArguments)
        return made.state.log_history

    def theirs(history: list[dict[str, Any]]) -> list[dict[str, Any]]:
        kept = [{k: v for k, v in row.items() if not re.search("eco2ai|_runtime|_per_second", k)} for row in history]
        return [row for row in kept if row.keys() > {"epoch", "step"}]

    history = fit([Eco2AICallback(), Other()] if first else [Other(), Eco2AICallback()])
    wanted = hugging_face_figures()
    # A row of nothing else, each epoch; what they have gathered stands where it stands without us.
    own = [row for row in history if "eco2ai/energy_kwh" in row]
    assert [{k for k in row if not k.startswith("eco2ai/")} for row in own] == [{"epoch", "step"}] * 2
    assert [row["eco2ai/energy_kwh"] for row in own] == wanted["eco2ai/energy_kwh"]
    assert [row["eval_eco2ai/energy_kwh"] for row in history if "eval_tokens" in row] == wanted[
        "eval_eco2ai/energy_kwh"
    ]
    assert sum("tokens" in row for row in history) == 2
    assert theirs(history) == theirs(fit([Other()]))


# --- Keras ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def keras() -> ModuleType:
    if not os.environ.get("KERAS_BACKEND"):
        # Keras would take tensorflow, which may be missing.
        pytest.importorskip("torch")
        os.environ["KERAS_BACKEND"] = "torch"
    return pytest.importorskip("keras")


def keras_fit(keras: ModuleType, first: bool, other: Any, *, prog_bar: bool = False, **kwargs: Any) -> Any:
    import numpy as np

    from eco2ai_callbacks.keras import Eco2AICallback

    net = keras.Sequential([keras.Input((16,)), keras.layers.Dense(2, activation="softmax")])
    net.compile("sgd", "sparse_categorical_crossentropy")
    random = np.random.default_rng(0)
    data = random.random((256, 16)).astype("float32"), random.integers(0, 2, 256)
    ours = Eco2AICallback(prog_bar=prog_bar)
    callbacks = [ours, other] if first else [other, ours]
    fitted = {"epochs": 2, "batch_size": 8, "validation_split": 0.5, "verbose": 0, **kwargs}
    return net.fit(*data, callbacks=callbacks, **fitted)


@FIRST_AND_LAST
def test_the_history_of_keras_gets_every_epoch(keras: ModuleType, first: bool) -> None:
    history = keras.callbacks.History()
    assert keras_fit(keras, first, history) is history
    check(history.history, figures(rows()))
    if first:
        check_published()


@FIRST_AND_LAST
def test_the_csv_logger_of_keras_gets_every_epoch(keras: ModuleType, first: bool) -> None:
    keras_fit(keras, first, keras.callbacks.CSVLogger("keras.csv"))
    check(readback.csv_table("keras.csv"), figures(rows()))


@FIRST_AND_LAST
def test_the_tensorboard_callback_of_keras_gets_every_epoch(keras: ModuleType, first: bool) -> None:
    pytest.importorskip("tensorflow", reason="the TensorBoard callback of Keras needs tensorflow on every backend")
    keras_fit(keras, first, keras.callbacks.TensorBoard("tb"))
    wanted = {f"epoch_{name}": values for name, values in figures(rows()).items()}
    check(readback.tensorboard("tb/train"), wanted, single)
    check_facts(readback.tensorboard_facts("tb/train"))


@FIRST_AND_LAST
def test_wandb_s_metrics_logger_for_keras_gets_every_epoch(keras: ModuleType, first: bool) -> None:
    wandb = pytest.importorskip("wandb")
    pytest.importorskip("tensorflow", reason="W&B's callbacks for Keras need tensorflow on every backend")
    from wandb.integration.keras import WandbMetricsLogger

    wandb.init(project="demo")
    keras_fit(keras, first, WandbMetricsLogger())
    check(readback.wandb_offline(), {f"epoch/{name}": values for name, values in figures(rows()).items()})


@FIRST_AND_LAST
@pytest.mark.parametrize("prog_bar", [False, True])
@pytest.mark.parametrize("verbose", [1, 2])
def test_the_progress_line_of_keras_shows_every_epoch_where_that_is_asked_for(
    keras: ModuleType, first: bool, verbose: int, prog_bar: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    fitted = keras_fit(keras, first, keras.callbacks.ProgbarLogger(), verbose=verbose, prog_bar=prog_bar)
    shown = capsys.readouterr().out
    assert "loss: " in shown
    expected = figures(rows())
    assert fitted.history.keys() >= expected.keys()
    wanted = {"eco2ai/energy_kwh", "eco2ai/co2_kg"} if prog_bar else set()
    assert set(re.findall(r" (\S*eco2ai/\S+): ", shown)) == wanted
    for name in wanted:
        values = expected[name]
        found = re.findall(rf" {re.escape(name)}: ([\d.e+-]+)", shown)
        # Five digits are shown.
        assert [float(value) for value in found] == pytest.approx(values, rel=6e-5), name
