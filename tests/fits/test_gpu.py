"""GPU energy in whole runs: real fits and trackers, the real ``nvidia-ml-py``, and a library that the tests compile."""

from __future__ import annotations

import importlib.util
import json
import math
import re
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from logcheck import ADDING, Row, check_whole, close, rows
from nvml_stub import NvmlStub, ended

from eco2ai_callbacks import Tracker
from eco2ai_callbacks.guard import Guard
from eco2ai_callbacks.meters.discovery import Discovery, MeterContext, discover
from eco2ai_callbacks.session.context import Platform
from eco2ai_callbacks.settings import Settings
from eco2ai_callbacks.testing import CLOUD_VM, Clock, FakeGpu, FakeNvml

A, B = "GPU-8932f937-d72c-4106-c12f-20bd9faed9f6", "GPU-e429a63e-c61c-4795-b757-5132caeb8e70"
C = "GPU-8e8d35e3-a134-0fdd-0e01-23811fdbd293"
A100, P100 = "NVIDIA A100-SXM4-80GB", "NVIDIA Tesla P100"
ENERGY, POWER = "nvmlDeviceGetTotalEnergyConsumption", "nvmlDeviceGetPowerUsage"


def adding(found: list[Row]) -> list[Row]:
    return [row for row in found if row["event"] in ADDING]


def source(found: list[Row]) -> Row:
    """What the ``start`` record says of NVML."""
    return next(each for each in found[0]["sources"] if each["name"] == "NVML")


def check_sums(found: list[Row]) -> None:
    """The log is whole, whatever failed on the way."""
    check_whole([{**row, "failures": []} for row in found])
    assert found[-1]["ended"] == "finished"


def check_drawn(found: list[Row], uuid: str, watts: float, slack_s: float) -> None:
    """The joules are those of a constant power over the records' seconds, within a percent.

    Args:
        found: Records that hold the device.
        uuid: The device.
        watts: What it draws.
        slack_s: How long a read has taken: so far the meter's time may be from the record's.
    """
    joules = math.fsum(row["joules"][f"gpu:{uuid}"] for row in found)
    truth = watts * math.fsum(row["seconds"] for row in found)
    print(f"{uuid[:8]}: {joules:.2f} J of {truth:.2f} J, {joules / truth - 1:+.3%}, reads took {slack_s * 1e3:.1f} ms")
    assert joules == pytest.approx(truth, rel=0.01, abs=2 * watts * slack_s)


# Real fits


