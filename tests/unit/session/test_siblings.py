"""Trackers that run in one process at the same time: the sum of their parts is what the process has used."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any, TypeVar

import pytest
from logcheck import rows

from eco2ai_callbacks import Tracker
from eco2ai_callbacks.report.load import load
from eco2ai_callbacks.runlog.verify import verify
from eco2ai_callbacks.session.siblings import Named, Siblings
from eco2ai_callbacks.testing import Clock, FakeMeter, fake_platform

R = TypeVar("R")
WATTS = {"cpu": 60.0, "ram": 12.0, "gpu:GPU-a": 120.0}


class Process:
    """A process of several threads, on one clock; each thread's CPU time is what the test makes it."""

    def __init__(self, stack: ExitStack, threads: int = 4) -> None:
        self.clock = Clock(100.0)
        self.siblings = Siblings()
        self.meters: dict[str, FakeMeter] = {}
        self.busy: dict[str, float | None] = {}
        self._pools = [stack.enter_context(ThreadPoolExecutor(1)) for _ in range(threads)]
        for pool in self._pools:
            pool.submit(int).result()

    def on(self, thread: int, call: Callable[..., R], *args: Any, **named: Any) -> R:
        return self.submit(thread, call, *args, **named).result()

    def submit(self, thread: int, call: Callable[..., R], *args: Any, **named: Any) -> Future[R]:
        return self._pools[thread].submit(call, *args, **named)

    def tracker(self, name: str, watts: dict[str, float] | None = None, **settings: Any) -> Tracker:
        max_gap_s = settings.pop("max_gap_s", float("inf"))
        meter = self.meters[name] = FakeMeter(self.clock, watts or WATTS, max_gap_s=max_gap_s)
        platform = fake_platform(
            self.clock,
            meter,
            siblings=self.siblings,
            thread_clock=lambda: (lambda: self.busy[name]) if name in self.busy else None,
        )
        args = {"region": "FR", "g_per_kwh": 360.0, "heartbeat_s": 0.0, "console": False, "log_file": f"{name}.jsonl"}
        return Tracker(platform=platform, **args | settings)

    def started(self, thread: int, name: str, watts: dict[str, float] | None = None, **settings: Any) -> Tracker:
        """Return a tracker that a thread has started."""
        return self.on(thread, self.tracker(name, watts, **settings).start)


@pytest.fixture
def process() -> Iterator[Process]:
    with ExitStack() as stack:
        yield Process(stack)


def total(*runs: Tracker) -> dict[str, float]:
    found: dict[str, float] = {}
    for run in runs:
        for channel, joules in run.total.joules.items():
            found[channel] = found.get(channel, 0.0) + joules
    return found


def used(seconds: float) -> dict[str, float]:
    return {channel: pytest.approx(watts * seconds) for channel, watts in WATTS.items()}


def test_the_sum_of_four_that_come_and_go_is_what_the_process_has_used(process: Process) -> None:
    runs = []
    for thread in range(4):
        runs.append(process.started(thread, f"run{thread}"))
        process.clock.advance(10)
        runs[0].mark(epoch=thread)
    for run in runs:
        run.mark()
        process.clock.advance(5)
        run.stop()
    assert total(*runs) == used(4 * 10 + 4 * 5)
    assert [run.total.seconds for run in runs] == [45, 40, 35, 30]
    # 10 s alone, then with one more each 10 s, then 5 s with all.
    assert runs[0].total.joules["cpu"] == pytest.approx(60 * (10 + 10 / 2 + 10 / 3 + 10 / 4 + 5 / 4))
    for thread in range(4):
        assert verify(Path(f"run{thread}.jsonl")).whole
        assert all(row["parent"] is None for row in rows(f"run{thread}.jsonl"))


