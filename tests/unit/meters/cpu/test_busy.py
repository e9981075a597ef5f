from __future__ import annotations

import errno
import os
import random
import threading
import time
from pathlib import Path

import psutil
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from proc_tree import UNREADABLE, ProcTree

from eco2ai_callbacks.meters.cpu.busy import JobBusy, MachineBusy, adopted_among, below, heirs_of
from eco2ai_callbacks.meters.cpu.processes import LinuxProcesses, ProcessKey, ProcessTimes
from eco2ai_callbacks.testing import Clock

# Two ticks, for user and system time of processes that were waited for, and what an interpreter does beside burning.
NEAR = 0.03

linux = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs Linux's /proc")


@pytest.fixture(params=[True, False], ids=["listed", "scanned"])
def tree(request: pytest.FixtureRequest, tmp_path: Path) -> ProcTree:
    """A procfs of a kernel that lists children, and of one that does not."""
    return ProcTree(tmp_path, listed=request.param)


# --- the machine ------------------------------------------------------------------------------------------------------


def test_the_machine_is_busy_in_user_nice_system_and_interrupts_and_in_nothing_else(tree: ProcTree) -> None:
    tree.machine(user=1000, nice=200, system=30, irq=4, softirq=5)
    assert MachineBusy(tree.root).read() == pytest.approx(12.39)


def test_the_machine_s_count_never_falls(tree: ProcTree) -> None:
    tree.machine(user=1000)
    busy = MachineBusy(tree.root)
    assert busy.read() == 10.0
    tree.machine(user=900)
    assert busy.read() == 10.0
    tree.machine(user=1001)
    assert busy.read() == 10.01


def test_a_machine_without_procfs_is_asked_through_psutil(tmp_path: Path) -> None:
    busy = MachineBusy(tmp_path / "none")
    times = psutil.cpu_times()
    assert busy.read() == pytest.approx(times.user + times.system + times.nice, rel=0.01)


@linux
def test_the_real_machine_is_as_busy_as_psutil_says() -> None:
    times = psutil.cpu_times()
    expected = times.user + times.nice + times.system + times.irq + times.softirq
    assert MachineBusy().read() == pytest.approx(expected, abs=0.5)


# --- the job in a tree that we write ----------------------------------------------------------------------------------


def test_a_job_is_its_root_and_all_that_descends_from_it(tree: ProcTree) -> None:
    tree.put(1, 0, user=9999)
    tree.put(50, 1, user=9999)
    tree.put(100, 1, user=10)
    tree.put(101, 100, user=20)
    tree.put(102, 101, user=30)
    tree.put(103, 50, user=9999)
    job = JobBusy(100, tree.root)
    assert sorted(job.pids) == [100, 101, 102]
    assert job.read() == 0.0  # counted from here on
    tree.put(100, 1, user=11, system=2)
    tree.put(101, 100, user=24)
    tree.put(102, 101, user=38)
    tree.put(103, 50, user=99999)
    assert job.read() == pytest.approx(0.15)


def test_children_that_come_later_count_from_their_birth(tree: ProcTree) -> None:
    tree.put(100, 1)
    job = JobBusy(100, tree.root)
    tree.put(101, 100, user=25)
    assert job.read() == pytest.approx(0.25)
    assert sorted(job.pids) == [100, 101]


def test_children_that_lived_and_died_between_two_reads_are_in_their_parent_s_reaped_time(tree: ProcTree) -> None:
    tree.put(100, 1, reaped_user=7)
    job = JobBusy(100, tree.root)
    tree.put(100, 1, reaped_user=37, reaped_system=10)
    assert job.read() == pytest.approx(0.40)


def test_a_child_that_was_waited_for_counts_once(tree: ProcTree) -> None:
    tree.put(100, 1)
    tree.put(101, 100, user=50)
    job = JobBusy(100, tree.root)
    tree.put(101, 100, user=80)
    assert job.read() == pytest.approx(0.30)
    tree.remove(101)
    tree.put(100, 1, reaped_user=90)
    assert job.read() == pytest.approx(0.40)
    assert job.pids == (100,)


