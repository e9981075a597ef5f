"""The process table: a process and all that descends from it."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from proc_tree import FORBIDDEN, ProcTree

from eco2ai_callbacks.meters.cpu.busy import JobBusy
from eco2ai_callbacks.meters.cpu.processes import LinuxProcesses


@pytest.fixture(params=[True, False], ids=["listed", "scanned"])
def tree(request: pytest.FixtureRequest, tmp_path: Path) -> ProcTree:
    """A procfs of a kernel that lists children, and of one that does not."""
    return ProcTree(tmp_path, listed=request.param)


def test_a_name_with_spaces_and_brackets_is_read_over(tree: ProcTree) -> None:
    tree.put(100, 1, user=5, name="a) R 7 (b c)")
    job = JobBusy(100, tree.root)
    tree.put(100, 1, user=9, name="a) R 7 (b c)")
    assert job.read() == pytest.approx(0.04)


def test_other_users_processes_may_be_hidden(tmp_path: Path) -> None:
    tree = ProcTree(tmp_path, listed=False)
    tree.put(100, 1)
    tree.put(101, 100)
    tree.put(55, 1)
    tree.break_("55/stat", FORBIDDEN)
    job = JobBusy(100, tree.root)
    tree.put(101, 100, user=10)
    assert job.read() == pytest.approx(0.1)


def test_children_that_may_not_be_listed_are_passed_over(tmp_path: Path) -> None:
    tree = ProcTree(tmp_path)
    tree.put(100, 1)
    tree.put(101, 100)
    tree.put(102, 100)
    tree.break_("101/task/101/children", FORBIDDEN)
    job = JobBusy(100, tree.root)
    assert sorted(job.pids) == [100, 101, 102]


def test_a_process_that_is_just_being_taken_away_is_gone(tree: ProcTree) -> None:
    """Linux shows it for a moment without threads and with 0 for a parent, when its time is in its parent's already."""
    tree.put(100, 1)
    tree.put(101, 100, user=30)
    job = JobBusy(100, tree.root)
    tree.put(100, 1, reaped_user=30)
    tree.put(101, 0, user=30, threads=0)
    assert job.read() == 0.0
    tree.remove(101)
    assert job.read() == 0.0
    assert job.pids == (100,)


def test_a_child_that_ends_between_being_found_and_being_read_is_passed_over(tmp_path: Path) -> None:
    tree = ProcTree(tmp_path, listed=False)
    tree.put(100, 1)
    tree.put(101, 100, user=3)

    class GoneOnceFound(LinuxProcesses):
        def _stat(self, pid: int) -> list[bytes] | None:
            fields = super()._stat(pid)
            if pid == 101 and fields:
                tree.remove(101)
            return fields

    assert [key.pid for key in GoneOnceFound(100, tree.root).family({})] == [100]


@pytest.mark.parametrize("code", [errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EIO])
@pytest.mark.parametrize("call", ["open", "listdir"])
def test_a_moment_in_which_nothing_can_be_opened_ends_no_process(
    tree: ProcTree, monkeypatch: pytest.MonkeyPatch, call: str, code: int
) -> None:
    tree.put(100, 1, user=50, threads=2)  # whose children are listed by thread
    tree.put(101, 100, user=30)
    job = JobBusy(100, tree.root)
    real, left = getattr(os, call), 1

    def short(*args: object) -> object:
        nonlocal left
        left -= 1
        if left < 0:
            raise OSError(code, os.strerror(code))
        return real(*args)

    with monkeypatch.context() as patch:
        patch.setattr(os, call, short)
        for allowed in range(2 if call == "open" else 1):
            left = allowed
            with pytest.raises(OSError, match=os.strerror(code)):
                job.read()
    tree.put(101, 100, user=40)
    assert job.read() == pytest.approx(0.1)
    assert sorted(job.pids) == [100, 101]


@pytest.mark.parametrize("code", [errno.ENOENT, errno.ESRCH])
def test_a_process_that_is_not_there_has_ended(tree: ProcTree, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    tree.put(100, 1)
    tree.put(101, 100, user=30)
    job = JobBusy(100, tree.root)
    real = os.open

    def gone(path: str, flags: int) -> int:
        if "/101/" in path:
            raise OSError(code, os.strerror(code))
        return real(path, flags)

    monkeypatch.setattr(os, "open", gone)
    tree.put(100, 1, reaped_user=30)
    assert job.read() == 0.0
    assert job.pids == (100,)


def test_both_ways_of_finding_children_find_the_same(tmp_path: Path) -> None:
    """Which one is taken depends on how many threads would have to be asked, and how many processes there are."""
    tree = ProcTree(tmp_path)
    tree.put(100, 1, threads=40)
    tree.put(101, 100, user=1)
    tree.put(102, 101, user=2)
    assert sorted(JobBusy(100, tree.root).pids) == [100, 101, 102]  # four processes: all are looked at
    for pid in range(1000, 1060):
        tree.put(pid, 1)
    assert sorted(JobBusy(100, tree.root).pids) == [100, 101, 102]  # many processes: the threads are asked


def test_times_are_a_process_s_own_and_those_of_the_children_it_waited_for(tree: ProcTree) -> None:
    tree.put(100, 1, user=5, reaped_user=7, reaped_system=10, threads=3)
    ((key, times),) = LinuxProcesses(100, tree.root).family({}).items()
    assert key.pid == 100
    assert (times.parent, times.threads) == (1, 3)
    assert (times.own_s, times.reaped_s, times.total_s) == pytest.approx((0.05, 0.17, 0.22))
    assert times.session == 100


def test_the_present_is_in_the_unit_of_start_times(tree: ProcTree) -> None:
    table = LinuxProcesses(100, tree.root)
    assert table.now() == 0.0
    tree.uptime(12.5)
    assert table.now() == 1249.0
