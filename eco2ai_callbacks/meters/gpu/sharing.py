"""Find out whose processes compute on a GPU: the job's, or others'."""

from __future__ import annotations

import os
from pathlib import Path

# The number of the first PID namespace, which is the same on all systems (Linux: PROC_PID_INIT_INO, proc_ns.h).
_FIRST_NAMESPACE = f"pid:[{0xEFFFFFFC}]"


def own_processes() -> frozenset[int]:
    """Return the ids of this process and its descendants."""
    import psutil  # where there is no GPU, nobody asks

    own = os.getpid()
    try:
        return frozenset([own, *(child.pid for child in psutil.Process(own).children(recursive=True))])
    except psutil.Error:
        return frozenset([own])


def sees_host_pids(proc: Path = Path("/proc")) -> bool:
    """Return whether process ids are the same here and for the driver, which reports the host's.

    In a container with a PID namespace of its own they are not: a small number means one process here and another on
    the host.

    Args:
        proc: Mount point of procfs; a system without one has no such namespaces.
    """
    if not (proc / "stat").exists():
        return True
    try:
        return str((proc / "self/ns/pid").readlink()) == _FIRST_NAMESPACE
    except OSError:
        return False


def is_shared(computing: frozenset[int], job: frozenset[int], *, host_pids: bool) -> bool:
    """Return whether processes outside the job compute on a device.

    Args:
        computing: Ids of the processes that compute on it, as the driver reports them.
        job: Ids of the job's processes; empty where the whole machine is measured, so that there are no others.
        host_pids: Whether the two can be compared; where not, one process may be the job's own.
    """
    if not job:
        return False
    if not host_pids:
        return len(computing) > 1
    import psutil

    others = computing - job
    if others != computing or any(psutil.pid_exists(pid) for pid in others):
        return bool(others)
    return len(others) > 1  # none of them is here: the ids may be another system's after all
