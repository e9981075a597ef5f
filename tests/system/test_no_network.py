"""No socket is opened and no program is started by us: not at import, not in a fit, not by a tracker."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from logcheck import rows

if not os.environ.get("KERAS_BACKEND"):
    # Keras would take tensorflow, which may be missing.
    os.environ["KERAS_BACKEND"] = "torch"

# Audit events (Python's table of them) of everything that leaves the process.
LISTENS = """
import collections, json, os, sys

WATCHED = (
    "socket.", "subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork", "os.forkpty",
    "os.startfile", "pty.spawn", "urllib.Request", "http.client.", "ftplib.", "smtplib.", "webbrowser.open",
)
seen = collections.Counter()
ours = []

def listen(event, args):
    if event.startswith(WATCHED):
        seen[event] += 1
        frame = sys._getframe()
        while frame is not None:
            name = str(frame.f_globals.get("__name__"))
            if name.partition(".")[0] == "eco2ai_callbacks":
                ours.append(f"{event} {args} from {name}:{frame.f_lineno}")
                break
            frame = frame.f_back

sys.addaudithook(listen)

def heard(call):
    before = collections.Counter(seen)
    call()
    return dict(seen - before)

# Would it be noticed?
control = {"__name__": "eco2ai_callbacks.control"}
exec("import socket, subprocess, sys\\nsocket.getaddrinfo('localhost', 1)\\n"
     "subprocess.run([sys.executable, '-c', ''])", control)
noticed, ours[:] = [each.partition(" ")[0] for each in ours], []

def tell(**found):
    print(json.dumps({"noticed": noticed, "ours": ours, **found}))
"""

SETTINGS = """
settings = dict(
    csv_file="eco2ai.csv", prometheus_file="eco2ai.prom", heartbeat_s=0.1, scalars="all", pue="provider", price=0.2,
    forecast_after=1,
)
"""

PROGRAMS = {
    "lightning": """
import torch, lightning.pytorch as pl, pytorch_lightning
imported = heard(lambda: __import__("eco2ai_callbacks.lightning"))
from eco2ai_callbacks.lightning import Eco2AICallback

class Small(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(4, 2)
    def training_step(self, batch, index):
        return torch.nn.functional.cross_entropy(self.layer(batch[0]), batch[1])
    def validation_step(self, batch, index):
        self.log("val_loss", self.layer(batch[0]).sum())
    def test_step(self, batch, index):
        self.log("test_loss", self.layer(batch[0]).sum())
    def predict_step(self, batch, index):
        return self.layer(batch[0])
    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)

def fit(*callbacks):
    data = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(torch.randn(16, 4), torch.arange(16) % 2), 4)
    trainer = pl.Trainer(
        max_epochs=3, accelerator="cpu", logger=pl.loggers.CSVLogger("csv"), enable_progress_bar=False,
        callbacks=[*callbacks, pl.callbacks.ModelCheckpoint("checkpoints")],
    )
    module = Small()
    trainer.fit(module, data, data)
    trainer.test(module, data, verbose=False)
    trainer.predict(module, data)
""",
    "transformers": """
import torch, transformers, transformers.trainer, transformers.integrations
imported = heard(lambda: __import__("eco2ai_callbacks.transformers"))
from eco2ai_callbacks.transformers import Eco2AICallback

class Small(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(4, 2)
    def forward(self, x, labels):
        logits = self.layer(x)
        return {"loss": torch.nn.functional.cross_entropy(logits, labels), "logits": logits}

def fit(*callbacks):
    data = [{"x": torch.randn(4), "labels": index % 2} for index in range(16)]
    trainer = transformers.Trainer(
        Small(),
        transformers.TrainingArguments(
            output_dir="out", num_train_epochs=3, per_device_train_batch_size=4, report_to="none", disable_tqdm=True,
            save_strategy="epoch", eval_strategy="epoch", use_cpu=True,
        ),
        train_dataset=data, eval_dataset=data, callbacks=list(callbacks),
    )
    trainer.train()
    trainer.evaluate()
    trainer.predict(data)
""",
    "keras": """
import keras, numpy as np
imported = heard(lambda: __import__("eco2ai_callbacks.keras"))
from eco2ai_callbacks.keras import Eco2AICallback

def fit(*callbacks):
    net = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, activation="softmax")])
    net.compile("sgd", "sparse_categorical_crossentropy")
    x, y = np.zeros((16, 4), "float32"), np.arange(16) % 2
    net.fit(x, y, epochs=3, batch_size=4, verbose=2, validation_data=(x, y), callbacks=list(callbacks))
    net.evaluate(x, y, callbacks=list(callbacks), verbose=0)
    net.predict(x, callbacks=list(callbacks), verbose=0)
