"""Read how much of the machine this process may use: by affinity, cpuset and the quotas of its control groups."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Limit:
    """The part of the machine that a process may use, and whose part that is.

    Args:
        threads: Hardware threads; a quota may be a part of one.
        group: Folder of the control group that has this quota; ``None`` where it is a set of threads.
        cpus: Numbers of these hardware threads; empty where it is a quota.
    """

    threads: float
    group: Path | None = None
    cpus: frozenset[int] = frozenset()


def limits(proc: Path, sys: Path) -> Iterator[Limit]:
    """Yield the limits of this process that are known.

    Args:
        proc: Mount point of procfs.
        sys: Mount point of sysfs.
    """
    yield from _affinity(proc)
    yield from _quotas(proc, sys)


def _affinity(proc: Path) -> Iterator[Limit]:
    """Yield the threads that this process may run on (affinity and cpuset)."""
    match = re.search(r"^Cpus_allowed_list:\s*(\S+)", _text(proc / "self/status"), re.MULTILINE)
    if match:
        spans = (part.partition("-") for part in match[1].split(","))
        cpus = frozenset(n for first, _, last in spans for n in range(int(first), int(last or first) + 1))
        yield Limit(float(len(cpus)), cpus=cpus)


def _quotas(proc: Path, sys: Path) -> Iterator[Limit]:
    """Yield the quotas of this process's control groups and their ancestors (`cpu.max`, `cpu.cfs_quota_us`)."""
    for line in _text(proc / "self/cgroup").splitlines():
        _, _, rest = line.partition(":")
        controllers, _, group = rest.partition(":")
        if controllers == "":
            base, read = sys / "fs/cgroup", _quota_v2
        elif "cpu" in controllers.split(","):
            # The folder's name may list the controllers in another order; `cpu` is then a link to it.
            named = sys / "fs/cgroup" / controllers
            base, read = named if named.is_dir() else sys / "fs/cgroup/cpu", _quota_v1
        else:
            continue
        parts = [part for part in group.split("/") if part not in ("", "..")]
        for depth in range(len(parts), -1, -1):
            folder = base.joinpath(*parts[:depth])
            quota = read(folder)
            if math.isfinite(quota):
                yield Limit(quota, group=folder)


def _quota_v2(folder: Path) -> float:
    quota, _, period = _text(folder / "cpu.max").partition(" ")
    return _threads(_integer(quota), _integer(period))


def _quota_v1(folder: Path) -> float:
    return _threads(_integer(_text(folder / "cpu.cfs_quota_us")), _integer(_text(folder / "cpu.cfs_period_us")))


def _threads(quota_us: int | None, period_us: int | None) -> float:
    return quota_us / period_us if quota_us and period_us else math.inf


def _integer(text: str) -> int | None:
    return int(text) if text.strip().isdecimal() else None


def _text(path: Path) -> str:
    """Return a small file's content; empty where it cannot be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
