"""What Linux tells of the memory of processes, from the text of procfs's files."""

from __future__ import annotations

import os
import re
from typing import NamedTuple

PAGE = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096


class Kin(NamedTuple):
    """What tells whom a process was forked from."""

    started: int  # in ticks
    image: tuple[int, ...]  # where its code and stack begin: kept by a fork, changed by an exec; empty if untold
    parent: int


def kin_of(stat: str) -> Kin:
    """Return a process's kin, from ``/proc/<pid>/stat``; zeros where it is empty."""
    fields = stat.rpartition(")")[2].split() or ["0"] * 26
    # proc_pid_stat(5): ppid, starttime, startcode, startstack are fields 4, 22, 26, 28; the first item is field 3.
    image = (int(fields[23]), int(fields[25]))
    return Kin(int(fields[19]), image if image[1] else (), int(fields[1]))


def private_bytes(statm: str) -> int | None:
    """Return resident minus shared bytes, from ``/proc/<pid>/statm``; ``None`` where it is empty."""
    fields = statm.split()
    return max(0, int(fields[1]) - int(fields[2])) * PAGE if len(fields) > 2 else None


def pss_bytes(rollup: str) -> int | None:
    """Return the proportional set size in bytes, from ``/proc/<pid>/smaps_rollup``; ``None`` where it has none."""
    match = re.search(r"^Pss:\s+(\d+) kB", rollup, re.MULTILINE)
    return int(match[1]) * 1024 if match else None


def uss_bytes(rollup: str) -> int:
    """Return the bytes that no other process maps, from ``/proc/<pid>/smaps_rollup``."""
    return sum(map(int, re.findall(r"^Private_(?:Clean|Dirty):\s+(\d+) kB", rollup, re.MULTILINE))) * 1024


def mapped_bytes(meminfo: str) -> list[int]:
    """Return the bytes that all processes hold together, from ``/proc/meminfo``; empty where it has no such figure."""
    found = dict(re.findall(r"^(AnonPages|Mapped):\s+(\d+) kB", meminfo, re.MULTILINE))
    return [sum(map(int, found.values())) * 1024] if len(found) == 2 else []
