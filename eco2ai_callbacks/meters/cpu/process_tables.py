"""Open the process table of this system: Linux's, or what else tells a process tree."""

from __future__ import annotations

import os
import time
from pathlib import Path

from eco2ai_callbacks.host.namespace import PidNamespace
from eco2ai_callbacks.meters.cpu.processes import (
    LinuxProcesses,
    ProcessKey,
    ProcessTable,
    ProcessTimes,
    Snapshot,
    waited_s,
)


def process_table(root: int, proc: Path) -> ProcessTable:
    """Return the process table of this system.

    Args:
        root: The process at the top.
        proc: Where procfs is mounted; without one, psutil reports the processes.
    """
    if not (proc / "stat").exists():
        return PsutilProcesses(root)
    namespace = PidNamespace(proc)
    return OwnProcess(root) if namespace.own is None else LinuxProcesses(root, proc, namespace)


class OwnProcess:
    """This process and the children that it has waited for, where procfs shows another PID namespace.

    It has no id there, and 0 stands for it.

    Args:
        root: The process at the top; where it is not this one, nothing can be counted.
    """

    def __init__(self, root: int) -> None:
        self._is_root = root == os.getpid()

    def family(self, known: Snapshot) -> Snapshot:  # noqa: ARG002 - the protocol's
        """Return this process."""
        own = ProcessTimes(0, time.process_time(), waited_s())
        return {ProcessKey(0, 0.0): own} if self._is_root else {}

    def local(self, pid: int) -> int | None:  # noqa: ARG002 - the protocol's
        """Return this process's id."""
        return os.getpid()

    def now(self) -> float:
        """Return 0: no process joins."""
        return 0.0


class PsutilProcesses:
    """The process table where there is no procfs; tested on Linux only.

    Args:
        root: The process at the top.
    """

    def __init__(self, root: int) -> None:
        self._root: int | None = root

    def local(self, pid: int) -> int | None:
        """Return the id itself."""
        return pid

    def now(self) -> float:
        """Return the wall clock's time; start times are in whole seconds on some systems."""
        return time.time() - 1.0

    def family(self, known: Snapshot) -> Snapshot:
        """Return the known members (at first: the root) that still run and their descendants."""
        import psutil  # not needed under Linux

        found: dict[ProcessKey, ProcessTimes] = {}
        queue = [key.pid for key in known] if self._root is None else [self._root]
        self._root = None
        ids = {key.pid for key in known}
        while queue:
            try:
                process = psutil.Process(queue.pop(0))
                key = ProcessKey(process.pid, process.create_time())
                if key in found or (key.pid in ids and key not in known):
                    continue
                times = process.cpu_times()
                # Windows and macOS do not count the time of children that were waited for: it is taken from the
                # last scan that found them.
                found[key] = ProcessTimes(process.ppid(), times.user + times.system, 0.0)
                queue += [child.pid for child in process.children()]
            except psutil.Error:
                continue
        return found
