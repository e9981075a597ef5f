"""Lookup in the calling frames: which object called a hook, and when that call ends."""

from __future__ import annotations

import contextlib
import gc
import os
import sys
import threading
import weakref
from collections.abc import Callable, Collection, Iterator
from functools import cache
from types import FrameType
from typing import TypeVar, cast

T = TypeVar("T")

# Key in a frame's locals that no variable has.
_MARK = "eco2ai: this call"


def callers() -> Iterator[FrameType]:
    """Return the frames that run now, from the calling function outwards."""
    yield from _outwards(sys._getframe(1))


def local(name: str, function: str) -> object | None:
    """Return a local variable of the nearest calling function of this name; ``None`` where there is none."""
    for frame in callers():
        if frame.f_code.co_name == function and name in frame.f_code.co_varnames:
            return cast(object, frame.f_locals.get(name))
    return None


def owner(kind: type[T], fits: Callable[[T], bool]) -> T | None:
    """Return the nearest calling method's ``self`` that is of this kind and fits; ``None`` where there is none."""
    for frame in callers():
        candidate = frame.f_locals.get("self")
        if isinstance(candidate, kind) and fits(candidate):
            return candidate
    return None


def call_of(names: Collection[str], package: str) -> Call | None:
    """Return the nearest calling function of these names; ``None`` where there is none.

    Args:
        names: Names of functions (``fit``).
        package: The package that they belong to (``keras``).
    """
    for frame in callers():
        module = str(frame.f_globals.get("__name__", ""))
        if frame.f_code.co_name in names and module.partition(".")[0] == package:
            return Call(frame)
    return None


class Call:
    """A function call that runs now, and the detection of its end. An end is never reported too early.

    Refers to a mark inside the frame, not to the frame, which would keep the model alive. The mark is freed with the
    frame, by a return or by an exception, and its end needs no check. Only where the exception is kept, its traceback
    keeps the frame too: then the end is found when somebody asks, and the frame is no longer on its thread's stack.

    Args:
        frame: A frame of the calling thread.
    """

    def __init__(self, frame: FrameType) -> None:
        # Ids of frames that run as long as the call does: no other frames have them.
        self._number = id(frame)
        self._outermost = max((depth, id(each)) for depth, each in enumerate(_outwards(frame)))[1]
        self._thread = threading.current_thread()
        self._over = False
        self._notify: Callable[[], None] | None = None
        self._mark = weakref.ref(frame.f_locals.setdefault(_MARK, _Mark()), self._end)

    def is_running(self) -> bool:
        """Return whether the call still runs."""
        if not self._over and (not self._thread.is_alive() or self._is_left()):
            self._end()
        return not self._over

    def when_over(self, notify: Callable[[], None]) -> None:
        """Report the end of the call.

        Args:
            notify: Called when the call is over. It may be called at any point of any thread, as finalizers are, so it
                must neither wait nor take a lock.
        """
        self._notify = notify
        if self._over:
            self._end()

    def forget(self) -> None:
        """Report nothing any more."""
        self._notify = None

    def _end(self, _: object = None) -> None:
        self._over = True
        notify, self._notify = self._notify, None
        if notify is not None:
            notify()

    def _is_left(self) -> bool:
        """Return whether the stack of the call's thread was seen whole, and without the call.

        While another thread's stack is read, that thread continues. The caller of a frame never changes, but a
        generator that is suspended meanwhile has none, and the stack of another greenlet is a different one: such
        stacks do not end at the outermost frame.
        """
        if threading.current_thread() is self._thread:
            return self._is_missing(sys._getframe())
        with _reading_stacks() as can_read:
            return can_read and self._is_missing(sys._current_frames().get(self._thread.ident or 0))

    def _is_missing(self, top: FrameType | None) -> bool:
        last = 0
        for frame in _outwards(top):
            last = id(frame)
            if last == self._number:
                return False
        return last == self._outermost


class _Mark:
    """A mark in a frame's locals, which is freed with the frame."""

    __slots__ = ("__weakref__",)


def _outwards(frame: FrameType | None) -> Iterator[FrameType]:
    while frame is not None:
        yield frame
        frame = frame.f_back


class _CollectionPause:
    """A pause of garbage collection, for one thread at a time. A child that is forked in it collects."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._paused = False
        os.register_at_fork(after_in_child=self._begin_anew)

    @contextlib.contextmanager
    def taken(self) -> Iterator[bool]:
        """Pause; yield whether that is possible, for it waits for no other thread."""
        lock = self._lock
        if not lock.acquire(blocking=False):
            yield False
            return
        try:
            self._paused = gc.isenabled()  # before the pause, for a fork between the two
            gc.disable()
            yield True
        finally:
            self._resume()
            lock.release()

    def _resume(self) -> None:
        if self._paused:
            gc.enable()
        self._paused = False

    def _begin_anew(self) -> None:
        self._resume()
        self._lock = threading.Lock()


@cache
def _pause() -> _CollectionPause:
    return _CollectionPause()


def _reading_stacks() -> contextlib.AbstractContextManager[bool]:
    """Return what surrounds the reading of another thread's stack, and yields whether it can be read now.

    Before Python 3.12 creating a frame object may start a collection, and the code that this runs may let the other
    thread continue: the frame that is being read has then ended, and its memory is no frame any more.
    """
    return contextlib.nullcontext(True) if sys.version_info >= (3, 12) else _pause().taken()
