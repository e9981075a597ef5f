"""Trackers that run in one process at the same time, by the real meters and the CPU time of real threads."""

from __future__ import annotations

import asyncio
import math
import multiprocessing
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from logcheck import by_run, rows
from nvml_stub import NvmlStub

from eco2ai_callbacks import Tracker, track
from eco2ai_callbacks.report.load import load
from eco2ai_callbacks.testing import Clock, FakeMeter, fake_platform

# Of the process's energy: all are marked one after the other, a few milliseconds of each second.
CLOSE = 0.03
GPU = "GPU-aaaaaaaa-0000-0000-0000-000000000000"
SETTINGS: dict[str, Any] = {"region": "FR", "console": False, "gpus": (), "heartbeat_s": 0.0}


def burn(seconds: float) -> None:
    """Keep a CPU busy for so many seconds of the calling thread's time."""
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        sum(range(500))


def joules(run: Any, component: str = "cpu") -> float:
    return math.fsum(value for channel, value in run.total.joules.items() if channel == component)


def test_four_threads_have_used_what_their_process_has_each_by_its_work() -> None:
    runs, around = [Tracker(**SETTINGS) for _ in range(4)], Tracker(**SETTINGS, log_file="around.jsonl")
    used: dict[int, list[float]] = {}

    def mark() -> None:
        """Mark all at once, in one of the threads, so that what a tracker needs to begin is in neither sum."""
        epoch = len(used)
        used[epoch] = [run.mark(epoch=epoch).joules["cpu"] for run in (around, *runs)]

    barrier = threading.Barrier(4, action=mark, timeout=60)

    def trial(run: Tracker, work_s: float) -> None:
        with run:
            barrier.wait()
            burn(work_s)
            barrier.wait()

    with around, ThreadPoolExecutor(4) as pool:
        list(pool.map(trial, runs, (0.8, 0.4, 0.4, 0.0)))
    whole, *parts = used[1]
    assert math.fsum(parts) == pytest.approx(whole, rel=CLOSE)
    assert [part / whole for part in parts] == pytest.approx([0.5, 0.25, 0.25, 0.0], abs=0.1)
    found = by_run(rows())
    assert len(found) == 4
    for run, records in found.items():
        assert records[0]["parent"] == around.run_id
        assert sorted(records[1]["siblings"]) == sorted({*found} - {run})


def test_trials_of_optuna_in_threads_have_used_what_the_study_has() -> None:
    optuna = pytest.importorskip("optuna")
    optuna.logging.disable_default_handler()
    study = optuna.create_study()

    def objective(trial: Any) -> float:
        with track(**SETTINGS):
            burn(0.2)
        return float(trial.suggest_float("rate", 0.0, 1.0))

    study.optimize(objective, n_trials=3, n_jobs=3)
    with Tracker(**SETTINGS, log_file="around.jsonl") as around:
        study.optimize(objective, n_trials=6, n_jobs=3)
    runs = list(load("eco2ai.jsonl"))
    # Inside a tracker of the main thread, and beside each other in any case: none is a part of another.
    assert [run.parent for run in runs] == [None] * 3 + [around.run_id] * 6
    assert sum(run.counts for run in runs) == 9
    named = {row["run"]: row["siblings"] for row in rows() if row["event"] == "stop"}
    assert sum(map(bool, named.values())) >= 6
    trials = math.fsum(run.sum.joules["cpu"] for run in runs[3:])
    # What the study and each tracker's start take is in no trial; undivided, it would be up to three times as much.
    assert 0.6 * joules(around) < trials <= 1.001 * joules(around)
    assert load("*.jsonl").sum.joules["cpu"] == pytest.approx(
        joules(around) + math.fsum(run.sum.joules["cpu"] for run in runs[:3])
    )


def test_tasks_share_and_what_is_around_them_holds_all() -> None:
    clock = Clock()

    def tracker(name: str) -> Tracker:
        platform = fake_platform(clock, FakeMeter(clock, {"cpu": 10.0}))
        return Tracker(platform=platform, region="FR", console=False, log_file=f"{name}.jsonl")

    async def trial(number: int, go: asyncio.Event) -> Tracker:
        with tracker("tasks") as run:
            await go.wait()
        return run

    async def main() -> list[Tracker]:
        go = asyncio.Event()
        tasks = [asyncio.create_task(trial(number, go)) for number in range(2)]
        await asyncio.sleep(0)
        clock.advance(6)
        go.set()
        return [await task for task in tasks]

    with tracker("around") as around:
        runs = asyncio.run(main())
    assert [joules(run) for run in runs] == [30.0, 30.0]
    assert joules(around) == 60.0
    assert {row["parent"] for row in rows("tasks.jsonl")} == {around.run_id}


def _child() -> None:
    with Tracker(**SETTINGS, log_file="child.jsonl"):
        burn(0.1)


@pytest.mark.parametrize("forks", [0, 1], ids=["the elder forks", "the younger forks"])
def test_a_child_is_inside_the_sibling_that_forked_it_and_divides_nothing(forks: int) -> None:
    runs, started = [Tracker(**SETTINGS) for _ in range(2)], threading.Event()
    barrier = threading.Barrier(2, timeout=60)

    def trial(number: int) -> None:
        with runs[number]:
            started.set()
            barrier.wait()
            if number == forks:
                process = multiprocessing.get_context("fork").Process(target=_child)
                process.start()
                process.join(60)
                assert process.exitcode == 0
            barrier.wait()

    threads = [threading.Thread(target=trial, args=(number,)) for number in (0, 1)]
    for thread in threads:
        started.clear()
        thread.start()
        assert started.wait(60)
    for thread in threads:
        thread.join(60)
    found = rows("child.jsonl")
    assert {row["parent"] for row in found} == {runs[forks].run_id}
    assert all(row["siblings"] == [] for row in found)
    assert load("*.jsonl").sum.joules["cpu"] == pytest.approx(math.fsum(map(joules, runs)))


ON_ONE_GPU = """
import threading
from concurrent.futures import ThreadPoolExecutor
from eco2ai_callbacks import Tracker

barrier = threading.Barrier(3, timeout=60)

def trial(number):
    barrier.wait()
    with Tracker(region="FR", console=False, gpus="all") as run:
        barrier.wait()
        threading.Event().wait(0.3)
        barrier.wait()

with Tracker(region="FR", console=False, gpus="all", log_file="around.jsonl"), ThreadPoolExecutor(3) as pool:
    list(pool.map(trial, range(3)))
print("{}")
"""


@pytest.mark.parametrize("counter", [True, False], ids=["counter", "power"])
def test_trials_on_one_gpu_divide_it_by_time(stub: NvmlStub, counter: bool) -> None:
    stub.gpu(GPU, 250.0, counter=counter)
    stub.run(ON_ONE_GPU)
    channel = f"gpu:{GPU}"
    runs = load("eco2ai.jsonl")
    parts = [run.sum.joules[channel] for run in runs]
    whole = load("around.jsonl").sum.joules[channel]
    # What any of them ran for, by the stub's 250 W; the run around them is longer.
    assert 0.98 * 250.0 * max(run.seconds for run in runs) <= math.fsum(parts) <= 1.02 * whole
    found = by_run(rows())
    assert all(sorted(records[-1]["siblings"]) == sorted({*found} - {run}) for run, records in found.items())
    assert all(row["shared_with"] == [] for row in rows())