""",
}

FITS = """
fit()  # what frameworks do once
without = heard(fit)
with_us = heard(lambda: fit(Eco2AICallback(**settings)))
tell(imported=imported, without=without, with_us=with_us)
"""

TRACKS = """
import psutil, click, pynvml

def use():
    import eco2ai_callbacks.cli.doctor, eco2ai_callbacks.cli.regions, eco2ai_callbacks.cli.verify
    from eco2ai_callbacks import Tracker, track
    with Tracker(**settings) as run:
        run.enter("validate")
        run.leave()
        run.end_epoch(0, planned=2)
    with track():
        pass
    from eco2ai_callbacks import eco2ai
    eco2ai.available_devices()
    with eco2ai.Tracker(project_name="demo", electricity_pricing={"0:00-24:00": 1}):
        pass

def command(*args):
    from eco2ai_callbacks.cli import main
    main(args, standalone_mode=False)

used = heard(use)
with open("hours.csv", "w") as file:
    file.write("start,g_per_kwh\\n2026-01-01T00:00Z,50\\n2099-01-01T00:00Z,50\\n")
recount = ("recompute", "eco2ai.jsonl", "--output", "again.jsonl", "--region", "FR", "--intensity", "hours.csv")
exports = [("export", "eco2ai.jsonl", "--format", form, "-o", form) for form in ("prometheus", "codecarbon", "eco2ai")]
commands = heard(lambda: [
    *(command(*export) for export in exports),
    command("doctor"), command("regions", "fra"), command("verify", "eco2ai.jsonl"), command(*recount),
])
tell(used=used, commands=commands)
"""


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, tuple[Path, subprocess.Popen[str]]]]:
    """All programs, started at once: importing a framework takes seconds."""
    started = {}
    texts = {name: text + FITS for name, text in PROGRAMS.items()} | {"tracker": TRACKS}
    for name, text in texts.items():
        folder = tmp_path_factory.mktemp(name)
        environ = {each: value for each, value in os.environ.items() if not each.startswith("ECO2AI_")}
        environ |= {"TMPDIR": str(folder), "HOME": str(folder), "HF_HUB_OFFLINE": "1"}
        started[name] = (
            folder,
            subprocess.Popen(
                [sys.executable, "-W", "ignore", "-c", LISTENS + SETTINGS + text],
                cwd=folder, env=environ, stdout=subprocess.PIPE, text=True,
            ),
        )  # fmt: skip
    yield started
    for _, process in started.values():
        with process:
            process.kill()


def told(programs: dict[str, tuple[Path, subprocess.Popen[str]]], name: str) -> dict[str, Any]:
    """What a program has noticed."""
    folder, process = programs[name]
    said, _ = process.communicate(timeout=180)
    assert process.returncode == 0
    found: dict[str, Any] = json.loads(said.splitlines()[-1])
    assert {"socket.getaddrinfo", "subprocess.Popen"} <= set(found["noticed"]), "the test would notice nothing"
    assert not rows(folder / "eco2ai.jsonl")[-1]["failures"]
    return found


@pytest.mark.parametrize("framework", PROGRAMS)
def test_a_whole_fit_leaves_the_process_no_more_than_it_would_without_us(
    framework: str, programs: dict[str, tuple[Path, subprocess.Popen[str]]]
) -> None:
    for package in {"lightning": ("lightning.pytorch", "pytorch_lightning")}.get(framework, (framework,)):
        pytest.importorskip(package)
    found = told(programs, framework)
    assert found["imported"] == {}
    assert found["ours"] == []
    assert found["with_us"] == found["without"]


def test_a_tracker_and_the_commands_leave_the_process_not_at_all(
    programs: dict[str, tuple[Path, subprocess.Popen[str]]],
) -> None:
    found = told(programs, "tracker")
    assert found["used"] == {}
    assert found["commands"] == {}
    assert found["ours"] == []


def test_a_look_for_the_place_opens_no_socket_and_starts_no_program() -> None:
    script = """
import sys
events = []
sys.addaudithook(lambda event, _: events.append(event))
from eco2ai_callbacks.carbon import intensity, location, pue
place = location.locate()
intensity.lookup("FR"), intensity.search("fra"), pue.provider_pue("aws:eu-west-3"), intensity.world()
bad = ("socket", "subprocess", "urllib", "http", "os.exec", "os.system", "os.fork", "os.posix_spawn", "os.spawn")
assert not [event for event in events if event.startswith(bad)]
"""
    subprocess.run([sys.executable, "-c", script], check=True)
