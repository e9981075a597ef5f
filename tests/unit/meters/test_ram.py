from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from logcheck import rows
from proc_tree import FORBIDDEN, UNREADABLE, ProcTree

from eco2ai_callbacks import Tracker
from eco2ai_callbacks.host.memory import PAGE
from eco2ai_callbacks.meters.ram import GIB, Memory, RamModel
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


def test_after_a_slow_walk_a_process_is_left_alone_for_a_thousand_times_as_long(tree: ProcTree, clock: Clock) -> None:
    tree.memory(100, resident=2 * PAGES, shared=0, proportional_kb=1024)
    timer = Timer(0.5)
    memory = Memory(tree.root, clock, timer)
    assert memory.held((100,)) == MIB
    tree.memory(100, resident=4 * PAGES, shared=0, proportional_kb=9 * 1024)
    clock.advance(499.0)
    assert memory.held((100,)) == 3 * MIB
    clock.advance(2.0)
    assert memory.held((100,)) == 9 * MIB


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


# --- forks share their parent's pages ---------------------------------------------------------------------------------

PARENT, WORKERS = 100, range(101, 107)
FAMILY = (PARENT, *WORKERS)


def put(tree: ProcTree, pid: int, parent: int, mib: int, share_mib: int, own_mib: int = 0, program: int = 4096) -> None:
    """Add a process of so many private MiB by statm, with its proportional share and what of it nobody else maps."""
    tree.put(pid, parent, started=pid)
    stat = tree.root / str(pid) / "stat"
    fields = stat.read_text().split()
    fields[25], fields[27] = str(program), str(program + 7)  # where its code and stack begin
    stat.write_text(" ".join(fields))
    tree.memory(pid, resident=mib * PAGES, shared=0, proportional_kb=share_mib * 1024)
    with (tree.root / str(pid) / "smaps_rollup").open("a") as rollup:
        rollup.write(f"Private_Clean:  0 kB\nPrivate_Dirty:  {own_mib * 1024} kB\n")


def fork(tree: ProcTree, own_mib: int = 0) -> None:
    """Let a parent of 2100 MiB have six children that share it all, and took so much of their own since."""
    put(tree, PARENT, 1, 2100, 300)
    for pid in WORKERS:
        put(tree, pid, PARENT, 2100 + own_mib, 300 + own_mib, own_mib)


@pytest.mark.parametrize("walk_s", [0.0, 0.003, 0.04])
@pytest.mark.parametrize("seen_before", [True, False])
def test_fresh_forks_hold_no_more_than_their_parent(
    tree: ProcTree, clock: Clock, seen_before: bool, walk_s: float
) -> None:
    """Neither at the first look, nor while one after the other is walked, nor once all were."""
    memory = Memory(tree.root, clock, Timer(walk_s))
    if seen_before:
        put(tree, PARENT, 1, 2100, 2100, 2100)
        assert memory.held((PARENT,)) == 2100 * MIB
    fork(tree)
    for _ in range(20):
        assert memory.held(FAMILY) == 2100 * MIB
        clock.advance(10.0)


def test_a_worker_that_takes_memory_of_its_own_counts_it_walked_or_not(tree: ProcTree, clock: Clock) -> None:
    put(tree, PARENT, 1, 2100, 2100, 2100)
    memory = Memory(tree.root, clock, Timer(0.004))
    memory.held(FAMILY)
    fork(tree, own_mib=50)
    assert memory.held(FAMILY) == 2400 * MIB
    tree.memory(WORKERS[0], resident=2650 * PAGES, shared=0, proportional_kb=850 * 1024)
    for _ in range(12):
        assert memory.held(FAMILY) == 2900 * MIB
        clock.advance(10.0)


def test_pages_that_were_copied_on_writing_count_once_the_family_was_walked_again(tree: ProcTree, clock: Clock) -> None:
    """By statm, nothing changes."""
    fork(tree)
    memory = Memory(tree.root, clock, Timer())
    assert memory.held(FAMILY) == 2100 * MIB
    for pid in FAMILY:
        put(tree, pid, PARENT if pid != PARENT else 1, 2100, 2100, 2100)
    clock.advance(59.0)
    assert memory.held(FAMILY) == 2100 * MIB
    clock.advance(2.0)
    assert memory.held(FAMILY) == 7 * 2100 * MIB


def test_what_workers_shared_stays_with_their_parent_when_they_end(tree: ProcTree, clock: Clock) -> None:
    fork(tree, own_mib=50)
    timer = Timer()
    memory = Memory(tree.root, clock, timer)
    timer.cost_s = 0.001  # a pause of a second
    assert memory.held(FAMILY) == 2400 * MIB
    tree.remove(*WORKERS)
    assert memory.held(FAMILY) == 2100 * MIB
    put(tree, PARENT, 1, 2100, 2099, 2099)
    clock.advance(1.1)
    assert memory.held(FAMILY) == 2099 * MIB  # walked anew: the family has changed


