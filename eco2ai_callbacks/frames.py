"""Looks up the calling frames: who called a hook, and whether that call still runs."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Collection, Iterator
from types import FrameType
from typing import TypeVar

T = TypeVar("T")


def callers() -> Iterator[FrameType]:
    """The frames around the caller of this function's user, from the inside out."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        yield frame
        frame = frame.f_back


def owner(kind: type[T], fits: Callable[[T], bool]) -> T | None:
    """The nearest calling method's object that is of this kind and fits; ``None`` where there is none."""
    for frame in callers():
        candidate = frame.f_locals.get("self")
        if isinstance(candidate, kind) and fits(candidate):
            return candidate
    return None


def still_running(names: Collection[str], package: str) -> Callable[[], bool] | None:
    """A look at whether the nearest calling function of these names still runs; ``None`` where nothing is called so.

    What is kept is the frame's number and code, not the frame: that would keep the model alive.

    Args:
        names: Names of functions (``fit``).
        package: The package that they belong to (``keras``).
    """
    for frame in callers():
        module = str(frame.f_globals.get("__name__", ""))
        if frame.f_code.co_name in names and module.partition(".")[0] == package:
            return _look(threading.get_ident(), frame)
    return None


def _look(thread: int, found: FrameType) -> Callable[[], bool]:
    number, code = id(found), found.f_code

    def look() -> bool:
        frame = sys._current_frames().get(thread)
        while frame is not None:
            if id(frame) == number and frame.f_code is code:
                return True
            frame = frame.f_back
        return False

    return look
