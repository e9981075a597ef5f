"""Estimate the memory's energy where nothing measures it: watts per GiB of what the job holds."""

from __future__ import annotations

import errno
import math
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from eco2ai_callbacks.host.memory import Kin, kin_of, mapped_bytes, private_bytes, pss_bytes, uss_bytes
from eco2ai_callbacks.host.procfs import content_of
from eco2ai_callbacks.meters.meter import Device
from eco2ai_callbacks.usage import Method, Scope

GIB = 2**30
# 0.375 W per GiB is eco2AI's figure; servers measured with RAPL drew 0.05 to 0.10 W per GiB installed.
RAM_BAND = (0.15, 1.1)
# Memory changes slowly; between two reads the power is interpolated linearly. No shorter than the time between two
# heartbeats: a thread that wakes up for this alone costs more than it finds.
MAX_GAP_S = 60.0
# A walk through a process's page tables tells its proportional share. It costs 1 to 20 ms per GiB, under the process's
# memory lock. One look begins no walk once it has walked for so long.
WALK_LIMIT_S = 0.005
# Related processes are walked at most this often while none of them comes or goes.
WALK_EVERY_S = 60.0
# Related processes that were walked are left alone for this many times what the longest walk took.
WALK_PAUSE = 1000.0
_GONE, _DENIED = frozenset({errno.ENOENT, errno.ESRCH}), frozenset({errno.EACCES, errno.EPERM})


