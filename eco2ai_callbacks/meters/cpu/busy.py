"""Cumulative busy core-seconds: of the whole machine, and of a job's process tree."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Protocol

import psutil

from eco2ai_callbacks.meters.cpu.processes import TICK_S, ProcessKey, Snapshot, process_table

# Differences of floored tick counts (user and system, at both ends) are off by less than two ticks.
_SLACK_S = 2 * TICK_S
# Who asks for the members gets those of the last look, if it is no older than this.
_FRESH_S = 1.0


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
        self._linux = self._stat.exists()
        self._high = 0.0

    def read(self) -> float:
        """user + nice + system + irq + softirq; guest time is inside user, waiting and stolen time are nobody's."""
        if self._linux:
            fields = self._stat.read_bytes().split(b"\n", 1)[0].split()[1:]
            user, nice, system, _idle, _iowait, irq, softirq = (int(field) for field in fields[:7])
            busy = (user + nice + system + irq + softirq) * TICK_S
        else:
            times = psutil.cpu_times()
            busy = times.user + times.system + getattr(times, "nice", 0.0)
        self._high = max(self._high, busy)
        return self._high


class JobBusy:
    """Busy core-seconds of a process and all that descends from it, since this object was made.

    Members are kept until they die, also when their parent dies first. Time that a dead member had used is found
    again in the reaped time of the ancestor that waited for it; what is missing there (children of a process that
    ignores SIGCHLD, workers killed together with their parent) is taken from what was last seen. Lost, and known to
    be lost: what such a process used after it was last seen, what forks twice and dies between two reads, and what
    was left behind (reparented to init) before it was ever seen.

    Args:
        root: The process at the top; this one by default.
        proc: Where procfs is mounted; without one, psutil is asked.
        foreign: Ids of the processes that measure themselves. They and what descends from them are left out of every
            stretch at whose beginning or end they do: nothing is counted twice.
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
        # The ticker may ask for the members while a mark is being read.
        self._lock = threading.Lock()
        self._members: Snapshot = {}
        self._departed_s = self._foreign_s = 0.0
        self._measuring: frozenset[ProcessKey] = frozenset()
        self._looked = clock()
        self._base = self._advance()
        self._high = 0.0

    @property
    def pids(self) -> tuple[int, ...]:
        """The members that measure nothing themselves, now or a moment ago."""
        # Not if a look is under way: it may be this very thread's, interrupted by a signal handler.
        if self._clock() - self._looked > _FRESH_S and self._lock.acquire(blocking=False):
            try:
                self._count()
            finally:
                self._lock.release()
        members, measuring = self._members, self._measuring
        return tuple(key.pid for key in members if key not in measuring)

    def read(self) -> float:
        """Busy core-seconds since this object was made; never decreases."""
        with self._lock:
            return self._count()

    def _count(self) -> float:
        self._high = max(self._high, self._advance() - self._base)
        return self._high

    def _advance(self) -> float:
        before, now = self._members, self._family()
        heirs = heirs_of(before, now)
        lost = unwaited(before, now, heirs)
        self._departed_s += sum(lost.values())
        self._foreign_s += self._foreign_time(now, heirs, lost)
        self._members = now
        self._looked = self._clock()
        return sum(times.total_s for times in now.values()) + self._departed_s - self._foreign_s

    def _family(self) -> Snapshot:
        """The members and their times, such that nobody's time is missing or stands in two places.

        A member that dies during the look may be gone while its parent was looked at before waiting for it. Once a
        member is known to be gone, a new look (parents before children) holds its time in the parent's reaped time.
        """
        now = self._table.family(self._members)
        gone: set[ProcessKey] = set()
        while (seen_gone := self._members.keys() - now.keys()) != gone:
            gone = seen_gone
            now = self._table.family(self._members)
        return now

    def _foreign_time(self, now: Snapshot, heirs: Heirs, lost: Mapping[ProcessKey | None, float]) -> float:
        """CPU seconds since the last look of those members that measure themselves at its beginning or end."""
        before = self._members
        pids = set(self._foreign()) - {self._root}
        measuring = below({key.pid for key in now if key.pid in pids}, now)
        either = measuring | self._measuring
        self._measuring = measuring
        grown = 0.0
        for key in either & now.keys():
            grown += now[key].total_s + lost.get(key, 0.0) - (before[key].total_s if key in before else 0.0)
        # What has died below one of them is in its reaped time now.
        return grown - sum(before[key].total_s for key, inheriting_rank in heirs.items() if inheriting_rank in either)


Heirs = Mapping[ProcessKey, ProcessKey | None]


def heirs_of(before: Snapshot, now: Snapshot) -> Heirs:
    """The nearest living ancestor, by the parents that were last seen, of each member that has vanished.

    Args:
        before: The members at the last look.
        now: The members at this one.
    """
    by_pid = {key.pid: key for key in before}
    heirs: dict[ProcessKey, ProcessKey | None] = {}
    for key in before.keys() - now.keys():
        inheriting_rank = by_pid.get(before[key].parent)
        # No line is longer than all members: ids that were used again while they were looked at may form a ring.
        for _ in before:
            if inheriting_rank is None or inheriting_rank in now:
                break
            inheriting_rank = by_pid.get(before[inheriting_rank].parent)
        heirs[key] = inheriting_rank if inheriting_rank in now else None
    return heirs


def unwaited(before: Snapshot, now: Snapshot, heirs: Heirs) -> dict[ProcessKey | None, float]:
    """CPU seconds of vanished members that their heir's reaped time does not hold, by heir.

    Where it grew by less than what is due, the rest was never waited for and would be lost.

    Args:
        before: The members at the last look.
        now: The members at this one.
        heirs: See :func:`heirs_of`.
    """
    due: dict[ProcessKey | None, float] = {}
    for key, inheriting_rank in heirs.items():
        due[inheriting_rank] = due.get(inheriting_rank, 0.0) + before[key].total_s
    for inheriting_rank, seconds in due.items():
        if inheriting_rank is not None:
            missing = seconds - (now[inheriting_rank].reaped_s - before[inheriting_rank].reaped_s)
            due[inheriting_rank] = missing if missing > _SLACK_S else 0.0
    return due


def below(tops: Collection[int], members: Snapshot) -> frozenset[ProcessKey]:
    """The members with these ids and all that descends from them.

    Args:
        tops: Process ids.
        members: Where to look.
    """
    found: set[int] = set()
    new = set(tops)
    while new:
        found |= new
        new = {key.pid for key, times in members.items() if times.parent in new} - found
    return frozenset(key for key in members if key.pid in found)
