"""Processes that are no more: nobody is taken for them, and nothing of them is left."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from registry_entries import entry

from eco2ai_callbacks.host.machine import process_started
from eco2ai_callbacks.host.registry import Registry
from eco2ai_callbacks.meters.cpu.process_tables import PsutilProcesses
from eco2ai_callbacks.meters.cpu.processes import ProcessKey, ProcessTimes


def test_without_procfs_ids_that_are_gone_or_used_again_are_nobody() -> None:
    table = PsutilProcesses(os.getpid())
    own = next(iter(table.family({})))
    ended = subprocess.Popen([sys.executable, "-I", "-S", "-c", ""])
    ended.wait()
    again, gone = ProcessKey(own.pid, own.started - 1), ProcessKey(ended.pid, 1.0)
    assert table.family({again: ProcessTimes(1, 0.0, 0.0), gone: ProcessTimes(1, 0.0, 0.0)}) == {}
    found = table.family({own: ProcessTimes(1, 0.0, 0.0)})
    assert own in found


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return Registry("host", tmp_path / "trackers")


def test_what_a_killed_process_left_is_taken_away(registry: Registry, tmp_path: Path):
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    registry.enter(entry(pid=child.pid))
    assert [one.pid for one in registry.living()] == [child.pid]
    child.kill()
    child.communicate()
    assert registry.living() == []
    assert not list((tmp_path / "trackers").glob("*.json"))


class TestProcessStarted:
    def test_one_that_is_gone_has_none(self):
        child = subprocess.Popen([sys.executable, "-c", ""])
        child.wait()
        assert process_started(child.pid) is None

    def test_one_that_is_dead_and_not_yet_waited_for_has_none(self):
        child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
        assert process_started(child.pid) is not None
        child.kill()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert process_started(child.pid) is None
        child.communicate()

    def test_without_procfs_one_that_is_gone_has_none(self, tmp_path: Path):
        child = subprocess.Popen([sys.executable, "-c", ""])
        child.wait()
        assert process_started(child.pid, tmp_path) is None
