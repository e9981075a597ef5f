"""A loop of one's own on several JAX processes: the public interface sums over them."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from logcheck import close, rows

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


@pytest.mark.slow
def test_all_processes_of_a_plain_loop_know_the_job_s_sum() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    environ = {name: value for name, value in os.environ.items() if name != "XLA_FLAGS"}
    started = [
        subprocess.Popen([sys.executable, "-c", LOOP, str(rank), port], stdout=subprocess.PIPE, text=True, env=environ)
        for rank in range(2)
    ]
    told = [process.communicate(timeout=240)[0].splitlines()[-1] for process in started]
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