def test_when_a_middle_process_exits_the_sum_does_not_fall(tree: ProcTree) -> None:
    """The plain sum over the living tree did: from 2.29 to 2.05 s."""
    tree.put(100, 1)
    job = JobBusy(100, tree.root)
    tree.put(101, 100, user=50)
    tree.put(102, 101, user=150)
    assert job.read() == pytest.approx(2.0)
    tree.remove(101)
    tree.put(100, 1, reaped_user=50)
    tree.put(102, 1, user=160)
    assert job.read() == pytest.approx(2.1)
    assert sorted(job.pids) == [100, 102]
    tree.put(102, 1, user=190)
    assert job.read() == pytest.approx(2.4)
    tree.put(103, 102, user=5)  # an orphan's children are the job's too
    assert job.read() == pytest.approx(2.45)
    tree.remove(102, 103)  # init has waited for them: what was last seen stays
    assert job.read() == pytest.approx(2.45)


def test_a_worker_that_is_killed_with_its_parent_keeps_what_was_last_seen(tree: ProcTree) -> None:
    tree.put(100, 1)
    tree.put(101, 100, user=50)
    tree.put(102, 101, user=10)
    job = JobBusy(100, tree.root)
    tree.put(102, 101, user=110)
    assert job.read() == pytest.approx(1.0)
    # Its grandparent waits for its parent, and nobody for it.
    tree.remove(101, 102)
    tree.put(100, 1, reaped_user=50)
    assert job.read() == pytest.approx(1.0)


def test_a_worker_that_its_parent_waited_for_before_it_died_counts_once(tree: ProcTree) -> None:
    tree.put(100, 1)
    job = JobBusy(100, tree.root)
    tree.put(101, 100, user=50)
    tree.put(102, 101, user=100)
    assert job.read() == pytest.approx(1.5)
    tree.remove(102)
    tree.remove(101)
    tree.put(100, 1, reaped_user=150)
    assert job.read() == pytest.approx(1.5)


def test_a_parent_that_ignores_its_children_s_deaths_loses_only_what_was_never_seen(tree: ProcTree) -> None:
    tree.put(100, 1)
    job = JobBusy(100, tree.root)
    tree.put(101, 100, user=70)
    tree.put(102, 100, user=30)
    assert job.read() == pytest.approx(1.0)
    tree.remove(101, 102)
    assert job.read() == pytest.approx(1.0)
    tree.put(100, 1, user=20)
    assert job.read() == pytest.approx(1.2)


def test_when_the_root_is_gone_its_descendants_still_count(tree: ProcTree) -> None:
    tree.put(100, 1)
    tree.put(101, 100)
    job = JobBusy(100, tree.root)
    tree.put(100, 1, user=40)
    assert job.read() == pytest.approx(0.4)
    tree.remove(100)
    tree.put(101, 1, user=10)
    assert job.read() == pytest.approx(0.5)
    assert job.pids == (101,)


@pytest.mark.parametrize("reused", [100, 101], ids=["root", "child"])
def test_a_later_process_with_the_same_id_is_another(tree: ProcTree, reused: int) -> None:
    tree.put(100, 1)
    tree.put(101, 100, user=10)
    job = JobBusy(100, tree.root)
    tree.remove(reused)
    tree.put(reused, 1, user=5000, started=999)
    tree.put(77, reused, user=5000, started=999)
    job.read()
    assert reused not in job.pids
    assert 77 not in job.pids
    assert job.read() == 0.0


def test_a_child_with_the_id_of_one_that_died_is_a_new_child(tree: ProcTree) -> None:
    tree.put(100, 1)
    tree.put(101, 100, user=30)
    job = JobBusy(100, tree.root)
    tree.remove(101)
    tree.put(100, 1, reaped_user=30)
    tree.put(101, 100, user=8, started=999)
    assert job.read() == pytest.approx(0.08)


