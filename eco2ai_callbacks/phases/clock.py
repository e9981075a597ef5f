"""A clock of phases: wall time and CPU time by what a program does, at two looks at the clocks a change."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import TypeVar

K = TypeVar("K")
# What lies in no phase.
OTHER = "other"
# Names of phases that are kept apart, and their length: each record holds them.
MOST_NAMES, LONGEST_NAME = 24, 40
# How often a sum is read again where its thread was changing it.
_TRIES = 64
# A field of Linux's `schedstat`: nanoseconds that the thread has spent on a CPU (Documentation/scheduler/sched-stats).
_ON_CPU = 0

# Wall time and CPU time, in nanoseconds.
Times = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Spent:
    """The time spent in each phase since the clock began.

    Args:
        own: Wall time and the process's CPU time by phase, of the thread that trains.
        beside: Wall time and the thread's CPU time of phases in other threads, by phase and by the phase that the
            training thread was in at its end.
    """

    own: Mapping[str, Times] = field(default_factory=dict)
    beside: Mapping[tuple[str, str], Times] = field(default_factory=dict)

    def since(self, earlier: Spent) -> Spent:
        """Return the time spent since an earlier moment."""
        return Spent(_difference(self.own, earlier.own), _difference(self.beside, earlier.beside))


class PhaseClock:
    """The phases of one training; no call takes a lock, and none raises into the program.

    The thread that begins is the training's. Its wall time is what a training lasts, so all of it belongs to its
    phases. A phase of another thread runs beside these.

    Args:
        report: Records a failure.
        wall_ns: Wall time in nanoseconds.
        cpu_ns: CPU time of this process in nanoseconds.
        thread_ns: CPU time of the calling thread in nanoseconds.

    Example:
        >>> clock = PhaseClock()
        >>> clock.begin()
        >>> with clock("augment"):
        ...     pass
        >>> sorted(clock.spent().own)
        ['augment', 'other']
    """

    def __init__(
        self,
        report: Callable[[str], object] = str,
        wall_ns: Callable[[], int] = time.perf_counter_ns,
        cpu_ns: Callable[[], int] = time.process_time_ns,
        thread_ns: Callable[[], int] = time.thread_time_ns,
    ) -> None:
        self._report = report
        self._wall_ns, self._cpu_ns, self._thread_ns = wall_ns, cpu_ns, thread_ns
        self._names: dict[str, None] = {OTHER: None}
        self._refused: set[str] = set()
        self._local = threading.local()
        self._main: _Thread | None = None
        self._others: list[_Thread] = []
        # Sums of threads that have ended.
        self._gone: dict[tuple[str, str], Times] = {}

    @property
    def used(self) -> bool:
        """Whether any phase was named."""
        return len(self._names) > 1

    @property
    def names(self) -> tuple[str, ...]:
        """The phases that were named so far, and ``other``."""
        return tuple(self._names)

    def expect(self, *names: str) -> None:
        """Name phases that will come.

        Args:
            names: Their names.
        """
        for name in names:
            self._known(name)

    def begin(self) -> None:
        """Begin to count in the calling thread, the training's; a second call does nothing."""
        if self._main is not None:
            return
        early: _Thread | None = getattr(self._local, "thread", None)
        main = self._main = self._local.thread = _Thread(self._wall_ns, self._cpu_ns, None)
        if early is not None:
            self._others.remove(early)
            main.take_over(early)

    def __call__(self, name: str) -> Phase:
        """Return a ``with`` block whose time is counted under this name; time in an inner one counts for that alone.

        Args:
            name: Up to 40 characters; of more than 24 names the further ones count as ``other``.
        """
        return Phase(self, self._known(name))

    def switch(self, name: str) -> None:
        """Let the time outside of all blocks count under this name from now on; only the training's thread can.

        Args:
            name: Name of the phase.
        """
        main = self._main
        here: _Thread | None = getattr(self._local, "thread", None)
        if main is None or here is not main:
            return
        main.base = name if name in self._names else self._known(name)
        if not main.blocks:
            main.turn(main.base)

    @property
    def base(self) -> str:
        """The phase outside of all blocks."""
        return OTHER if self._main is None else self._main.base

    def spent(self) -> Spent:
        """Return the time spent until now; from any thread."""
        if self._main is None:
            return Spent()
        beside: dict[tuple[str, str], Times] = {}
        for thread in list(self._others):
            if thread.owner.is_alive():
                _add(beside, thread.sums(_on_cpu_ns(thread.owner)))
            else:
                self._others.remove(thread)
                _add(self._gone, thread.sums(None))
        _add(beside, self._gone)
        own: dict[str, Times] = {}
        for (name, _), times in self._main.sums(self._cpu_ns()).items():
            _add(own, {name: times})
        return Spent(own, {key: times for key, times in beside.items() if key[0] != OTHER})

    # --- inside ----------------------------------------------------------------------------------------------------

    def thread(self) -> _Thread:
        """Return the sums of the calling thread."""
        found: _Thread | None = getattr(self._local, "thread", None)
        if found is None:
            found = self._local.thread = _Thread(self._wall_ns, self._thread_ns, self)
            self._others.append(found)
        return found

    @property
    def innermost(self) -> str:
        """The phase that the training's thread is in."""
        return OTHER if self._main is None else self._main.current

    def _known(self, name: object) -> str:
        if isinstance(name, str) and name in self._names:
            return name
        if not isinstance(name, str) or not 0 < len(name) <= LONGEST_NAME or not name.isprintable():
            reason = f"is no name of 1 to {LONGEST_NAME} printable characters"
        elif len(self._names) > MOST_NAMES:
            reason = f"is one of more than {MOST_NAMES} names"
        else:
            self._names[name] = None
            return name
        shown = f"{name!r:.60}"
        if len(self._refused) <= MOST_NAMES and reason not in self._refused:
            self._refused.add(reason)
            self._report(f"phase: {shown} {reason}; its time is counted as {OTHER}")
        return OTHER