# Two fits of one script, 3 s with the boards 0 and 1 and 1 s with 0 and 2: each prints how long its reads took.
FITS = """
import json, threading, time
from eco2ai_callbacks.session.metering import Metering

took_s, waited = [], []
own = Metering.own
def timed(self, waits):
    began = time.monotonic()
    try:
        return own(self, waits)
    finally:
        took_s.append(time.monotonic() - began)
        waited.append(waits)
Metering.own = timed

# On a slow machine a fit would come to a look at its budget, at its phases or at its GPUs, which reads too.
from eco2ai_callbacks.metrics import figures
from eco2ai_callbacks.phases import ledger
from eco2ai_callbacks.session import gpu_health
figures.LOOK_S = ledger.LOOK_S = gpu_health.LOOK_S = 3600.0

EPOCHS, STEPS = 4, 5

class Slow:
    def __init__(self, step_s):
        self.step_s = step_s
    def __len__(self):
        return STEPS
    def __getitem__(self, index):
        if index >= STEPS:
            raise IndexError(index)
        time.sleep(self.step_s)
        return item(index)

def main():
    for log_file, gpus, step_s in (("first.jsonl", [0, 1], 0.15), ("second.jsonl", [0, 2], 0.05)):
        took_s.clear()
        waited.clear()
        ours = Eco2AICallback(region="FR", log_file=log_file, gpus=gpus, sample_s=0.2, scalars="all")
        logged = fit(ours, Slow(step_s))
        print(json.dumps([took_s, sum(waited), logged]))
"""
LIGHTNING = """
import importlib, importlib.util
import torch
from eco2ai_callbacks.lightning import Eco2AICallback
pl = importlib.import_module("lightning.pytorch" if importlib.util.find_spec("lightning") else "pytorch_lightning")

def item(index):
    return torch.ones(16), index % 2

class Small(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(16, 2)
    def training_step(self, batch, index):
        return torch.nn.functional.cross_entropy(self.layer(batch[0]), batch[1])
    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)

def fit(ours, data):
    trainer = pl.Trainer(
        accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, max_epochs=EPOCHS, callbacks=[ours],
    )
    trainer.fit(Small(), torch.utils.data.DataLoader(data))
    return float(trainer.callback_metrics["eco2ai/gpu_kwh"])

main()
"""
TRANSFORMERS = """
import torch
from transformers import BertConfig, BertForSequenceClassification, Trainer, TrainingArguments
from eco2ai_callbacks.transformers import Eco2AICallback

def item(index):
    return {"input_ids": torch.arange(12), "labels": index % 2}

def fit(ours, data):
    config = BertConfig(
        vocab_size=50, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16
    )
    arguments = TrainingArguments(
        "out", num_train_epochs=EPOCHS, per_device_train_batch_size=1, report_to="none", disable_tqdm=True,
        save_strategy="no", use_cpu=True,
    )
    trainer = Trainer(BertForSequenceClassification(config), arguments, train_dataset=data, callbacks=[ours])
    trainer.train()
    return [row["eco2ai/gpu_kwh"] for row in trainer.state.log_history if "eco2ai/gpu_kwh" in row][-1]

main()
"""
KERAS = """
import os
os.environ["KERAS_BACKEND"] = "torch"
import keras, numpy
from eco2ai_callbacks.keras import Eco2AICallback

def item(index):
    return numpy.ones((1, 16)), numpy.array([index % 2])

class Batches(keras.utils.PyDataset):
    def __init__(self, data):
        super().__init__()
        self.data = data
    def __len__(self):
        return len(self.data)
    def __getitem__(self, index):
        return item(index)

class Waits(keras.callbacks.Callback):
    def __init__(self, data):
        super().__init__()
        self.data = data
    def on_train_batch_end(self, batch, logs=None):
        self.data[batch]

def fit(ours, data):
    net = keras.Sequential([keras.Input((16,)), keras.layers.Dense(2, activation="softmax")])
    net.compile("sgd", "sparse_categorical_crossentropy")
    fitted = net.fit(Batches(data), epochs=EPOCHS, callbacks=[Waits(data), ours], verbose=2, shuffle=False)
    return fitted.history["eco2ai/gpu_kwh"][-1]

main()
"""
SCRIPTS = {
    "lightning": (LIGHTNING, ("lightning", "pytorch_lightning"), ("torch",)),
    "transformers": (TRANSFORMERS, ("transformers",), ("torch", "accelerate")),
    "keras": (KERAS, ("keras",), ("torch",)),
}


def installed(framework: str) -> bool:
    """Whether a framework is there, and what its script needs."""
    _, either, all_of = SCRIPTS[framework]
    return any(map(importlib.util.find_spec, either)) and all(map(importlib.util.find_spec, all_of))


@dataclass
class Fitted:
    """One fit.

    Args:
        log: Its run log.
        took_s: How long each read took.
        waited: How many of them the training has waited for.
        logged: The last epoch's ``eco2ai/gpu_kwh`` as the framework logged it.
    """

    log: list[Row]
    took_s: list[float]
    waited: int
    logged: float


@dataclass
class Script:
    """What the two fits of one process have left behind."""

    stub: NvmlStub
    both_paths: Fitted
    lost: Fitted
    said: list[str]


# Board 2 answers when it is opened, at the start, and at both ends of two epochs of four.
ANSWERS = 1 + 1 + 2 * 2


@pytest.fixture(scope="module", params=list(SCRIPTS))
def script(request: pytest.FixtureRequest, stub_library: Path, tmp_path_factory: pytest.TempPathFactory) -> Script:
    if not installed(request.param):
        pytest.skip(f"{request.param} is not installed, or not with torch")
    stub = NvmlStub(stub_library, tmp_path_factory.mktemp(request.param))
    stub.gpu(A, 250.0)
    stub.gpu(B, 70.0, P100, counter=False)
    stub.gpu(C, 90.0)
    stub.fault(ENERGY, uuid=C, after=ANSWERS, code=15)
    # Boards that are named are measured, whatever CUDA may use.
    out, err = ended(stub.start("-c", FITS + SCRIPTS[request.param][0], CUDA_VISIBLE_DEVICES=""))
    fits = [
        Fitted(rows(stub.folder / log_file), *json.loads(line))
        for log_file, line in zip(("first.jsonl", "second.jsonl"), _lists(out), strict=True)
    ]
    return Script(stub, *fits, _said(err))


def _said(err: str) -> list[str]:
    """The line after each fit; a forecast names no source."""
    return [line for line in err.splitlines() if re.match(r"eco2ai: (?!forecast)", line)]