def test_ids_used_again_in_a_ring_end_no_search() -> None:
    first, second = ProcessKey(10, 1.0), ProcessKey(20, 2.0)
    ring = {first: ProcessTimes(20, 1.0, 0.0), second: ProcessTimes(10, 1.0, 0.0)}
    assert heirs_of(ring, {}) == {first: None, second: None}


def test_below_is_a_process_with_all_its_descendants() -> None:
    members = {ProcessKey(pid, 1.0): ProcessTimes(parent, 0.0, 0.0) for pid, parent in ((1, 0), (2, 1), (3, 2), (4, 1))}
    assert {key.pid for key in below({2}, members)} == {2, 3}
    assert below(set(), members) == frozenset()


def test_nothing_at_the_root_s_id_is_nothing_measured(tree: ProcTree) -> None:
    job = JobBusy(100, tree.root)
    tree.put(100, 1, user=50)
    assert job.read() == 0.0
    assert job.pids == ()


def test_a_table_that_cannot_be_read_raises_and_counts_nothing_twice(tree: ProcTree) -> None:
    """As with no file descriptor left: to take all members for dead would count them again when they are back."""
    tree.put(100, 1, user=500)
    job = JobBusy(100, tree.root)
    tree.break_("100/stat", UNREADABLE)
    with pytest.raises(OSError, match="Input/output"):
        job.read()
    (tree.root / "100/stat").unlink()
    tree.put(100, 1, user=510)
    assert job.read() == pytest.approx(0.1)


def test_a_member_that_dies_during_the_look_is_not_missing(tree: ProcTree) -> None:
    """Its parent was looked at before it waited; only a second look finds the time there."""
    tree.put(100, 1)
    tree.put(101, 100, user=80)
    job = JobBusy(100, tree.root)

    class DiesWhileLookedAt(LinuxProcesses):
        looks = 0

        def _stat(self, pid: int) -> list[bytes] | None:
            if pid == 101 and not self.looks:
                self.looks += 1
                tree.remove(101)
                tree.put(100, 1, reaped_user=90)
            return super()._stat(pid)

    job._table = DiesWhileLookedAt(100, tree.root)
    assert job.read() == pytest.approx(0.1)


def test_members_are_looked_up_again_once_they_are_stale(tree: ProcTree) -> None:
    """The memory's meter goes on where the CPU's has failed and nobody else reads."""
    clock = Clock()
    tree.put(100, 1)
    job = JobBusy(100, tree.root, clock=clock)
    tree.put(101, 100, user=5)
    assert job.pids == (100,)
    clock.advance(1.5)
    assert sorted(job.pids) == [100, 101]
    assert job.read() == pytest.approx(0.05)


def test_who_asks_for_the_members_while_they_are_looked_up_is_told_the_last_ones(tree: ProcTree) -> None:
    """As a signal handler does that interrupts a reading."""
    clock = Clock()
    told: list[tuple[int, ...]] = []
    tree.put(100, 1)

    def asks() -> tuple[int, ...]:
        if clock() > 0:
            told.append(job.pids)
        return ()

    job = JobBusy(100, tree.root, asks, clock)
    tree.put(101, 100)
    clock.advance(5.0)
    job.read()
    assert told == [(100,)]
    assert sorted(job.pids) == [100, 101]


# --- processes that are adopted ---------------------------------------------------------------------------------------


def test_a_process_that_is_older_than_the_count_brings_nothing_of_what_it_has_used(tree: ProcTree) -> None:
    """As the first process of a container adopts what `docker exec` has left behind."""
    tree.uptime(50.0)
    tree.put(1, 0, started=100)
    job = JobBusy(1, tree.root)
    tree.put(30, 1, user=60_000, started=4000)
    assert job.read() == 0.0
    assert sorted(job.pids) == [1, 30]
    tree.put(30, 1, user=60_050, started=4000)
    assert job.read() == pytest.approx(0.5)
    tree.put(31, 30, user=20, started=5100)  # its later children are members' children
    assert job.read() == pytest.approx(0.7)


