"""A loop of one's own on several JAX processes: the public interface sums over them."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from guides import blocks
from logcheck import close, rows

from eco2ai_callbacks.runlog.aggregate import jobs
from eco2ai_callbacks.runlog.read import records
from eco2ai_callbacks.runlog.verify import verify

pytest.importorskip("jax")

LOOP = """
import json, sys, time
import jax
from eco2ai_callbacks import Tracker

rank, port = int(sys.argv[1]), sys.argv[2]
jax.config.update("jax_platforms", "cpu")
jax.config.update("jax_cpu_collectives_implementation", "gloo")
jax.distributed.initialize(f"127.0.0.1:{port}", 2, rank)
own, told = [], []
with Tracker(ranks="auto", region="FR", console=False) as run:
    for epoch in range(2):
        run.enter("train", epoch)
        end = time.process_time() + 0.1 * (1 + rank)
        while time.process_time() < end:
            pass
        report = run.end_epoch(epoch)
        own.append(report.usage.energy_kwh)
        told.append(report.train["eco2ai/energy_kwh"])
print(json.dumps({"own": own, "told": told, "checkpoint": run.checkpoint.to_dict()}))
"""


# The guide's loop, as it stands, with data of its own and a second clock.
GUIDE = """
import functools, json, os, sys, time
import jax, numpy
from eco2ai_callbacks import Tracker

rank, port = int(sys.argv[1]), sys.argv[2]
jax.config.update("jax_platforms", "cpu")
jax.config.update("jax_cpu_collectives_implementation", "gloo")
jax.distributed.initialize = functools.partial(jax.distributed.initialize, f"127.0.0.1:{port}", 2, rank)
random = numpy.random.default_rng(rank)
def made():
    end = time.process_time() + 0.02
    while time.process_time() < end:
        pass
    return random.normal(size=(32, 64)).astype("float32"), random.integers(0, 10, 32)
class Batches:
    def __iter__(self):
        return (made() for _ in range(20))
start, stop, at = Tracker.start, Tracker.stop, []
def noted_start(self, *args):
    start(self, *args)
    at.append(time.process_time())
    return self
def noted_stop(self, *args):
    at.append(time.process_time())
    return stop(self, *args)
Tracker.start, Tracker.stop = noted_start, noted_stop
exec(SOURCE, {"batches": Batches()})
print(json.dumps({"cpu_s": at[1] - at[0]}))
"""


def two_processes(script: str) -> list[str]:
    """What two processes print that are told their number and a free port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    environ = {name: value for name, value in os.environ.items() if name != "XLA_FLAGS"}
    environ["ECO2AI_POWERCAP_ROOT"] = "nowhere"
    started = [
        subprocess.Popen(
            [sys.executable, "-c", script, str(rank), port], stdout=subprocess.PIPE, text=True, env=environ
        )
        for rank in range(2)
    ]
    printed = [process.communicate(timeout=240)[0] for process in started]
    assert [process.returncode for process in started] == [0, 0]
    return printed


@pytest.mark.slow
def test_the_guide_s_loop_with_flax_and_optax_shows_the_job_s_energy() -> None:
    for package in ("flax", "optax"):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} is not installed")
    guide = Path(__file__).parents[2] / "docs" / "engines.md"
    (source,) = [block.text for block in blocks(guide) if "optax" in block.text]
    printed = two_processes(f"SOURCE = {source!r}\n{GUIDE}")
    assert verify(Path("eco2ai.jsonl")).whole
    (job,) = jobs(records(Path("eco2ai.jsonl"))).values()
    assert job.said == "2 ranks"
    assert not [row["failures"] for row in rows(Path("eco2ai.jsonl")) if row["failures"]]
    shown = re.findall(r"^epoch (\d): loss [\d.]+ \{'eco2ai/energy_kwh': ([\d.e-]+)", printed[0], re.MULTILINE)
    assert [int(epoch) for epoch, _ in shown] == [0, 1, 2]
    ends = [row for row in rows(Path("eco2ai.jsonl")) if row["event"] == "epoch"]
    for epoch, energy in shown:
        parts = [row["epoch_total"]["energy_kwh"] for row in ends if row["epoch"] == int(epoch)]
        assert len(parts) == 2
        assert close(float(energy), sum(parts))
    watts = re.search(r"([\d.]+) W per busy thread", ends[0]["attribution"]["cpu"])
    assert watts is not None
    cpu_s = sum(json.loads(each.splitlines()[-1])["cpu_s"] for each in printed)
    assert job.total.joules["cpu"] / float(watts[1]) == pytest.approx(cpu_s, rel=0.05)


@pytest.mark.slow
def test_all_processes_of_a_plain_loop_know_the_job_s_sum() -> None:
    told = [printed.splitlines()[-1] for printed in two_processes(LOOP)]
    one, two = (json.loads(line) for line in told)
    found = rows(Path("eco2ai.jsonl"))
    assert len({row["run"] for row in found}) == 1
    assert {row["rank"] for row in found} == {0, 1}
    assert one["told"] == two["told"]
    for epoch in range(2):
        ends = [row for row in found if row["event"] == "epoch" and row["epoch"] == epoch]
        parts = {row["rank"]: row["epoch_total"]["energy_kwh"] for row in ends}
        assert close(one["told"][epoch], parts[0] + parts[1])
        assert 0 < one["own"][epoch] < two["own"][epoch]
    assert close(one["checkpoint"]["energy_kwh"], two["checkpoint"]["energy_kwh"])
