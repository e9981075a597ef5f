"""Lookup in the calling frames: which object called a hook, and whether that call still runs."""

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

# Key in a frame's locals that no variable has.
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
    """Return the nearest calling method's ``self`` that is of this kind and fits; ``None`` where there is none."""
    for frame in callers():
        candidate = frame.f_locals.get("self")
        if isinstance(candidate, kind) and fits(candidate):
            return candidate
    return None


def still_running(names: Collection[str], package: str) -> Callable[[], bool] | None:
    """Return a check whether the nearest calling function of these names still runs; ``None`` where there is none.

    The check refers to a mark inside the frame, not to the frame, which would keep the model alive. (A frame's id is
    soon reused: a second ``fit`` would be mistaken for the first.)

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
    """A mark in a frame's locals, which is freed with the frame."""

    __slots__ = ("__weakref__",)


def _look(thread: int, found: FrameType) -> Callable[[], bool]:
    mark, number = weakref.ref(found.f_locals.setdefault(_MARK, _Mark())), id(found)

    def look() -> bool:
        if mark() is None:  # while it exists, no other frame has this id
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
    """Turn off garbage collection, where it would crash the process.

    Before Python 3.12 creating a frame object may start a collection, and the code that this runs may let the other
    thread continue: the frame that is being read has then ended, and its memory is no frame any more.
    """
    collects = sys.version_info < (3, 12) and gc.isenabled()
    if collects:
        gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()
