"""A procfs in a folder, with the files that the meters read: one process table, times in ticks of 10 ms."""

from __future__ import annotations

import shutil
from pathlib import Path


class ProcTree:
    """A procfs whose content a test sets.

    Args:
        base: The folder to build ``proc/`` in.
        listed: Whether the kernel lists the children of each thread (CONFIG_PROC_CHILDREN).
    """

    def __init__(self, base: Path, listed: bool = True) -> None:
        self.root = base / "proc"
        self.root.mkdir()
        self._listed = listed
        self._parents: dict[int, int] = {}
        self.machine()

    def machine(self, user: int = 0, nice: int = 0, system: int = 0, irq: int = 0, softirq: int = 0) -> None:
        """Set the machine's busy ticks; idle, waiting, stolen and guest time are there to be ignored."""
        (self.root / "stat").write_text(
            f"cpu  {user} {nice} {system} 7000 300 {irq} {softirq} 50 20 3\ncpu0 1 1 1 1 1 1 1 1 1 1\nbtime 1\n"
        )

    def put(
        self,
        pid: int,
        parent: int,
        *,
        user: int = 0,
        system: int = 0,
        reaped_user: int = 0,
        reaped_system: int = 0,
        started: int = 100,
        threads: int = 1,
        name: str = "python",
        session: int | None = None,
    ) -> None:
        """Add a process, or set its figures."""
        folder = self.root / str(pid)
        for thread in range(threads):
            (folder / "task" / str(pid + 100_000 * thread)).mkdir(parents=True, exist_ok=True)
        fields = [
            "S",
            parent,
            pid,
            pid if session is None else session,
            0,
            -1,
            0,
            0,
            0,
            0,
            0,
            user,
            system,
            reaped_user,
            reaped_system,
        ]
        fields += [20, 0, threads, 0, started, *([0] * 30)]
        (folder / "stat").write_text(f"{pid} ({name}) {' '.join(map(str, fields))}\n")
        self._parents[pid] = parent
        self._list()

    def remove(self, *pids: int) -> None:
        """Remove processes; their children become init's."""
        for pid in pids:
            shutil.rmtree(self.root / str(pid))
            del self._parents[pid]
        self._list()

    def ids(self, pid: int, *inner: int) -> None:
        """Set a process's ids in the PID namespaces below the one that this procfs shows."""
        (self.root / str(pid) / "status").write_text(
            f"Name:\tx\nNSpid:\t{' '.join(map(str, (pid, *inner)))}\nUid:\t0\n"
        )

    def uptime(self, seconds: float) -> None:
        """Set the seconds since boot."""
        (self.root / "uptime").write_text(f"{seconds:.2f} 1234.00\n")

    def memory(self, pid: int, resident: int, shared: int, proportional_kb: int | None = None) -> None:
        """Set a process's pages and, unless the kernel does not report it, its proportional share."""
        folder = self.root / str(pid)
        folder.mkdir(exist_ok=True)
        (folder / "statm").write_text(f"9000 {resident} {shared} 1 0 500 0\n")
        rollup = folder / "smaps_rollup"
        rollup.unlink(missing_ok=True)
        if proportional_kb is not None:
            rollup.write_text(f"00400000-7ffd [rollup]\nRss: 1 kB\nPss:      {proportional_kb} kB\nPss_Dirty: 3 kB\n")

    def meminfo(self, anonymous_kb: int, mapped_kb: int) -> None:
        """Set the memory of all processes together."""
        (self.root / "meminfo").write_text(
            f"MemTotal: 99999999 kB\nAnonPages:  {anonymous_kb} kB\nMapped:   {mapped_kb} kB\nShmem: 5 kB\n"
        )

    def break_(self, path: str, target: str) -> None:
        """Make reading a file fail as reading ``target`` does."""
        file = self.root / path
        file.unlink(missing_ok=True)
        file.symlink_to(target)

    def _list(self) -> None:
        if not self._listed:
            return
        for pid in self._parents:
            children = " ".join(str(child) for child, parent in self._parents.items() if parent == pid)
            # Whichever thread forked them has them: the last one here.
            threads = sorted((self.root / str(pid) / "task").iterdir())
            for thread in threads:
                (thread / "children").write_text(f"{children} " if children and thread == threads[-1] else "")


UNREADABLE = "/proc/self/mem"
"""Reading it fails with EIO, for root too."""
FORBIDDEN = "/proc/sys/vm/compact_memory"
"""Opening it fails with EACCES, for root too."""
