"""Count busy core-seconds: of the whole machine, and of a job's process tree."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from typing import Protocol

from eco2ai_callbacks.host.procfs import content_of
from eco2ai_callbacks.meters.cpu.process_tables import process_table
from eco2ai_callbacks.meters.cpu.processes import TICK_S, ProcessKey, ProcessTimes, Snapshot

# Differences of floored tick counts (user and system, at both ends) are off by less than two ticks.
_SLACK_S = 2 * TICK_S
# The members are those of the last scan, if it is no older than this.
_FRESH_S = 1.0


class BusyTime(Protocol):
    """A count of busy core-seconds that never decreases."""

    def read(self) -> float:
        """Return busy core-seconds so far."""


class MachineBusy:
    """Busy core-seconds of hardware threads of the machine since boot, as the kernel counts them.

    Args:
        proc: Where procfs is mounted; without one (macOS, Windows), psutil reports them.
        cpus: Numbers of the threads to count; all by default.
    """

    def __init__(self, proc: Path = Path("/proc"), cpus: Collection[int] = ()) -> None:
        self._stat = f"{proc}/stat"
        self._linux = (proc / "stat").exists()
        self._names = frozenset(f"cpu{number}".encode() for number in cpus)
        self._high = 0.0

    def read(self) -> float:
        """Return user + nice + system + irq + softirq; user includes guests, and iowait and steal are not busy."""
        if self._linux:
            busy = sum(map(_busy_s, self._lines())) if self._names else _busy_s(content_of(self._stat, whole=False))
        else:
            import psutil  # not needed under Linux

            times = psutil.cpu_times()
            busy = times.user + times.system + getattr(times, "nice", 0.0)
        self._high = max(self._high, busy)
        return self._high

    def _lines(self) -> Iterable[bytes]:
        lines = content_of(self._stat).split(b"\n")
        return [line for line in lines if line.partition(b" ")[0] in self._names]


def _busy_s(line: bytes) -> float:
    user, nice, system, _idle, _iowait, irq, softirq = map(int, line.split(None, 8)[1:8])
    return (user + nice + system + irq + softirq) * TICK_S


class JobBusy:
    """Busy core-seconds of a process and its descendants, since this object was created.

    Members remain until they end, also when their parent ends first. The time of a member that has ended is in the
    reaped time of the ancestor that waited for it. What is missing there (children of a process that ignores SIGCHLD,
    workers killed together with their parent) is taken from the last scan. These are not counted: what such a process
    used after the last scan, processes that fork twice and end between two reads, and processes that were reparented
    to init before the first scan that finds them.

    A process that a member adopts (as the first of a container, or as a subreaper) counts from the scan that finds it.

    Args:
        root: The process at the top; this one by default.
        proc: Where procfs is mounted; without one, psutil reports the processes.
        foreign: Returns the ids of the processes that measure themselves. They and their descendants are left out of
            every interval at whose beginning or end they do, so that nothing counts twice.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        root: int | None = None,
        proc: Path = Path("/proc"),
        foreign: Callable[[], Collection[int]] = tuple,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._root = os.getpid() if root is None else root
        self._table = process_table(self._root, proc)
        self._foreign = foreign
        self._clock = clock
        # The thread may read the members during a mark.
        self._lock = threading.Lock()
        self._members: Snapshot = {}
        # Whether the root is the only member.
        self._alone = False
        self._departed_s = self._foreign_s = self._adopted_s = 0.0
        self._measuring: frozenset[ProcessKey] = frozenset()
        self._looked = clock()
        self._began = self._table.now()
        self._base = self._advance()
        self._high = 0.0

    @property
    def pids(self) -> tuple[int, ...]:
        """The members that measure nothing themselves, now or a moment ago."""
        # Not during a scan: it may be this very thread's, interrupted by a signal handler.
        if self._clock() - self._looked > _FRESH_S and self._lock.acquire(blocking=False):
            try:
                self._count()
            finally:
                self._lock.release()
        members, measuring = self._members, self._measuring
        # 0 stands for a process that procfs does not show.
        return tuple(key.pid for key in members if key not in measuring and key.pid)

    def read(self) -> float:
        """Return busy core-seconds since this object was created; never decreases."""
        with self._lock:
            return self._count()

    def _count(self) -> float:
        self._high = max(self._high, self._advance() - self._base)
        return self._high

    def _advance(self) -> float:
        # This and the look at the foreign may raise, as with no file descriptor left: nothing has changed by then, and
        # the next scan goes on.
        now = self._family()
        before = self._members
        same = now.keys() == before.keys()
        alone = self._alone if same else self._is_root_alone(now)
        foreign: Collection[int] = () if same and alone else self._foreign()
        heirs: Heirs = {}
        lost: Mapping[ProcessKey | None, float] = {}
        if not same:
            adopted = adopted_among(now, before, self._began) if before else {}
            before = {**before, **adopted}
            heirs = heirs_of(before, now)
            lost = unwaited(before, now, heirs)
            self._adopted_s += sum(times.total_s for times in adopted.values())
            self._departed_s += sum(lost.values())
        if foreign or self._measuring:
            self._foreign_s += self._foreign_time(foreign, before, now, heirs, lost)
        self._members, self._alone = now, alone
        self._looked = self._clock()
        counted = self._departed_s
        for times in now.values():
            counted += times.own_s + times.reaped_s
        return counted - self._foreign_s - self._adopted_s

    def _is_root_alone(self, now: Snapshot) -> bool:
        """Return whether there is only the root, which is never foreign."""
        if len(now) != 1:
            return False
        (key,) = now
        return self._table.local(key.pid) == self._root

    def _family(self) -> Snapshot:
        """Return the members and their times, with no process's time missing or in two places.

        A member that ends during the scan may be gone although its parent was read before waiting for it. Once a
        member is gone, a new scan (parents before children) has its time in the parent's reaped time.
        """
        now = self._table.family(self._members)
        gone: set[ProcessKey] = set()
        while (seen_gone := self._members.keys() - now.keys()) != gone:
            gone = seen_gone
            now = self._table.family(self._members)
        return now

    def _foreign_time(
        self,
        foreign: Collection[int],
        before: Snapshot,
        now: Snapshot,
        heirs: Heirs,
        lost: Mapping[ProcessKey | None, float],
    ) -> float:
        """Return the CPU seconds since the last scan of the members that measure themselves then or now."""
        pids = set(foreign) - {self._root}
        measuring = below({key.pid for key in now if pids and self._table.local(key.pid) in pids}, now)
        either = measuring | self._measuring
        self._measuring = measuring
        grown = 0.0
        for key in either & now.keys():
            grown += now[key].total_s + lost.get(key, 0.0) - (before[key].total_s if key in before else 0.0)
        # The time of its descendants that have ended is in its reaped time now.
        return grown - sum(before[key].total_s for key, heir in heirs.items() if heir in either)