class Phase:
    """A block whose time is counted under one name."""

    __slots__ = ("_clock", "name", "open", "thread")

    def __init__(self, clock: PhaseClock, name: str) -> None:
        self._clock = clock
        self.thread: _Thread | None = None
        self.name = name
        self.open = False

    def __enter__(self) -> None:
        thread = self.thread = self._clock.thread()
        self.open = True
        thread.blocks.append(self)
        thread.turn(self.name)

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.open = False
        if self.thread is self._clock.thread():
            self.thread.leave()
        # Else a generator was closed by another thread: the block's own thread leaves it at its next change.


class _Thread:
    """The sums of one thread, which alone changes them; other threads read.

    Args:
        wall_ns: Wall time in nanoseconds.
        cpu_ns: The CPU time that counts in this thread, in nanoseconds.
        clock: The clock, in a thread beside the training's.
    """

    __slots__ = ("_clock", "_cpu_ns", "_since", "_sums", "_wall_ns", "base", "blocks", "current", "owner")

    def __init__(self, wall_ns: Callable[[], int], cpu_ns: Callable[[], int], clock: PhaseClock | None) -> None:
        self._wall_ns, self._cpu_ns, self._clock = wall_ns, cpu_ns, clock
        self.owner = threading.current_thread()
        self.blocks: list[Phase] = []
        self.base = self.current = OTHER
        self._sums: dict[tuple[str, str], list[int]] = {}
        # Since when the current phase runs; none while the sums are being changed.
        self._since: Times | None = (wall_ns(), cpu_ns())

    def turn(self, name: str) -> None:
        """Count the time until now under the current phase, and what follows under this one."""
        wall, cpu, since = self._wall_ns(), self._cpu_ns(), self._since
        key = self.current, "" if self._clock is None else self._clock.innermost
        self._since = None
        sums = self._sums.get(key)
        if sums is None:
            sums = self._sums[key] = [0, 0]
        if since is not None:  # else a signal handler came into a change
            sums[0] += wall - since[0]
            sums[1] += cpu - since[1]
        self.current = name
        self._since = wall, cpu

    def take_over(self, early: _Thread) -> None:
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
                    key = current, "" if self._clock is None else self._clock.innermost
                    _add(found, {key: (max(0, self._wall_ns() - since[0]), max(0, cpu_ns - since[1]))})
                break
            time.sleep(0)  # lets the other thread finish its change
        return found


def _add(sums: dict[K, Times], more: Mapping[K, Times]) -> None:
    for key, (wall, cpu) in more.items():
        held = sums.get(key, (0, 0))
        sums[key] = held[0] + wall, held[1] + cpu


def _difference(now: Mapping[K, Times], then: Mapping[K, Times]) -> dict[K, Times]:
    found = {}
    for key, (wall, cpu) in now.items():
        before = then.get(key, (0, 0))
        found[key] = max(0, wall - before[0]), max(0, cpu - before[1])
    return found


def _on_cpu_ns(thread: threading.Thread) -> int | None:
    """Return the CPU time of another thread as Linux counts it; ``None`` where no file says so."""
    try:
        text = Path(f"/proc/self/task/{thread.native_id}/schedstat").read_text(encoding="ascii")
        return int(text.split()[_ON_CPU])
    except (OSError, ValueError, IndexError):
        return None
