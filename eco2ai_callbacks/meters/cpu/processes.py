"""Read the process table: a process and its descendants, with the CPU time of each."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple, Protocol

from eco2ai_callbacks.host.namespace import PidNamespace
from eco2ai_callbacks.host.procfs import content_of

# ruff: noqa: PTH110, PTH208  read at every mark: bare paths and descriptors cost half of what Path objects do

TICK_S = 1.0 / (os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100)
# Up to this many threads, reading the children of each costs less than counting all processes.
_FEW_THREADS = 32
# Children of every kind, also those whose end sends no SIGCHLD (__WALL in wait(2)).
_WALL = 0x40000000
# The cost of reading children, in units of reading one process (on one machine: 6 us a thread, 12 us a process, 8 us).
_THREAD_COST, _PROCESS_COST = 0.75, 1.5


class ProcessKey(NamedTuple):
    """A process, distinct from a later one with the same id."""

    pid: int
    started: float


class ProcessTimes(NamedTuple):
    """What the system reports of a process at one moment.

    Args:
        parent: Its parent's id.
        own_s: Its own CPU seconds.
        reaped_s: CPU seconds of the children that it has waited for, and of those that these had waited for.
        threads: Number of its threads.
        session: Id of its session: its parent's, unless it has begun one of its own.
    """

    parent: int
    own_s: float
    reaped_s: float
    threads: int = 1
    session: int = 0

    @property
    def total_s(self) -> float:
        """Own and reaped together."""
        return self.own_s + self.reaped_s


Snapshot = Mapping[ProcessKey, ProcessTimes]


class ProcessTable(Protocol):
    """A source of process trees."""

    def family(self, known: Snapshot) -> Snapshot:
        """Return the known members (at first: the root) that still run and their descendants, parents first."""

    def local(self, pid: int) -> int | None:
        """Return the id by which this process's namespace knows a member."""

    def now(self) -> float:
        """Return the present in the unit of start times; 0 where it is not known."""


