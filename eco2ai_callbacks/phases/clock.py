"""A clock of phases: wall time and CPU time by what a program does, at two looks at the clocks a change."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from types import MappingProxyType, TracebackType
from typing import Any, NamedTuple, TypeVar

from eco2ai_callbacks.phases.times import OTHER, Block, ThreadTimes, Times, on_cpu_ns, plus

K = TypeVar("K")
# Names of phases that are kept apart, and their length: each record holds them.
MOST_NAMES, LONGEST_NAME = 24, 40
_NOTHING: Mapping[Any, Times] = MappingProxyType({})


class Spent(NamedTuple):
    """The time spent in each phase since the clock began.

    Args:
        own: Wall time and the process's CPU time by phase, of the thread that trains.
        beside: Wall time and the thread's CPU time of phases in other threads, by phase and by the phase that the
            training thread was in at its end.
    """

    own: Mapping[str, Times] = _NOTHING
    beside: Mapping[tuple[str, str], Times] = _NOTHING

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
        self._main: ThreadTimes | None = None
        self._others: list[ThreadTimes] = []
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
        early: ThreadTimes | None = getattr(self._local, "thread", None)
        main = self._main = self._local.thread = ThreadTimes(self._wall_ns, self._cpu_ns, None)
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
        here: ThreadTimes | None = getattr(self._local, "thread", None)
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
                plus(beside, thread.sums(on_cpu_ns(thread.owner)))
            else:
                self._others.remove(thread)
                plus(self._gone, thread.sums(None))
        if self._gone:
            plus(beside, self._gone)
        own = {name: times for (name, _), times in self._main.sums(self._cpu_ns()).items()}
        return Spent(own, {key: times for key, times in beside.items() if key[0] != OTHER} if beside else {})

    # --- inside ----------------------------------------------------------------------------------------------------

    def thread(self) -> ThreadTimes:
        """Return the sums of the calling thread."""
        found: ThreadTimes | None = getattr(self._local, "thread", None)
        if found is None:
            found = self._local.thread = ThreadTimes(self._wall_ns, self._thread_ns, lambda: self.innermost)
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
    """A block whose time is counted under one name; it may be entered again, inside itself and by other threads."""

    __slots__ = ("_clock", "_entered", "name")

    def __init__(self, clock: PhaseClock, name: str) -> None:
        self._clock = clock
        self._entered: list[Block] = []
        self.name: str = name

    def __enter__(self) -> None:
        thread = self._clock.thread()
        block = Block(self.name, thread)
        self._entered.append(block)
        thread.blocks.append(block)
        thread.turn(self.name)

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        if not self._entered:
            return
        here = self._clock.thread()
        block = next((each for each in reversed(self._entered) if each.thread is here), self._entered[-1])
        self._entered.remove(block)
        block.open = False
        if block.thread is here:
            here.leave()
        # Else a generator was closed by another thread: the block's own thread leaves it at its next change.


def _difference(now: Mapping[K, Times], then: Mapping[K, Times]) -> dict[K, Times]:
    found = {}
    for key, (wall, cpu) in now.items():
        before = then.get(key, (0, 0))
        found[key] = max(0, wall - before[0]), max(0, cpu - before[1])
    return found
