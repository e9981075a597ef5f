"""The process table of this system, where it is not Linux's as well."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from proc_tree import ProcTree

from eco2ai_callbacks.meters.cpu.process_tables import OwnProcess, PsutilProcesses, process_table
from eco2ai_callbacks.meters.cpu.processes import LinuxProcesses


@pytest.fixture
def tree(tmp_path: Path) -> ProcTree:
    return ProcTree(tmp_path)


def test_a_system_without_procfs_is_asked_through_psutil(tree: ProcTree, tmp_path: Path) -> None:
    assert isinstance(process_table(100, tree.root), LinuxProcesses)
    assert isinstance(process_table(100, tmp_path / "none"), PsutilProcesses)


def test_where_procfs_does_not_show_this_process_it_counts_itself(tree: ProcTree) -> None:
    (tree.root / "self").symlink_to("gone")
    table = process_table(os.getpid(), tree.root)
    assert isinstance(table, OwnProcess)
    ((key, times),) = table.family({}).items()
    assert key.pid == 0
    assert times.own_s == pytest.approx(time.process_time(), abs=0.05)
    assert (table.local(0), table.now()) == (os.getpid(), 0.0)
    assert process_table(os.getpid() + 1, tree.root).family({}) == {}


def test_without_procfs_this_process_is_found_with_what_it_has_used() -> None:
    (key,) = (key for key in PsutilProcesses(os.getpid()).family({}) if key.pid == os.getpid())
    table = PsutilProcesses(os.getpid())
    times = table.family({})[key]
    assert times.parent == os.getppid()
    assert 0.0 < times.own_s == times.total_s <= time.process_time() + 0.02


def test_without_procfs_the_present_is_the_wall_clock_s() -> None:
    assert PsutilProcesses(100).now() == pytest.approx(time.time() - 1.0, abs=0.5)