def test_each_record_names_the_siblings_since_the_mark_before(process: Process) -> None:
    first, second = process.started(0, "first"), process.started(1, "second")
    process.clock.advance(1)
    first.mark()
    third = process.started(2, "third")
    process.clock.advance(1)
    second.stop()
    process.clock.advance(1)
    first.mark()
    process.clock.advance(1)
    first.mark()
    third.stop()
    first.stop()
    one, two, three = (run.run_id for run in (first, second, third))
    assert [row["siblings"] for row in rows("first.jsonl")] == [[], [two], sorted([two, three]), [three], [three]]
    assert [row["siblings"] for row in rows("third.jsonl")] == [sorted([one, two])] * 2
    assert [row["shared_with"] for row in rows("third.jsonl")] == [[]] * 2


def test_a_processor_is_divided_by_the_cpu_time_of_the_threads_and_a_gpu_by_time(process: Process) -> None:
    process.busy = {"busy": 0.0, "idle": 0.0}
    busy, idle = process.started(0, "busy"), process.started(1, "idle")
    for epoch in range(3):
        process.clock.advance(4)
        process.busy = {"busy": 3.0 * epoch + 3, "idle": 1.0 * epoch + 1}
        idle.mark(epoch=epoch)
    process.clock.advance(4)  # both wait
    busy.stop()
    idle.stop()
    assert total(busy, idle) == used(16)
    assert busy.total.joules == pytest.approx({"cpu": 60 * (9 + 2), "ram": 12 * 8, "gpu:GPU-a": 120 * 8})


def test_nobody_s_part_depends_on_who_is_marked_and_how_often(process: Process) -> None:
    process.busy = {"often": 0.0, "seldom": 0.0}
    often, seldom = process.started(0, "often"), process.started(1, "seldom")
    for work in (1.0, 0.0, 2.0, 0.5):
        process.clock.advance(3)
        process.busy = {"often": process.busy["often"] + work, "seldom": process.busy["seldom"] + 1.0}  # type: ignore[operator]
        often.mark(epoch=0)
        assert often.read().joules == dict.fromkeys(WATTS, 0.0)
    seldom.stop()
    parts = [work / (work + 1.0) for work in (1.0, 0.0, 2.0, 0.5)]
    assert often.total.joules["cpu"] == pytest.approx(60 * 3 * sum(parts))
    assert total(often, seldom) == used(12)
    often.stop()


def test_one_that_measures_no_gpu_leaves_it_to_the_others(process: Process) -> None:
    runs = process.started(0, "with"), process.started(1, "without", {"cpu": 60.0, "ram": 12.0})
    process.clock.advance(10)
    for run in runs:
        run.stop()
    assert total(*runs) == used(10)
    assert "gpu:GPU-a" not in runs[1].total.joules


def test_a_channel_that_comes_late_is_divided_too(process: Process) -> None:
    runs = process.started(0, "one"), process.started(1, "two")
    for meter in process.meters.values():
        meter.watts = {**WATTS, "gpu:GPU-b": 10.0}
    process.clock.advance(10)
    for run in runs:
        run.stop()
    assert total(*runs)["gpu:GPU-b"] == pytest.approx(100)


def test_a_meter_that_fails_takes_nothing_from_the_others(process: Process) -> None:
    runs = process.started(0, "one"), process.started(1, "two")
    process.clock.advance(10)
    process.meters["one"].fault = OSError("lost")
    process.clock.advance(10)
    for run in runs:
        run.stop()
    assert runs[1].total.joules["cpu"] == pytest.approx(60 * 10)
    assert "lost" in rows("one.jsonl")[-1]["failures"][0]
    assert rows("two.jsonl")[-1]["failures"] == []


def test_one_whose_driver_hangs_keeps_nobody_and_loses_nothing(process: Process) -> None:
    hangs, other = process.started(0, "hangs"), process.started(1, "other")
    inside, go = threading.Event(), threading.Event()

    def hang(joules: dict[str, float]) -> dict[str, float]:
        inside.set()
        assert go.wait(60)
        return joules

    process.meters["hangs"].on_read = hang
    stuck = process.submit(0, hangs.mark)
    assert inside.wait(60)
    process.clock.advance(10)
    other.mark()
    assert other.total.joules["cpu"] == pytest.approx(60 * 5)
    go.set()
    stuck.result()
    other.stop()
    hangs.stop()
    assert total(hangs, other) == used(10)


