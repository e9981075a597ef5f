"""Jobs of several real processes, as launchers start them: gloo on the CPU, and boards that a stub of NVML invents."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from logcheck import close, full
from nvml_stub import NvmlStub

from eco2ai_callbacks.report.load import load
from eco2ai_callbacks.runlog.aggregate import Job, jobs
from eco2ai_callbacks.runlog.read import records
from eco2ai_callbacks.runlog.verify import verify

GPUS = [f"GPU-0000000{number}-0000-0000-0000-000000000000" for number in range(4)]
WATTS = 100.0
# What a launch may take where others work on the same processors.
LIMIT_S = 240

# Every rank burns processor time that it counts itself, on a machine whose watts per busy thread are known.
PRELUDE = """
import dataclasses, json, os, sys, time
from pathlib import Path
from eco2ai_callbacks.session.context import Platform
from eco2ai_callbacks.testing import CLOUD_VM

SETTINGS = {"region": "FR", "powercap_root": "nowhere", "heartbeat_s": 0.0}
# Used up by the first step.
SMALL = {**SETTINGS, "max_energy_kwh": 1e-12, "log_file": "budget.jsonl", "console": False}

def host():
    return CLOUD_VM

def burn(seconds=0.1):
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass

def tell(rank, **values):
    Path(f"rank{rank}.json").write_text(json.dumps(values))

def leave():
    # At an ordinary exit the threads of torch's process groups abort now and then, without us too.
    if "TORCHELASTIC_RUN_ID" in os.environ:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)
"""

LIGHTNING = (
    PRELUDE
    + """
import signal
import torch
import PACKAGE as pl
from eco2ai_callbacks.lightning import Eco2AICallback

class Burns(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(4, 2)

    def training_step(self, batch, index):
        burn()
        return self.layer(batch[0]).sum()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)

class Begun(pl.Callback):
    # Behind ours: what ours does before its first reading is no part of the fit.
    def on_fit_start(self, trainer, module):
        self.at = time.process_time()

class Around(pl.Callback):
    def __init__(self, begun):
        self.begun, self.seen = begun, []

    def on_train_epoch_start(self, trainer, module):
        self.keep(trainer)

    def on_train_epoch_end(self, trainer, module):
        if trainer.current_epoch == 1 and os.environ.get("KILLED") == str(trainer.global_rank):
            os.kill(os.getpid(), signal.SIGKILL)

    def on_fit_end(self, trainer, module):
        self.keep(trainer)
        tell(trainer.global_rank, cpu_s=time.process_time() - self.begun.at, scalars=self.seen)

    def keep(self, trainer):
        found = {name: float(value) for name, value in trainer.callback_metrics.items()}
        if found:
            self.seen.append(found)

if __name__ == "__main__":
    torch.set_num_threads(1)
    ranks, strategy = int(sys.argv[1]), sys.argv[2]
    ours = Eco2AICallback.on_platform(Platform(host=host), **SETTINGS)
    data = torch.utils.data.TensorDataset(torch.randn(6 * 4 * ranks, 4))
    begun = Begun()
    trainer = pl.Trainer(
        accelerator="cpu", devices=ranks, strategy=strategy, max_epochs=2, logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False, callbacks=[Around(begun), ours, begun],
    )
    trainer.fit(Burns(), torch.utils.data.DataLoader(data, batch_size=4))
    budget = pl.Trainer(
        accelerator="cpu", devices=ranks, strategy=strategy, max_epochs=1, logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False,
        callbacks=[Eco2AICallback.on_platform(Platform(host=host), **SMALL)],
    )
    if strategy == "ddp":
        budget.fit(Burns(), torch.utils.data.DataLoader(data, batch_size=4))
        Path(f"budget{budget.global_rank}").write_text(str(budget.global_step))
    leave()
"""
)

TRANSFORMERS = (
    PRELUDE
    + """
import torch
from transformers import Trainer, TrainerCallback, TrainingArguments
from eco2ai_callbacks.transformers import Eco2AICallback