def _lists(out: str) -> list[str]:
    return [line for line in out.splitlines() if line.startswith("[[")]


def test_a_fit_s_gpu_energy_is_within_a_percent_of_the_truth_by_counter_and_by_power(script: Script) -> None:
    fit = script.both_paths
    check_whole(fit.log)
    marks = adding(fit.log)
    assert sum(row["seconds"] for row in marks) >= 3.0
    slack_s = max(fit.took_s)
    check_drawn(marks, A, 250.0, slack_s)
    check_drawn(marks, B, 70.0, slack_s)
    epochs = [row for row in marks if row["event"] == "epoch"]
    assert [row["epoch"] for row in epochs] == [0, 1, 2, 3]
    for row in epochs:
        check_drawn([row], A, 250.0, slack_s)
        check_drawn([row], B, 70.0, slack_s)
        assert (row["method"][f"gpu:{A}"], row["method"][f"gpu:{B}"]) == ("nvml-energy", "nvml-power")
        assert row["attribution"][f"gpu:{A}"] == "whole device"
    gpu_kwh = sum(joules for channel, joules in epochs[-1]["joules"].items() if channel.startswith("gpu:")) / 3.6e6
    assert close(fit.logged, gpu_kwh, rel=1e-6)  # Lightning keeps single precision
    assert source(fit.log)["reason"] == (
        f"0: {A100} (energy counter, whole device), 1: {P100} (power every 0.2 s, whole device); chosen by named"
    )


def test_a_read_asks_each_gpu_once_and_a_session_initialises_once(script: Script) -> None:
    first, second = script.both_paths, script.lost
    # A board is asked both ways when it is opened.
    assert script.stub.calls_of(A)[ENERGY] == 2 + len(first.took_s) + len(second.took_s)
    assert script.stub.calls_of(A)[POWER] == 2
    assert script.stub.calls_of(B)[POWER] == 1 + len(first.took_s)
    assert script.stub.calls_of(B)[ENERGY] == 1
    # Where power is integrated the thread reads too. A training waits for reads at its start, at both ends of each of
    # four epochs, at its end, and before the closing row of Hugging Face.
    assert len(first.took_s) - first.waited >= 8
    assert first.waited == second.waited
    assert first.waited in (10, 11)
    assert script.stub.calls()["nvmlInitWithFlags"] == script.stub.calls()["nvmlShutdown"] == 2


def test_a_gpu_that_is_lost_at_half_time_keeps_what_was_counted_and_the_fit_goes_on(script: Script) -> None:
    log, marks = script.lost.log, adding(script.lost.log)
    check_sums(log)
    assert [row["epoch"] for row in log if row["event"] == "epoch"] == [0, 1, 2, 3]
    told = [f"gpu:{C}" in row["joules"] for row in marks]
    lost = told.index(False)
    assert told == [True] * lost + [False] * (len(marks) - lost)
    for row in marks:
        if row["event"] == "epoch":
            assert (f"gpu:{C}" in row["joules"]) is (row["epoch"] < 2)
    slack_s = max(script.lost.took_s)
    check_drawn(marks, A, 250.0, slack_s)
    check_drawn(marks[:lost], C, 90.0, slack_s)
    failure = f"NVML: GPU 2 ({A100}): the GPU is lost; its energy is missing from here on"
    assert [row["failures"] for row in marks] == [[]] * lost + [[failure]] * (len(marks) - lost)
    assert failure in script.said[1]
    assert script.stub.calls_of(C)[ENERGY] == ANSWERS + 1


def test_without_a_driver_a_fit_looks_for_it_once_and_says_nothing(stub: NvmlStub) -> None:
    framework = next(iter(name for name in reversed(SCRIPTS) if installed(name)), None)
    if framework is None:
        pytest.skip("no framework is installed")
    watch = """
import sys
loaded = []
def hook(event, args):
    if event == "ctypes.dlopen" and "nvidia-ml" in str(args[0]):
        frame = sys._getframe(1)
        while frame is not None and frame.f_globals.get("__name__") != "pynvml":
            frame = frame.f_back
        loaded.extend([args[0]] if frame else [])  # torch looks for it too, if it is made for CUDA
sys.addaudithook(hook)
"""
    text = (FITS + SCRIPTS[framework][0]).replace('"first.jsonl", [0, 1], 0.15', '"first.jsonl", "auto", 0.0')
    text = text.replace(', ("second.jsonl", [0, 2], 0.05)', ",").replace('eco2ai/gpu_kwh"', 'eco2ai/cpu_kwh"')
    out, err = ended(stub.start("-c", f"{watch}{text}\nprint(loaded)", **stub.without_driver()))
    log = rows("first.jsonl")
    check_whole(log)
    assert out.splitlines()[-1] == "['libnvidia-ml.so.1']"
    assert (source(log)["used"], source(log)["reason"]) == (False, "no NVIDIA driver")
    assert log[-1]["not_covered"] == []
    assert [line for line in err.splitlines() if "NVML" in line or "nvidia" in line.lower()] == _said(err)
    assert not stub.calls()


