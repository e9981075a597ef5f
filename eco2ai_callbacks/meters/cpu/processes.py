"""Read the process table: a process and its descendants, with the CPU time of each."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

import psutil

from eco2ai_callbacks.host.namespace import PidNamespace

# ruff: noqa: PTH110, PTH208  read at every mark: bare paths and descriptors cost half of what Path objects do

TICK_S = 1.0 / (os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100)
_CHUNK = 1 << 14
# Up to this many threads, reading the children of each costs less than counting all processes.
_FEW_THREADS = 32
# The cost of reading children, in units of reading one process (on one machine: 6 us a thread, 12 us a process, 8 us).
_THREAD_COST, _PROCESS_COST = 0.75, 1.5


class ProcessKey(NamedTuple):
    """A process, distinct from a later one with the same id."""

    pid: int
    started: float


@dataclass(frozen=True, slots=True)
class ProcessTimes:
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


def process_table(root: int, proc: Path) -> ProcessTable:
    """Return the process table of this system.

    Args:
        root: The process at the top.
        proc: Where procfs is mounted; without one, psutil reports the processes.
    """
    if not (proc / "stat").exists():
        return PsutilProcesses(root)
    namespace = PidNamespace(proc)
    return OwnProcess(root) if namespace.own is None else LinuxProcesses(root, proc, namespace)


class LinuxProcesses:
    """The process table of Linux, read from procfs.

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

    def family(self, known: Snapshot) -> Snapshot:
        """Return the known members (at first: the root) that still run and their descendants, parents first."""
        found: dict[ProcessKey, ProcessTimes] = {}
        if self._root is not None:
            # By its id at the first scan only: later on, another process may have it.
            self._add(self._root, found, known)
            self._root = None
        for key in known:
            self._add(key.pid, found, known, expected=key)
        threads = sum(times.threads for times in found.values())
        if self._listed and threads <= _FEW_THREADS:
            self._add_listed(found, known)
            return found
        pids = [int(name) for name in os.listdir(self._proc) if name.isdigit()]
        if self._listed and threads * _THREAD_COST + len(found) * _PROCESS_COST < len(pids) - len(found):
            self._add_listed(found, known)
        else:
            self._add_scanned(pids, found, known)
        return found

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
            try:
                # The process's own CPU clock, in nanoseconds: MAKE_PROCESS_CPUCLOCK(pid, CPUCLOCK_SCHED) of Linux.
                own = time.clock_gettime_ns((~pid << 3) | 2) / 1e9
            except OSError:  # ended since its ticks were read, or a kernel with ticks only
                own = max(own, before.own_s if before else 0.0)
        if pid == self._own:
            reaped = _waited_s()
        return ProcessTimes(int(fields[1]), own, reaped, int(fields[17]), int(fields[3]))

    def local(self, pid: int) -> int | None:
        """Return the id by which this process's namespace knows a member."""
        return self._namespace.local(pid)

    def now(self) -> float:
        """Return the ticks since boot; 0 where they are not known."""
        try:
            # One tick less: both are rounded down.
            return float(_content(f"{self._proc}/uptime").split()[0]) / TICK_S - 1
        except (FileNotFoundError, PermissionError):
            return 0.0

    def _add_listed(self, found: dict[ProcessKey, ProcessTimes], known: Snapshot) -> None:
        """Follow the list of each thread's children; one that is missed while another ends is in the next scan."""
        queue = [key.pid for key in found]
        while queue:
            for pid in self._children(queue.pop()):
                if self._add(pid, found, known):
                    queue.append(pid)

    def _children(self, pid: int) -> Iterable[int]:
        try:
            for task in os.listdir(f"{self._proc}/{pid}/task"):
                yield from map(int, _content(f"{self._proc}/{pid}/task/{task}/children").split())
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
            fields = _content(f"{self._proc}/{pid}/stat").rpartition(b")")[2].split()
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            return None
        # Without a thread it is being removed: its parent has waited for it, and its parent's id reads 0.
        return fields if int(fields[17]) else None


def _waited_s() -> float:
    """Return the CPU seconds of the children that this process has waited for, finer than /proc's ticks."""
    import resource  # not on every system

    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _content(path: str) -> bytes:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        content = b""
        while chunk := os.read(descriptor, _CHUNK):
            content += chunk
        return content
    finally:
        os.close(descriptor)


class OwnProcess:
    """This process and the children that it has waited for, where procfs shows another PID namespace.

    It has no id there, and 0 stands for it.

    Args:
        root: The process at the top; where it is not this one, nothing can be counted.
    """

    def __init__(self, root: int) -> None:
        self._is_root = root == os.getpid()

    def family(self, known: Snapshot) -> Snapshot:  # noqa: ARG002 - the protocol's
        """Return this process."""
        own = ProcessTimes(0, time.process_time(), _waited_s())
        return {ProcessKey(0, 0.0): own} if self._is_root else {}

    def local(self, pid: int) -> int | None:  # noqa: ARG002 - the protocol's
        """Return this process's id."""
        return os.getpid()

    def now(self) -> float:
        """Return 0: no process joins."""
        return 0.0


class PsutilProcesses:
    """The process table where there is no procfs; tested on Linux only.

    Args:
        root: The process at the top.
    """

    def __init__(self, root: int) -> None:
        self._root: int | None = root

    def local(self, pid: int) -> int | None:
        """Return the id itself."""
        return pid

    def now(self) -> float:
        """Return the wall clock's time; start times are in whole seconds on some systems."""
        return time.time() - 1.0

    def family(self, known: Snapshot) -> Snapshot:
        """Return the known members (at first: the root) that still run and their descendants."""
        found: dict[ProcessKey, ProcessTimes] = {}
        queue = [key.pid for key in known] if self._root is None else [self._root]
        self._root = None
        ids = {key.pid for key in known}
        while queue:
            try:
                process = psutil.Process(queue.pop(0))
                key = ProcessKey(process.pid, process.create_time())
                if key in found or (key.pid in ids and key not in known):
                    continue
                times = process.cpu_times()
                # Windows and macOS do not count the time of children that were waited for: it is taken from the
                # last scan that found them.
                found[key] = ProcessTimes(process.ppid(), times.user + times.system, 0.0)
                queue += [child.pid for child in process.children()]
            except psutil.Error:
                continue
        return found