@pytest.mark.parametrize("seen_before", [True, False])
def test_what_a_parent_shared_stays_with_its_workers_when_it_ends(
    tree: ProcTree, clock: Clock, seen_before: bool
) -> None:
    memory = Memory(tree.root, clock, Timer(0.04))
    if seen_before:
        put(tree, PARENT, 1, 2100, 2100, 2100)
        memory.held((PARENT,))
    fork(tree)
    memory.held(FAMILY)
    tree.remove(PARENT)
    assert memory.held(FAMILY) == 2100 * MIB


def test_a_child_that_runs_a_program_of_its_own_shares_nothing(tree: ProcTree, clock: Clock) -> None:
    put(tree, PARENT, 1, 2100, 2100, 2100)
    put(tree, 101, PARENT, 800, 810, 800, program=8192)
    memory = Memory(tree.root, clock, Timer(0.006))
    assert memory.held((PARENT, 101)) == 2900 * MIB  # the parent was walked
    assert memory.held((PARENT, 101)) == 2910 * MIB  # now both


def test_where_the_image_is_not_told_nobody_is_taken_for_a_relative(tree: ProcTree, clock: Clock) -> None:
    for pid, parent in ((100, 1), (101, 100)):
        tree.put(pid, parent)
        tree.memory(pid, resident=5 * PAGES, shared=0)
    assert Memory(tree.root, clock, Timer()).held((100, 101)) == 10 * MIB


def test_a_worker_that_becomes_another_program_is_looked_at_anew(tree: ProcTree, clock: Clock) -> None:
    fork(tree)
    memory = Memory(tree.root, clock, Timer())
    assert memory.held(FAMILY) == 2100 * MIB
    put(tree, 101, PARENT, 70, 75, 70, program=8192)
    for pid in (PARENT, *WORKERS[1:]):
        put(tree, pid, PARENT if pid != PARENT else 1, 2100, 350)
    assert memory.held(FAMILY) == 2175 * MIB


def test_walks_before_and_after_a_change_do_not_count_together(tree: ProcTree, clock: Clock) -> None:
    """The pause holds too: a family that never stays the same is not walked without end."""
    fork(tree)
    timer = Timer(0.04)
    memory = Memory(tree.root, clock, timer)
    for number in range(30):
        assert memory.held((*FAMILY, 200 + number)) == 2100 * MIB
        put(tree, 201 + number, PARENT, 2100, 263)
        tree.remove(*([200 + number] if number else []))
        clock.advance(1.0)
    assert timer.now <= 0.09  # one walk of 40 ms


# --- what cannot be read ----------------------------------------------------------------------------------------------


@contextmanager
def no_descriptors() -> Iterator[None]:
    """Let each opening of a file fail with EMFILE."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_without_descriptors_the_last_figure_stands(tree: ProcTree, clock: Clock) -> None:
    tree.memory(100, resident=1024 * PAGES, shared=0)
    tree.memory(101, resident=2048 * PAGES, shared=0)
    tree.meminfo(anonymous_kb=2 * 1024 * 1024, mapped_kb=0)
    meter = RamModel(0.5, lambda: (100, 101), tree.root, clock)
    with no_descriptors():
        clock.advance(10.0)
        assert meter.read() == {"ram": pytest.approx(10.0)}  # 2 GiB, more than which the machine's sum does not allow
    tree.meminfo(anonymous_kb=9 * 1024 * 1024, mapped_kb=0)
    clock.advance(10.0)
    assert meter.read() == {"ram": pytest.approx(10.0 + 12.5)}


def test_a_process_that_could_not_be_looked_at_at_first_counts_from_the_next_look(tree: ProcTree, clock: Clock) -> None:
    memory = Memory(tree.root, clock, Timer())
    tree.memory(100, resident=5 * PAGES, shared=0, proportional_kb=4 * 1024)
    with no_descriptors():
        assert memory.held((100,)) == 0
    assert memory.held((100,)) == 4 * MIB


def test_a_walk_that_failed_is_tried_at_the_next_look(tree: ProcTree, clock: Clock) -> None:
    tree.memory(100, resident=5 * PAGES, shared=0)
    tree.break_("100/smaps_rollup", UNREADABLE)
    memory = Memory(tree.root, clock, Timer())
    assert memory.held((100,)) == 5 * MIB
    tree.memory(100, resident=5 * PAGES, shared=0, proportional_kb=4 * 1024)
    assert memory.held((100,)) == 4 * MIB


def test_what_may_no_longer_be_read_keeps_its_figure(tree: ProcTree, clock: Clock) -> None:
    tree.memory(100, resident=5 * PAGES, shared=0, proportional_kb=4 * 1024)
    memory = Memory(tree.root, clock, Timer())
    memory.held((100,))
    tree.break_("100/statm", FORBIDDEN)
    assert memory.held((100,)) == 4 * MIB


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
    return rows(tmp_path / "run.jsonl")


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
