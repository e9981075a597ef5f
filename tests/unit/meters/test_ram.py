from __future__ import annotations

import json
import os
from pathlib import Path

import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from proc_tree import FORBIDDEN, ProcTree

from eco2ai_callbacks import Tracker
from eco2ai_callbacks.meters.ram import GIB, PAGE, Memory, RamModel, mapped_bytes, private_bytes, pss_bytes
from eco2ai_callbacks.session.context import Platform
from eco2ai_callbacks.testing import BARE_METAL, Clock

MIB = 2**20
PAGES = MIB // PAGE


class Timer:
    """What the walks cost: so much per look at the timer, which is taken before and after each."""

    def __init__(self, cost_s: float = 0.0) -> None:
        self.now = 0.0
        self.cost_s = cost_s

    def __call__(self) -> float:
        self.now += self.cost_s
        return self.now


@pytest.fixture
def tree(tmp_path: Path) -> ProcTree:
    return ProcTree(tmp_path)


@pytest.fixture
def clock() -> Clock:
    return Clock(100.0)


# --- what the files say -----------------------------------------------------------------------------------------------


def test_private_memory_is_resident_minus_shared() -> None:
    assert private_bytes("9000 500 120 1 0 800 0\n") == 380 * PAGE
    assert private_bytes("9000 100 120 1 0 800 0\n") == 0
    assert private_bytes("") is None


def test_the_proportional_share_is_the_line_of_that_name() -> None:
    assert (
        pss_bytes("00-7f [rollup]\nRss:  9 kB\nPss:        293 kB\nPss_Dirty:  112 kB\nSwapPss: 7 kB\n") == 293 * 1024
    )
    assert pss_bytes("Rss: 9 kB\nSwapPss: 7 kB\n") is None
    assert pss_bytes("") is None


def test_what_all_processes_hold_is_anonymous_and_mapped_memory() -> None:
    assert mapped_bytes("AnonPages:   100 kB\nMapped:  20 kB\nShmem: 5 kB\n") == [120 * 1024]
    assert mapped_bytes("MemTotal: 100 kB\nMapped:  20 kB\n") == []
    assert mapped_bytes("") == []


# --- what a job holds -------------------------------------------------------------------------------------------------


def test_the_proportional_shares_of_all_processes_are_summed(tree: ProcTree, clock: Clock) -> None:
    tree.memory(100, resident=9 * PAGES, shared=4 * PAGES, proportional_kb=6 * 1024)
    tree.memory(101, resident=8 * PAGES, shared=4 * PAGES, proportional_kb=5 * 1024)
    assert Memory(tree.root, clock, Timer()).held((100, 101)) == 11 * MIB


def test_between_walks_what_a_process_takes_or_gives_back_of_its_own_counts(tree: ProcTree, clock: Clock) -> None:
    """Private pages include those that a fork has not copied yet: it is their change that counts, not their number."""
    tree.memory(100, resident=9 * PAGES, shared=4 * PAGES, proportional_kb=2 * 1024)
    memory = Memory(tree.root, clock, Timer())
    assert memory.held((100,)) == 2 * MIB
    tree.memory(100, resident=16 * PAGES, shared=4 * PAGES, proportional_kb=999_999)
    clock.advance(59.0)
    assert memory.held((100,)) == 9 * MIB
    tree.memory(100, resident=4 * PAGES, shared=4 * PAGES, proportional_kb=999_999)
    assert memory.held((100,)) == 0


def test_a_process_is_walked_once_a_minute(tree: ProcTree, clock: Clock) -> None:
    tree.memory(100, resident=PAGES, shared=0, proportional_kb=1024)
    memory = Memory(tree.root, clock, Timer(0.004))
    assert memory.held((100,)) == MIB
    tree.memory(100, resident=PAGES, shared=0, proportional_kb=3 * 1024)
    clock.advance(59.9)
    assert memory.held((100,)) == MIB
    clock.advance(0.2)
    assert memory.held((100,)) == 3 * MIB


