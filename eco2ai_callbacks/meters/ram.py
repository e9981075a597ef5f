"""The memory's energy where nothing measures it: watts per GiB of what the job holds."""

from __future__ import annotations

import math
import os
import re
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

from eco2ai_callbacks.usage import Method

GIB = 2**30
PAGE = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096
# 0.375 W per GiB is eco2AI's figure; servers measured with RAPL drew 0.05 to 0.10 W per GiB installed.
RAM_BAND = (0.15, 1.1)
# Memory changes slowly; between two looks the power is taken to go straight from one to the other.
MAX_GAP_S = 10.0
# Walking a process's page tables for its proportional share costs about a millisecond per GiB under its memory lock. So
# each process is walked at most this often, no more once a walk took this long, and one look walks no longer than that.
WALK_EVERY_S = 60.0
WALK_LIMIT_S = 0.005


class RamModel:
    """Integrates watts per GiB over the memory that the job's processes hold.

    Args:
        w_per_gib: Watts per GiB.
        pids: The job's processes; ``None`` takes all of the machine's memory.
        proc: Where procfs is mounted.
        clock: Monotonic seconds.
    """

    name = "RAM model"
    covers = frozenset({"ram"})
    max_gap_s = MAX_GAP_S
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
        whose = "whole machine" if pids is None else "job's process tree"
        self.methods: Mapping[str, Method] = {"ram": Method("ram-model", *RAM_BAND, attribution=whose)}
        self.detail = f"{w_per_gib:g} W per GiB that the job holds" if pids else f"{w_per_gib:g} W per GiB installed"

    def read(self) -> Mapping[str, float]:
        """Joules since this meter was opened."""
        now = self._clock()
        power = self._power()
        self._joules += (self._power_w + power) / 2 * max(0.0, now - self._t)
        self._t, self._power_w = now, power
        return {"ram": self._joules}

    def close(self) -> None:
        """Nothing is held."""

    def _power(self) -> float:
        held = psutil.virtual_memory().total if self._pids is None else self._memory.held(self._pids())
        return self._w_per_gib * held / GIB


@dataclass(frozen=True, slots=True)
class _Walk:
    """What a walk through a process's page tables found, and what it cost."""

    when_s: float
    took_s: float
    proportional: int
    private: int


class Memory:
    """Bytes that processes hold: their proportional share where it is cheap to know, else resident minus shared.

    Args:
        proc: Where procfs is mounted; without one, psutil is asked for resident bytes.
        clock: Monotonic seconds.
        timer: Seconds that this thread has worked: being held up is no cost to the process that is looked at.
    """

    def __init__(self, proc: Path, clock: Callable[[], float], timer: Callable[[], float] = time.thread_time) -> None:
        self._proc = proc
        self._linux = (proc / "stat").exists()
        self._clock = clock
        self._timer = timer
        self._walks: dict[int, _Walk] = {}

    def held(self, pids: Collection[int]) -> int:
        """Bytes that these processes hold together."""
        if not self._linux:
            return sum(_rss(pid) for pid in pids)
        self._walks = {pid: self._walks[pid] for pid in pids if pid in self._walks}
        held, walked_s = 0, 0.0
        for pid in pids:
            private = private_bytes(self._text(f"{pid}/statm"))
            if private is None:  # gone meanwhile, or another user's
                continue
            if walked_s < WALK_LIMIT_S and self._is_due(pid):
                walked_s += self._walk(pid, private)
            walk = self._walks.get(pid)
            # Since the walk: what the process has taken or given back of its own.
            held += private if walk is None else max(0, walk.proportional + private - walk.private)
        # Private pages that a fork has not copied yet count in each process; in the machine's own sum they count once.
        return min([held, *mapped_bytes(self._text("meminfo"))])

    def _is_due(self, pid: int) -> bool:
        walk = self._walks.get(pid)
        return walk is None or (walk.took_s < WALK_LIMIT_S and self._clock() - walk.when_s >= WALK_EVERY_S)

    def _walk(self, pid: int, private: int) -> float:
        began = self._timer()
        proportional = pss_bytes(self._text(f"{pid}/smaps_rollup"))
        took = self._timer() - began
        # A kernel without this file, or a process that may not be looked into: not asked again.
        self._walks[pid] = _Walk(
            self._clock(),
            math.inf if proportional is None else took,
            private if proportional is None else proportional,
            private,
        )
        return took

    def _text(self, path: str) -> str:
        try:
            return (self._proc / path).read_text(encoding="ascii", errors="replace")
        except OSError:
            return ""


def private_bytes(statm: str) -> int | None:
    """Resident minus shared bytes, from ``/proc/<pid>/statm``."""
    fields = statm.split()
    return max(0, int(fields[1]) - int(fields[2])) * PAGE if len(fields) > 2 else None


def pss_bytes(rollup: str) -> int | None:
    """Proportional set size in bytes, from ``/proc/<pid>/smaps_rollup``."""
    match = re.search(r"^Pss:\s+(\d+) kB", rollup, re.MULTILINE)
    return int(match[1]) * 1024 if match else None


def mapped_bytes(meminfo: str) -> list[int]:
    """Bytes that all processes of the machine hold together, from ``/proc/meminfo``; none where it does not say."""
    found = dict(re.findall(r"^(AnonPages|Mapped):\s+(\d+) kB", meminfo, re.MULTILINE))
    return [sum(map(int, found.values())) * 1024] if len(found) == 2 else []


def _rss(pid: int) -> int:
    try:
        return int(psutil.Process(pid).memory_info().rss)
    except psutil.Error:
        return 0