@pytest.mark.parametrize("waited", [True, False], ids=["waited for", "never waited for"])
def test_what_an_adopted_process_had_used_stays_out_when_it_ends(tree: ProcTree, waited: bool) -> None:
    tree.uptime(50.0)
    tree.put(1, 0, started=100)
    job = JobBusy(1, tree.root)
    tree.put(30, 1, user=60_000, reaped_user=500, started=4000)
    job.read()
    tree.put(30, 1, user=60_040, reaped_user=500, started=4000)
    assert job.read() == pytest.approx(0.4)
    tree.remove(30)
    tree.put(1, 0, user=10, reaped_user=60_540 if waited else 0, started=100)
    assert job.read() == pytest.approx(0.5)


def test_a_later_process_of_a_session_that_is_no_member_s_is_adopted_too(tree: ProcTree) -> None:
    tree.uptime(50.0)
    tree.put(1, 0, started=100, session=1)
    job = JobBusy(1, tree.root)
    tree.put(40, 1, user=900, started=6000, session=39)  # 39 ran it, elsewhere, and has ended
    tree.put(41, 40, user=300, started=6001, session=39)
    assert job.read() == 0.0
    tree.put(40, 1, user=910, started=6000, session=39)
    assert job.read() == pytest.approx(0.1)


@pytest.mark.parametrize("session", [1, 40], ids=["its parent's session", "one of its own"])
def test_a_child_that_is_born_later_counts_whole(tree: ProcTree, session: int) -> None:
    tree.uptime(50.0)
    tree.put(1, 0, started=100, session=1)
    job = JobBusy(1, tree.root)
    tree.put(40, 1, user=30, started=5000, session=session)
    tree.put(41, 40, user=40, started=5010, session=session)
    assert job.read() == pytest.approx(0.7)


def test_an_adopted_process_that_measures_itself_is_left_out_once(tree: ProcTree) -> None:
    foreign = Foreign(30)
    tree.uptime(50.0)
    tree.put(1, 0, started=100)
    job = JobBusy(1, tree.root, foreign)
    tree.put(30, 1, user=700, started=4000)
    tree.put(1, 0, user=5, started=100)
    assert job.read() == pytest.approx(0.05)
    tree.put(30, 1, user=800, started=4000)
    assert job.read() == pytest.approx(0.05)
    foreign.pids.clear()
    tree.put(1, 0, user=8, started=100)
    assert job.read() == pytest.approx(0.08)


def test_new_members_are_told_by_age_and_session() -> None:
    root = {ProcessKey(1, 10.0): ProcessTimes(0, 1.0, 0.0, session=1)}
    born, older, stray = ProcessKey(2, 60.0), ProcessKey(3, 40.0), ProcessKey(4, 70.0)
    new = {
        born: ProcessTimes(1, 1.0, 0.0, session=1),
        older: ProcessTimes(1, 1.0, 0.0, session=1),
        stray: ProcessTimes(1, 1.0, 0.0, session=99),
    }
    assert set(adopted_among({**root, **new}, root, 50.0)) == {older, stray}
    assert adopted_among(root, root, 50.0) == {}


# --- another namespace's procfs ---------------------------------------------------------------------------------------


@pytest.fixture
def shared(tree: ProcTree) -> ProcTree:
    """The host's procfs in a container whose first process is this one, 4711 there."""
    tree.put(1, 0, user=999_999)
    tree.put(2, 1, user=999_999)
    tree.put(4711, 2)
    tree.ids(4711, os.getpid())
    tree.put(4720, 4711)
    tree.ids(4720, 7)
    (tree.root / "self").symlink_to("4711")
    return tree


def test_the_root_is_this_process_whatever_its_id_is_there(shared: ProcTree) -> None:
    job = JobBusy(proc=shared.root)
    assert sorted(job.pids) == [4711, 4720]
    shared.put(1, 0, user=1_999_999)
    shared.put(4720, 4711, user=40)
    assert job.read() == pytest.approx(0.4)


def test_a_child_is_found_by_its_id_in_this_namespace(shared: ProcTree) -> None:
    shared.put(900, 2)
    shared.ids(900, 7)  # of another container
    assert JobBusy(7, shared.root).pids == (4720,)
    assert JobBusy(8, shared.root).pids == ()