def test_a_process_whose_walk_takes_five_milliseconds_is_not_walked_again(tree: ProcTree, clock: Clock) -> None:
    tree.memory(100, resident=2 * PAGES, shared=0, proportional_kb=1024)
    timer = Timer(0.005)
    memory = Memory(tree.root, clock, timer)
    assert memory.held((100,)) == MIB
    timer.cost_s = 0.0
    tree.memory(100, resident=4 * PAGES, shared=0, proportional_kb=9 * 1024)
    clock.advance(600.0)
    assert memory.held((100,)) == 3 * MIB


def test_one_look_walks_no_longer_than_five_milliseconds_and_the_next_goes_on(tree: ProcTree, clock: Clock) -> None:
    for pid in (100, 101, 102):
        tree.memory(pid, resident=4 * PAGES, shared=PAGES, proportional_kb=1024)
    memory = Memory(tree.root, clock, Timer(0.003))
    assert memory.held((100, 101, 102)) == (1 + 1 + 3) * MIB  # the third: resident minus shared
    assert memory.held((100, 101, 102)) == 3 * MIB


def test_where_the_kernel_does_not_tell_proportional_shares_private_memory_counts(tree: ProcTree, clock: Clock) -> None:
    tree.memory(100, resident=5 * PAGES, shared=2 * PAGES)
    tree.memory(101, resident=5 * PAGES, shared=2 * PAGES, proportional_kb=77)
    tree.break_("101/smaps_rollup", FORBIDDEN)
    memory = Memory(tree.root, clock, Timer())
    assert memory.held((100, 101)) == 6 * MIB
    tree.memory(100, resident=7 * PAGES, shared=2 * PAGES)
    clock.advance(1000.0)
    assert memory.held((100, 101)) == 8 * MIB


def test_a_process_that_has_vanished_holds_nothing(tree: ProcTree, clock: Clock) -> None:
    tree.put(100, 1)
    tree.put(101, 1)
    tree.memory(100, resident=PAGES, shared=0, proportional_kb=1024)
    tree.memory(101, resident=PAGES, shared=0, proportional_kb=1024)
    memory = Memory(tree.root, clock, Timer())
    assert memory.held((100, 101, 102)) == 2 * MIB
    tree.remove(101)
    assert memory.held((100, 101)) == MIB
    assert memory.held((100,)) == MIB
    # Another with its id is looked at anew.
    tree.memory(101, resident=3 * PAGES, shared=0, proportional_kb=3 * 1024)
    assert memory.held((100, 101)) == 4 * MIB


def test_together_they_hold_no_more_than_all_processes_of_the_machine(tree: ProcTree, clock: Clock) -> None:
    """Workers that were forked from a large parent share its pages until they write: each would count them all."""
    for pid in range(100, 117):
        tree.memory(pid, resident=1000 * PAGES, shared=0)
    tree.meminfo(anonymous_kb=1100 * 1024, mapped_kb=100 * 1024)
    assert Memory(tree.root, clock, Timer()).held(range(100, 117)) == 1200 * MIB
    assert Memory(tree.root, clock, Timer()).held((100,)) == 1000 * MIB


def test_without_procfs_resident_memory_is_asked_for(tmp_path: Path, clock: Clock) -> None:
    memory = Memory(tmp_path / "none", clock)
    held = memory.held((os.getpid(), 2**22 + 7))  # beyond Linux's largest id: nobody
    assert held == pytest.approx(psutil.Process().memory_info().rss, rel=0.05)


@pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="needs Linux 4.14")
def test_memory_that_this_process_takes_is_seen_at_once() -> None:
    memory = Memory(Path("/proc"), Clock())
    before = memory.held((os.getpid(),))
    assert before > 0
    block = bytearray(os.urandom(64)) * MIB
    assert memory.held((os.getpid(),)) - before == pytest.approx(len(block), rel=0.2)


# --- the meter --------------------------------------------------------------------------------------------------------


