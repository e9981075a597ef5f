"""Translate process ids between this PID namespace and the one whose processes procfs shows.

A container may have the host's ``/proc`` mounted: the ids there are the host's, and those that this process knows of
itself and its children are the container's.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path


class PidNamespace:
    """This process's PID namespace, as a procfs shows it.

    Args:
        proc: Where procfs is mounted.

    Attributes:
        own: This process's id in procfs; ``None`` where procfs shows another namespace, without this process.
        depth: Levels from the namespace that procfs shows down to this one; 0 where they are the same.
    """

    def __init__(self, proc: Path) -> None:
        self._proc = proc
        self.own: int | None = os.getpid()
        self.depth: int = 0
        # Found before: a look through all processes takes long.
        self._known: dict[int, int] = {}
        link = proc / "self"
        try:
            shown = int(str(link.readlink()))
        except (OSError, ValueError):
            # The link is there, and leads nowhere, where this process has no id in the namespace.
            self.own = None if link.is_symlink() else self.own
            return
        self.own = shown
        # A kernel without this line (before 4.1) tells of another namespace only by another id.
        self.depth = max(0, len(self._ids(shown)) - 1) or int(shown != os.getpid())

    def shown(self, pid: int) -> int | None:
        """Return the id in procfs of a process of this namespace; ``None`` where procfs does not show it.

        Args:
            pid: The process's id here.
        """
        if not self.depth:
            return pid if self.own is not None else None
        if pid == os.getpid():
            return self.own
        known = self._known.get(pid)
        if known is None or self.local(known) != pid:
            known = next((other for other in self._all() if self.local(other) == pid and self._ours(other)), None)
        if known is not None:
            self._known[pid] = known
        return known

    def local(self, shown: int) -> int | None:
        """Return the id in this namespace of a process that procfs shows; ``None`` where it has none.

        Args:
            shown: The process's id in procfs.
        """
        if not self.depth:
            return shown
        if shown == self.own:
            return os.getpid()
        ids = self._ids(shown)
        return ids[self.depth] if len(ids) > self.depth else None

    def _ids(self, shown: int) -> list[int]:
        """Return a process's ids in each namespace, from that of procfs down to its own (proc_pid_status(5))."""
        try:
            status = (self._proc / str(shown) / "status").read_text(errors="replace")
        except OSError:
            return []
        return next(([*map(int, line.split()[1:])] for line in status.splitlines() if line.startswith("NSpid:")), [])

    def _all(self) -> Iterator[int]:
        return (int(name) for name in os.listdir(self._proc) if name.isdigit())  # noqa: PTH208 - names are enough

    def _ours(self, shown: int) -> bool:
        """Return whether a process is of this namespace or one below; others may use the same ids."""
        try:
            if self._link(shown) == self._link("self"):
                return True
        except OSError:  # another user's
            pass
        return self._descends(shown)

    def _link(self, process: int | str) -> Path:
        return (self._proc / str(process) / "ns/pid").readlink()

    def _descends(self, shown: int) -> bool:
        seen: set[int] = set()
        while shown not in seen:
            if shown == self.own:
                return True
            seen.add(shown)
            try:
                # The name may hold spaces and brackets: fields count from the last bracket (proc_pid_stat(5)).
                stat = (self._proc / str(shown) / "stat").read_text(errors="replace")
            except OSError:
                return False
            shown = int(stat.rpartition(")")[2].split()[1])
        return False
