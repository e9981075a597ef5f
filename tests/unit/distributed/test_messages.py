"""The ranks of a job: each counts its own part, what is shared once, and all know the sum."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import os
import sys
import threading
import types
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from logcheck import close, rows

from eco2ai_callbacks import Tracker
from eco2ai_callbacks.distributed.launcher import launched_id
from eco2ai_callbacks.distributed.messages import RankStart, RankUsage, remote_failures, sum_ranks
from eco2ai_callbacks.distributed.ownership import taken_since
from eco2ai_callbacks.distributed.process_group import all_ask, jax_group, torch_group
from eco2ai_callbacks.host.machine import process_started
from eco2ai_callbacks.host.registry import Entry, Registry
from eco2ai_callbacks.record import Record
from eco2ai_callbacks.runlog.aggregate import jobs
from eco2ai_callbacks.runlog.read import records
from eco2ai_callbacks.runlog.verify import verify
from eco2ai_callbacks.session.context import RunContext
from eco2ai_callbacks.testing import BARE_METAL, Clock, FakeMeter, fake_platform
from eco2ai_callbacks.usage import Method, Usage

JOB, MACHINE, DEVICE = "job", "machine", "device"


def draws(clock: Clock, channels: Mapping[str, tuple[float, str]], name: str = "constant") -> FakeMeter:
    """A meter of constant powers: watts and whose they are, by channel."""
    methods = {
        channel: Method("constant", 0.9, 1.1, counter=True, scope=whose) for channel, (_, whose) in channels.items()
    }
    return FakeMeter(clock, {channel: watts for channel, (watts, _) in channels.items()}, method=methods, name=name)


class Job:
    """Ranks in threads that tell each other by a barrier; all on one clock that the test moves."""

    def __init__(
        self,
        size: int,
        meters: Callable[[int, Clock], list[FakeMeter]],
        hosts: int = 1,
        own: Mapping[int, dict[str, Any]] | None = None,
        **settings: Any,
    ) -> None:
        self.size = size
        self.own = own or {}
        self.clock = Clock(100.0)
        self.hosts = hosts
        self.told: list[Any] = [None] * size
        self.barrier = threading.Barrier(size, timeout=30)
        self.meters = meters
        self.settings = {"region": "FR", "heartbeat_s": 0.0, "console": False, **settings}
        self.trackers = [self.tracker(rank) for rank in range(size)]

    def tracker(self, rank: int) -> Tracker:
        host = dataclasses.replace(BARE_METAL, boot_id=f"host {rank * self.hosts // self.size}")

        def find(*around: Any) -> Any:
            return fake_platform(self.clock, *self.meters(rank, self.clock)).discover(*around)

        platform = fake_platform(self.clock, host=host, discover=find)
        return Tracker(platform=platform, **self.settings | self.own.get(rank, {}))

    def gather(self, rank: int) -> Callable[[Any], list[Any]]:
        def gather(told: Any) -> list[Any]:
            self.told[rank] = told
            self.barrier.wait()
            heard = list(self.told)
            self.barrier.wait()
            return heard

        return gather

    def all(self, call: Callable[[Tracker, int], Any]) -> list[Any]:
        """What each rank's call returns, all called at once."""
        found: list[Any] = [None] * self.size

        def run(rank: int) -> None:
            found[rank] = call(self.trackers[rank], rank)

        threads = [threading.Thread(target=run, args=(rank,)) for rank in range(self.size)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(timeout=60)
        return found

    def start(self, checkpoint: Any = None) -> Job:
        self.all(
            lambda tracker, rank: tracker.start(
                RunContext(rank=(rank, self.size), gather=self.gather(rank), checkpoint=checkpoint, base="other")
            )
        )
        return self

    def epoch(self, epoch: int, seconds: float) -> list[dict[str, float]]:
        self.all(lambda tracker, rank: tracker.enter("train", epoch))
        self.clock.advance(seconds)

        def end(tracker: Tracker, rank: int) -> dict[str, float]:
            return tracker.end_epoch(epoch).scalars

        return self.all(end)

    def stop(self) -> None:
        self.all(lambda tracker, rank: tracker.stop())


def cpu(rank: int, clock: Clock) -> list[FakeMeter]:
    return [draws(clock, {"cpu": (10.0 * (rank + 1), JOB)})]


def joules(kwh: float) -> float:
    return kwh * 3.6e6


def by_rank(channel: str) -> dict[int, float]:
    """What each rank's records hold of a channel; ranks whose records never name it are absent."""
    found: dict[int, float] = {}
    for row in rows():
        if row["event"] in ("epoch", "stage", "stop") and channel in row["joules"]:
            found[row["rank"]] = found.get(row["rank"], 0.0) + row["joules"][channel]
    return found


# --- the sum -------------------------------------------------------------------------------------------------------


def test_records_hold_a_rank_s_own_figures_and_scalars_the_job_s() -> None:
    job = Job(4, cpu).start()
    scalars = job.epoch(0, 5.0)
    job.stop()
    found = rows()
    assert len({row["run"] for row in found}) == 1
    assert len({row["writer"] for row in found}) == 4
    assert {row["world_size"] for row in found} == {4}
    for row in found:
        if row["event"] == "epoch":
            assert row["joules"]["cpu"] == pytest.approx(50.0 * (row["rank"] + 1))
            assert row["total"]["energy_kwh"] == row["energy_kwh"]
    assert all(each == scalars[0] for each in scalars)
    assert joules(scalars[0]["eco2ai/energy_kwh"]) == pytest.approx(500.0)
    assert joules(scalars[0]["eco2ai/total_energy_kwh"]) == pytest.approx(500.0)


def test_power_is_the_job_s_in_the_time_of_the_first_rank() -> None:
    job = Job(2, cpu, scalars="all").start()
    scalars = job.epoch(0, 5.0)
    job.stop()
    assert scalars[1]["eco2ai/power_w"] == pytest.approx(30.0)
    assert joules(scalars[1]["eco2ai/cpu_kwh"]) == pytest.approx(150.0)


def test_counts_add_up_over_the_ranks() -> None:
    job = Job(2, cpu, scalars="all").start()
    job.clock.advance(2.0)
    scalars = job.all(lambda tracker, rank: tracker.end_epoch(0, samples=30, tokens=50).scalars)
    job.stop()
    assert scalars[0]["eco2ai/j_per_sample"] == pytest.approx(1.0)
    assert scalars[1]["eco2ai/j_per_token"] == pytest.approx(0.6)


def test_an_evaluation_s_scalars_are_the_job_s_too() -> None:
    job = Job(2, cpu).start()
    job.clock.advance(4.0)
    found = job.all(lambda tracker, rank: tracker.figures.stage(tracker.mark("stage", stage="test"), "test"))
    job.stop()
    assert joules(found[0]["eco2ai/test_energy_kwh"]) == pytest.approx(120.0)
    assert found[0] == found[1]


def test_all_ranks_decide_by_the_same_sum() -> None:
    job = Job(3, lambda rank, clock: [draws(clock, {"cpu": (0.1 * (rank + 1), JOB)})], max_energy_kwh=1e-6).start()
    job.clock.advance(1.7)
    assert job.all(lambda tracker, rank: tracker.end_epoch(0).stop) == [None] * 3
    totals = job.all(lambda tracker, rank: tracker.figures.total)
    assert totals[0] == totals[1] == totals[2]
    job.clock.advance(7.1)
    said = job.all(lambda tracker, rank: tracker.end_epoch(1).stop)
    assert said[0] is not None
    assert said[0] == said[1] == said[2]
    job.stop()


def test_the_console_line_is_one_and_the_job_s(capsys: pytest.CaptureFixture[str]) -> None:
    job = Job(4, cpu, console=True).start()
    job.epoch(0, 3600.0)
    job.stop()
    printed = capsys.readouterr().err.splitlines()
    assert len(printed) == 1
    assert "eco2ai: 100 Wh" in printed[0]
    assert "4 ranks" in printed[0]
    assert "100 W mean" in printed[0]


def test_a_rank_that_nobody_can_be_told_of_says_that_it_is_alone(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock(0.0)
    platform = fake_platform(clock, *cpu(0, clock), environ={"RANK": "0", "WORLD_SIZE": "4"})
    with Tracker(platform=platform, region="FR"):
        clock.advance(1.0)
    assert "rank 0 of 4 alone" in capsys.readouterr().err


# --- what only one may count ---------------------------------------------------------------------------------------


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


# --- failures ------------------------------------------------------------------------------------------------------


def test_a_rank_that_cannot_start_sends_nothing_and_is_named_by_the_others(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def meters(rank: int, clock: Clock) -> list[FakeMeter]:
        if rank == 2:
            raise RuntimeError("no such hardware")
        return cpu(rank, clock)

    job = Job(4, meters, console=True).start()
    scalars = job.epoch(0, 1.0)
    job.stop()
    assert joules(scalars[2]["eco2ai/energy_kwh"]) == pytest.approx(10 + 20 + 40)
    assert scalars[2] == scalars[0]
    named = "rank 2: tracker: no such hardware (RuntimeError)"
    assert {row["rank"]: named in row["failures"] for row in rows()} == {0: True, 1: True, 3: True}
    printed = capsys.readouterr().err
    assert "3 of 4 ranks" in printed
    assert named in printed
    found = next(iter(jobs(records(Path("eco2ai.jsonl"))).values()))
    assert (found.ranks, found.world_size, found.is_complete, found.said) == ((0, 1, 3), 4, False, "3 of 4 ranks")


def test_a_rank_whose_meter_fails_on_the_way_is_named_by_the_others() -> None:
    meters: list[FakeMeter] = []

    def find(rank: int, clock: Clock) -> list[FakeMeter]:
        meters.extend(found := cpu(rank, clock))
        return found

    job = Job(2, find).start()
    job.epoch(0, 1.0)
    broken = next(meter for meter in meters if meter.watts["cpu"] == 20.0)
    broken.watts = {}  # no longer gives its channel
    scalars = job.epoch(1, 1.0)
    job.stop()
    assert joules(scalars[0]["eco2ai/energy_kwh"]) == pytest.approx(10.0)
    assert joules(scalars[1]["eco2ai/total_energy_kwh"]) == pytest.approx(40.0)
    last = {row["rank"]: row["failures"] for row in rows()}
    assert any(failure.startswith("rank 1: constant: ") for failure in last[0])
    assert not any(failure.startswith("rank ") for failure in last[1])


def test_a_rank_that_was_interrupted_asks_nobody() -> None:
    job = Job(2, cpu).start()
    job.epoch(0, 1.0)
    job.trackers[1].stop("interrupted")  # would wait for the other for ever
    job.trackers[0].stop("interrupted")
    assert {row["ended"] for row in rows() if row["event"] == "stop"} == {"interrupted"}


def test_what_others_have_failed_at_is_not_told_on() -> None:
    told = [RankUsage(failures=("a: no",)), RankUsage(), RankStart(failures=("b: no", "c: no"))]
    assert remote_failures(told, rank=0) == ("rank 2: b: no", "rank 2: c: no")
    assert remote_failures(told, rank=1) == ("rank 0: a: no", "rank 2: b: no", "rank 2: c: no")


def test_a_share_misses_something_where_a_channel_is_gone() -> None:
    whole = Usage(1.0, {"cpu": 1.0, "gpu:a": 1.0})
    assert RankUsage().is_partial
    assert RankUsage(total=Usage(0.0, {"carried": 5.0})).is_partial
    assert RankUsage(train=Usage(1.0, {"cpu": 1.0}), total=whole).is_partial
    assert not RankUsage(train=whole, total=whole + Usage(0.0, {"carried": 5.0})).is_partial
    assert not RankUsage(total=whole).is_partial


def test_what_no_rank_has_is_absent_and_not_zero() -> None:
    job = sum_ranks([RankUsage(total=Usage(1.0)), RankUsage(total=Usage(1.0))])
    assert job.train is None
    assert job.samples is None
    assert job.total.energy_kwh is None
    assert job.total.seconds == 1.0


# --- resume --------------------------------------------------------------------------------------------------------


def stopped_job(size: int) -> Any:
    job = Job(size, cpu).start()
    job.epoch(0, 10.0)
    saved = job.trackers[0].checkpoint  # what rank 0 puts into the checkpoint
    job.stop()
    return saved


@pytest.mark.parametrize("size", [4, 2], ids=["as many ranks", "fewer ranks"])
def test_a_resumed_job_goes_on_with_the_sum_of_all_its_ranks(size: int) -> None:
    saved = stopped_job(4)
    assert joules(saved.energy_kwh) == pytest.approx(1000.0)
    assert saved.seconds == pytest.approx(10.0)
    job = Job(size, cpu).start(checkpoint=saved)
    scalars = job.epoch(1, 1.0)
    job.stop()
    found = rows()
    assert len({row["run"] for row in found}) == 1
    assert all(row["carried"] is None for row in found)
    assert joules(scalars[0]["eco2ai/total_energy_kwh"]) == pytest.approx(1000.0 + (100.0 if size == 4 else 30.0))
    merged = next(iter(jobs(records(Path("eco2ai.jsonl"))).values()))
    assert close(merged.total.energy_kwh or 0.0, scalars[0]["eco2ai/total_energy_kwh"])
    assert verify(Path("eco2ai.jsonl")).faults == ()
    started = [row for row in found if row["event"] == "start"][4:]
    assert all(row["continues"] for row in started)


def test_where_the_log_is_lost_the_first_rank_alone_carries_what_the_job_had_used() -> None:
    saved = stopped_job(4)
    Path("eco2ai.jsonl").unlink()
    job = Job(4, cpu).start(checkpoint=saved)
    scalars = job.epoch(1, 1.0)
    job.stop()
    carried = {row["rank"]: row["carried"] for row in rows() if row["event"] == "start"}
    assert joules(carried[0]["energy_kwh"]) == pytest.approx(1000.0)
    assert [carried[rank] for rank in (1, 2, 3)] == [None] * 3
    assert joules(scalars[0]["eco2ai/total_energy_kwh"]) == pytest.approx(1100.0)


def test_where_each_host_has_a_log_of_its_own_nothing_is_carried_twice() -> None:
    """Rank 1 writes elsewhere: what it knows of itself is not what the checkpoint alone knows."""
    own = {1: {"log_file": "other/eco2ai.jsonl"}}
    job = Job(2, cpu, own=own).start()
    job.epoch(0, 10.0)
    saved = job.trackers[0].checkpoint
    job.stop()
    again = Job(2, cpu, own=own)
    scalars = again.start(checkpoint=saved).epoch(1, 1.0)
    again.stop()
    everything = [*records(Path("eco2ai.jsonl")), *records(Path("other/eco2ai.jsonl"))]
    assert all(record.carried is None for record in everything)
    assert joules(scalars[0]["eco2ai/total_energy_kwh"]) == pytest.approx(330.0)
    assert next(iter(jobs(everything).values())).total.total_j == pytest.approx(330.0)


# --- one id --------------------------------------------------------------------------------------------------------

TORCHRUN = {
    "RANK": "1", "WORLD_SIZE": "4", "LOCAL_WORLD_SIZE": "4", "MASTER_ADDR": "localhost", "MASTER_PORT": "29500",
    "TORCHELASTIC_RUN_ID": "none", "TORCHELASTIC_RESTART_COUNT": "0",
}  # fmt: skip


def test_the_processes_of_a_launch_come_to_one_id_and_launches_to_different_ones() -> None:
    def of(launcher: object = 7, host: str = "h", number: int = 0, **environ: str) -> str | None:
        return launched_id({**TORCHRUN, **environ}, host, number, lambda variable: launcher)

    assert of(RANK="0") == of(RANK="3") == of()
    others = [
        of(launcher=8),  # the same command, typed again
        of(host="another"),
        of(number=1),  # the second tracker of the same program
        of(TORCHELASTIC_RESTART_COUNT="1"),
        of(MASTER_PORT="29501"),
    ]
    assert len({of(), *others}) == 6
    assert of(launcher=None) is None
    assert of(WORLD_SIZE="1") is None
    assert launched_id({}) is None


def test_hosts_come_to_one_id_where_the_launch_has_a_name() -> None:
    def of(host: str, launcher: int, **environ: str) -> str | None:
        return launched_id({**TORCHRUN, "WORLD_SIZE": "8", **environ}, host, 0, lambda variable: launcher)

    assert of("a", 1, TORCHELASTIC_RUN_ID="5f1c") == of("b", 2, TORCHELASTIC_RUN_ID="5f1c")
    # Without one, two launches on the same hosts must not be taken for one: each host's part is a run then.
    assert of("a", 1) != of("b", 2)
    slurm = {"SLURM_PROCID": "5", "SLURM_STEP_NUM_TASKS": "8", "SLURM_JOB_ID": "1234", "SLURM_STEP_ID": "0"}
    assert launched_id(slurm, "a", 0, lambda variable: 1) == launched_id(slurm, "b", 0, lambda variable: 2)


# --- how they tell each other --------------------------------------------------------------------------------------


class Torch:
    def __init__(self, size: int, initialised: bool = True, available: bool = True) -> None:
        self.distributed = self
        self.size, self.initialised, self.available = size, initialised, available

    def is_available(self) -> bool:
        return self.available

    def is_initialized(self) -> bool:
        return self.initialised

    def get_world_size(self) -> int:
        return self.size

    def get_rank(self) -> int:
        return 1

    def all_gather_object(self, heard: list[Any], told: Any) -> None:
        heard[:] = [(rank, told) for rank in range(self.size)]


def test_a_single_process_tells_nobody() -> None:
    assert torch_group({}) is None
    assert torch_group({"torch": Torch(1)}) is None
    assert torch_group({"torch": Torch(2, initialised=False)}) is None
    assert torch_group({"torch": Torch(2, available=False)}) is None
    assert jax_group({}) is None
    assert jax_group({"jax": types.SimpleNamespace(process_count=lambda: 1)}) is None


def test_a_lightning_strategy_with_ways_of_its_own_is_asked_for_each_rank_s_word() -> None:
    for package in ("lightning", "pytorch_lightning"):
        if importlib.util.find_spec(package) is not None:
            break
    else:
        pytest.skip("neither lightning nor pytorch_lightning is installed")
    from eco2ai_callbacks.lightning import _gather

    strategy = types.SimpleNamespace(broadcast=lambda told, src: f"{told} of {src}")
    gather = _gather(types.SimpleNamespace(world_size=2, strategy=strategy))  # type: ignore[arg-type]
    assert gather is not None
    assert gather("word") == ["word of 0", "word of 1"]
    assert _gather(types.SimpleNamespace(world_size=1, strategy=strategy)) is None  # type: ignore[arg-type]


def test_torch_s_default_group_is_used() -> None:
    group = torch_group({"torch": Torch(3)})
    assert group is not None
    assert (group.rank, group.size) == (1, 3)
    assert group.gather("told") == [(0, "told"), (1, "told"), (2, "told")]


def test_ranks_agree_on_whether_all_of_them_ask() -> None:
    torch = pytest.importorskip("torch")
    store = torch.distributed.HashStore()

    def ask(ranks: int, wait_s: float) -> list[bool]:
        with ThreadPoolExecutor(ranks) as pool:
            return list(pool.map(lambda rank: all_ask(store, 3, wait_s), range(ranks)))

    assert ask(3, wait_s=30.0) == [True] * 3
    assert ask(2, wait_s=0.1) == [False] * 2
    assert ask(1, wait_s=0.1) == [False]
    assert ask(3, wait_s=30.0) == [True] * 3


def test_where_some_ranks_do_not_ask_nothing_is_told(caplog: pytest.LogCaptureFixture) -> None:
    torch = pytest.importorskip("torch")
    alone = Torch(2)
    alone.distributed_c10d = types.SimpleNamespace(_get_default_store=torch.distributed.HashStore)  # type: ignore[attr-defined]
    assert torch_group({"torch": alone}, wait_s=0.05) is None
    assert "not all 2 ranks measure" in caplog.text


def test_jax_s_processes_tell_each_other_in_arrays_of_one_shape(monkeypatch: pytest.MonkeyPatch) -> None:
    numpy = pytest.importorskip("numpy")
    told = ["short", RankUsage(total=Usage(1.0, {"cpu": 0.1 + 0.2})), {"long": "x" * 500}]
    slots: list[Any] = [None] * 3
    barrier = threading.Barrier(3, timeout=30)
    place = threading.local()

    def process_allgather(value: Any) -> Any:
        slots[place.rank] = value
        barrier.wait()
        found = numpy.stack(slots)
        barrier.wait()
        return found

    utils = types.ModuleType("multihost_utils")
    utils.process_allgather = process_allgather  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "jax.experimental.multihost_utils", utils)
    heard: list[Any] = [None] * 3

    def run(rank: int) -> None:
        place.rank = rank
        jax = types.SimpleNamespace(process_count=lambda: 3, process_index=lambda: rank)
        group = jax_group({"jax": jax})
        assert group is not None
        assert (group.rank, group.size) == (rank, 3)
        heard[rank] = group.gather(told[rank])

    threads = [threading.Thread(target=run, args=(rank,)) for rank in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert heard == [told, told, told]


# --- merging -------------------------------------------------------------------------------------------------------


def record(rank: int, **values: Any) -> Record:
    return Record(run="r", writer=f"w{rank}", rank=rank, world_size=3, host="h", event="epoch", **values)


def test_a_merge_adds_energies_and_says_whose_they_are() -> None:
    found = jobs([record(1, seconds=2.0, joules={"cpu": 4.0}), record(0, seconds=3.0, joules={"cpu": 5.0})])["r"]
    assert found.total.joules == {"cpu": 9.0}
    assert found.total.seconds == 3.0
    assert (found.ranks, found.world_size, found.said) == ((0, 1), 3, "2 of 3 ranks")


def test_a_merge_of_one_process_says_nothing_of_ranks() -> None:
    alone = dataclasses.replace(record(0, seconds=1.0, joules={"cpu": 1.0}), world_size=1)
    found = jobs([alone])["r"]
    assert found.is_complete
    assert found.said == ""


def test_a_merge_reads_the_writers_own_files_too() -> None:
    job = Job(2, cpu).start()
    job.epoch(0, 1.0)
    job.stop()
    whole = Path("eco2ai.jsonl")
    lines = whole.read_text().splitlines(keepends=True)
    for line in lines:
        with Path(f"eco2ai.{json.loads(line)['writer']}.jsonl").open("a") as file:
            file.write(line)
    whole.unlink()
    found = next(iter(jobs(records(whole)).values()))
    assert found.said == "2 ranks"
    assert found.total.total_j == pytest.approx(30.0)
