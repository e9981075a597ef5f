"""Real Ray on this machine: trainers of two and three workers, a worker that is killed, and a sweep."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from logcheck import rows

from eco2ai_callbacks import Tracker, load
from eco2ai_callbacks.report.runs import Run
from eco2ai_callbacks.runlog.verify import verify

ray = pytest.importorskip("ray")
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

EPOCHS = 3
# A loop spends so much CPU time in an epoch.
BURN_S = 0.5
# The steps of a fit's epoch share them.
STEPS = 4
FIT_EPOCHS = 4
# Ray's own limit of a minute is short where others work on the same processors.
WORKERS_START_S = 300
# Where Ray leaves the token of its nodes: a test has another home.
TOKEN = Path.home() / ".ray" / "auth_token"


@pytest.fixture(scope="module", autouse=True)
def cluster() -> Iterator[None]:
    # Workers import what the tests import.
    paths = os.pathsep.join([str(Path(__file__).parent), str(Path(__file__).parents[1] / "support")])
    variables = {"PYTHONPATH": os.pathsep.join([paths, os.environ.get("PYTHONPATH", "")]), "ECO2AI_REGION": "FR"}
    variables["ECO2AI_POWERCAP_ROOT"] = "nowhere"  # estimated by watts a thread
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S", str(WORKERS_START_S))
        start(num_cpus=4, include_dashboard=False, log_to_driver=False, runtime_env={"env_vars": variables})
        yield
        ray.shutdown()


def start(**how: Any) -> None:
    """Start Ray, which gives up on its own processes after half a minute, again until they have the time they need."""
    end = time.monotonic() + WORKERS_START_S
    while not ray.is_initialized():
        try:
            ray.init(**how)
        except Exception as error:
            ray.shutdown()
            if "timed out during startup" not in str(error) or time.monotonic() > end:
                raise


def burn(seconds: float = BURN_S) -> None:
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass


def loop(report: Any, ranks: Any = None) -> None:
    """Train without a framework: CPU time, and a report of each epoch with what it used."""
    run = Tracker(console=False, ranks=ranks).start()
    before = time.process_time()
    for epoch in range(EPOCHS):
        burn()
        figures = run.end_epoch(epoch, planned=EPOCHS, metrics={"cpu_s": time.process_time() - before}).scalars
        report({"epoch": epoch, "cpu_s": time.process_time() - before, **figures})
    run.stop()


def cpu_j(run: Run, cpu_s: float) -> float:
    """Return the joules of CPU time by the watts that the log states: a loop in this process would count Ray's too."""
    watts = re.fullmatch(r"job's process tree, ([\d.]+) W per busy thread", run.attribution["cpu"])
    assert watts is not None, run.attribution
    return cpu_s * float(watts[1])


def train(fn: Any, storage: Path, name: str, workers: int = 2, **more: Any) -> Any:
    from ray.train import FailureConfig, RunConfig, ScalingConfig
    from ray.train.torch import TorchTrainer

    config = RunConfig(storage_path=str(storage), name=name, failure_config=FailureConfig(max_failures=2))
    scaling = ScalingConfig(num_workers=workers, resources_per_worker={"CPU": 1})
    return TorchTrainer(fn, train_loop_config=more, scaling_config=scaling, run_config=config).fit()


def plain(config: dict[str, Any]) -> None:
    import ray.train

    loop(ray.train.report, ranks="auto")


@pytest.mark.parametrize("workers", [2, 3])
def test_a_loop_is_one_run_with_every_worker_once(tmp_path: Path, workers: int) -> None:
    train(plain, tmp_path, "plain", workers)
    log = tmp_path / "plain" / "eco2ai.jsonl"  # where Ray keeps the results
    assert verify(log).whole
    (run,) = load(log).runs
    assert run.ranks == tuple(range(workers))
    assert run.states == ("finished",)
    # Of each worker, its own CPU time since the start: raylets and other actors are not counted.
    seconds = [
        max(row["metrics"]["cpu_s"] for row in rows(log) if row.get("rank", 0) == r and row["event"] == "epoch")
        for r in range(workers)
    ]
    assert run.joules["cpu"] == pytest.approx(cpu_j(run, sum(seconds)), rel=0.05)