class LinuxProcesses:
    """The process table of Linux, read from procfs.

    What cannot have changed is not read again: a process that has used no CPU time since, and the children of all
    members while no process of the namespace was begun.

    Args:
        root: The process at the top, by its id in this process's namespace.
        proc: Where procfs is mounted.
        namespace: The namespace whose processes it shows; looked up by default.
    """

    def __init__(self, root: int, proc: Path, namespace: PidNamespace | None = None) -> None:
        self._namespace = namespace or PidNamespace(proc)
        shown = self._root = self._namespace.shown(root)
        self._proc = str(proc)
        # The kernel may be built without these files (CONFIG_PROC_CHILDREN); then all processes are read.
        self._listed = os.path.exists(f"{proc}/{shown}/task/{shown}/children")
        real = self._proc == "/proc"
        # Clocks of processes are found by the ids of this process's namespace.
        self._precise = real and self._namespace.depth == 0
        self._own = self._namespace.own if real else None
        # The members that the last scan returned, and the id that was given out last before each of the last two.
        self._returned: frozenset[ProcessKey] = frozenset()
        self._latest_ids: tuple[int | None, int | None] = (None, None)

    def family(self, known: Snapshot) -> Snapshot:
        """Return the known members (at first: the root) that still run and their descendants, parents first."""
        if self._precise and len(known) == 1 and (alone := self._alone(known)):
            return alone
        # Before the scan: what is begun during it is found by the next.
        latest_id = self._latest_id()
        found = self._known(known)
        # A process has its id a moment before it is among its parent's children: one more scan finds it.
        begun = latest_id is None or self._latest_ids != (latest_id, latest_id)
        if begun or len(known) < 2 or not known.keys() == found.keys() == self._returned:
            self._add_new(found, known)
        self._latest_ids = self._latest_ids[1], latest_id
        self._returned = frozenset(found)
        return found

    def _alone(self, known: Snapshot) -> Snapshot | None:
        """Return this process's times, if it is the only member and has no children; ``None`` if that is not so."""
        ((key, before),) = known.items()
        if not key.pid == self._own == os.getpid() or _has_children():
            return None
        return {key: ProcessTimes(before.parent, time.process_time(), waited_s(), before.threads, before.session)}

    def _known(self, known: Snapshot) -> dict[ProcessKey, ProcessTimes]:
        """Return the known members that still run."""
        found: dict[ProcessKey, ProcessTimes] = {}
        if self._root is not None:
            # By its id at the first scan only: later on, another process may have it.
            self._add(self._root, found, known)
            self._root = None
        for key, before in known.items():
            if self._precise and key.pid != self._own and _used_s(key.pid) == before.own_s:
                found[key] = before
            else:
                self._add(key.pid, found, known, expected=key)
        if len(found) < len(known):  # one that was idle may have another parent now
            found = {}
            for key in known:
                self._add(key.pid, found, known, expected=key)
        return found

    def _add_new(self, found: dict[ProcessKey, ProcessTimes], known: Snapshot) -> None:
        """Add the descendants of the members that were found."""
        threads = sum(times.threads for times in found.values())
        if self._listed and threads <= _FEW_THREADS:
            self._add_listed(found, known)
            return
        pids = [int(name) for name in os.listdir(self._proc) if name.isdigit()]
        if self._listed and threads * _THREAD_COST + len(found) * _PROCESS_COST < len(pids) - len(found):
            self._add_listed(found, known)
        else:
            self._add_scanned(pids, found, known)

    def _add(
        self,
        pid: int,
        found: dict[ProcessKey, ProcessTimes],
        known: Snapshot,
        expected: ProcessKey | None = None,
    ) -> bool:
        """Add a process; return false if it has ended, is another than expected, or is in already."""
        fields = self._stat(pid)
        if not fields:
            return False
        key = ProcessKey(pid, float(fields[19]))
        if key in found or (expected is not None and key != expected):
            return False
        found[key] = self._times(pid, fields, known.get(key))
        return True

    def _times(self, pid: int, fields: list[bytes], before: ProcessTimes | None) -> ProcessTimes:
        # proc_pid_stat(5): ppid, session, utime, stime, cutime, cstime, num_threads are fields 4, 6, 14 to 17 and 20;
        # the first item here is field 3.
        own = (int(fields[11]) + int(fields[12])) * TICK_S
        reaped = (int(fields[13]) + int(fields[14])) * TICK_S
        if self._precise:
            precise = _used_s(pid)
            # It may have ended since its ticks were read, or the kernel may have ticks only.
            own = max(own, before.own_s if before else 0.0) if precise is None else precise
        if pid == self._own:
            reaped = waited_s()
        return ProcessTimes(int(fields[1]), own, reaped, int(fields[17]), int(fields[3]))

    def local(self, pid: int) -> int | None:
        """Return the id by which this process's namespace knows a member."""
        return self._namespace.local(pid)

    def now(self) -> float:
        """Return the ticks since boot; 0 where they are not known."""
        try:
            # One tick less: both are rounded down.
            return float(content_of(f"{self._proc}/uptime").split()[0]) / TICK_S - 1
        except (FileNotFoundError, PermissionError):
            return 0.0

    def _latest_id(self) -> int | None:
        """Return the id that was given out last in this namespace, to a process or a thread; ``None`` if not told."""
        if not self._precise:
            return None
        try:
            # proc_loadavg(5): the last field; a sandbox's kernel says 0.
            return int(content_of(f"{self._proc}/loadavg").split()[-1]) or None
        except (OSError, ValueError, IndexError):
            return None

    def _add_listed(self, found: dict[ProcessKey, ProcessTimes], known: Snapshot) -> None:
        """Follow the list of each thread's children; one that is missed while another ends is in the next scan."""
        queue, inside = list(found), {key.pid for key in found}
        while queue:
            key = queue.pop()
            for pid in self._children(key.pid, found[key].threads):
                if pid not in inside and self._add(pid, found, known):
                    inside.add(pid)
                    queue.append(next(reversed(found)))

    def _children(self, pid: int, threads: int) -> Iterable[int]:
        if self._precise and pid == self._own == os.getpid() and not _has_children():
            return
        folder = f"{self._proc}/{pid}/task"
        try:
            for task in os.listdir(folder) if threads > 1 else (pid,):
                yield from map(int, content_of(f"{folder}/{task}/children").split())
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            return

    def _add_scanned(self, pids: list[int], found: dict[ProcessKey, ProcessTimes], known: Snapshot) -> None:
        """Read all processes and add those whose parents are in."""
        inside = {key.pid for key in found}
        children: dict[int, list[int]] = {}
        for pid in pids:
            if pid not in inside and (fields := self._stat(pid)):
                children.setdefault(int(fields[1]), []).append(pid)
        queue = list(inside)
        while queue:
            for pid in children.get(queue.pop(), ()):
                if self._add(pid, found, known):
                    queue.append(pid)

    def _stat(self, pid: int) -> list[bytes] | None:
        """Return the fields of a process after its name, from its state on; ``None`` if it has ended or is hidden."""
        try:
            # The name may hold spaces and brackets: fields count from the last bracket.
            fields = content_of(f"{self._proc}/{pid}/stat").rpartition(b")")[2].split()
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            return None
        # Without a thread it is being removed: its parent has waited for it, and its parent's id reads 0.
        return fields if int(fields[17]) else None


def _used_s(pid: int) -> float | None:
    """Return a process's own CPU seconds, to the nanosecond; ``None`` if it has ended or the kernel has ticks only."""
    try:
        # MAKE_PROCESS_CPUCLOCK(pid, CPUCLOCK_SCHED) of Linux.
        return time.clock_gettime_ns((~pid << 3) | 2) / 1e9
    except OSError:
        return None


def _has_children() -> bool:
    """Return whether this process has children, running or not waited for; changes nothing about them."""
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT | _WALL)
    except ChildProcessError:
        return False
    except OSError:  # a kernel that does not take one of the options
        return True
    return True


def waited_s() -> float:
    """Return the CPU seconds of the children that this process has waited for, finer than /proc's ticks."""
    import resource  # not on every system

    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