# What can go wrong


TRACKED = """
import json, logging, time
from eco2ai_callbacks import Tracker
logging.getLogger("eco2ai_callbacks").addHandler(logging.NullHandler())
run = Tracker(region="FR", console=False, heartbeat_s=0, gpus={gpus!r}, sample_s=0.1)
with run:
    for epoch in range(4):
        time.sleep(0.05)
        run.mark(epoch=epoch)
print(json.dumps(True))
"""


def tracked(stub: NvmlStub, gpus: Any = "auto", **environ: str) -> list[Row]:
    """The log of four epochs of 0.05 s without a framework."""
    assert stub.run(TRACKED.format(gpus=gpus), **environ) is True
    return rows()


def test_without_a_driver_nothing_is_called_and_nothing_fails(stub: NvmlStub) -> None:
    log = tracked(stub, **stub.without_driver())
    check_whole(log)
    assert source(log)["reason"] == "no NVIDIA driver"
    assert not stub.calls()


def test_where_the_variable_hides_all_the_driver_is_not_touched(stub: NvmlStub) -> None:
    stub.gpu(A, 250.0)
    log = tracked(stub, CUDA_VISIBLE_DEVICES="")
    check_whole(log)
    assert source(log)["reason"] == "no GPU is selected: CUDA_VISIBLE_DEVICES hides them all"
    assert not stub.calls()


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (9, "no NVIDIA driver"),
        (18, "driver and library versions differ"),
        (4, "insufficient permissions"),
        (17, "blocked by the operating system"),
        (999, "an unknown error"),
    ],
)
def test_a_driver_that_cannot_be_used_is_named_in_the_start_record(stub: NvmlStub, code: int, reason: str) -> None:
    stub.gpu(A, 250.0)
    stub.init(code)
    log = tracked(stub)
    check_whole(log)  # with the processor's energy
    assert (source(log)["used"], source(log)["reason"]) == (False, reason)


def _no_board(stub: NvmlStub) -> None:
    """A driver, and nothing behind it."""


def _closed(stub: NvmlStub) -> None:
    stub.gpu(A, 250.0)
    stub.fault("nvmlDeviceGetHandleByIndex_v2", code=4)


def _mute(stub: NvmlStub) -> None:
    stub.gpu(A, 250.0, counter=False, power=False)


def _denied(stub: NvmlStub) -> None:
    stub.gpu(A, 250.0)
    stub.fault(ENERGY, code=4)
    stub.fault(POWER, code=4)


def _mixed(stub: NvmlStub) -> None:
    stub.gpu(A, 250.0)
    stub.gpu(B, 70.0, P100)


@pytest.mark.parametrize(
    ("board", "environ", "reason"),
    [
        (_no_board, {}, "the driver lists no GPU"),
        (_closed, {}, "GPU 0: insufficient permissions"),
        (_mute, {}, f"GPU 0 ({A100}): it tells neither its energy nor its power"),
        (_denied, {}, f"GPU 0 ({A100}): insufficient permissions"),
        (
            _mixed,
            {"CUDA_VISIBLE_DEVICES": "0"},
            "CUDA_VISIBLE_DEVICES numbers GPUs of different models in an order that only CUDA knows",
        ),
        (_mixed, {"CUDA_VISIBLE_DEVICES": "GPU-00"}, "no GPU is selected"),
    ],
    ids=["no board", "closed", "mute", "denied", "numbers", "not there"],
)
def test_boards_that_cannot_be_read_are_named_in_the_start_record(
    stub: NvmlStub, board: Callable[[NvmlStub], None], environ: dict[str, str], reason: str
) -> None:
    board(stub)
    log = tracked(stub, **environ)
    check_whole(log)
    assert (source(log)["used"], source(log)["reason"]) == (False, reason)
    assert stub.calls()["nvmlInitWithFlags"] == stub.calls()["nvmlShutdown"] == 1


