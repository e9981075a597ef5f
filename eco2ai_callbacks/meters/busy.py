"""Cumulative busy core-seconds: of the whole machine, and of a job's process tree."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

import psutil

TICK_S = 1.0 / (os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100)
# Differences of floored tick counts (user and system, at both ends) are off by less than two ticks.
_SLACK_S = 2 * TICK_S


class BusyTime(Protocol):
    """A count of busy core-seconds that never decreases."""

    def read(self) -> float:
        """Busy core-seconds so far."""


class MachineBusy:
    """Busy core-seconds of all of the machine's threads since boot, by the kernel's own count.

    Args:
        proc: Where procfs is mounted; without one (macOS, Windows), psutil is asked.
    """

    def __init__(self, proc: Path = Path("/proc")) -> None:
        self._stat = proc / "stat"
        self._high = 0.0

    def read(self) -> float:
        """user + nice + system + irq + softirq; guest time is inside user, waiting and stolen time are nobody's."""
        if self._stat.exists():
            fields = self._stat.read_text().split("\n", 1)[0].split()[1:]
            user, nice, system, _idle, _iowait, irq, softirq = (int(field) for field in fields[:7])
            busy = (user + nice + system + irq + softirq) * TICK_S
        else:
            times = psutil.cpu_times()
            busy = times.user + times.system + getattr(times, "nice", 0.0)
        self._high = max(self._high, busy)
        return self._high


class ProcessKey(NamedTuple):
    """A process, told from a later one that bears the same id."""

    pid: int
    started: float


@dataclass(frozen=True, slots=True)
class ProcessTimes:
    """CPU seconds of a process, of the children that it has waited for, and who its parent is."""

    parent: int
    own_s: float
    reaped_s: float

    @property
    def total_s(self) -> float:
        """Own and reaped together."""
        return self.own_s + self.reaped_s


Snapshot = Mapping[ProcessKey, ProcessTimes]


class JobBusy:
    """Busy core-seconds of a process and all that descends from it, since this object was made.

    Members are kept until they die, also when their parent dies first. Time that a dead member had used is found
    again in the reaped time of the ancestor that waited for it; what is missing there (children of a process that
    ignores SIGCHLD, workers killed together with their parent) is taken from what was last seen. Lost, and known to
    be lost: what such a process used after it was last seen, and what forks twice and dies between two reads.

    Args:
        root: The process at the top; this one by default.
        proc: Where procfs is mounted; without one, psutil is asked.
        foreign: Which processes measure themselves: they and what descends from them are left out while they do.
    """

    def __init__(
        self,
        root: int | None = None,
        proc: Path = Path("/proc"),
        foreign: Callable[[], Collection[int]] = tuple,
    ) -> None:
        self._root = os.getpid() if root is None else root
        self._table = _LinuxProcesses(proc) if (proc / "stat").exists() else _PsutilProcesses()
        self._foreign = foreign
        self._members: Snapshot = {}
        self._departed_s = 0.0
        self._foreign_s = 0.0
        self._foreign_seen: dict[ProcessKey, float] = {}
        self._high = self._base = 0.0
        self._base = self._advance()
        self._high = 0.0

    @property
    def pids(self) -> tuple[int, ...]:
        """The members that measure nothing themselves, as of the last read."""
        return tuple(key.pid for key in self._members if key not in self._foreign_seen)

    def read(self) -> float:
        """Busy core-seconds since this object was made; never decreases."""
        self._high = max(self._high, self._advance() - self._base)
        return self._high

    def _advance(self) -> float:
        now = self._family()
        self._departed_s += departed(self._members, now)
        self._foreign_s += self._foreign_time(now)
        self._members = now
        return sum(times.total_s for times in now.values()) + self._departed_s - self._foreign_s

    def _family(self) -> Snapshot:
        """The members and their times, such that nobody's time is missing or stands in two places.

        A member that dies during the look may be gone while its parent was looked at before waiting for it. Once a
        member is known to be gone, a new look (parents before children) holds its time in the parent's reaped time.
        """
        now = self._table.family(self._root, self._members)
        gone: set[ProcessKey] = set()
        while (seen_gone := self._members.keys() - now.keys()) != gone:
            gone = seen_gone
            now = self._table.family(self._root, self._members)
        return now

    def _foreign_time(self, now: Snapshot) -> float:
        """CPU seconds since the last read of those members that measure themselves."""
        pids = set(self._foreign())
        tops = {key.pid for key in now if key.pid in pids and key.pid != self._root}
        seen = {key: now[key].total_s for key in _below(tops, now)} if tops else {}
        grown = sum(total - self._foreign_seen[key] for key, total in seen.items() if key in self._foreign_seen)
        self._foreign_seen = seen
        return grown


