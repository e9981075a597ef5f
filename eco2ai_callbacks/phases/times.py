"""Wall time and CPU time of one thread, by what it does."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

K = TypeVar("K")
# What lies in no phase.
OTHER = "other"
# How often a sum is read again where its thread was changing it.
_TRIES = 64
# A field of Linux's `schedstat`: nanoseconds that the thread has spent on a CPU (Documentation/scheduler/sched-stats).
_ON_CPU = 0

# Wall time and CPU time, in nanoseconds.
Times = tuple[int, int]


class Block:
    """A block that was entered."""

    __slots__ = ("name", "open", "thread")

    def __init__(self, name: str, thread: ThreadTimes) -> None:
        self.name: str = name
        self.thread: ThreadTimes = thread
        self.open: bool = True


class ThreadTimes:
    """The sums of one thread, which alone changes them; other threads read.

    Args:
        wall_ns: Wall time in nanoseconds.
        cpu_ns: The CPU time that counts in this thread, in nanoseconds.
        beside: Returns the phase that the training's thread is in; ``None`` in that thread.
    """

    __slots__ = ("_beside", "_cpu_ns", "_since", "_sums", "_wall_ns", "base", "blocks", "current", "owner")

    def __init__(self, wall_ns: Callable[[], int], cpu_ns: Callable[[], int], beside: Callable[[], str] | None) -> None:
        self._wall_ns, self._cpu_ns, self._beside = wall_ns, cpu_ns, beside
        self.owner: threading.Thread = threading.current_thread()
        self.blocks: list[Block] = []
        self.base: str = OTHER
        self.current: str = OTHER
        self._sums: dict[tuple[str, str], list[int]] = {}
        # Since when the current phase runs; none while the sums are being changed.
        self._since: Times | None = (wall_ns(), cpu_ns())

    def turn(self, name: str) -> None:
        """Count the time until now under the current phase, and what follows under this one."""
        wall, cpu, since = self._wall_ns(), self._cpu_ns(), self._since
        key = self.current, "" if self._beside is None else self._beside()
        self._since = None
        sums = self._sums.get(key)
        if sums is None:
            sums = self._sums[key] = [0, 0]
        if since is not None:  # else a signal handler came into a change
            sums[0] += wall - since[0]
            sums[1] += cpu - since[1]
        self.current = name
        self._since = wall, cpu

    def take_over(self, early: ThreadTimes) -> None:
        """Go on with the blocks that this thread has entered before the clock began."""
        self.blocks = early.blocks
        for block in self.blocks:
            block.thread = self
        self.leave()

    def leave(self) -> None:
        """Continue with the innermost block that is still open: tasks of one thread may leave theirs in any order."""
        self.blocks = [block for block in self.blocks if block.open]
        self.turn(self.blocks[-1].name if self.blocks else self.base)

    def sums(self, cpu_ns: int | None) -> dict[tuple[str, str], Times]:
        """Return the sums with the current phase until now; from any thread.

        Args:
            cpu_ns: The CPU time until now; ``None`` leaves the current phase out.
        """
        for _ in range(_TRIES):
            since, current = self._since, self.current
            found = {key: (wall, cpu) for key, (wall, cpu) in list(self._sums.items())}
            if since is not None and self._since is since:
                if cpu_ns is not None:
                    key = current, "" if self._beside is None else self._beside()
                    wall, cpu = found.get(key, (0, 0))
                    found[key] = wall + max(0, self._wall_ns() - since[0]), cpu + max(0, cpu_ns - since[1])
                break
            time.sleep(0)  # lets the other thread finish its change
        return found


def plus(sums: dict[K, Times], more: Mapping[K, Times]) -> None:
    """Add times by name."""
    for key, (wall, cpu) in more.items():
        held = sums.get(key, (0, 0))
        sums[key] = held[0] + wall, held[1] + cpu


def on_cpu_ns(thread: threading.Thread) -> int | None:
    """Return the CPU time of another thread as Linux counts it; ``None`` where no file says so."""
    try:
        text = Path(f"/proc/self/task/{thread.native_id}/schedstat").read_text(encoding="ascii")
        return int(text.split()[_ON_CPU])
    except (OSError, ValueError, IndexError):
        return None