def test_power_is_watts_per_gib_of_what_the_job_holds(tree: ProcTree, clock: Clock) -> None:
    tree.memory(100, resident=1024 * PAGES, shared=0)
    meter = RamModel(0.375, lambda: (100,), tree.root, clock)
    clock.advance(8.0)
    assert meter.read() == {"ram": pytest.approx(3.0)}  # 1 GiB x 0.375 W x 8 s
    # From one look to the next the power goes straight: 1 to 3 GiB over 4 s.
    tree.memory(100, resident=3 * 1024 * PAGES, shared=0)
    clock.advance(4.0)
    assert meter.read() == {"ram": pytest.approx(3.0 + 0.375 * 2 * 4)}
    assert meter.read() == {"ram": pytest.approx(6.0)}
    assert meter.methods["ram"].attribution == "job's process tree"
    assert meter.detail == "0.375 W per GiB that the job holds"
    meter.close()


def test_the_whole_machine_holds_all_that_is_installed(clock: Clock) -> None:
    meter = RamModel(0.5, None, Path("/proc"), clock)
    clock.advance(10.0)
    assert meter.read()["ram"] == pytest.approx(0.5 * psutil.virtual_memory().total / GIB * 10)
    assert meter.methods["ram"].attribution == "whole machine"
    assert meter.detail == "0.5 W per GiB installed"


def test_the_band_reaches_down_to_dense_servers() -> None:
    method = RamModel(0.375, None).methods["ram"]
    assert (method.name, method.low, method.high, method.counter) == ("ram-model", 0.15, 1.1, False)
    assert 0.375 * method.low < 0.10  # W per GiB that such a server drew


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.floats(-5.0, 100.0), st.integers(0, 10**6), st.integers(0, 10**6)), min_size=1, max_size=20)
)
def test_the_joules_never_fall(tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[float, int, int]]) -> None:
    tree, clock = ProcTree(tmp_path_factory.mktemp("history")), Clock()
    meter = RamModel(0.375, lambda: (100,), tree.root, clock)
    before = 0.0
    for seconds, resident, shared in steps:
        clock.advance(seconds)
        tree.memory(100, resident, shared, proportional_kb=shared)
        now = meter.read()["ram"]
        assert now >= before
        before = now


# --- in a session -----------------------------------------------------------------------------------------------------


@pytest.fixture
def records(tmp_path: Path) -> list[dict]:
    """What a tracked stretch on a machine without a hypervisor has written."""
    platform = Platform(host=lambda: BARE_METAL, registry=tmp_path / "registry", environ={})
    tracker = Tracker(
        platform=platform,
        log_file=tmp_path / "run.jsonl",
        console=False,
        gpus=(),
        region="FR",
        powercap_root=tmp_path,
    )
    with tracker:
        block = bytearray(os.urandom(64)) * (2 * MIB)
        end = os.times().user + 0.3
        while os.times().user < end:
            sum(range(1000))
        tracker.mark(epoch=0)
        del block
    return [json.loads(line) for line in (tmp_path / "run.jsonl").read_text().splitlines()]


def test_on_bare_metal_memory_and_curve_are_counted_side_by_side(records: list[dict]) -> None:
    start, epoch, stop = records
    used = {source["name"]: source for source in start["sources"] if source["used"]}
    assert used.keys() == {"CPU model", "RAM model"}
    assert used["CPU model"]["covers"] == ["cpu"]
    assert used["RAM model"]["covers"] == ["ram"]
    assert epoch["method"] == {"cpu": "cpu-model:bare", "ram": "ram-model"}
    assert epoch["attribution"] == {"cpu": "job's process tree", "ram": "job's process tree"}
    assert epoch["failures"] == stop["failures"] == []
    seconds, joules = epoch["seconds"], epoch["joules"]
    # What this process held: more than the block, less than ten times that.
    assert 0.375 * 0.125 / 2 * seconds < joules["ram"] < 0.375 * 1.25 * seconds
    # No more than the whole processor at full load, no less than a busy thread's part of a machine that is full.
    assert 0.3 * 65 * 0.74 / 12 * 0.9 < joules["cpu"] < 65 * 0.74 * seconds
    assert epoch["energy_kwh"] == pytest.approx((joules["cpu"] + joules["ram"]) / 3.6e6)
    for channel, (low, high) in epoch["band"].items():
        assert low < joules[channel] < high
