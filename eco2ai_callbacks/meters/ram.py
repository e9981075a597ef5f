"""The memory's energy where nothing measures it: watts per GiB of what the job holds."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Collection, Mapping
from pathlib import Path

import psutil

from eco2ai_callbacks.usage import Method

GIB = 2**30
PAGE = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096
# 0.375 W per GiB is eco2AI's figure; servers measured with RAPL drew 0.05 to 0.10 W per GiB installed.
RAM_BAND = (0.15, 1.1)
# Memory changes slowly; between two looks the power is taken to go straight from one to the other.
MAX_GAP_S = 10.0
# Walking a process's page tables for its proportional share costs about a millisecond per GiB under its memory lock:
# so it is done at most this often, and no more once a walk took this long.
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


class Memory:
    """Bytes that processes hold: their proportional share where it is cheap to know, else resident minus shared.

    Args:
        proc: Where procfs is mounted.
        clock: Monotonic seconds.
    """

    def __init__(self, proc: Path, clock: Callable[[], float]) -> None:
        self._proc = proc
        self._clock = clock
        self._walked: dict[int, tuple[float, int, int]] = {}  # pid -> when, proportional, private bytes then
        self._may_walk = True

    def held(self, pids: Collection[int]) -> int:
        """Bytes that these processes hold together."""
        if not (self._proc / "stat").exists():
            return sum(_rss(pid) for pid in pids)
        self._walked = {pid: walk for pid, walk in self._walked.items() if pid in pids}
        return sum(self._process(pid) for pid in pids)

    def _process(self, pid: int) -> int:
        try:
            private = private_bytes((self._proc / str(pid) / "statm").read_text())
            when, proportional, private_then = self._walked.get(pid, (None, 0, 0))
            if self._may_walk and (when is None or self._clock() - when >= WALK_EVERY_S):
                began = time.monotonic()
                proportional = pss_bytes((self._proc / str(pid) / "smaps_rollup").read_text())
                self._may_walk = time.monotonic() - began < WALK_LIMIT_S
                self._walked[pid] = (self._clock(), proportional, private)
                return proportional
        except (OSError, ValueError):
            # Gone meanwhile, or another user's: what cannot be looked at counts nothing.
            return self._walked.get(pid, (0.0, 0, 0))[1]
        # Since the last walk: what the process has taken or given back of its own.
        return max(private, proportional + private - private_then) if when is not None else private


def private_bytes(statm: str) -> int:
    """Resident minus shared bytes, from ``/proc/<pid>/statm``."""
    _size, resident, shared = (int(field) for field in statm.split()[:3])
    return max(0, resident - shared) * PAGE


def pss_bytes(rollup: str) -> int:
    """Proportional set size in bytes, from ``/proc/<pid>/smaps_rollup``."""
    match = re.search(r"^Pss:\s+(\d+) kB", rollup, re.MULTILINE)
    if match is None:
        raise ValueError("no Pss line")
    return int(match[1]) * 1024


def _rss(pid: int) -> int:
    try:
        return int(psutil.Process(pid).memory_info().rss)
    except psutil.Error:
        return 0