class Burns(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(4, 2)

    def forward(self, x=None, labels=None):
        burn()
        out = self.layer(x)
        return {"loss": torch.nn.functional.cross_entropy(out, labels), "logits": out}

class Data(torch.utils.data.Dataset):
    def __init__(self, size):
        self.size = size

    def __len__(self):
        return self.size

    def __getitem__(self, index):
        return {"x": torch.ones(4) * index, "labels": index % 2}

class Begun(TrainerCallback):
    def on_train_begin(self, args, state, control, **kwargs):
        self.at = time.process_time()

class Ended(TrainerCallback):
    def on_train_end(self, args, state, control, **kwargs):
        self.at = time.process_time()

torch.set_num_threads(1)
args = TrainingArguments(
    "out", num_train_epochs=2, per_device_train_batch_size=4, per_device_eval_batch_size=4, eval_strategy="epoch",
    save_strategy="epoch", report_to="none", disable_tqdm=True, use_cpu=True, ddp_backend="gloo",
)
ours, begun, ended = Eco2AICallback.on_platform(Platform(host=host), **SETTINGS), Begun(), Ended()
fit = Trainer(Burns(), args, train_dataset=Data(96), eval_dataset=Data(16), callbacks=[ended, ours, begun])
fit.train()
found = fit.evaluate()
args.num_train_epochs, args.eval_strategy = 1, "no"
args.save_strategy = "no"
small = Eco2AICallback.on_platform(Platform(host=host), **SMALL)
budget = Trainer(Burns(), args, train_dataset=Data(96), callbacks=[small])
budget.train()
Path(f"budget{args.process_index}").write_text(str(budget.state.global_step))
tell(args.process_index, cpu_s=ended.at - begun.at, history=fit.state.log_history, evaluated=found)
leave()
"""
)

# A loop of one's own, on one host: nothing but the launcher's variables tells the ranks of each other.
ACCELERATE = (
    PRELUDE
    + """
import resource
import torch
from accelerate import Accelerator
from eco2ai_callbacks import Tracker

class Data(torch.utils.data.Dataset):
    def __len__(self):
        return 32

    def __getitem__(self, index):
        burn(0.01)  # in a worker
        return torch.ones(4)

def used():
    found = [resource.getrusage(whose) for whose in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in found)

torch.set_num_threads(1)
accelerator = Accelerator(cpu=True)
model = torch.nn.Linear(4, 2)
model, data = accelerator.prepare(model, torch.utils.data.DataLoader(Data(), batch_size=4, num_workers=1))
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
run = Tracker(platform=Platform(host=host), **SETTINGS).start()
began = used()
for epoch in range(2):
    for batch in data:
        burn(0.2)
        accelerator.backward(model(batch).sum())
        optimizer.step()
    run.mark(epoch=epoch)
total = run.stop()
tell(accelerator.process_index, cpu_s=used() - began, own=total.total_j)
accelerator.end_training()
"""
)

# Two hosts by their boot ids, with a group of processes; sharded parameters.
HOSTS = (
    PRELUDE
    + """
import torch
import torch.distributed as dist
from torch.distributed.fsdp import fully_shard
from eco2ai_callbacks import Tracker
from eco2ai_callbacks.distributed.process_group import torch_group

def other_host():
    return dataclasses.replace(CLOUD_VM, boot_id=f"host {rank // 2}")

torch.set_num_threads(1)
dist.init_process_group("gloo")
rank = dist.get_rank()
# A callback that only the first rank has must not wait for the others in a collective.
alone = torch_group(wait_s=0.2) is None if rank == 0 else None
dist.barrier()
model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Linear(8, 2))
for layer in model:
    fully_shard(layer, mesh=dist.init_device_mesh("cpu", (4,)))
fully_shard(model, mesh=dist.init_device_mesh("cpu", (4,)))
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
run = Tracker(ranks="auto", platform=Platform(host=other_host), **SETTINGS).start()
began, seen = time.process_time(), []
for epoch in range(2):
    run.enter("train", epoch)
    for _ in range(5):
        burn()
        model(torch.ones(3, 4)).sum().backward()
        optimizer.step()
    seen.append(run.end_epoch(epoch).scalars)
cpu_s = time.process_time() - began
run.stop()
tell(rank, cpu_s=cpu_s, scalars=seen, job_j=run.figures.total.total_j, alone=alone)
dist.barrier()
leave()
"""
)

KERAS = (
    PRELUDE
    + """
os.environ["KERAS_BACKEND"] = "torch"
import numpy, torch
import torch.distributed as dist
import keras
from eco2ai_callbacks.keras import Eco2AICallback