def test_those_inside_a_run_share_out_what_is_in_that(process: Process) -> None:
    around = process.tracker("around").start()
    assert around.run_id is not None
    with ExitStack() as stack:
        pools = [stack.enter_context(ThreadPoolExecutor(1)) for _ in range(2)]  # begun inside the run
        inner = [pools[n].submit(process.tracker(f"inner{n}").start).result() for n in range(2)]
        fit = pools[0].submit(process.tracker("fit").start).result()
        process.clock.advance(10)
        fit.stop()
        for run in inner:
            run.stop()
    around.stop()
    assert around.total.joules == used(10)
    assert total(*inner) == used(10)
    assert fit.total.joules == inner[0].total.joules
    assert [rows(f"{name}.jsonl")[0]["parent"] for name in ("around", "inner0", "inner1", "fit")] == [
        None,
        around.run_id,
        around.run_id,
        inner[0].run_id,
    ]
    assert rows("fit.jsonl")[0]["siblings"] == [inner[1].run_id]
    assert rows("around.jsonl")[-1]["siblings"] == []
    # A reader counts the run around them where it is given, else the others: the sum is the process's.
    whole = load("*.jsonl")
    assert {run.id for run in whole if run.counts} == {around.run_id}
    assert whole.sum.energy_kwh == pytest.approx(sum(WATTS.values()) * 10 / 3.6e6)
    assert load("[if]*.jsonl").sum.energy_kwh == pytest.approx(sum(WATTS.values()) * 10 / 3.6e6)


def test_one_that_outlives_the_run_around_it_is_beside_the_others_from_then_on(process: Process) -> None:
    outer = process.started(0, "outer")
    inner = process.started(0, "inner")
    other = process.started(1, "other")
    process.clock.advance(10)
    outer.stop()
    process.clock.advance(10)
    inner.stop()
    other.stop()
    assert outer.total.joules == {channel: pytest.approx(watts * 5) for channel, watts in WATTS.items()}
    assert inner.total.joules == {channel: pytest.approx(watts * 10) for channel, watts in WATTS.items()}
    assert load("*.jsonl").sum.energy_kwh == pytest.approx(sum(WATTS.values()) * 20 / 3.6e6)
    assert [row["parent"] for row in rows("inner.jsonl")] == [outer.run_id, outer.run_id, None]


def test_of_several_that_began_in_tasks_of_the_main_thread_none_is_around_a_thread(process: Process) -> None:
    import asyncio

    async def trial(name: str, go: asyncio.Event) -> Tracker:
        run = process.tracker(name).start()
        await go.wait()
        return run

    async def main() -> list[Tracker]:
        go = asyncio.Event()
        tasks = [asyncio.create_task(trial(name, go)) for name in ("one", "two")]
        await asyncio.sleep(0)
        with ThreadPoolExecutor(1) as pool:
            third = pool.submit(process.tracker("three").start).result()
        process.clock.advance(9)
        go.set()
        return [third, *[await task for task in tasks]]

    runs = asyncio.run(main())
    for run in runs:
        run.stop()
    assert total(*runs) == used(9)
    assert {row["parent"] for name in ("one", "two", "three") for row in rows(f"{name}.jsonl")} == {None}


def test_of_trackers_of_one_run_the_first_counts_a_channel_and_they_divide_nothing(process: Process) -> None:
    same = []
    for thread in range(2):
        same.append(process.started(thread, f"same{thread}", run_id="a"))
        process.clock.advance(1)
    process.clock.advance(10)
    for run in same:
        run.stop()
    assert total(*same)["cpu"] == same[0].total.joules["cpu"] == pytest.approx(720)
    assert all(row["siblings"] == [] for row in rows("same0.jsonl"))