def test_one_board_that_may_not_be_read_is_named_and_the_other_is_measured(stub: NvmlStub) -> None:
    stub.gpu(A, 250.0)
    stub.gpu(B, 70.0)
    stub.fault(ENERGY, uuid=A, code=4)
    stub.fault(POWER, uuid=A, code=4)
    log = tracked(stub)
    check_sums(log)
    assert [row["failures"] for row in log] == [[f"NVML: GPU 0 ({A100}): insufficient permissions"]] * 6
    assert source(log)["methods"] == {f"gpu:{B}": "nvml-energy"}
    assert all(f"gpu:{B}" in row["joules"] and f"gpu:{A}" not in row["joules"] for row in adding(log))


@pytest.mark.parametrize("code", [3, 13])
def test_without_the_counter_s_function_power_is_integrated(stub: NvmlStub, code: int) -> None:
    stub.gpu(A, 250.0)
    stub.fault(ENERGY, code=code)
    log = tracked(stub)
    check_whole(log)
    assert source(log)["methods"] == {f"gpu:{A}": "nvml-power"}
    assert {row["method"][f"gpu:{A}"] for row in adding(log)} == {"nvml-power"}


def test_a_board_that_is_not_there_is_named_and_the_processor_is_measured(stub: NvmlStub) -> None:
    stub.gpu(A, 250.0)
    log = tracked(stub, [7])
    check_sums(log)
    assert log[0]["failures"] == log[-1]["failures"]
    assert "(from argument): 7 is no GPU of this machine" in log[-1]["failures"][0]
    assert "7 is no GPU of this machine" in source(log)["reason"]


def test_a_counter_that_is_reset_loses_that_stretch_and_says_so(stub: NvmlStub) -> None:
    stub.gpu(A, 250.0, base_mj=0)
    # Of its seven answers: one at opening, one at the start, one for each of four marks and the end.
    stub.fault(ENERGY, after=3, value_mj=0)
    log = tracked(stub)
    check_sums(log)
    failure = f"NVML: GPU 0 ({A100}): its energy counter was reset, what it used since the read before is not counted"
    assert [row["failures"] for row in log] == [[]] * 2 + [[failure]] * 4
    joules = [row["joules"][f"gpu:{A}"] for row in log if row["event"] == "epoch"]
    assert joules[0] > 0
    assert joules[1:] == [0.0] * 3


@pytest.mark.slow
def test_a_board_that_hangs_is_left_out_and_the_training_waits_for_it_no_more(stub: NvmlStub) -> None:
    stub.gpu(A, 250.0)
    stub.gpu(B, 70.0)
    # After the answers at opening, at the start and to the first mark: two slow ones, and then none before the end.
    stub.fault(ENERGY, uuid=A, after=3, times=2, hang_ms=1200)
    stub.fault(ENERGY, uuid=A, after=3, times=1, hang_ms=30_000)
    log = tracked(stub)
    later = "what it used while it did not answer is in a later read"
    slow = f"NVML: GPU 0 ({A100}): two calls in a row took over 1 s; {later}"
    assert [slow in row["failures"] for row in log] == [False] * 3 + [True] * 3
    # The answers that came late count.
    assert [f"gpu:{A}" in row["joules"] for row in adding(log)] == [True, True, True, False, False]
    assert all(f"gpu:{B}" in row["joules"] for row in adding(log))
    assert stub.calls_of(A)[ENERGY] == 6
    assert log[-1]["total"]["seconds"] < 30.0
    check_sums(log)


@pytest.mark.slow
def test_training_waits_no_longer_than_a_second_for_a_thread_that_hangs(stub: NvmlStub) -> None:
    stub.gpu(A, 250.0, counter=False)
    # The first answers are those at opening and at the start; the next is the thread's.
    stub.fault(POWER, after=2, times=1, hang_ms=30_000)
    script = TRACKED.replace(
        "    for epoch",
        f"""
    from pathlib import Path
    while Path({str(stub.folder / "calls")!r}).read_text().count({POWER!r}) < 3:
        time.sleep(0.01)
    for epoch""",
    ).replace("range(4)", "range(2)")
    assert stub.run(script.format(gpus="auto")) is True
    log = rows()
    check_sums(log)
    assert log[-1]["total"]["seconds"] < 30.0
    assert [row["failures"] for row in log] == [[]] + [["NVML: did not answer within 1 s"]] * 3
    assert all("cpu" in row["joules"] and f"gpu:{A}" not in row["joules"] for row in adding(log))


