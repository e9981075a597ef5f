"""Estimate the memory's energy where nothing measures it: watts per GiB of what the job holds."""

from __future__ import annotations

import math
import os
import re
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

from eco2ai_callbacks.meters.meter import Device
from eco2ai_callbacks.usage import Method, Scope

GIB = 2**30
PAGE = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096
# 0.375 W per GiB is eco2AI's figure; servers measured with RAPL drew 0.05 to 0.10 W per GiB installed.
RAM_BAND = (0.15, 1.1)
# Memory changes slowly; between two reads the power is interpolated linearly.
MAX_GAP_S = 10.0
# Walking a process's page tables for its proportional share costs about a millisecond per GiB under its memory lock. So
# each process is walked at most this often, never again once a walk took this long, and one read walks no longer.
WALK_EVERY_S = 60.0
WALK_LIMIT_S = 0.005


class RamModel:
    """An estimate that integrates watts per GiB over the memory that the job's processes hold.

    Args:
        w_per_gib: Watts per GiB.
        pids: Returns the job's processes; ``None`` takes all of the machine's memory.
        proc: Where procfs is mounted.
        clock: Monotonic seconds.
    """

    name = "RAM model"
    covers = frozenset({"ram"})
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
        self.detail = f"{w_per_gib:g} W per GiB that the job holds" if pids else f"{w_per_gib:g} W per GiB installed"

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
        held = psutil.virtual_memory().total if self._pids is None else self._memory.held(self._pids())
        return self._w_per_gib * held / GIB


@dataclass(frozen=True, slots=True)
class _Walk:
    """The result of a walk through a process's page tables, and its cost."""

    when_s: float
    took_s: float
    proportional: int
    private: int


class Memory:
    """The bytes that processes hold: their proportional share where it is cheap to read, else resident minus shared.

    Args:
        proc: Where procfs is mounted; without one, psutil reports resident bytes.
        clock: Monotonic seconds.
        timer: CPU seconds of this thread: time in which it waits costs the walked process nothing.
    """

    def __init__(self, proc: Path, clock: Callable[[], float], timer: Callable[[], float] = time.thread_time) -> None:
        self._proc = proc
        self._linux = (proc / "stat").exists()
        self._clock = clock
        self._timer = timer
        self._walks: dict[int, _Walk] = {}

    def held(self, pids: Collection[int]) -> int:
        """Return the bytes that these processes hold together."""
        if not self._linux:
            return sum(_rss(pid) for pid in pids)
        self._walks = {pid: self._walks[pid] for pid in pids if pid in self._walks}
        held, walked_s = 0, 0.0
        for pid in pids:
            private = private_bytes(self._text(f"{pid}/statm"))
            if private is None:  # it has ended, or is another user's
                continue
            if walked_s < WALK_LIMIT_S and self._is_due(pid):
                walked_s += self._walk(pid, private)
            walk = self._walks.get(pid)
            # What the process has allocated or freed of its own since the walk.
            held += private if walk is None else max(0, walk.proportional + private - walk.private)
        # Private pages that a fork has not copied yet count in each process. In the machine's own sum they count once.
        return min([held, *mapped_bytes(self._text("meminfo"))])

    def _is_due(self, pid: int) -> bool:
        walk = self._walks.get(pid)
        return walk is None or (walk.took_s < WALK_LIMIT_S and self._clock() - walk.when_s >= WALK_EVERY_S)

    def _walk(self, pid: int, private: int) -> float:
        began = self._timer()
        proportional = pss_bytes(self._text(f"{pid}/smaps_rollup"))
        took = self._timer() - began
        # A kernel without this file, or a process that may not be read: not tried again.
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
    """Return resident minus shared bytes, from ``/proc/<pid>/statm``; ``None`` where it is empty."""
    fields = statm.split()
    return max(0, int(fields[1]) - int(fields[2])) * PAGE if len(fields) > 2 else None


def pss_bytes(rollup: str) -> int | None:
    """Return the proportional set size in bytes, from ``/proc/<pid>/smaps_rollup``; ``None`` where it has none."""
    match = re.search(r"^Pss:\s+(\d+) kB", rollup, re.MULTILINE)
    return int(match[1]) * 1024 if match else None


def mapped_bytes(meminfo: str) -> list[int]:
    """Return the bytes that all processes hold together, from ``/proc/meminfo``; empty where it has no such figure."""
    found = dict(re.findall(r"^(AnonPages|Mapped):\s+(\d+) kB", meminfo, re.MULTILINE))
    return [sum(map(int, found.values())) * 1024] if len(found) == 2 else []


def _rss(pid: int) -> int:
    try:
        return int(psutil.Process(pid).memory_info().rss)
    except psutil.Error:
        return 0