def test_the_example_shows_each_epoch_of_both_workers(tmp_path: Path) -> None:
    example = Path(__file__).parents[2] / "examples" / "ray_train.py"
    # On the nodes that run already: those of this file.
    address = ray.get_runtime_context().gcs_address
    variables = {**os.environ, "RAY_ADDRESS": address, "RAY_AUTH_TOKEN_PATH": str(TOKEN), "ECO2AI_REGION": "FR"}
    done = subprocess.run(
        [sys.executable, str(example)], capture_output=True, text=True, check=False, cwd=tmp_path, env=variables
    )
    assert done.returncode == 0, done.stderr
    log = tmp_path / "runs" / "points" / "eco2ai.jsonl"
    assert verify(log).whole
    (run,) = load(log).runs
    assert run.ranks == (0, 1)
    shown = re.findall(r"^epoch (\d): energy +([\d.]+) µWh +CO2 +([\d.]+) µg$", done.stdout, re.MULTILINE)
    assert [int(epoch) for epoch, _, _ in shown] == [0, 1, 2]
    for (_, energy, _), epoch in zip(shown, run.epochs, strict=True):
        assert float(energy) == pytest.approx((epoch.energy_kwh or 0.0) * 1e9, abs=0.06)
    (total,) = re.findall(r"^accuracy 0\.\d+  energy ([\d.]+) µWh$", done.stdout, re.MULTILINE)
    assert 0 < float(total) <= (run.energy_kwh or 0.0) * 1e9 + 0.06


def counting(folder: Path) -> None:
    """Let the trackers of this process leave, beside what they measure, the CPU time that it counts itself."""

    def counted(method: Any) -> Any:
        def call(tracker: Tracker, *args: Any, **kwargs: Any) -> Any:
            found = method(tracker, *args, **kwargs)
            with (folder / f"{os.getpid()}.cpu").open("a") as file:
                print(time.process_time(), file=file)
            return found

        return call

    for name in ("start", "end_epoch", "stop"):
        setattr(Tracker, name, counted(getattr(Tracker, name)))


def check_cpu_time(log: Path, run: Run, folder: Path) -> None:
    """Hold a run's joules to the CPU time of its processes, up to its end or the latest epoch that it has ended."""
    pids = {row["pid"] for row in rows(log)}
    files = [folder / f"{pid}.cpu" for pid in pids]
    assert sorted(folder.glob("*.cpu")) == sorted(files)
    times = [[float(line) for line in file.read_text().splitlines()] for file in files]
    assert run.joules["cpu"] == pytest.approx(cpu_j(run, sum(each[-1] - each[0] for each in times)), rel=0.05)


def kill_once(config: dict[str, Any], epoch: float, rank: int) -> None:
    """End the second worker as the system would, where the test wants it and not again."""
    flag = Path(config["folder"]) / "killed"
    if config["killed"] and (epoch, rank) == (2, 1) and not flag.exists():
        flag.touch()
        os.kill(os.getpid(), signal.SIGKILL)


def lightning(config: dict[str, Any]) -> None:
    import lightning.pytorch as pl
    import ray.train
    import torch
    from ray.train.lightning import RayDDPStrategy, RayLightningEnvironment, RayTrainReportCallback, prepare_trainer

    from eco2ai_callbacks.lightning import Eco2AICallback

    class Net(pl.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.layer = torch.nn.Linear(4, 1)

        def training_step(self, batch: Any, _: int) -> Any:
            burn(BURN_S / STEPS)
            return self.layer(batch[0]).pow(2).mean()

        def configure_optimizers(self) -> Any:
            return torch.optim.SGD(self.parameters(), 1e-3)

    class Killed(pl.Callback):
        def on_train_epoch_start(self, trainer: Any, _: Any) -> None:
            kill_once(config, trainer.current_epoch, trainer.global_rank)

    counting(Path(config["folder"]))
    size = 4 * STEPS * ray.train.get_context().get_world_size()
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(torch.randn(size, 4)), batch_size=4)
    trainer = prepare_trainer(
        pl.Trainer(
            max_epochs=FIT_EPOCHS,
            accelerator="cpu",
            devices="auto",
            strategy=RayDDPStrategy(),
            plugins=[RayLightningEnvironment()],
            callbacks=[Eco2AICallback(console=False), RayTrainReportCallback(), Killed()],
            enable_progress_bar=False,
            enable_checkpointing=False,
            logger=False,
        )
    )
    checkpoint = ray.train.get_checkpoint()
    if checkpoint is None:
        trainer.fit(Net(), loader)
    else:
        with checkpoint.as_directory() as folder:
            trainer.fit(Net(), loader, ckpt_path=str(Path(folder) / "checkpoint.ckpt"))


