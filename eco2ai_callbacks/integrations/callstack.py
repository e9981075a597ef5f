"""Looks up the calling frames: who called a hook, and whether that call still runs."""

from __future__ import annotations

import contextlib
import gc
import sys
import threading
import weakref
from collections.abc import Callable, Collection, Iterator
from types import FrameType
from typing import TypeVar, cast

T = TypeVar("T")

# Not the name of any variable.
_MARK = "eco2ai: this call"


def callers() -> Iterator[FrameType]:
    """Return the frames that run now, from the calling function outwards."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        yield frame
        frame = frame.f_back


def local(name: str, function: str) -> object | None:
    """Return a local variable of the nearest calling function of this name; ``None`` where there is none."""
    for frame in callers():
        if frame.f_code.co_name == function and name in frame.f_code.co_varnames:
            return cast(object, frame.f_locals.get(name))
    return None


def owner(kind: type[T], fits: Callable[[T], bool]) -> T | None:
    """Return the nearest calling method's object that is of this kind and fits; ``None`` where there is none."""
    for frame in callers():
        candidate = frame.f_locals.get("self")
        if isinstance(candidate, kind) and fits(candidate):
            return candidate
    return None


def still_running(names: Collection[str], package: str) -> Callable[[], bool] | None:
    """Return a look at whether the nearest calling function of these names still runs; ``None`` where there is none.

    What is kept is a mark inside the frame, not the frame: that would keep the model alive. (A frame's number
    is soon another's: a second ``fit`` would be taken for the first.)

    Args:
        names: Names of functions (``fit``).
        package: The package that they belong to (``keras``).
    """
    for frame in callers():
        module = str(frame.f_globals.get("__name__", ""))
        if frame.f_code.co_name in names and module.partition(".")[0] == package:
            return _look(threading.get_ident(), frame)
    return None


class _Mark:
    """Lies in a frame and goes when that goes."""

    __slots__ = ("__weakref__",)


def _look(thread: int, found: FrameType) -> Callable[[], bool]:
    mark, number = weakref.ref(found.f_locals.setdefault(_MARK, _Mark())), id(found)

    def look() -> bool:
        if mark() is None:  # as long as it is there, no other frame has this number
            return False
        with _no_collection():
            frame = sys._current_frames().get(thread)
            while frame is not None:
                if id(frame) == number:
                    return True
                frame = frame.f_back
        return False

    return look


@contextlib.contextmanager
def _no_collection() -> Iterator[None]:
    """Let no garbage be collected, where that would crash the process.

    Before Python 3.12 the making of a frame object may set off a collection, and what is run by that may let the other
    thread go on: the frame that is being looked at is over then, and what is read is no frame any more.
    """
    collects = sys.version_info < (3, 12) and gc.isenabled()
    if collects:
        gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()