# What stands beside the measured


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("dev/kfd", "AMD GPU (ROCm)"),
        ("dev/accel0", "Google TPU"),
        ("dev/hl0", "Intel Gaudi (HPU)"),
        ("dev/neuron0", "AWS Neuron"),
    ],
)
def test_an_accelerator_that_nothing_can_read_is_named_in_record_and_console_line(
    path: str, name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    device = tmp_path / "root" / path
    device.parent.mkdir(parents=True)
    device.touch()
    with Tracker(platform=Platform(root=tmp_path / "root", environ={}), region="FR", gpus=()) as run:
        run.mark(epoch=0)
    assert [row["not_covered"] for row in rows()] == [[name]] * 3
    assert f"not covered: {name}" in capsys.readouterr().err


SHARING = """
import sys, time
from pathlib import Path
from eco2ai_callbacks import Tracker

mine, other = sys.argv[1:]
def meet(where):
    Path(f"{where}-{mine}").touch()
    deadline = time.monotonic() + 60
    while not Path(f"{where}-{other}").exists():
        assert time.monotonic() < deadline, where
        time.sleep(0.01)

with Tracker(region="FR", console=False, gpus="all", log_file=f"{mine}.jsonl") as run:
    meet("started")
    run.mark(epoch=0)
    meet("marked")
"""


def test_two_jobs_on_one_gpu_name_each_other(stub: NvmlStub) -> None:
    stub.gpu(A, 250.0)
    first = stub.start("-W", "error", "-c", SHARING, "one", "two")
    second = stub.start("-W", "error", "-c", SHARING, "two", "one")
    for process in (first, second):
        ended(process)
    one, two = rows("one.jsonl"), rows("two.jsonl")
    check_whole(one)
    check_whole(two)
    assert one[1]["shared_with"] == [two[0]["run"]]
    assert two[1]["shared_with"] == [one[0]["run"]]


def test_a_run_shares_nothing_with_those_around_and_inside_it(stub: NvmlStub) -> None:
    stub.gpu(A, 250.0)
    script = """
from contextlib import ExitStack
from eco2ai_callbacks import Tracker
with ExitStack() as stack:
    runs = [
        stack.enter_context(Tracker(region="FR", console=False, gpus="all", log_file=f"{name}.jsonl"))
        for name in ("outer", "middle", "inner")
    ]
    for run in runs:
        run.mark(epoch=0)
print("{}")
"""
    stub.run(script)
    logs = [rows(f"{name}.jsonl") for name in ("outer", "middle", "inner")]
    assert [log[0]["parent"] for log in logs] == [None, logs[0][0]["run"], logs[1][0]["run"]]
    for log in logs:
        assert [row["shared_with"] for row in log] == [[]] * 3
    assert stub.calls()["nvmlInitWithFlags"] == stub.calls()["nvmlShutdown"] == 3  # once for each


# CUDA's work and devices


class Cuda:
    """``torch.cuda`` with three devices; finishing a device's work takes a second of the clock."""

    def __init__(self, clock: Clock, used: set[int], initialised: bool = True) -> None:
        self.clock = clock
        self.used = used
        self.initialised = initialised
        self.synchronised: list[tuple[int, str]] = []
        self.broken: str | None = None

    def is_initialized(self) -> bool:
        return self.initialised

    def is_current_stream_capturing(self) -> bool:
        return False

    def device_count(self) -> int:
        return 3

    def max_memory_reserved(self, index: int) -> int:
        return 2**20 if index in self.used else 0

    def get_device_properties(self, index: int) -> Any:
        if self.broken is not None:
            raise RuntimeError(self.broken)
        return SimpleNamespace(uuid=(A, B, C)[index].removeprefix("GPU-"))

    def synchronize(self, index: int) -> None:
        self.clock.advance(1.0)
        self.synchronised.append((index, threading.current_thread().name))
        if self.broken is not None:
            raise RuntimeError(self.broken)

    def finished(self) -> list[int]:
        """The devices whose work was finished since the last call, in order."""
        found, self.synchronised = [index for index, _ in self.synchronised], []
        return found


class Lab:
    """A machine with three boards of 100 W, and a torch that uses some of them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, used: set[int], **kwargs: Any) -> None:
        self.clock = Clock(1000.0)
        self.cuda = Cuda(self.clock, used, **kwargs)
        self.nvml = FakeNvml(self.clock, *(FakeGpu(uuid, watts=100.0) for uuid in (A, B, C)))
        torch = SimpleNamespace(cuda=self.cuda, version=SimpleNamespace(hip=None))
        monkeypatch.setitem(sys.modules, "torch", torch)

    def tracker(self, **settings: Any) -> Tracker:
        def find(settings: Settings, around: MeterContext, guard: Guard) -> Discovery:
            return discover(settings, replace(around, nvml=self.nvml), guard)

        platform = Platform(clock=self.clock, host=lambda: CLOUD_VM, discover=find, environ={})
        return Tracker(platform=platform, **{"region": "FR", "console": False, "heartbeat_s": 0.0, **settings})


@pytest.fixture
def lab(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Lab]]:
    def make(used: set[int], **kwargs: Any) -> Lab:
        return Lab(monkeypatch, used, **kwargs)

    return make


def test_cuda_s_work_is_finished_once_before_each_mark_and_not_for_a_look(lab: Callable[..., Lab]) -> None:
    here = lab({0, 2})
    run = here.tracker()
    run.start()
    assert here.cuda.finished() == [0, 2]
    for mark in (
        lambda: run.mark(epoch=0),
        lambda: run.end_epoch(1),
        lambda: run.enter("validate"),
        lambda: run.leave(),
        lambda: run.mark("stage", stage="test"),
    ):
        mark()
        assert here.cuda.finished() == [0, 2]
    for look in (
        run.read,
        run.figures.totals,
        lambda: run.write("metrics", {"loss": 1.0}),
        lambda: run.total,
        lambda: run.checkpoint,
    ):
        look()
        assert here.cuda.finished() == []
    run.stop()
    assert here.cuda.finished() == [0, 2]
    run.stop()
    assert here.cuda.finished() == []


def test_the_energy_of_unfinished_work_falls_before_the_mark(lab: Callable[..., Lab]) -> None:
    here = lab({1})
    run = here.tracker().start()
    here.clock.advance(5.0)
    first, second = run.mark(epoch=0), run.mark(epoch=1)
    assert first.seconds == pytest.approx(6.0)
    assert first.joules[f"gpu:{B}"] == pytest.approx(600.0)
    assert second.joules[f"gpu:{B}"] == pytest.approx(100.0)
    assert run.stop().joules[f"gpu:{B}"] == pytest.approx(800.0)


def test_sync_gpu_false_waits_for_nothing(lab: Callable[..., Lab]) -> None:
    here = lab({0, 2})
    with here.tracker(sync_gpu=False) as run:
        run.mark(epoch=0)
        run.enter("validate")
    assert here.cuda.finished() == []
    assert source(rows())["methods"].keys() == {f"gpu:{A}", f"gpu:{C}"}


def test_an_interrupted_run_waits_for_no_gpu(lab: Callable[..., Lab]) -> None:
    here = lab({0})
    run = here.tracker().start()
    here.cuda.finished()
    run.stop("interrupted")
    assert here.cuda.finished() == []
    assert rows()[-1]["ended"] == "interrupted"


def test_the_thread_never_waits_for_a_gpu(lab: Callable[..., Lab]) -> None:
    here = lab({0})
    for gpu in here.nvml.gpus:
        gpu.counter = False
    with here.tracker(sample_s=0.05, heartbeat_s=1.0):
        here.cuda.finished()
        before, deadline = here.nvml.calls[POWER], time.monotonic() + 30
        while here.nvml.calls[POWER] < before + 3 and time.monotonic() < deadline:
            time.sleep(0.01)
        assert here.nvml.calls[POWER] >= before + 3
        assert here.cuda.synchronised == []
    assert {thread for _, thread in here.cuda.synchronised} == {threading.current_thread().name}


def test_an_error_of_cuda_s_work_is_named_and_nothing_is_raised(lab: Callable[..., Lab]) -> None:
    here = lab({0})
    run = here.tracker().start()
    here.cuda.broken = "CUDA error: device-side assert triggered"
    here.clock.advance(1.0)
    assert run.mark(epoch=0).joules[f"gpu:{A}"] > 0
    run.stop()
    assert rows()[0]["failures"] == []
    assert rows()[1]["failures"] == ["CUDA: CUDA error: device-side assert triggered (RuntimeError)"]


def test_a_torch_that_cannot_tell_its_devices_leaves_the_other_rules(lab: Callable[..., Lab]) -> None:
    here = lab({0})
    here.cuda.broken = "CUDA driver error"
    with here.tracker(sync_gpu=False):
        pass
    assert source(rows())["reason"].endswith("chosen by auto: visible")
    assert rows()[0]["failures"] == ["CUDA: CUDA driver error (RuntimeError)"]


def test_the_gpus_that_torch_trains_on_are_measured(lab: Callable[..., Lab]) -> None:
    with lab({1}).tracker() as run:
        run.mark(epoch=0)
    assert source(rows())["methods"] == {f"gpu:{B}": "nvml-energy"}
    assert source(rows())["reason"] == f"1: {A100} (energy counter, whole device); chosen by auto: framework"
    assert rows()[-1]["failures"] == []


def test_where_torch_uses_none_yet_the_visible_ones_are_measured(lab: Callable[..., Lab]) -> None:
    here = lab({1}, initialised=False)
    with here.tracker() as run:
        assert here.cuda.finished() == []  # no context is made
        here.cuda.initialised = True
        run.mark(epoch=0)
        assert here.cuda.finished() == [1]
    assert source(rows())["reason"].endswith("chosen by auto: visible")
    assert source(rows())["methods"].keys() == {f"gpu:{A}", f"gpu:{B}", f"gpu:{C}"}
    assert rows()[-1]["failures"] == []


def test_a_gpu_that_comes_into_use_later_is_named_as_missing(lab: Callable[..., Lab]) -> None:
    here = lab({1})
    with here.tracker() as run:
        run.mark(epoch=0)
        here.cuda.used.add(2)
        run.mark(epoch=1)
    missing = [f"NVML: {C} came into use after the start; its energy is missing"]
    assert [row["failures"] for row in rows()] == [[], [], missing, missing]


@pytest.mark.parametrize("gpus", [[1], "all", ()], ids=["named", "all", "none"])
def test_gpus_that_were_not_asked_for_are_not_missed(lab: Callable[..., Lab], gpus: Any) -> None:
    here = lab({1})
    with here.tracker(gpus=gpus) as run:
        here.cuda.used.add(2)
        run.mark(epoch=0)
    assert Counter(failure for row in rows() for failure in row["failures"]) == {}


def test_a_gap_in_the_samples_widens_the_band_of_its_mark_and_of_the_total(lab: Callable[..., Lab]) -> None:
    here = lab({0})
    here.nvml.gpus[0].counter = False
    here.nvml.gpus[0].limit_w = 300.0
    channel = f"gpu:{A}"
    with here.tracker(sample_s=0.5, sync_gpu=False) as run:
        for epoch, seconds in enumerate((0.5, 12.0, 0.5)):
            here.clock.advance(seconds)
            run.mark(epoch=epoch)
    edge_j = 2 * 100.0 * 0.1
    found = [row for row in rows() if row["event"] == "epoch"]
    assert [row["joules"][channel] for row in found] == pytest.approx([50.0, 1200.0, 50.0])
    assert [row["band"][channel][1] for row in found] == pytest.approx(
        [50.0 * 1.15 + edge_j, 300.0 * 12.0 + edge_j, 50.0 * 1.15 + edge_j]
    )
    assert [row["band"][channel][0] for row in found] == pytest.approx(
        [50.0 * 0.85 - edge_j, 0.0, 50.0 * 0.85 - edge_j]
    )
    high = [
        row["total"]["energy_band_kwh"][1] - row["total"]["energy_kwh"] for row in rows() if row["event"] == "epoch"
    ]
    assert high[0] * 3.6e6 < 100.0
    assert high[1] * 3.6e6 == pytest.approx(2400.0, rel=0.05)
    assert high[2] * 3.6e6 == pytest.approx(2400.0, rel=0.05)
    said = [failure for row in found for failure in row["failures"]]
    assert len(said) == 2
    assert f"NVML: GPU 0 ({A100}): its power was not sampled for 12.0 s in all" in said[0]


def test_a_read_that_failed_leaves_the_board_out_and_its_power_is_over_both_marks(lab: Callable[..., Lab]) -> None:
    here = lab({0})
    channel = f"gpu:{A}"
    with here.tracker(gpus=[0], sync_gpu=False) as run:
        here.clock.advance(10.0)
        others_w = run.mark(epoch=0).power_w
        assert others_w is not None
        others_w -= 100.0
        here.nvml.fail(ENERGY, 10, times=2)
        here.clock.advance(10.0)
        missed = run.mark(epoch=1)
        here.clock.advance(10.0)
        caught_up = run.mark(epoch=2)
        both = missed + caught_up
    assert channel not in missed.joules
    assert missed.power_w == pytest.approx(others_w, abs=0.5)
    assert caught_up.joules[channel] == pytest.approx(2000.0)
    assert caught_up.power_w == pytest.approx(100.0 + others_w, abs=0.5)
    assert both.power_w == pytest.approx(100.0 + others_w, abs=0.5)
    assert math.fsum(row["joules"].get(channel, 0.0) for row in adding(rows())) == pytest.approx(3000.0)