class Burns(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        burn()

dist.init_process_group("gloo")
model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
model.compile("sgd", "mse")
ours = Eco2AICallback.on_platform(Platform(host=host), ranks="torch", **SETTINGS)
history = model.fit(
    numpy.ones((16, 4)), numpy.ones(16), batch_size=4, epochs=2, verbose=2, callbacks=[Burns(), ours]
).history
tell(dist.get_rank(), scalars=history)
dist.destroy_process_group()
"""
)

# Nothing synchronises the ranks: each fits and evaluates a model of its own, and a collective would wait for others.
KERAS_UNEVEN = (
    PRELUDE
    + """
os.environ["KERAS_BACKEND"] = "torch"
import datetime
import numpy, torch
import torch.distributed as dist
import keras
from eco2ai_callbacks.keras import Eco2AICallback

dist.init_process_group("gloo", timeout=datetime.timedelta(seconds=600))
def forbidden(*_, **__):
    raise AssertionError("a collective of ours")
dist.all_gather_object = forbidden
rank = dist.get_rank()
model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
model.compile("sgd", "mse")
x, y = numpy.ones((16, 4)), numpy.ones(16)
ours = Eco2AICallback.on_platform(Platform(host=host), **SETTINGS)
if rank == 0:
    model.evaluate(x, y, verbose=0, callbacks=[Eco2AICallback.on_platform(Platform(host=host), **SETTINGS)])
history = model.fit(x, y, batch_size=4, epochs=(5, 2)[rank], verbose=0, callbacks=[ours]).history
tell(rank, epochs=len(history["loss"]), scalars=history)
dist.barrier()
leave()
"""
)

# No framework and no group: each process knows its rank alone.
BARE = (
    PRELUDE
    + """
from eco2ai_callbacks import Tracker

rank, ranks = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
run = Tracker(platform=Platform(host=host), console=False, **SETTINGS).start()
began = time.monotonic()
Path(f"begun{rank}.part").write_text(str(began))
Path(f"begun{rank}.part").rename(f"begun{rank}")
while len(times := [float(path.read_text()) for path in Path().glob("begun?")]) < ranks:
    time.sleep(0.01)
end = max(times) + 3  # all of them end together, however long a start took
time.sleep(max(0.0, end - time.monotonic()) / 2)
run.mark(epoch=0)
time.sleep(max(0.0, end - time.monotonic()))
run.mark(epoch=1)
tell(rank, began=began, ended=time.monotonic())
run.stop()
"""
)

# A rank dies in its second epoch; the launcher starts all of them again, and they go on with that epoch.
ELASTIC = (
    PRELUDE
    + """
import datetime, signal
from eco2ai_callbacks import Tracker

rank, attempt, part = int(os.environ["RANK"]), os.environ.get("TORCHELASTIC_RESTART_COUNT", "0"), sys.argv[1]
killed, group, run_id = sys.argv[2] if attempt == "0" else "", sys.argv[3] == "gloo", (sys.argv + [None])[4]
if group:
    import torch.distributed as dist
    dist.init_process_group("gloo", timeout=datetime.timedelta(seconds=60))
SETTINGS["heartbeat_s"] = 0.1  # what a kill may cost
run = Tracker(
    ranks="auto" if group else None, platform=Platform(host=host), run_id=run_id, console=False, **SETTINGS
).start()
began, saved = time.process_time(), Path("epochs")
reached = int(saved.read_text()) if saved.exists() else 0
for epoch in range(reached, reached + 2):
    run.enter("train", epoch)
    burn(0.4)
    if killed and epoch == reached + 1:
        tell(f"{rank} of {part}, attempt {attempt}", cpu_s=time.process_time() - began)
        # Once one is killed, the launcher ends the others, which may not have come so far.
        while len(list(Path().glob(f"rank* of {part}, attempt {attempt}.json"))) < int(os.environ["WORLD_SIZE"]):
            time.sleep(0.05)
        time.sleep(0.5)
        if str(rank) == killed:
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(LIMIT)
    run.end_epoch(epoch)
    if group:
        dist.barrier()
    if rank == 0:
        saved.write_text(str(epoch + 1))
tell(f"{rank} of {part}, attempt {attempt}", cpu_s=time.process_time() - began)
run.stop()
leave()
""".replace("LIMIT", str(LIMIT_S))
)

# A rank of a job whose nodes come and go. Each part trains two epochs: the first node alone, until another one comes;
# both, until the second one dies while the first one trains; the first one again, to its end.
NODES = (
    PRELUDE
    + """
import datetime, signal
import torch.distributed as dist
from eco2ai_callbacks import Tracker

rank, size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
part = f"{size} after {os.environ['TORCHELASTIC_RESTART_COUNT']}"
dist.init_process_group("gloo", timeout=datetime.timedelta(seconds=600))
run = Tracker(ranks="auto", platform=Platform(host=host), console=False, **SETTINGS).start()
began, saved, shown = time.process_time(), Path("epochs"), {}
reached = int(saved.read_text()) if saved.exists() else 0

def told(**more):
    tell(f"{rank} of {part}", cpu_s=time.process_time() - began, shown=shown, **more)

for epoch in range(reached, reached + 2):
    run.enter("train", epoch)
    burn(0.5)
    shown[epoch] = run.end_epoch(epoch).train["eco2ai/energy_kwh"]
    dist.barrier()
    if rank == 0:
        saved.write_text(str(epoch + 1))
if part == "2 after 0" and rank == 1:
    while saved.read_text() != str(epoch + 1):  # rank 0 may still be in the barrier
        time.sleep(0.1)
    told(killed=time.time())
    os.kill(os.getppid(), signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGKILL)
elif part == "2 after 0":
    run.enter("train", epoch + 1)
    burn(0.5)
    try:
        run.end_epoch(epoch + 1)
    except RuntimeError as error:
        told(error=str(error))
        run.stop("interrupted")
        tell("0's end", at=time.time())
        os._exit(1)
elif part == "1 after 0":
    told()
    time.sleep(LIMIT)
told()
run.stop()
leave()
""".replace("LIMIT", str(LIMIT_S))
)


@pytest.fixture
def boards(stub_library: Path, tmp_path: Path) -> NvmlStub:
    stub = NvmlStub(stub_library, tmp_path)
    for uuid in GPUS:
        stub.gpu(uuid, WATTS)
    return stub


def rows() -> list[dict[str, Any]]:
    """The lines of the log; where two write at once, one may take the other's for cut off and leave an empty line."""
    return full([line for line in Path("eco2ai.jsonl").read_text().splitlines() if line])


def written(script: str) -> str:
    Path("train.py").write_text(script)
    return "train.py"


def run(command: list[str], environ: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    environ = {**os.environ, "CUDA_VISIBLE_DEVICES": "", **(environ or {}), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=LIMIT_S, check=False)
    assert done.returncode == 0, done.stderr[-5000:]
    return done


def torchrun(ranks: int, script: str, *args: str, environ: dict[str, str] | None = None) -> str:
    """What a launch prints to standard error."""
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={ranks}"]
    return run([*launcher, written(script), *args], environ).stderr


def told(ranks: int) -> list[dict[str, Any]]:
    return [json.loads(Path(f"rank{rank}.json").read_text()) for rank in range(ranks)]


def the_job() -> Job:
    found = jobs(records(Path("eco2ai.jsonl")))
    assert len(found) == 1, f"{len(found)} runs"
    assert not verify(Path("eco2ai.jsonl")).faults
    return next(iter(found.values()))


def busy_s(job: Job) -> float:
    """Busy core-seconds that a job's CPU energy stands for."""
    attribution = next(row["attribution"]["cpu"] for row in rows() if row["joules"])
    watts = float(re.search(r"([\d.]+) W per busy thread", attribution)[1])  # type: ignore[index]
    return job.total.joules["cpu"] / watts


def marks(event: str = "epoch") -> list[dict[str, Any]]:
    return [row for row in rows() if row["event"] == event]


def summed(epoch: int, figure: str = "energy_kwh") -> float:
    return sum(row["epoch_total"][figure] for row in marks() if row["epoch"] == epoch)


def counted_by(uuid: str) -> dict[int, float]:
    found: dict[int, float] = {}
    for row in rows():
        if f"gpu:{uuid}" in row["joules"] and row["event"] in ("epoch", "stage", "stop"):
            found[row["rank"]] = found.get(row["rank"], 0.0) + row["joules"][f"gpu:{uuid}"]
    return found


def lines_of(printed: str) -> list[str]:
    return [line for line in printed.splitlines() if line.startswith("eco2ai: ")]


def lightning(script: str = LIGHTNING) -> str:
    names = [
        name for name in ("lightning.pytorch", "pytorch_lightning") if importlib.util.find_spec(name.split(".")[0])
    ]
    if not names:
        pytest.skip("neither lightning nor pytorch_lightning is installed")
    return script.replace("PACKAGE", names[0])


def check_lightning(ranks: int, printed: str) -> Job:
    job = the_job()
    assert job.said == f"{ranks} ranks"
    found = told(ranks)
    assert busy_s(job) == pytest.approx(sum(each["cpu_s"] for each in found), rel=0.03)
    assert all(each["scalars"] == found[0]["scalars"] for each in found)
    for epoch, scalars in enumerate(found[0]["scalars"]):
        assert scalars["eco2ai/energy_kwh"] == pytest.approx(summed(epoch), rel=1e-6)
        assert scalars["eco2ai/co2_kg"] == pytest.approx(summed(epoch, "co2_kg"), rel=1e-6)
    assert len(found[0]["scalars"]) == 2
    lines = lines_of(printed)
    assert len(lines) == 1, printed
    assert f"{ranks} ranks" in lines[0]
    assert "sync_dist" not in printed
    assert not [row["failures"] for row in rows() if row["failures"]]
    return job


def check_budget(ranks: int) -> None:
    """All ranks have stopped at the same step, the first at which they look, within the only epoch of six steps."""
    assert [Path(f"budget{rank}").read_text() for rank in range(ranks)] == ["2"] * ranks
    found = full(Path("budget.jsonl").read_text().splitlines())
    ended = [row["ended"] for row in found if row["event"] == "stop"]
    assert ended == ended[:1] * ranks
    assert re.fullmatch(r"budget: the budget of 1e-12 kWh is used up: \S+ kWh", ended[0])


def test_lightning_under_torchrun_counts_four_ranks_and_the_boards_that_all_see_once(boards: NvmlStub) -> None:
    pytest.importorskip("torch")
    environ = {**boards.environ, "CUDA_VISIBLE_DEVICES": "0,1,2,3", "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}
    printed = torchrun(4, lightning(), "4", "ddp", environ=environ)
    job = check_lightning(4, printed)
    check_budget(4)
    for uuid in GPUS:
        assert counted_by(uuid).keys() == {0}
        assert counted_by(uuid)[0] == pytest.approx(WATTS * job.total.seconds, rel=0.01)


@pytest.mark.parametrize("strategy", ["ddp", "ddp_spawn"])
def test_lightning_s_own_launchers_count_their_children_once(strategy: str) -> None:
    pytest.importorskip("torch")
    done = run([sys.executable, written(lightning()), "2", strategy])
    check_lightning(2, done.stderr)
    parents = {row["pid"] for row in marks("start")}
    assert len(parents) == 2
    assert all(row["parent"] is None for row in marks("start"))


def test_transformers_under_torchrun_counts_four_ranks_once() -> None:
    pytest.importorskip("torch")
    pytest.importorskip("transformers")
    printed = torchrun(4, TRANSFORMERS)
    job = the_job()
    found = told(4)
    ended = {row["writer"] for row in marks("start")[:4]}
    fitted = jobs(record for record in records(Path("eco2ai.jsonl")) if record.writer in ended)[job.run]
    assert busy_s(fitted) == pytest.approx(sum(each["cpu_s"] for each in found), rel=0.03)
    histories = [[{name: row[name] for name in row if "eco2ai/" in name} for row in each["history"]] for each in found]
    histories = [history[:-1] for history in histories]  # without the evaluation outside of the training
    assert histories[1] == histories[2] == histories[3] == histories[0]
    logged = [row for row in found[0]["history"] if "eco2ai/energy_kwh" in row]
    assert [row["epoch"] for row in logged] == [1.0, 2.0]
    for epoch, row in enumerate(logged):
        assert close(row["eco2ai/energy_kwh"], summed(epoch))
        so_far = [mark["total"]["energy_kwh"] for mark in marks() if mark["epoch"] == epoch]
        assert close(row["eco2ai/total_energy_kwh"], sum(so_far))
    evaluations = [row for row in found[0]["history"] if "eval_eco2ai/energy_kwh" in row]
    for epoch, row in enumerate(evaluations[:2]):
        parts = [m["energy_kwh"] for m in marks("stage") if (m["stage"], m["epoch"]) == ("validate", epoch)]
        assert len(parts) == 4
        assert close(row["eval_eco2ai/energy_kwh"], sum(parts))
    alone = [m["energy_kwh"] for m in marks("stage") if (m["stage"], m["epoch"]) == ("validate", None)]
    # An evaluation outside of the training may be one rank's own: nothing is exchanged there.
    assert sorted(each["evaluated"]["eval_eco2ai/energy_kwh"] for each in found) == pytest.approx(sorted(alone))
    lines = lines_of(printed)
    assert len(lines) == 1
    assert "4 ranks" in lines[0]
    check_budget(4)
    saved = sorted(Path("out").glob("checkpoint-*/trainer_state.json"), key=lambda path: path.stat().st_mtime)[-1]
    state = json.loads(saved.read_text())["stateful_callbacks"]["eco2ai"]["attributes"]
    assert state["run_id"] == job.run
    # This rank has marked again since the ranks exchanged their totals.
    assert logged[1]["eco2ai/total_energy_kwh"] * (1 - 1e-9) <= state["energy_kwh"] <= fitted.total.energy_kwh


def test_a_loop_with_accelerate_counts_four_ranks_and_their_workers_once() -> None:
    pytest.importorskip("accelerate")
    printed = torchrun(4, ACCELERATE)
    job = the_job()
    assert job.said == "4 ranks"
    found = told(4)
    assert busy_s(job) == pytest.approx(sum(each["cpu_s"] for each in found), rel=0.03)
    assert close(sum(each["own"] for each in found), job.total.total_j or 0.0)
    # The workers, which are forked from measuring processes and inherit all they have, write nothing.
    assert len({row["pid"] for row in rows()}) == 4
    lines = lines_of(printed)
    assert len(lines) == 1
    assert "rank 0 of 4 alone" in lines[0]


def test_two_hosts_with_sharded_parameters_add_up(boards: NvmlStub) -> None:
    pytest.importorskip("torch", minversion="2.6")
    environ = {**boards.environ, "CUDA_VISIBLE_DEVICES": "0", "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}
    printed = torchrun(4, HOSTS, environ=environ)
    job = the_job()
    assert len(job.hosts) == 2
    found = told(4)
    assert found[0]["alone"] is True
    assert busy_s(job) == pytest.approx(sum(each["cpu_s"] for each in found), rel=0.03)
    seconds = job.total.seconds
    once_each = {0: pytest.approx(WATTS * seconds, rel=0.02), 2: pytest.approx(WATTS * seconds, rel=0.02)}
    assert counted_by(GPUS[0]) == once_each
    for each in found:
        assert each["scalars"] == found[0]["scalars"]
        assert close(each["job_j"], job.total.total_j or 0.0)
    assert all(close(each["eco2ai/energy_kwh"], summed(epoch)) for epoch, each in enumerate(found[0]["scalars"]))
    assert len(lines_of(printed)) == 1


def test_keras_on_torch_logs_the_sum_of_its_processes() -> None:
    pytest.importorskip("torch")
    if importlib.util.find_spec("keras") is None:
        pytest.skip("keras is not installed")
    printed = torchrun(2, KERAS)
    assert the_job().said == "2 ranks"
    found = told(2)
    ours = [{name: each["scalars"][name] for name in each["scalars"] if "eco2ai/" in name} for each in found]
    assert ours[0] == ours[1]
    for epoch, energy in enumerate(ours[0]["eco2ai/energy_kwh"]):
        assert close(energy, summed(epoch))
    assert len(lines_of(printed)) == 1


def test_keras_fits_that_nothing_synchronises_meet_nobody_and_are_one_run() -> None:
    pytest.importorskip("torch")
    if importlib.util.find_spec("keras") is None:
        pytest.skip("keras is not installed")
    torchrun(2, KERAS_UNEVEN)
    found = told(2)
    assert [each["epochs"] for each in found] == [5, 2]
    assert not [row["failures"] for row in rows() if row["failures"]]
    fits = [row for row in marks() if row["stage"] == "train"]
    assert len({row["run"] for row in fits}) == 1
    assert len({row["run"] for row in rows()}) == 2  # the evaluation of one rank alone
    assert {rank: len([row for row in fits if row["rank"] == rank]) for rank in (0, 1)} == {0: 5, 1: 2}
    for rank, each in enumerate(found):
        own = [row["epoch_total"]["energy_kwh"] for row in fits if row["rank"] == rank]
        assert each["scalars"]["eco2ai/energy_kwh"] == pytest.approx(own)


@pytest.mark.slow
@pytest.mark.parametrize("all_see_all", [False, True], ids=["a board each", "all see all boards"])
def test_processes_that_know_their_rank_alone_count_each_board_once(boards: NvmlStub, all_see_all: bool) -> None:
    """They begin one after the other, the highest rank first: what another will count is counted until it comes."""
    script = written(BARE)
    processes = []
    for rank in (3, 2, 1, 0):
        environ = {
            **boards.environ,
            "RANK": str(rank),
            "WORLD_SIZE": "4",
            "LOCAL_WORLD_SIZE": "4",
            "CUDA_DEVICE_ORDER": "PCI_BUS_ID",
            "CUDA_VISIBLE_DEVICES": "0,1,2,3" if all_see_all else str(rank),
        }
        processes.append(subprocess.Popen([sys.executable, script], env=environ))
        time.sleep(0.3)
    assert [process.wait(timeout=60) for process in processes] == [0, 0, 0, 0]
    job = the_job()
    assert job.said == "4 ranks"
    found = told(4)
    for rank, uuid in enumerate(GPUS):
        if all_see_all:
            began = min(each["began"] for each in found)
            seconds = found[0]["ended"] - began
        else:
            assert counted_by(uuid).keys() == {rank}
            seconds = found[rank]["ended"] - found[rank]["began"]
        assert sum(counted_by(uuid).values()) == pytest.approx(WATTS * seconds, rel=0.03)


def free_port() -> str:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return str(free.getsockname()[1])


def test_a_rank_that_is_killed_holds_up_nobody_and_leaves_the_log_whole() -> None:
    """It dies where the others are about to tell each other what they have used."""
    pytest.importorskip("torch")
    script = written(lightning())
    common = {
        "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "GROUP_RANK": "0", "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": free_port(),
        "TORCHELASTIC_RUN_ID": "killed", "KILLED": "1", "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "",
    }  # fmt: skip
    processes = [
        subprocess.Popen(
            [sys.executable, script, "2", "ddp"],
            env={**os.environ, **common, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    assert processes[1].wait(timeout=LIMIT_S) == -signal.SIGKILL
    killed = time.monotonic()
    printed = [process.communicate(timeout=LIMIT_S)[1] for process in processes]
    assert time.monotonic() - killed < 60  # gloo sees a closed connection at once; its time-out is 30 minutes
    assert processes[0].returncode > 0
    assert "gloo" in printed[0].lower()
    job = the_job()
    assert job.ranks == (0, 1)
    ended = {row["rank"]: row["ended"] for row in marks("stop")}
    assert ended == {0: "interrupted"}
    assert {(row["rank"], row["epoch"]) for row in marks()} >= {(0, 0), (1, 0)}
    assert len(lines_of(printed[0])) == 1


def check_restarted(ranks: int) -> Job:
    job = the_job()
    assert job.said == f"{ranks} ranks"
    cpu_s = sum(json.loads(path.read_text())["cpu_s"] for path in Path().glob("rank* of *.json"))
    assert busy_s(job) == pytest.approx(cpu_s, rel=0.05)
    return job


def test_ranks_that_are_restarted_go_on_with_their_run() -> None:
    """With the processes and variables of ``torchrun``, under which a group of gloo that is made again may hang."""
    pytest.importorskip("torch")
    script, port = written(ELASTIC), free_port()

    def started(attempt: int) -> list[subprocess.Popen[bytes]]:
        common = {
            "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "GROUP_RANK": "0", "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": port, "TORCHELASTIC_RUN_ID": "restarted",
            "TORCHELASTIC_RESTART_COUNT": str(attempt), "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "",
        }  # fmt: skip
        return [
            subprocess.Popen(
                [sys.executable, script, "first", "1", "gloo"],
                env={**os.environ, **common, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            )
            for rank in range(2)
        ]

    other, killed = started(0)
    assert killed.wait(timeout=LIMIT_S) == -signal.SIGKILL
    other.terminate()
    assert other.wait(timeout=LIMIT_S) != 0
    assert [process.wait(timeout=LIMIT_S) for process in started(1)] == [0, 0]
    check_restarted(2)
    ended = {row["rank"]: row["ended"] for row in marks("stop")}
    assert ended == {0: "finished", 1: "finished"}
    assert {(row["rank"], row["epoch"], row["attempt"]) for row in marks()} == {
        (rank, epoch, attempt) for rank in (0, 1) for epoch, attempt in ((0, 1), (1, 2), (2, 1))
    }


def test_ranks_of_their_own_are_restarted_and_become_fewer_and_the_run_s_total_stays_right() -> None:
    pytest.importorskip("torch")  # has the launcher
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=4", "--max-restarts=1"]
    script = written(ELASTIC)
    run([*launcher, script, "first", "3", "none"])
    first = check_restarted(4)
    sizes = {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}
    later = [
        subprocess.Popen(
            [sys.executable, script, "second", "", "none", first.run],
            env={**os.environ, **sizes, "RANK": str(rank), "LOCAL_RANK": str(rank)},
        )
        for rank in range(2)
    ]
    assert [process.wait(timeout=LIMIT_S) for process in later] == [0, 0]
    job = check_restarted(4)
    assert job.run == first.run
    # The first rank goes on with the parts of those that are no more.
    totals = {row["rank"]: row["total"]["energy_kwh"] for row in marks("stop") if row["world_size"] == 2}
    assert close(sum(totals.values()), job.total.energy_kwh or 0.0)


@pytest.mark.nodes
def test_a_node_that_comes_and_dies_leaves_the_run_s_total_right() -> None:
    pytest.importorskip("torch")
    script, port = written(NODES), free_port()
    # Nobody is waited for once the least number of nodes is there, and a node that is silent for 10 s is dead.
    timing = "last_call_timeout=1,keep_alive_interval=1,keep_alive_max_attempt=10"
    launcher = [
        *(sys.executable, "-m", "torch.distributed.run", "--nnodes=1:2", "--nproc-per-node=1", "--max-restarts=1"),
        *("--rdzv-backend=c10d", f"--rdzv-endpoint=127.0.0.1:{port}", "--rdzv-id=nodes", f"--rdzv-conf={timing}"),
        *("--local-addr=127.0.0.1", "--monitor-interval=0.2", script),
    ]
    environ = {**os.environ, "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}
    # With one store for all ranks that it ever starts, a node that comes waits for an address that nobody writes again
    # (torch 2.13). Without, each group has a port of its own.
    environ["TORCH_DISABLE_SHARE_RDZV_TCP_STORE"] = "1"
    first = subprocess.Popen(launcher, env=environ, stderr=subprocess.PIPE, text=True)
    nodes, alone = [first], Path("rank0 of 1 after 0.json")
    try:
        end = time.monotonic() + LIMIT_S
        while not alone.exists():
            assert first.poll() is None, first.communicate()
            assert time.monotonic() < end
            time.sleep(0.1)
        nodes.append(subprocess.Popen(launcher, env=environ))
        assert nodes[1].wait(timeout=LIMIT_S) == -signal.SIGKILL
        printed = first.communicate(timeout=LIMIT_S)[1]
    finally:
        for node in nodes:
            node.kill()
    assert first.returncode == 0, printed[-5000:]
    job = check_restarted(2)
    # Both have shown the figures of both while both were there, and one its own alone.
    shown = {path.stem: json.loads(path.read_text())["shown"] for path in Path().glob("rank* after *.json")}
    assert shown["rank0 of 2 after 0"] == shown["rank1 of 2 after 0"]
    for told_by, epochs in (("rank0 of 1 after 0", "01"), ("rank0 of 2 after 0", "23"), ("rank0 of 1 after 1", "45")):
        assert shown[told_by].keys() == set(epochs)
    assert all(close(shown["rank0 of 2 after 0"][str(epoch)], summed(epoch)) for epoch in (2, 3))
    # The one that is left meets a closed connection, whose time-out is 10 minutes, and waits for nobody of its own.
    (died,) = (json.loads(path.read_text())["killed"] for path in Path().glob("rank1 of 2*.json"))
    left = json.loads(Path("rank0's end.json").read_text())
    assert left["at"] - died < 60
    assert verify(Path("eco2ai.jsonl")).whole
    # The first rank goes on with the part of the one that is no more; until then a reader is told that it has no end.
    last = marks("stop")[-1]
    assert (last["ended"], last["world_size"]) == ("finished", 1)
    assert close(last["total"]["energy_kwh"], job.total.energy_kwh or 0.0)
    before = [line for line in Path("eco2ai.jsonl").read_text().splitlines() if last["writer"] not in line]
    Path("before.jsonl").write_text("\n".join([*before, ""]))
    (parted,) = load("before.jsonl").runs
    assert parted.ranks == (0, 1)
    assert set(parted.states) == {"interrupted", "unfinished"}