def test_who_measures_itself_is_known_by_its_id_in_this_namespace(shared: ProcTree) -> None:
    job = JobBusy(None, shared.root, Foreign(7))
    assert job.pids == (4711,)
    shared.put(4720, 4711, user=40)
    assert job.read() == 0.0


def test_where_procfs_shows_another_namespace_this_process_alone_counts(tree: ProcTree) -> None:
    tree.put(os.getpid(), 1, user=999_999)  # somebody else
    (tree.root / "self").symlink_to("gone")
    job = JobBusy(proc=tree.root)
    before = time.process_time()
    while time.process_time() < before + 0.02:
        pass
    assert job.read() == pytest.approx(time.process_time() - before, abs=NEAR)
    assert job.pids == ()  # none that others could look up there
    assert JobBusy(os.getpid() + 1, tree.root).read() == 0.0


# --- processes that measure themselves --------------------------------------------------------------------------------


class Foreign:
    """What the registry says."""

    def __init__(self, *pids: int) -> None:
        self.pids = list(pids)

    def __call__(self) -> list[int]:
        return self.pids


def test_processes_that_measure_themselves_are_left_out_while_they_do_and_count_again_afterwards(
    tree: ProcTree,
) -> None:
    foreign = Foreign(101)
    tree.put(100, 1)
    tree.put(101, 100, user=10)
    tree.put(102, 101, user=10)
    job = JobBusy(100, tree.root, foreign)
    assert job.pids == (100,)
    tree.put(100, 1, user=5)
    tree.put(101, 100, user=110)
    tree.put(102, 101, user=60)
    assert job.read() == pytest.approx(0.05)
    foreign.pids.clear()
    tree.put(101, 100, user=120)  # may have been measured there
    assert job.read() == pytest.approx(0.05)
    assert sorted(job.pids) == [100, 101, 102]
    tree.put(101, 100, user=150)
    tree.put(102, 101, user=61)
    assert job.read() == pytest.approx(0.36)


def test_a_process_that_begins_to_measure_is_left_out_from_the_last_read_on(tree: ProcTree) -> None:
    foreign = Foreign()
    tree.put(100, 1)
    tree.put(101, 100, user=10)
    job = JobBusy(100, tree.root, foreign)
    tree.put(101, 100, user=30)
    assert job.read() == pytest.approx(0.2)
    foreign.pids.append(101)
    tree.put(101, 100, user=1030)
    assert job.read() == pytest.approx(0.2)


def test_a_process_that_is_first_seen_measuring_is_left_out_whole(tree: ProcTree) -> None:
    foreign = Foreign(101)
    tree.put(100, 1)
    job = JobBusy(100, tree.root, foreign)
    tree.put(101, 100, user=700)
    tree.put(100, 1, user=1)
    assert job.read() == pytest.approx(0.01)


def test_who_measures_itself_being_unknown_for_a_moment_counts_nothing_twice(tree: ProcTree) -> None:
    """As with no file descriptor left for the registry, at the read where a member has ended."""

    class Unreadable(Foreign):
        failing = False

        def __call__(self) -> list[int]:
            if self.failing:
                raise OSError(errno.EMFILE, "Too many open files")
            return super().__call__()

    foreign = Unreadable()
    tree.put(100, 1)
    tree.put(101, 100, user=50)
    job = JobBusy(100, tree.root, foreign)
    tree.remove(101)
    foreign.failing = True
    for _ in range(2):
        with pytest.raises(OSError, match="Too many open files"):
            job.read()
    foreign.failing = False
    assert job.read() == 0.0
    tree.put(100, 1, user=3)
    assert job.read() == pytest.approx(0.03)


