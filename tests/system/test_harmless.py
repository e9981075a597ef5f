"""Whatever fails beside a training, the training is what it would have been without us, in every framework."""

from __future__ import annotations

import dataclasses
import gc
import importlib
import io
import logging
import math
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import cache, partial
from pathlib import Path
from typing import Any

import pytest
from logcheck import Row, rows
from warm import IMPORTS, run_module

from eco2ai_callbacks.carbon.location import Place
from eco2ai_callbacks.guard import logger
from eco2ai_callbacks.integrations import callstack
from eco2ai_callbacks.meters.discovery import CANDIDATES, Discovery, MeterContext, Source, discover
from eco2ai_callbacks.runlog.verify import verify
from eco2ai_callbacks.runlog.write import Writer
from eco2ai_callbacks.session import assembly
from eco2ai_callbacks.session.context import Platform
from eco2ai_callbacks.session.metering import Metering
from eco2ai_callbacks.sinks.console import Console
from eco2ai_callbacks.sinks.csv import CsvFile
from eco2ai_callbacks.testing import BARE_METAL, Clock, FakeGpu, FakeMeter, FakeNvml, PowercapTree
from eco2ai_callbacks.usage import Method

# The frameworks warn of many things of their own; our warnings stay errors.
pytestmark = [
    pytest.mark.filterwarnings("default"),
    pytest.mark.filterwarnings("error:::eco2ai_callbacks"),
]

if not os.environ.get("KERAS_BACKEND"):
    # Keras would take tensorflow, which may be missing.
    pytest.importorskip("torch")
    os.environ["KERAS_BACKEND"] = "torch"

EPOCHS, SAMPLES, BATCH = 3, 24, 8
LOG = Path("eco2ai.jsonl")
Hook = Callable[[int, int], None]


@dataclasses.dataclass
class Trained:
    """What a training leaves: its weights, and what the framework itself tells of it, without our figures."""

    weights: list[list[float]]
    told: list[dict[str, float]]


def without_ours(told: dict[str, Any], *beside: str) -> dict[str, Any]:
    return {name: value for name, value in told.items() if "eco2ai/" not in name and not name.endswith(beside)}


# --- the three frameworks ------------------------------------------------------------------------------------------
# Each trains a small model, calls the hook in every batch (of an epoch), and returns what came of it. The data are
# shuffled and the model drops out: who took a random number out of turn would change the weights.


def lightning_fit(ours: Any, hook: Hook, into: list[Trained]) -> None:
    torch = pytest.importorskip("torch")
    pl = pytest.importorskip("lightning.pytorch")

    class Small(pl.LightningModule):  # type: ignore[name-defined,misc]
        def __init__(self) -> None:
            super().__init__()
            self.layers = torch.nn.Sequential(torch.nn.Linear(8, 8), torch.nn.Dropout(0.2), torch.nn.Linear(8, 2))

        def training_step(self, batch: Any, index: int) -> Any:
            hook(self.current_epoch, index)
            loss = torch.nn.functional.cross_entropy(self.layers(batch[0]), batch[1])
            self.log("loss", loss, on_epoch=True)
            return loss

        def validation_step(self, batch: Any, index: int) -> None:
            self.log("val_loss", torch.nn.functional.cross_entropy(self.layers(batch[0]), batch[1]))

        def configure_optimizers(self) -> Any:
            return torch.optim.Adam(self.parameters())

    class Keeps(pl.Callback):  # type: ignore[name-defined,misc]
        def on_train_epoch_start(self, trainer: Any, module: Any) -> None:
            told.append(without_ours({name: float(value) for name, value in trainer.callback_metrics.items()}))

        on_fit_end = on_train_epoch_start

    torch.manual_seed(0)
    told: list[dict[str, float]] = []
    module = Small()
    data = torch.utils.data.TensorDataset(torch.randn(SAMPLES, 8), torch.arange(SAMPLES) % 2)
    trainer = pl.Trainer(
        max_epochs=EPOCHS, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, callbacks=[Keeps(), *ours],
    )  # fmt: skip
    loader = torch.utils.data.DataLoader(data, BATCH, shuffle=True)
    try:
        trainer.fit(module, loader, torch.utils.data.DataLoader(data, BATCH))
    finally:
        into.append(Trained([value.flatten().tolist() for value in module.state_dict().values()], told))