class RamModel:
    """An estimate that integrates watts per GiB over the memory that the job's processes hold.

    Args:
        w_per_gib: Watts per GiB.
        pids: Returns the job's processes; ``None`` takes all of the machine's memory.
        proc: Where procfs is mounted.
        clock: Monotonic seconds.
    """

    name = "RAM model"
    covers: frozenset[str] = frozenset({"ram"})
    max_gap_s = MAX_GAP_S
    devices: tuple[Device, ...] = ()
    failures: tuple[str, ...] = ()

    def __init__(
        self,
        w_per_gib: float,
        pids: Callable[[], Collection[int]] | None,
        proc: Path = Path("/proc"),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._w_per_gib = w_per_gib
        self._memory = Memory(proc, clock)
        self._pids = pids
        self._clock = clock
        self._joules = 0.0
        self._t = clock()
        self._power_w = self._power()
        scope: Scope = "machine" if pids is None else "job"
        self.methods: Mapping[str, Method] = {"ram": Method("ram-model", *RAM_BAND, scope=scope)}
        what = "that the job holds" if pids else "installed"
        self.detail: str = f"{w_per_gib:g} W per GiB {what}"

    def read(self) -> Mapping[str, float]:
        """Return the joules since this meter was opened."""
        now = self._clock()
        power = self._power()
        self._joules += (self._power_w + power) / 2 * max(0.0, now - self._t)
        self._t, self._power_w = now, power
        return {"ram": self._joules}

    def close(self) -> None:
        """Do nothing: nothing is held."""

    def _power(self) -> float:
        held = _installed() if self._pids is None else self._memory.held(self._pids())
        return self._w_per_gib * held / GIB


class _Share(NamedTuple):
    """A process's part of the memory at one moment, in bytes."""

    counted: int
    private: int  # resident minus shared
    common: int = 0  # those of its part that its relatives would go on holding without it


@dataclass(slots=True, eq=False)
class _Member:
    """A process: its share when it was met or walked, and what it has taken or given back of its own since."""

    family: _Family
    kin: Kin
    share: _Share
    private: int

    @property
    def held(self) -> int:
        return max(0, self.share.counted + self.private - self.share.private)


class _Family:
    """Processes that forks made of one: they share its pages until they write, so their walks count together or not."""

    def __init__(self) -> None:
        self.members: dict[int, _Member] = {}
        self.walked_s = -math.inf  # when the last walks ended
        self._walks: dict[int, _Share] = {}
        self._pause_s = self._took_s = 0.0
        self._changed = True

    def add(self, pid: int, kin: Kin, private: int) -> _Member:
        """Let a process count with what it holds beyond the relative that it was forked from."""
        origin = self.members.get(kin.parent) or max(self.members.values(), key=lambda one: one.private, default=None)
        counted = private
        if origin:
            counted = max(0, private - origin.private)
            origin.share = _Share(origin.held, origin.private, common=origin.held)
        member = self.members[pid] = _Member(self, kin, _Share(counted, private), private)
        self._rest(changed=True)
        return member

    def remove(self, pids: Collection[int]) -> None:
        """Take processes away; what they shared stays with those that are left."""
        ended = [self.members.pop(pid) for pid in pids]
        for member in ended if self.members else ():
            heir = max(self.members.values(), key=lambda one: one.private - one.held)
            taken = min(member.share.common, member.held, max(0, heir.private - heir.held))
            heir.share = _Share(heir.held + taken, heir.private, heir.share.common + taken)
        self._rest(changed=True)  # shares found before and after do not add up: the walks begin anew

    def unwalked(self, now: float) -> list[int]:
        """Return the processes whose walks are due."""
        wait_s = self._pause_s if self._changed else max(self._pause_s, WALK_EVERY_S)
        if now - self.walked_s < wait_s and not self._walks:
            return []
        return [pid for pid in self.members if pid not in self._walks]

    def walk(self, pid: int, share: _Share, took_s: float, now: float) -> None:
        """Note what a walk found. Once all were walked, it counts."""
        self._walks[pid] = share
        self._took_s = max(self._took_s, took_s)
        self.walked_s = now
        if len(self._walks) == len(self.members):
            for each, found in self._walks.items():
                self.members[each].share = found
            self._rest(changed=False)

    def _rest(self, changed: bool) -> None:
        self._changed = changed
        if self._walks:
            self._walks.clear()
            self._pause_s, self._took_s = self._took_s * WALK_PAUSE, 0.0


class Memory:
    """The bytes that processes hold together: pages that several of them share count once.

    The kernel tells each process's proportional share after a walk through its page tables. Between walks counts what
    the process has taken or given back of its own since. A forked process, until it was walked, counts what it holds
    beyond its parent. Related processes are walked anew where one of them came or went, and each minute.

    A walk holds a process's memory lock. So one look begins no walk after 5 ms of walking. After the walks, related
    processes are left alone for 1000 times the longest of them: beyond its first walk, a process is held up for at most
    a thousandth of the time.

    Args:
        proc: Where procfs is mounted; without one, psutil reports resident bytes.
        clock: Monotonic seconds.
        timer: CPU seconds of this thread: time in which it waits costs the walked process nothing.
    """

    def __init__(self, proc: Path, clock: Callable[[], float], timer: Callable[[], float] = time.thread_time) -> None:
        self._proc = str(proc)
        self._linux = (proc / "stat").exists()
        self._clock, self._timer = clock, timer
        self._members: dict[int, _Member] = {}
        self._families: dict[tuple[int, ...], _Family] = {}
        self._mapped: list[int] = []

    def held(self, pids: Collection[int]) -> int:
        """Return the bytes that these processes hold together."""
        if not self._linux:
            return sum(_rss(pid) for pid in pids)
        private: dict[int, int] = {}
        for pid in pids:
            statm, member = self._text(f"{pid}/statm"), self._members.get(pid)
            held = member.private if member and statm is None else private_bytes(statm or "")
            if held is not None:
                private[pid] = held
        if gone := self._members.keys() - private.keys():
            self._part(gone)
        self._meet(private)
        self._walk()
        held = sum(member.held for member in self._members.values())
        if len(self._members) < 2:
            return held
        meminfo = self._text("meminfo")
        self._mapped = self._mapped if meminfo is None else mapped_bytes(meminfo)
        # Private pages that a fork has not copied yet count in each process. In the machine's own sum they count once.
        return min([held, *self._mapped])

    def _part(self, pids: Collection[int]) -> None:
        leaving = [(pid, self._members.pop(pid).family) for pid in pids]
        for family in {family for _, family in leaving}:
            family.remove([pid for pid, of in leaving if of is family])
        self._families = {key: family for key, family in self._families.items() if family.members}

    def _meet(self, private: Mapping[int, int]) -> None:
        """Note what each process holds, and let those that are new join their relatives."""
        new: list[tuple[Kin, int]] = []
        for pid, held in private.items():
            member = self._members.get(pid)
            # An exec gives the memory back: only where it fell, it may be another program's or another process's.
            if member is None or held < member.private:
                stat = self._text(f"{pid}/stat")
                if stat is not None and (member is None or kin_of(stat)[:2] != member.kin[:2]):
                    new.append((kin_of(stat), pid))
                    continue
            if member is not None:
                member.private = held
        if not new:
            return
        self._part([pid for _, pid in new if pid in self._members])
        for kin, pid in sorted(new):  # a parent before its children
            # Who may not know the image may not know the proportional share either: alone, all that is private counts.
            family = self._families.setdefault(kin.image or (pid,), _Family())
            self._members[pid] = family.add(pid, kin, private[pid])

    def _walk(self) -> None:
        walked_s = 0.0
        for family in sorted(self._families.values(), key=lambda one: one.walked_s):
            for pid in family.unwalked(self._clock()):
                if walked_s >= WALK_LIMIT_S:
                    return
                began = self._timer()
                rollup = self._text(f"{pid}/smaps_rollup", absent=_GONE | _DENIED)
                took_s = self._timer() - began
                walked_s += took_s
                if rollup is not None:  # else the next look tries again
                    member, found = family.members[pid], pss_bytes(rollup)
                    # A kernel without this file, or a process that may not be read, leaves what is known.
                    share = member.share if found is None else _Share(found, member.private, found - uss_bytes(rollup))
                    family.walk(pid, share, took_s, self._clock())

    def _text(self, path: str, absent: Collection[int] = _GONE) -> str | None:
        """Return a file's text, empty where it fails with one of the errors ``absent``, ``None`` where with another."""
        try:
            return content_of(f"{self._proc}/{path}").decode("ascii", errors="replace")
        except OSError as error:
            return "" if error.errno in absent else None


def _installed() -> int:
    import psutil  # not needed for a job's processes under Linux

    return int(psutil.virtual_memory().total)


def _rss(pid: int) -> int:
    import psutil

    try:
        return int(psutil.Process(pid).memory_info().rss)
    except psutil.Error:
        return 0