Heirs = Mapping[ProcessKey, ProcessKey | None]


def heirs_of(before: Snapshot, now: Snapshot) -> Heirs:
    """Return the nearest living ancestor of each member that has ended, by the parents of the last scan.

    Args:
        before: The members at the last scan.
        now: The members at this one.
    """
    by_pid = {key.pid: key for key in before}
    heirs: dict[ProcessKey, ProcessKey | None] = {}
    for key in before.keys() - now.keys():
        heir = by_pid.get(before[key].parent)
        # No line of parents is longer than all members: ids that were reused during a scan may form a ring.
        for _ in before:
            if heir is None or heir in now:
                break
            heir = by_pid.get(before[heir].parent)
        heirs[key] = heir if heir in now else None
    return heirs


def unwaited(before: Snapshot, now: Snapshot, heirs: Heirs) -> dict[ProcessKey | None, float]:
    """Return the CPU seconds of ended members that are not in their heir's reaped time, by heir.

    Where the reaped time grew by less than theirs, the rest was never waited for and would be lost.

    Args:
        before: The members at the last scan.
        now: The members at this one.
        heirs: See :func:`heirs_of`.
    """
    due: dict[ProcessKey | None, float] = {}
    for key, heir in heirs.items():
        due[heir] = due.get(heir, 0.0) + before[key].total_s
    for heir, seconds in due.items():
        if heir is not None:
            missing = seconds - (now[heir].reaped_s - before[heir].reaped_s)
            due[heir] = missing if missing > _SLACK_S else 0.0
    return due


def adopted_among(now: Snapshot, before: Snapshot, began: float) -> Snapshot:
    """Return the new members that are no members' children by birth: what they have used so far is not the job's.

    A new child has been started since the job's count began, in a session of a member or in one of its own. A process
    that was left by its parent and is adopted may be older, or in a session that no member has been in.

    Args:
        now: The members at this scan, parents first.
        before: The members at the last scan.
        began: When the count began, in the unit of start times.
    """
    sessions = {times.session for times in before.values()}
    adopted: dict[ProcessKey, ProcessTimes] = {}
    for key, times in now.items():
        born_here = key.started >= began and times.session in {*sessions, key.pid}
        if key in before or born_here:
            sessions.add(times.session)
        else:
            adopted[key] = times
    return adopted


def below(tops: Collection[int], members: Snapshot) -> frozenset[ProcessKey]:
    """Return the members with these ids and their descendants.

    Args:
        tops: Process ids.
        members: The members to search.
    """
    found: set[int] = set()
    new = set(tops)
    while new:
        found |= new
        new = {key.pid for key, times in members.items() if times.parent in new} - found
    return frozenset(key for key in members if key.pid in found)
