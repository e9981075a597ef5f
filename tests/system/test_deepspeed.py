"""DeepSpeed on two processes of a CPU: the guide's loop as it stands, and the Trainer of Hugging Face."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from guides import blocks
from logcheck import rows

from eco2ai_callbacks import load
from eco2ai_callbacks.runlog.verify import verify

pytestmark = pytest.mark.slow

PAGE = Path(__file__).parents[2] / "docs" / "engines.md"
# The first use in an environment compiles an operator of DeepSpeed's, for two minutes of CPU time.
LIMIT_S = 1200

# What a reader of the guide has already, and a second clock.
BEFORE = """
import json, os, time
from pathlib import Path

import torch

from eco2ai_callbacks import Tracker

torch.set_num_threads(1)

class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(16, 1)

    def forward(self, x, labels=0.0):
        end = time.process_time() + 0.05
        while time.process_time() < end:
            pass
        out = self.layer(x)
        return {"loss": (out - labels).square().mean(), "logits": out} if ASKS else out.square().mean()

model, batches = Net(), [torch.ones(4, 16)] * 10
rate = "auto" if ASKS else 0.001
config = {
    "train_micro_batch_size_per_gpu": 4,
    "optimizer": {"type": "Adam", "params": {"lr": rate, "torch_adam": True}},
    "zero_optimization": {"stage": 1},
}
start, stop, at = Tracker.start, Tracker.stop, []

def started(self, *args):
    start(self, *args)
    at.append(time.process_time())
    return self

def stopped(self, *args):
    at.append(time.process_time())
    return stop(self, *args)

Tracker.start, Tracker.stop = started, stopped
"""
AFTER = """
Path(f"rank{os.environ['RANK']}.json").write_text(json.dumps({"cpu_s": at[1] - at[0], "shown": shown()}))
torch.distributed.destroy_process_group()
"""
TRAINER = """
from transformers import Trainer, TrainingArguments
from eco2ai_callbacks.transformers import Eco2AICallback

data = [{"x": torch.ones(16), "labels": torch.ones(1)} for _ in range(80)]
args = TrainingArguments(
    "out", num_train_epochs=2, per_device_train_batch_size=4, deepspeed=config, use_cpu=True, report_to="none",
    disable_tqdm=True, save_strategy="no",
)
trainer = Trainer(model, args, train_dataset=data, callbacks=[Eco2AICallback(region="FR")])
trainer.train()
assert type(trainer.model_wrapped).__name__ == "DeepSpeedEngine"
shown = lambda: [row["eco2ai/energy_kwh"] for row in trainer.state.log_history if "eco2ai/energy_kwh" in row][-1]
"""


def script(way: str) -> str:
    if way == "trainer":
        return f"ASKS = True\n{BEFORE}{TRAINER}{AFTER}"
    (guide,) = [block.text for block in blocks(PAGE) if block.section == "DeepSpeed" and block.language == "python"]
    return f"ASKS = False\n{BEFORE}{guide}\nshown = lambda: report.scalars['eco2ai/energy_kwh']\n{AFTER}"


@pytest.mark.parametrize("way", ["loop", "trainer"])
def test_two_processes_are_one_run_whose_joules_are_their_cpu_seconds(way: str) -> None:
    pytest.importorskip("deepspeed")
    if way == "trainer":
        pytest.importorskip("transformers")
    Path("job.py").write_text(script(way))
    kept = {
        "DS_ACCELERATOR": "cpu",
        "ECO2AI_POWERCAP_ROOT": "nowhere",
        # Compiled once for an environment; the tests' home is new each time.
        "TORCH_EXTENSIONS_DIR": str(Path(sys.prefix) / "torch_extensions"),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", "job.py"]
    done = subprocess.run(launch, env=os.environ | kept, capture_output=True, text=True, timeout=LIMIT_S, check=False)
    assert done.returncode == 0, done.stderr
    assert verify(Path("eco2ai.jsonl")).whole
    (run,) = load("eco2ai.jsonl").runs
    assert (run.ranks, run.states, run.failures) == ((0, 1), ("finished",), ())
    assert [epoch.epoch for epoch in run.epochs] == [0, 1]
    told = [json.loads(Path(f"rank{rank}.json").read_text()) for rank in range(2)]
    watts = re.search(r"([\d.]+) W per busy thread", rows()[-1]["attribution"]["cpu"])
    assert watts is not None
    assert run.joules["cpu"] == pytest.approx(float(watts[1]) * sum(each["cpu_s"] for each in told), rel=0.05)
    # The whole job's figure, on both.
    parts = [row["epoch_energy_kwh"] for row in rows() if row["event"] == "epoch" and row["epoch"] == 1]
    assert [each["shown"] for each in told] == [pytest.approx(sum(parts), rel=1e-6)] * 2