def hugging_face(config: dict[str, Any]) -> None:
    import ray.train
    import torch
    from ray.train.huggingface.transformers import RayTrainReportCallback, prepare_trainer
    from transformers import PretrainedConfig, PreTrainedModel, Trainer, TrainerCallback, TrainingArguments

    from eco2ai_callbacks.transformers import Eco2AICallback

    class Net(PreTrainedModel):
        config_class = PretrainedConfig

        def __init__(self) -> None:
            super().__init__(PretrainedConfig())
            self.layer = torch.nn.Linear(4, 1)
            self.post_init()

        def forward(self, x: Any, labels: Any = None) -> Any:
            burn(BURN_S / STEPS)
            out = self.layer(x)
            return {"loss": (out - labels).pow(2).mean(), "logits": out}

    class Killed(TrainerCallback):
        def on_epoch_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            kill_once(config, state.epoch, args.process_index)

    counting(Path(config["folder"]))
    size = 4 * STEPS * ray.train.get_context().get_world_size()
    data = [{"x": torch.randn(4), "labels": torch.zeros(1)} for _ in range(size)]
    arguments = TrainingArguments(
        output_dir=str(Path(config["folder"]) / "output"),
        num_train_epochs=FIT_EPOCHS,
        per_device_train_batch_size=4,
        report_to="none",
        use_cpu=True,
        disable_tqdm=True,
        save_strategy="epoch",
        logging_strategy="epoch",
    )
    callbacks = [Eco2AICallback(console=False), RayTrainReportCallback(), Killed()]
    trainer = prepare_trainer(Trainer(Net(), arguments, train_dataset=data, callbacks=callbacks))
    checkpoint = ray.train.get_checkpoint()
    if checkpoint is None:
        trainer.train()
    else:
        with checkpoint.as_directory() as folder:
            trainer.train(resume_from_checkpoint=str(Path(folder) / "checkpoint"))


FITS = {"lightning": lightning, "transformers": hugging_face}


@pytest.mark.parametrize("framework", FITS)
def test_a_fit_is_one_run_with_every_worker_once(tmp_path: Path, framework: str) -> None:
    pytest.importorskip(framework)
    result = train(FITS[framework], tmp_path, "fit", workers=3, folder=str(tmp_path), killed=False)
    log = tmp_path / "fit" / "eco2ai.jsonl"
    assert verify(log).whole
    (run,) = load(log).runs
    assert (run.ranks, run.states) == ((0, 1, 2), ("finished",))
    assert [epoch.epoch for epoch in run.epochs] == list(range(FIT_EPOCHS))
    check_cpu_time(log, run, tmp_path)
    assert 0 < result.metrics["eco2ai/energy_kwh"] < run.energy_kwh


@pytest.mark.parametrize("framework", FITS)
def test_a_fit_goes_on_with_the_same_run_where_a_worker_was_killed(tmp_path: Path, framework: str) -> None:
    pytest.importorskip(framework)
    result = train(FITS[framework], tmp_path, "fit", folder=str(tmp_path), killed=True)
    log = tmp_path / "fit" / "eco2ai.jsonl"
    assert verify(log).whole
    (run,) = load(log).runs
    assert run.ranks == (0, 1)
    assert len(run.writers) == 4
    # Ray may not have kept the latest checkpoint yet: then an epoch more was begun twice.
    assert {epoch.epoch for epoch in run.epochs} == set(range(FIT_EPOCHS))
    check_cpu_time(log, run, tmp_path)
    # What the checkpoint did not hold counts too: the killed worker's part of the epochs after it.
    assert 0 < result.metrics["eco2ai/total_energy_kwh"] <= run.energy_kwh


def trial(config: dict[str, Any]) -> None:
    from ray import tune

    loop(tune.report)


def test_trials_at_the_same_time_are_runs_of_their_own_whose_sum_is_right(tmp_path: Path) -> None:
    from ray import tune

    config = tune.RunConfig(storage_path=str(tmp_path), name="sweep", verbose=0)
    results = tune.Tuner(trial, param_space={"x": tune.grid_search([1, 2, 3])}, run_config=config).fit()
    assert not results.errors
    logs = [Path(result.path) / "eco2ai.jsonl" for result in results]
    found = load(logs)
    assert len(found) == 3
    for result, log in zip(results, logs, strict=True):
        assert verify(log).whole
        (run,) = load(log).runs
        assert run.parent is None
        assert result.metrics["eco2ai/total_energy_kwh"] == pytest.approx(run.energy_kwh, rel=0.05)
        assert run.joules["cpu"] == pytest.approx(cpu_j(run, result.metrics["cpu_s"]), rel=0.05)
    assert found.sum.energy_kwh == pytest.approx(sum(run.energy_kwh for run in found))


def test_outside_of_workers_the_log_is_where_it_always_is() -> None:
    assert Tracker(console=False).settings.log_file == Path("eco2ai.jsonl")