def test_one_alone_is_read_as_often_as_before_and_n_together_not_n_times_as_often(process: Process) -> None:
    alone = process.started(0, "alone")
    before = process.meters["alone"].reads
    for epoch in range(5):
        alone.mark(epoch=epoch)
    assert process.meters["alone"].reads - before == 5
    beside = process.started(1, "beside")
    before = process.meters["alone"].reads
    beside.mark()
    assert process.meters["alone"].reads - before == 1
    beside.stop()
    before = process.meters["beside"].reads, process.meters["alone"].reads
    alone.mark()
    assert (process.meters["beside"].reads, process.meters["alone"].reads) == (before[0], before[1] + 1)
    alone.stop()


def test_what_nobody_waits_for_is_read_once_for_all(process: Process) -> None:
    runs = [process.started(thread, f"run{thread}", max_gap_s=2.0) for thread in range(3)]
    meters = list(process.meters.values())
    before = [meter.reads for meter in meters]
    process.clock.advance(2.0)
    sessions = [run._lifetime.session for run in runs]
    for session in sessions:
        assert session is not None
        session.sample()
    assert [meter.reads for meter in meters] == [reads + 1 for reads in before]
    process.clock.advance(1.0)
    assert sessions[0] is not None
    sessions[0].sample()
    assert [meter.reads for meter in meters] == [reads + 2 for reads in before]
    for run in runs:
        run.stop()
    assert total(*runs) == used(3)


def test_four_that_start_mark_and_stop_at_once_lose_nothing(process: Process) -> None:
    barrier = threading.Barrier(4, timeout=30)

    def trial(thread: int) -> Tracker:
        run = process.tracker(f"run{thread}")
        barrier.wait()
        run.start()
        barrier.wait()
        if thread == 0:
            process.clock.advance(8)
        barrier.wait()
        for epoch in range(5):
            run.mark(epoch=epoch)
        barrier.wait()
        run.stop()
        return run

    with ThreadPoolExecutor(4) as pool:
        runs = list(pool.map(trial, range(4)))
    assert total(*runs) == used(8)
    assert [run.total.joules["cpu"] for run in runs] == [pytest.approx(120)] * 4


@pytest.mark.parametrize("interrupted", [False, True], ids=["an error", "an interrupt"])
def test_a_session_that_cannot_begin_takes_no_part(process: Process, interrupted: bool) -> None:
    run = process.started(0, "run")
    broken = process.tracker("broken")
    if interrupted:
        process.meters["broken"].fault = KeyboardInterrupt()
        with pytest.raises(KeyboardInterrupt):
            process.on(1, broken.start)
    else:
        process.meters["broken"].methods = 5  # type: ignore[assignment]
        process.on(1, broken.start)
    assert process.siblings.runs() == {run.run_id}
    process.clock.advance(10)
    broken.stop()
    run.stop()
    assert run.total.joules == used(10)


def test_the_names_are_those_since_the_mark() -> None:
    named = Named()
    named.set(("b",))
    named.set(("a",))
    assert named.runs == ("a", "b")
    named.marked()
    assert named.runs == ("a",)


def test_real_trackers_in_threads_are_no_parts_of_each_other() -> None:
    """With the process's own registry of siblings, as a program has it."""
    clock, barrier = Clock(), threading.Barrier(2, timeout=30)

    def trial(_: int) -> Tracker:
        platform = fake_platform(clock, FakeMeter(clock, WATTS))
        with Tracker(region="FR", console=False, platform=platform) as run:
            barrier.wait()
            if barrier.wait() == 0:
                clock.advance(10)
            barrier.wait()
        return run

    with ThreadPoolExecutor(2) as pool:
        runs = list(pool.map(trial, range(2)))
    assert total(*runs) == used(10)
    assert {row["parent"] for row in rows()} == {None}
