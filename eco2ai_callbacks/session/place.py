"""Where in the program a tracker was started: its thread, its asyncio task, and the trackers that are open there."""

from __future__ import annotations

import sys
import threading
import time
import weakref
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

# Seconds of CPU time of one thread; ``None`` once the thread has ended.
ThreadClock = Callable[[], float | None]
# The trackers that were started in this thread or task, or in the task that started this one; the youngest last.
_WITHIN: ContextVar[tuple[Place, ...]] = ContextVar("eco2ai_within", default=())
_LOCAL = threading.local()


def thread_clock() -> ThreadClock | None:
    """Return a clock of the calling thread's CPU time that other threads may read; ``None`` where there is none."""
    # Linux has it, macOS and Windows do not. It is asked for in the thread itself: by the number of a thread that has
    # ended, this would crash.
    find: Callable[[int], int] | None = getattr(time, "pthread_getcpuclockid", None)
    if find is None:
        return None
    number = find(threading.get_ident())

    def read() -> float | None:
        try:
            return time.clock_gettime(number)
        except OSError:
            return None

    return read


class Place:
    """Where a tracker was started. Made by the thread that starts it.

    Args:
        run: Id of the tracker's run.
        clock: Clock of the thread's CPU time.
    """

    def __init__(self, run: str, clock: ThreadClock | None = None) -> None:
        self.run = run
        self.clock = clock
        # Whether the tracker is measuring.
        self.open: bool = False
        # An object of the thread: its number may be given to another thread once it has ended.
        self.thread: object = _thread()
        task = _task()
        self._task: weakref.ref[Any] | None = None if task is None else weakref.ref(task)
        self._older: weakref.WeakSet[threading.Thread] | None = None
        if threading.get_ident() == threading.main_thread().ident:
            self._older = weakref.WeakSet(threading.enumerate())
        self.within: tuple[Place, ...] = tuple(place for place in _WITHIN.get() if place.open)
        _WITHIN.set((*self.within, self))

    def encloses(self, other: Place) -> bool:
        """Return whether this place is around another that came later: in its thread or task, or in one around that.

        Args:
            other: The other place; made by the calling thread.
        """
        if self in other.within:
            return True
        # What a thread does outside of all tasks is around its tasks. What a task leaves open when it ends belongs to
        # the thread: a notebook may run each cell in a task.
        task = None if self._task is None else self._task()
        mine = _task()
        return self.thread is other.thread and (task is None or task.done() or task is mine)

    def began(self, other: Place) -> bool:
        """Return whether another place's thread has begun since, while the main thread was in this one.

        No system tells which thread has started another. The main thread is taken for the one that did.

        Args:
            other: The other place; made by the calling thread.
        """
        if self._older is None or self.thread is other.thread:
            return False
        number = threading.get_ident()
        # A thread that Python has not started is not among them: of that nothing is known.
        thread = next((each for each in threading.enumerate() if each.ident == number), None)
        return thread is not None and thread not in self._older


def _thread() -> object:
    token: object = getattr(_LOCAL, "token", None)
    if token is None:
        token = _LOCAL.token = object()
    return token


def _task() -> Any:
    """Return the calling task, without an import of asyncio where nobody uses it."""
    asyncio = sys.modules.get("asyncio")
    if asyncio is None:
        return None
    try:
        return asyncio.current_task()
    except RuntimeError:
        return None
