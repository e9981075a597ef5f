"""GPU energy in whole fits: the real ``nvidia-ml-py``, and a library that the tests compile."""

from __future__ import annotations

import importlib.util
import json
import re
from dataclasses import dataclass
from pathlib import Path

import pytest
from gpu_logs import A100, ENERGY, P100, POWER, A, B, C, adding, check_drawn, check_sums, source
from logcheck import Row, check_whole, close, rows
from nvml_stub import NvmlStub, ended

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