def test_workers_of_a_process_that_measures_itself_cost_the_job_nothing_when_they_end(tree: ProcTree) -> None:
    foreign = Foreign(101)
    tree.put(100, 1)
    tree.put(101, 100)
    tree.put(102, 101)
    job = JobBusy(100, tree.root, foreign)
    tree.put(102, 101, user=300)
    tree.put(100, 1, user=10)
    assert job.read() == pytest.approx(0.1)
    tree.remove(102)
    tree.put(101, 100, reaped_user=350)
    tree.put(100, 1, user=30)
    assert job.read() == pytest.approx(0.3)
    # The same where the worker is not waited for.
    tree.put(103, 101, user=200)
    assert job.read() == pytest.approx(0.3)
    tree.remove(103)
    tree.put(100, 1, user=50)
    assert job.read() == pytest.approx(0.5)


def test_a_process_that_measured_itself_and_ended_stays_left_out(tree: ProcTree) -> None:
    foreign = Foreign(101)
    tree.put(100, 1)
    tree.put(101, 100)
    job = JobBusy(100, tree.root, foreign)
    tree.put(101, 100, user=400)
    assert job.read() == 0.0
    foreign.pids.clear()
    tree.remove(101)
    tree.put(100, 1, user=7, reaped_user=400)
    assert job.read() == pytest.approx(0.07)


def test_the_root_is_never_left_out(tree: ProcTree) -> None:
    tree.put(100, 1)
    job = JobBusy(100, tree.root, Foreign(100))
    tree.put(100, 1, user=7)
    assert job.read() == pytest.approx(0.07)
    assert job.pids == (100,)


# --- any history ------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32), listed=st.booleans(), orphans=st.booleans(), steps=st.integers(5, 40))
def test_whatever_processes_do_the_count_never_falls_and_never_exceeds_the_truth(
    tmp_path_factory: pytest.TempPathFactory, seed: int, listed: bool, orphans: bool, steps: int
) -> None:
    """And where every process was waited for by a member, it is the truth."""
    rng = random.Random(seed)
    tree = ProcTree(tmp_path_factory.mktemp("history"), listed)
    own, reaped, parent, zombies = {100: 0}, {100: 0}, {100: 1}, set()
    truth = 0
    tree.put(100, 1)
    job = JobBusy(100, tree.root)
    seen = 0.0

    def wait(pid: int) -> None:
        inheriting_rank = parent[pid]
        if inheriting_rank in reaped:
            reaped[inheriting_rank] += own[pid] + reaped[pid]
        for table in (own, reaped, parent):
            del table[pid]
        zombies.discard(pid)
        tree.remove(pid)

    for number in range(steps):
        running = [pid for pid in own if pid not in zombies]
        pid = rng.choice(running)
        act = rng.choice(["burn", "burn", "fork", "end", "wait", "read"])
        if act == "burn":
            ticks = rng.randint(1, 300)
            own[pid] += ticks
            truth += ticks
        elif act == "fork":
            own[200 + number], reaped[200 + number], parent[200 + number] = 0, 0, pid
        elif act == "end" and pid != 100:
            children = [child for child, its in parent.items() if its == pid]
            if orphans or not children:
                zombies.add(pid)
                for child in children:
                    parent[child] = 1
                    if child in zombies:
                        wait(child)
        elif act == "wait":
            for zombie in [z for z in zombies if parent[z] == pid or parent[z] == 1]:
                wait(zombie)
        for pid in own:
            tree.put(pid, parent[pid], user=own[pid], reaped_user=reaped[pid], started=pid)
        if act == "read" or number == steps - 1:
            now = job.read()
            assert now >= seen
            assert now <= truth * 0.01 + 1e-9
            seen = now
    if not orphans:
        assert seen == pytest.approx(truth * 0.01)


# --- real processes ---------------------------------------------------------------------------------------------------


@linux
def test_the_time_of_this_process_and_its_threads_counts() -> None:
    job = JobBusy()
    before = time.process_time()

    def burn() -> None:
        end = time.thread_time() + 0.1
        while time.thread_time() < end:
            sum(range(500))

    threads = [threading.Thread(target=burn) for _ in range(2)]
    for thread in threads:
        thread.start()
    burn()
    for thread in threads:
        thread.join()
    used = time.process_time() - before
    assert used > 0.3
    assert job.read() == pytest.approx(used, rel=0.03)
