"""What is not read again of real processes: those that are idle, and their children while no process is begun."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from eco2ai_callbacks.meters.cpu.processes import LinuxProcesses, Snapshot

pytestmark = pytest.mark.skipif(not Path("/proc/loadavg").exists(), reason="needs Linux's /proc")


class Counted(LinuxProcesses):
    """This machine's processes, with the id that was given out last set by the test, and what was read."""

    latest_id: int | None = 7
    hidden = False

    def __init__(self) -> None:
        self.read: list[int] = []
        self.listed: list[int] = []
        super().__init__(os.getpid(), Path("/proc"))

    def _latest_id(self) -> int | None:
        return self.latest_id

    def _stat(self, pid: int) -> list[bytes] | None:
        self.read.append(pid)
        return super()._stat(pid)

    def _children(self, pid: int, threads: int) -> list[int]:
        self.listed.append(pid)
        return [] if self.hidden else list(super()._children(pid, threads))

    def look(self, known: Snapshot) -> tuple[Snapshot, list[int], list[int]]:
        """Return the family, whose status was read for it, and whose children were asked for."""
        self.read, self.listed = [], []
        return self.family(known), self.read, self.listed


@pytest.fixture
def child() -> Iterator[int]:
    """A child of this process that waits for a signal, and is taken away at the end."""
    pid = os.fork()
    if pid == 0:
        while True:
            signal.pause()
    yield pid
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, 0)


def test_who_has_no_children_is_asked_for_its_times_alone() -> None:
    table = Counted()
    found = table.family({})
    for _ in range(3):
        found, read, listed = table.look(found)
        assert ([key.pid for key in found], read, listed) == ([os.getpid()], [], [])


def test_an_idle_child_is_not_read_again_and_nobody_s_children_as_long_as_none_is_begun(child: int) -> None:
    table = Counted()
    found = table.family({})
    while table.look(found)[1:] != ([os.getpid()], []):  # until the child has come to rest
        found = table.family(found)
    assert {key.pid for key in found} == {os.getpid(), child}
    table.latest_id = 8
    for _ in range(2):  # once more after each change
        found, read, listed = table.look(found)
        assert read[0] == os.getpid()
        assert sorted(listed) == sorted([os.getpid(), child])
    found, read, listed = table.look(found)
    assert (read, listed) == ([os.getpid()], [])
    table.latest_id = None  # a system that does not tell
    assert sorted(table.look(found)[2]) == sorted([os.getpid(), child])


def test_a_child_that_has_an_id_and_is_not_listed_yet_is_found_by_the_second_look(child: int) -> None:
    table = Counted()
    found = table.family(table.family(table.family({})))
    another = os.fork()
    if another == 0:
        while True:
            signal.pause()
    try:
        table.latest_id, table.hidden = another, True
        found = table.family(found)
        table.hidden = False
        assert {key.pid for key in found} == {os.getpid(), child}
        assert {key.pid for key in table.family(found)} == {os.getpid(), child, another}
    finally:
        os.kill(another, signal.SIGKILL)
        os.waitpid(another, 0)


def test_a_child_that_ends_is_gone_at_the_next_look(child: int) -> None:
    table = Counted()
    found = table.family(table.family(table.family({})))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    found, _, listed = table.look(found)
    assert [key.pid for key in found] == [os.getpid()]
    assert listed == [os.getpid()]