def departed(before: Snapshot, now: Snapshot) -> float:
    """CPU seconds of members that have vanished and that no living ancestor's reaped time holds.

    A vanished member's time should show in the reaped time of its nearest living ancestor (by the parents that were
    last seen). Where that grew by less than what is due, the rest was never waited for and would be lost.
    """
    by_pid = {key.pid: key for key in before}
    due: dict[ProcessKey, float] = {}
    lost = 0.0
    for key in before.keys() - now.keys():
        heir = by_pid.get(before[key].parent)
        while heir is not None and heir not in now:
            heir = by_pid.get(before[heir].parent)
        if heir is None:
            lost += before[key].total_s
        else:
            due[heir] = due.get(heir, 0.0) + before[key].total_s
    for heir, seconds in due.items():
        missing = seconds - (now[heir].reaped_s - before[heir].reaped_s)
        lost += missing if missing > _SLACK_S else 0.0
    return lost


def _below(tops: set[int], members: Snapshot) -> list[ProcessKey]:
    """The members with these ids and all that descends from them."""
    found, size = set(tops), -1
    while len(found) != size:
        size = len(found)
        found |= {key.pid for key, times in members.items() if times.parent in found}
    return [key for key in members if key.pid in found]


class _LinuxProcesses:
    """The process table of Linux, read from procfs."""

    def __init__(self, proc: Path) -> None:
        self._proc = str(proc)
        own = f"{self._proc}/{os.getpid()}/task/{os.getpid()}/children"
        # The kernel may be built without these files; then all processes are looked at.
        self._listed = os.path.exists(own)
        self._precise = self._proc == "/proc" and hasattr(time, "clock_gettime")

    def family(self, root: int, known: Snapshot) -> Snapshot:
        """The root, what descends from it, and what is left of the known members and descends from those."""
        found: dict[ProcessKey, ProcessTimes] = {}
        self._add(root, found, known)
        for key in known:
            self._add(key.pid, found, known, expected=key)
        if self._listed:
            queue = [key.pid for key in found]
            while queue:
                for pid in self._children(queue.pop()):
                    if self._add(pid, found, known):
                        queue.append(pid)
        else:
            self._add_descendants(found, known)
        return found

    def _add(
        self,
        pid: int,
        found: dict[ProcessKey, ProcessTimes],
        known: Snapshot,
        expected: ProcessKey | None = None,
    ) -> bool:
        """Take a process in; false if it is gone, is another than expected, or is in already."""
        fields = self._fields(pid)
        if fields is None:
            return False
        key = ProcessKey(pid, float(fields[19]))
        if key in found or (expected is not None and key != expected):
            return False
        found[key] = self._times(pid, fields, known.get(key))
        return True

    def _fields(self, pid: int) -> list[str] | None:
        try:
            with open(f"{self._proc}/{pid}/stat", encoding="utf-8", errors="replace") as file:
                # The command's name may hold spaces and brackets: fields count from the last bracket.
                return file.read().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            return None

    def _times(self, pid: int, fields: list[str], before: ProcessTimes | None) -> ProcessTimes:
        # proc_pid_stat(5): ppid, utime, stime, cutime, cstime are fields 4 and 14 to 17; field 3 stands first here.
        own = (int(fields[11]) + int(fields[12])) * TICK_S
        reaped = (int(fields[13]) + int(fields[14])) * TICK_S
        if self._precise:
            try:
                # The process's own CPU clock, in nanoseconds: MAKE_PROCESS_CPUCLOCK(pid, CPUCLOCK_SCHED) of Linux.
                own = time.clock_gettime_ns((~pid << 3) | 2) / 1e9
            except OSError:  # a zombie: its clock is gone, its ticks are not
                own = max(own, before.own_s if before else 0.0)
        return ProcessTimes(int(fields[1]), own, reaped)

    def _children(self, pid: int) -> Iterable[int]:
        try:
            for task in os.listdir(f"{self._proc}/{pid}/task"):
                with open(f"{self._proc}/{pid}/task/{task}/children", encoding="ascii") as file:
                    yield from map(int, file.read().split())
        except (FileNotFoundError, ProcessLookupError):
            return

    def _add_descendants(self, found: dict[ProcessKey, ProcessTimes], known: Snapshot) -> None:
        children: dict[int, list[int]] = {}
        inside = {key.pid for key in found}
        for name in os.listdir(self._proc):
            if name.isdigit() and int(name) not in inside and (fields := self._fields(int(name))) is not None:
                children.setdefault(int(fields[1]), []).append(int(name))
        queue = list(inside)
        while queue:
            for pid in children.get(queue.pop(), ()):
                if self._add(pid, found, known):
                    queue.append(pid)


class _PsutilProcesses:
    """The process table where there is no procfs; not tried out on such a machine."""

    def family(self, root: int, known: Snapshot) -> Snapshot:
        """The root, what descends from it, and what is left of the known members."""
        found: dict[ProcessKey, ProcessTimes] = {}
        try:
            top = psutil.Process(root)
            candidates = [top, *top.children(recursive=True)]
        except psutil.Error:
            candidates = []
        for key in known:
            try:
                candidates.append(psutil.Process(key.pid))
            except psutil.Error:
                continue
        for process in candidates:
            try:
                key = ProcessKey(process.pid, process.create_time())
                if key in known or process.pid not in {k.pid for k in known}:
                    times = process.cpu_times()
                    # Windows and macOS do not count waited-for children: their time is taken from what was last seen.
                    found[key] = ProcessTimes(process.ppid(), times.user + times.system, 0.0)
            except psutil.Error:
                continue
        return found