def transformers_fit(ours: Any, hook: Hook, into: list[Trained]) -> None:
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")

    class Small(torch.nn.Module):  # type: ignore[name-defined,misc]
        def __init__(self) -> None:
            super().__init__()
            self.layers = torch.nn.Sequential(torch.nn.Linear(8, 8), torch.nn.Dropout(0.2), torch.nn.Linear(8, 2))

        def forward(self, x: Any, labels: Any) -> Any:
            logits = self.layers(x)
            return {"loss": torch.nn.functional.cross_entropy(logits, labels), "logits": logits}

    class Hooked(transformers.TrainerCallback):  # type: ignore[name-defined,misc]
        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            hook(*divmod(state.global_step - 1, SAMPLES // BATCH))

    torch.manual_seed(0)
    model = Small()
    data = [{"x": torch.randn(8), "labels": index % 2} for index in range(SAMPLES)]
    args = transformers.TrainingArguments(
        output_dir="out", num_train_epochs=EPOCHS, per_device_train_batch_size=BATCH, report_to="none",
        disable_tqdm=True, save_strategy="no", use_cpu=True, eval_strategy="epoch", logging_strategy="epoch",
    )  # fmt: skip
    trainer = transformers.Trainer(model, args, train_dataset=data, eval_dataset=data, callbacks=[Hooked(), *ours])
    try:
        trainer.train()
    finally:
        # How long something took differs each time.
        found = [without_ours(row, "_runtime", "_per_second") for row in trainer.state.log_history]
        told = [row for row in found if row.keys() - {"epoch", "step"}]
        into.append(Trained([value.flatten().tolist() for value in model.state_dict().values()], told))


def keras_fit(ours: Any, hook: Hook, into: list[Trained]) -> None:
    keras = pytest.importorskip("keras")
    np = pytest.importorskip("numpy")

    class Hooked(keras.callbacks.Callback):  # type: ignore[misc]
        epoch = 0

        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            self.epoch = epoch

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            hook(self.epoch, batch)

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            told.append(without_ours(logs))

    keras.utils.set_random_seed(0)
    told: list[dict[str, float]] = []
    layers = keras.layers
    net = keras.Sequential(
        [keras.Input((8,)), layers.Dense(8), layers.Dropout(0.2), layers.Dense(2, activation="softmax")]
    )
    net.compile("adam", "sparse_categorical_crossentropy")
    x, y = np.random.default_rng(0).random((SAMPLES, 8)).astype("float32"), np.arange(SAMPLES) % 2
    try:
        seen = net.fit(
            x, y, epochs=EPOCHS, batch_size=BATCH, validation_data=(x, y), verbose=2, callbacks=[*ours, Hooked()]
        ).history
        told.append(without_ours(seen))
        # A figure that an epoch could not have is left out there: a placeholder would be the best value for ever.
        assert {len(values) for values in without_ours(seen).values()} == {EPOCHS}
        assert not [value for values in seen.values() for value in values if math.isnan(value)]
    finally:
        into.append(Trained([value.flatten().tolist() for value in net.get_weights()], told))


FITS = {"lightning": lightning_fit, "transformers": transformers_fit, "keras": keras_fit}


def callback(framework: str, platform: Platform | None = None, /, **settings: Any) -> Any:
    ours = importlib.import_module(f"eco2ai_callbacks.{framework}").Eco2AICallback
    return ours(**settings) if platform is None else ours.on_platform(platform, **settings)


# --- faults --------------------------------------------------------------------------------------------------------


class World:
    """Where a training takes place.

    Args:
        patch: Undoes what is changed.
    """

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.patch = patch
        self.settings: dict[str, Any] = {"region": "FR"}
        self.platform: dict[str, Any] = {}
        self.midway: Callable[[], object] = lambda: None
        self.after: Callable[[], object] = lambda: None
        self.meters: list[Draws] = []

    def measured_by(self, *found: Draws) -> None:
        """Let these meters be found, and a healthy one."""
        self.meters = [*found, Draws("healthy")]
        sources = tuple(Source(meter.name, "used", "made up", None, {}, ()) for meter in self.meters)
        self.platform["discover"] = lambda *_: Discovery(tuple(self.meters), sources, ())

    def on(self, **around: Any) -> None:
        """Let the real meters look at other hardware."""

        def find(settings: Any, here: MeterContext, guard: Any) -> Discovery:
            return discover(settings, dataclasses.replace(here, **around), guard)

        self.platform["discover"] = find

    def reading_breaks(self) -> None:
        """From now on, every meter that is to fail does."""
        for meter in self.meters:
            meter.failing = True


class Draws(FakeMeter):
    """A meter that draws 10 W on a channel of its own, until it fails."""

    def __init__(self, name: str, fails: Callable[[Draws], Any] | None = None, **fields: Any) -> None:
        super().__init__(
            time.monotonic,
            {f"cpu:{name}": 10.0},
            method=Method("made-up", 0.9, 1.1),
            name=name,
            on_read=lambda joules: fails(self) if self.failing and fails else joules,
        )
        self.failing = False
        self.__dict__.update(fields)


class ClosesBadly(Draws):
    def close(self) -> None:
        raise RuntimeError("will not close")


class CannotSayHow(Draws):
    """Its figures are fine; how they are known raises."""

    @property
    def methods(self) -> dict[str, Method]:  # type: ignore[override]
        if self.failing:
            raise RuntimeError("forgot the method")
        return {f"cpu:{self.name}": Method("made-up", 0.9, 1.1)}

    @methods.setter
    def methods(self, value: Any) -> None:
        pass


def raises(error: BaseException) -> Callable[[object], Any]:
    def fail(*_: object, **__: object) -> Any:
        raise error

    return fail


@dataclasses.dataclass(frozen=True)
class Fault:
    """A way to fail.

    Args:
        plant: Prepares it.
        named: What the sentences begin with that tell of it.
        recorded: Whether the run log tells them too, and not only Python's logging.
    """

    plant: Callable[[World], None]
    named: tuple[str, ...]
    recorded: bool


FAULTS: dict[str, Fault] = {}


def fault(*named: str, recorded: bool = True) -> Callable[[Callable[[World], None]], Callable[[World], None]]:
    def enter(plant: Callable[[World], None]) -> Callable[[World], None]:
        FAULTS[plant.__name__.replace("_", " ")] = Fault(plant, named, recorded)
        return plant

    return enter


@fault()
def nothing(world: World) -> None:
    """The real machine."""


# --- meters ---


@fault("never: cannot be read (RuntimeError)", "late: Input/output error", "tight: MemoryError")
def meters_raise(world: World) -> None:
    never = Draws("never", raises(RuntimeError("cannot be read")), failing=True)
    world.measured_by(
        never,
        Draws("late", raises(OSError(5, "Input/output error"))),
        Draws("tight", raises(MemoryError())),
    )
    world.midway = world.reading_breaks


@fault("stuck: will not close (RuntimeError)", recorded=False)
def a_meter_will_not_close(world: World) -> None:
    world.measured_by(ClosesBadly("stuck"))


GARBAGE: dict[str, Any] = {
    "nothing": None,
    "nan": math.nan,
    "infinite": math.inf,
    "text": "12.5",
    "truth": True,
    "falling": 0.0,
    "negative": -1.0,
    "complex": 1j,
    "endless": 10**400,
    "list": [1.0],
    "bytes": b"\x00\xff",
}


@fault(*(f"{kind}: " for kind in GARBAGE), "not a table: ", "other keys: ", "gone: no longer gives cpu:gone")
def meters_return_garbage(world: World) -> None:
    world.measured_by(
        *(
            Draws(kind, lambda meter, value=value: dict.fromkeys(meter.joules, value))
            for kind, value in GARBAGE.items()
        ),
        Draws("not a table", lambda meter: 12.5),
        Draws("other keys", lambda meter: {3: 12.5}),
        Draws("gone", lambda meter: {}),
    )
    world.midway = world.reading_breaks


@fault("tracker: forgot the method", recorded=False)
def a_meter_forgets_how_it_knows(world: World) -> None:
    world.measured_by(CannotSayHow("forgetful"))
    world.midway = world.reading_breaks


@fault("tracker: '<' not supported between instances of 'str' and 'float' (TypeError)", recorded=False)
def a_meter_knows_no_time(world: World) -> None:
    world.measured_by(Draws("odd", max_gap_s="soon"))


@fault("tracker: 'NoneType' object is not iterable (TypeError)", recorded=False)
def a_meter_knows_not_what_it_covers(world: World) -> None:
    world.measured_by(Draws("odd", covers=None, max_gap_s=0.01))


@fault("slow: took 5.0 s to answer, twice")
def a_slow_meter(world: World) -> None:
    clock = Clock()

    def slow(meter: Draws) -> Any:
        clock.advance(5.0)
        return meter.joules

    world.measured_by(Draws("slow", slow, failing=True))
    world.platform["clock"] = clock


@fault("hanging: did not answer within 0.05 s")
def a_meter_that_hangs_in_the_thread(world: World) -> None:
    freed, hung = threading.Event(), threading.Event()

    def hang(meter: Draws) -> Any:
        if threading.current_thread() is not threading.main_thread():
            hung.set()
            freed.wait(30)
        return meter.joules

    def after() -> None:
        freed.set()
        for thread in threading.enumerate():
            if thread.name.startswith("eco2ai"):
                thread.join(10)

    def midway() -> None:
        world.reading_breaks()
        assert hung.wait(10)

    world.patch.setattr(assembly, "Metering", partial(Metering, slow_s=0.05))
    world.measured_by(Draws("hanging", hang, max_gap_s=0.01))
    world.midway, world.after = midway, after


@fault("ticking: not now (ValueError)")
def a_meter_that_raises_in_the_thread(world: World) -> None:
    failed = threading.Event()

    def fail(meter: Draws) -> Any:
        if threading.current_thread() is threading.main_thread():
            return meter.joules
        failed.set()
        raise ValueError("not now")

    def midway() -> None:
        world.reading_breaks()
        assert failed.wait(10)

    world.measured_by(Draws("ticking", fail, max_gap_s=0.01))
    world.midway = midway


@fault("NVML: in the constructor (RuntimeError)", "RAM model: 'no memory' (KeyError)")
def meters_raise_when_they_are_opened(world: World) -> None:
    world.platform["host"] = lambda: BARE_METAL
    faults = {"NVML": RuntimeError("in the constructor"), "RAM model": KeyError("no memory")}
    candidates = [
        dataclasses.replace(each, open=raises(faults[each.name])) if each.name in faults else each
        for each in CANDIDATES
    ]
    world.platform["discover"] = partial(discover, candidates=candidates)


@fault("tracker: nothing is found (RuntimeError)", recorded=False)
def looking_for_meters_raises(world: World) -> None:
    world.platform["discover"] = raises(RuntimeError("nothing is found"))


def powercap(world: World) -> tuple[PowercapTree, str]:
    tree = PowercapTree(Path("powercap").absolute())
    package = tree.add_package(0, energy_uj=10**6)
    tree.add_dram(package)
    world.settings |= {"powercap_root": tree.root, "gpus": ()}
    world.platform["host"] = lambda: BARE_METAL
    return tree, package


@fault("RAPL: ")
def the_energy_counter_says_nonsense(world: World) -> None:
    tree, package = powercap(world)
    world.midway = lambda: tree.break_(package, "many microjoules\n")


@fault("RAPL: ")
def the_energy_counters_vanish(world: World) -> None:
    tree, _ = powercap(world)
    world.midway = tree.mask


@fault("NVML: ")
def the_gpu_is_lost(world: World) -> None:
    nvml = FakeNvml(time.monotonic, FakeGpu("GPU-a"))
    world.settings["gpus"] = "all"
    world.on(nvml=nvml)

    def lose() -> None:
        for function in [name for name in dir(nvml) if name.startswith("nvml")]:
            nvml.fail(function, 15)  # NVML_ERROR_GPU_IS_LOST

    world.midway = lose


def linked_proc() -> Path:
    """A procfs that a test may damage."""
    proc = Path("proc").absolute()
    proc.mkdir()
    for name in ("self", "stat", "meminfo", "cpuinfo", str(os.getpid())):
        (proc / name).symlink_to(Path("/proc") / name)
    return proc


@fault("CPU model: No such file or directory")
def the_kernels_counts_vanish(world: World) -> None:
    proc = linked_proc()
    world.platform["host"] = lambda: BARE_METAL
    world.on(proc=proc)
    world.midway = lambda: shutil.rmtree(proc)


@fault("CPU model: invalid literal for int()", "RAM model: ")
def the_kernels_counts_say_nonsense(world: World) -> None:
    proc = linked_proc()
    world.platform["host"] = lambda: BARE_METAL
    world.on(proc=proc)

    def spoil() -> None:
        (proc / "stat").unlink()
        (proc / "stat").write_text("cpu a b c\n")
        (proc / str(os.getpid())).unlink()
        (proc / str(os.getpid())).mkdir()
        (proc / str(os.getpid()) / "statm").write_text("a b c d\n")

    world.midway = spoil


# --- the log and the sinks ---


@fault("log file: Is a directory", recorded=False)
def the_log_is_a_folder(world: World) -> None:
    LOG.mkdir()
    world.settings["heartbeat_s"] = 0.1


@fault("log file: ", recorded=False)
def the_logs_folder_is_a_file(world: World) -> None:
    Path("logs").write_text("")
    world.settings["log_file"] = "logs/eco2ai.jsonl"


@fault("log file: File name too long", recorded=False)
def the_logs_name_is_too_long(world: World) -> None:
    world.settings |= {"log_file": "x" * 300, "run_id": "resumed"}


@fault("log file: No space left on device", recorded=False)
def the_disk_is_full(world: World) -> None:
    world.settings |= {"log_file": "/dev/full", "csv_file": "/dev/full"}


@fault()
def the_logs_folder_vanishes(world: World) -> None:
    world.settings["log_file"] = "logs/eco2ai.jsonl"
    world.midway = lambda: shutil.rmtree("logs")


@fault("log file: Is a directory", recorded=False)
def the_log_turns_into_a_folder(world: World) -> None:
    world.midway = lambda: (LOG.unlink(), LOG.mkdir())


@fault("log file: not today (RuntimeError)")
def writing_the_log_raises_for_a_while(world: World) -> None:
    write = Writer._write
    world.patch.setattr(Writer, "_write", raises(RuntimeError("not today")))
    world.midway = lambda: world.patch.setattr(Writer, "_write", write)


@fault("log file: no record (TypeError)", recorded=False)
def the_log_takes_no_record(world: World) -> None:
    world.patch.setattr(Writer, "keep", raises(TypeError("no record")))


@fault("CSV file: Is a directory")
def the_csv_is_a_folder(world: World) -> None:
    Path("eco2ai.csv").mkdir()
    world.settings["csv_file"] = "eco2ai.csv"


@fault("CSV file: 'no row' (KeyError)")
def writing_the_csv_raises(world: World) -> None:
    world.patch.setattr(CsvFile, "write", raises(KeyError("no row")))
    world.settings["csv_file"] = "eco2ai.csv"


@fault("console: I/O operation on closed file", recorded=False)
def standard_error_is_closed(world: World) -> None:
    stream = io.StringIO()
    stream.close()
    world.patch.setattr(sys, "stderr", stream)


@fault()
def the_sinks_are_slow(world: World) -> None:
    def slow(call: Callable[..., Any]) -> Callable[..., Any]:
        def wait(*args: Any) -> Any:
            time.sleep(0.005)
            return call(*args)

        return wait

    for sink, name in ((Writer, "flush"), (CsvFile, "write"), (Console, "write")):
        world.patch.setattr(sink, name, slow(getattr(sink, name)))
    world.settings["csv_file"] = "eco2ai.csv"


# --- the machine ---


@fault("registry: ")
def the_registry_cannot_be_written(world: World) -> None:
    Path("registry").write_text("")
    world.platform["registry"] = Path("registry").absolute()


@fault()
def there_is_no_folder_for_temporary_files(world: World) -> None:
    """The home folder serves as well."""
    error = FileNotFoundError(2, "No usable temporary directory found")
    world.patch.setattr("eco2ai_callbacks.host.private.tempfile.gettempdir", raises(error))


@fault("registry: no folder of the user's own can be made")
def there_is_no_folder_at_all(world: World) -> None:
    there_is_no_folder_for_temporary_files(world)
    world.patch.delenv("XDG_RUNTIME_DIR", raising=False)
    world.patch.setenv("HOME", os.devnull)


@fault("tracker: no such machine (RuntimeError)", recorded=False)
def the_hosts_facts_raise(world: World) -> None:
    world.platform["host"] = raises(RuntimeError("no such machine"))


@fault("logging: cannot log (RuntimeError)")
def nobody_can_be_told_that_the_place_is_unknown(world: World) -> None:
    """The user's own handler raises at whatever we log."""

    class Broken(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            raise RuntimeError("cannot log")

    broken = Broken()
    logger.addHandler(broken)
    del world.settings["region"]
    world.patch.setattr("eco2ai_callbacks.carbon.location.locate", lambda **_: Place(None, "unknown", "none"))
    world.after = lambda: logger.removeHandler(broken)


@fault("place: nowhere (RuntimeError)")
def looking_for_the_place_raises(world: World) -> None:
    del world.settings["region"]
    world.patch.setattr("eco2ai_callbacks.carbon.location.locate", raises(RuntimeError("nowhere")))


# --- the tests -----------------------------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def _few_threads() -> Iterator[None]:
    """Let sums be made in the same order each time, whatever else runs."""
    torch = pytest.importorskip("torch")
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def fit(framework: str, ours: Any, world: World | None = None, error: BaseException | None = None) -> Trained:
    """Train to the end, or to where the user's code raises."""
    into: list[Trained] = []

    def hook(epoch: int, batch: int) -> None:
        if (epoch, batch) == (1, 1):
            if world is not None:
                world.midway()
            if error is not None:
                raise error

    def train() -> None:
        FITS[framework](ours, hook, into)

    if error is None:
        train()
    else:
        with pytest.raises(type(error)) as raised:
            train()
        assert raised.value is error
        assert error.__cause__ is None
        assert error.__context__ is None
    return into[0]


@cache
def untouched(framework: str, failing: bool) -> Trained:
    """The training without us."""
    return fit(framework, [], None, Error("the user's own") if failing else None)


class Error(Exception):
    """The user's own."""


def recorded() -> list[Row]:
    """The log's lines, wherever it lies."""
    files = [path for path in Path().rglob("eco2ai.jsonl") if path.is_file()]
    return [row for path in files for row in rows(path)]


@pytest.mark.parametrize("failing", [False, True], ids=["ends", "fails"])
@pytest.mark.parametrize("name", FAULTS)
@pytest.mark.parametrize("framework", FITS)
def test_a_training_is_what_it_would_be_without_us(
    framework: str, name: str, failing: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    wanted = untouched(framework, failing)
    planted, world = FAULTS[name], World(monkeypatch)
    planted.plant(world)
    ours = callback(framework, Platform(**world.platform), **world.settings)
    try:
        found = fit(framework, [ours], world, Error("the user's own") if failing else None)
        ours._lifecycle.end("interrupted")  # where no hook has told of the exception
    finally:
        world.after()
    assert found.weights == wanted.weights
    assert found.told == wanted.told
    run = recorded()
    for sentence in planted.named:
        assert sentence in caplog.text or planted.recorded
    if planted.recorded:
        assert run[-1]["event"] == "stop"
        assert run[-1]["ended"] == ("interrupted" if failing else "finished")
        assert all(math.isfinite(row["energy_kwh"]) and row["energy_kwh"] >= 0 for row in run if row["joules"])
        failures = run[-1]["failures"]
        for sentence in planted.named:
            assert any(failure.startswith(sentence) for failure in failures), failures
        assert bool(failures) is bool(planted.named), failures
    if planted.recorded and run[0]["event"] == "start":  # the log was not lost in the meantime
        assert verify(LOG if LOG.exists() else Path("logs") / LOG).whole
    if planted.recorded and world.meters:
        assert "cpu:healthy" in run[-1]["joules"], "what did not fail counts on"


def test_a_fit_that_goes_on_survives_a_log_that_cannot_be_read() -> None:
    """Keras has no checkpoint that names the run: it is looked for in the log, before anything is measured."""
    keras = pytest.importorskip("keras")
    np = pytest.importorskip("numpy")
    ours = callback("keras", log_file="x" * 300)
    net = keras.Sequential([keras.Input((8,)), keras.layers.Dense(2, activation="softmax")])
    net.compile("sgd", "sparse_categorical_crossentropy")
    seen = net.fit(np.zeros((8, 8)), np.zeros(8), initial_epoch=1, epochs=3, verbose=0, callbacks=[ours]).history
    assert len(seen["loss"]) == len(seen["eco2ai/energy_kwh"]) == 2


# --- the process ---------------------------------------------------------------------------------------------------

EXITS = """
import sys, threading, warnings
warnings.simplefilter("ignore")
sys.path += PATH
import pytest
import test_harmless as harmless

framework = sys.argv[1]
harmless.callback(framework)  # not all of them import without a standard error, or warn without one
world = harmless.World(pytest.MonkeyPatch())
for name in ("meters raise", "the disk is full", "the registry cannot be written", "standard error is closed"):
    harmless.FAULTS[name].plant(world)

def hang(meter):
    if threading.current_thread() is not threading.main_thread():
        hangs.set()
        threading.Event().wait()
    return meter.joules

hangs = threading.Event()
world.meters.append(harmless.Draws("hanging", hang, max_gap_s=0.05))
del world.settings["region"]
ours = harmless.callback(framework, harmless.Platform(**world.platform), heartbeat_s=0.1, **world.settings)

def hook(epoch, batch):
    if (epoch, batch) == (1, 1):
        world.midway()
        assert hangs.wait(30)
        print("the user's code exits", flush=True)
        sys.exit(7)

harmless.FITS[framework]([ours], hook, [])
"""


@pytest.mark.parametrize("framework", FITS)
def test_the_exit_code_is_the_users_own(framework: str) -> None:
    pytest.importorskip({"lightning": "lightning.pytorch"}.get(framework, framework))
    Path("exits.py").write_text(EXITS.replace("PATH", repr([str(Path(__file__).parent), *sys.path])))
    done = run_module(IMPORTS[framework], "exits", framework, environ=os.environ)
    assert done.stdout.splitlines()[-1] == "the user's code exits"
    assert done.returncode == 7


UNDER_PRESSURE = """
import gc, sys, threading, time
from eco2ai_callbacks.integrations import callstack

class Cycle:
    def __init__(self):
        self.me = self

    def __del__(self):
        time.sleep(1e-5)  # lets the other thread go on

def steps(left):
    yield from range(left)

def deep(left):
    Cycle()
    for _ in steps(2):
        pass
    return deep(left - 1) if left else None

def fit():
    global call
    call = callstack.call_of(("fit",), "__main__")
    call.when_over(lambda: told.append(1))
    looks = []

    def watch():
        while not ended.is_set():
            Cycle()
            looks.append(call.is_running())

    ended, thread = threading.Event(), threading.Thread(target=watch)
    thread.start()
    end = time.monotonic() + 1.5
    while time.monotonic() < end:
        deep(30)
    ended.set()
    thread.join()
    if told or not looks or not all(looks):
        sys.exit("a false end")

told = []
sys.setswitchinterval(1e-5)
gc.set_threshold(3)
fit()
sys.exit(7 if told == [1] and gc.isenabled() else 1)
"""


def test_a_fit_that_runs_is_never_taken_for_over_and_never_crashed() -> None:
    """Threads are switched and garbage is collected all the time, while another thread reads the stack."""
    assert subprocess.run([sys.executable, "-c", UNDER_PRESSURE], check=False).returncode == 7


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="creating a frame object starts no collection")
def test_a_child_that_is_forked_while_a_stack_is_read_collects_and_reads() -> None:
    with callstack._pause().taken():
        child = os.fork()
        if not child:
            collects = gc.isenabled()
            with callstack._pause().taken() as can_read:
                os._exit(0 if collects and can_read else 1)
        assert not gc.isenabled()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert gc.isenabled()
