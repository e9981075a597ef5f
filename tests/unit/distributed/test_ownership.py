"""Which rank of a host counts what several of them can read."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from logcheck import rows
from threaded_job import DEVICE, MACHINE, Job, by_rank, cpu, draws, joules

from eco2ai_callbacks import Tracker
from eco2ai_callbacks.distributed.ownership import taken_since
from eco2ai_callbacks.host.machine import process_started
from eco2ai_callbacks.host.registry import Entry, Registry
from eco2ai_callbacks.runlog.aggregate import jobs
from eco2ai_callbacks.runlog.read import records
from eco2ai_callbacks.testing import Clock, FakeMeter, fake_platform


def four_gpus(rank: int, clock: Clock) -> list[FakeMeter]:
    seen = {f"gpu:GPU-{number}": (100.0, DEVICE) for number in range(4)}
    return [*cpu(rank, clock), draws(clock, seen, "NVML")]


def own_gpu(rank: int, clock: Clock) -> list[FakeMeter]:
    return [*cpu(rank, clock), draws(clock, {f"gpu:GPU-{rank}": (100.0, DEVICE)}, "NVML")]


def memory(rank: int, clock: Clock) -> list[FakeMeter]:
    return [*cpu(rank, clock), draws(clock, {"ram": (7.0, MACHINE)}, "RAPL")]


@pytest.mark.parametrize("meters", [four_gpus, own_gpu])
def test_each_gpu_counts_once_whoever_sees_it(meters: Callable[[int, Clock], list[FakeMeter]]) -> None:
    job = Job(4, meters).start()
    scalars = job.epoch(0, 2.0)
    job.stop()
    for number in range(4):
        assert by_rank(f"gpu:GPU-{number}") == {number if meters is own_gpu else 0: pytest.approx(200.0)}
    assert joules(scalars[3]["eco2ai/energy_kwh"]) == pytest.approx(2.0 * (100 + 4 * 100))


def test_a_gpu_is_the_lowest_rank_s_of_those_that_use_it() -> None:
    job = Job(
        4, lambda rank, clock: [draws(clock, {f"gpu:GPU-{n}": (100.0, DEVICE) for n in (rank // 2, 2)}, "NVML")]
    ).start()
    job.epoch(0, 1.0)
    job.stop()
    assert by_rank("gpu:GPU-0") == {0: pytest.approx(100.0)}
    assert by_rank("gpu:GPU-1") == {2: pytest.approx(100.0)}
    assert by_rank("gpu:GPU-2") == {0: pytest.approx(100.0)}


def test_a_rank_says_which_source_another_counts_and_closes_it() -> None:
    opened: list[FakeMeter] = []

    def meters(rank: int, clock: Clock) -> list[FakeMeter]:
        found = memory(rank, clock)
        opened.extend(found[1:] if rank == 1 else [])
        return found

    job = Job(2, meters).start()
    assert opened[0].closed
    job.stop()
    sources = {row["rank"]: row["sources"] for row in rows() if row["event"] == "start"}
    assert [source["used"] for source in sources[0]] == [True, True]
    assert [source["used"] for source in sources[1]] == [True, False]
    assert sources[1][1]["reason"] == "not needed: a lower rank of this host counts it"


def test_what_is_the_machine_s_counts_once_a_host_and_hosts_add_up() -> None:
    job = Job(4, memory, hosts=2).start()
    scalars = job.epoch(0, 10.0)
    job.stop()
    assert by_rank("ram") == {0: pytest.approx(70.0), 2: pytest.approx(70.0)}
    assert joules(scalars[0]["eco2ai/energy_kwh"]) == pytest.approx(1000.0 + 140.0)
    found = next(iter(jobs(records(Path("eco2ai.jsonl"))).values()))
    assert found.total.total_j == pytest.approx(1140.0)
    assert len(found.hosts) == 2


def test_a_whole_machine_scope_counts_each_host_once() -> None:
    job = Job(4, lambda rank, clock: [draws(clock, {"cpu": (50.0, MACHINE)})], hosts=2, scope="machine").start()
    scalars = job.epoch(0, 10.0)
    job.stop()
    assert joules(scalars[0]["eco2ai/energy_kwh"]) == pytest.approx(1000.0)


def entry(rank: int, since: float, run: str = "r", host: str = "h", **values: Any) -> Entry:
    return Entry(f"w{rank}", run, host, 1, 1.0, since, rank, channels=("gpu:a",), **values)


def test_the_lowest_rank_of_a_host_goes_first_then_the_first_to_begin() -> None:
    mine = entry(2, 10.0)
    assert taken_since("gpu:a", mine, []) is None
    assert taken_since("gpu:a", mine, [mine, entry(3, 1.0)]) is None
    assert taken_since("gpu:a", mine, [entry(1, 12.0), entry(0, 11.0)]) == 11.0
    assert taken_since("gpu:b", mine, [entry(1, 12.0)]) is None
    assert taken_since("gpu:a", mine, [entry(1, 12.0, host="another")]) is None
    assert taken_since("gpu:a", mine, [dataclasses.replace(mine, writer="other", since=9.0)]) == 9.0


def test_without_a_group_ranks_find_each_other_in_the_registry_as_they_come_and_go(tmp_path: Path) -> None:
    """Rank 1 begins first, rank 0 joins later and ends earlier; each joule of the board counts once."""
    clock = Clock(0.0)

    def tracker(rank: int) -> Tracker:
        platform = fake_platform(
            clock,
            draws(clock, {"gpu:GPU-a": (100.0, DEVICE)}),
            environ={"RANK": str(rank), "WORLD_SIZE": "2"},
            registry=tmp_path / "running",
        )
        return Tracker(platform=platform, run_id="one", region="FR", console=False, heartbeat_s=0.0)

    first, second = tracker(0), tracker(1)
    second.start()
    clock.advance(3)
    first.start()
    clock.advance(4)
    assert first.mark("epoch", 0).joules["gpu:GPU-a"] == pytest.approx(400.0)
    assert second.mark("epoch", 0).joules["gpu:GPU-a"] == pytest.approx(300.0)
    clock.advance(5)
    second.mark("epoch", 1)
    first.stop()
    assert by_rank("gpu:GPU-a") == {0: pytest.approx(900.0), 1: pytest.approx(300.0)}
    second.mark("stage", stage="other")  # sees that it is alone
    clock.advance(2)
    second.stop()
    assert by_rank("gpu:GPU-a") == {0: pytest.approx(900.0), 1: pytest.approx(500.0)}


def test_an_entry_keeps_its_channels_in_the_registry(tmp_path: Path) -> None:
    registry = Registry("h", tmp_path / "running")
    begun = process_started()
    assert begun is not None
    here = dataclasses.replace(entry(1, 5.0, devices=("GPU-a",)), pid=os.getpid(), started=begun)
    registry.enter(here)
    assert registry.living() == [here]
