"""Keeps apart the ``with`` blocks that share one context manager, across threads, tasks and generators."""

from __future__ import annotations

import contextlib
from contextvars import ContextVar
from types import FrameType
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class _Block(Generic[T]):
    """A block that was entered: what it opened, and the number of the frame that entered it.

    The frame itself is not kept, for it would keep the program's variables alive.
    """

    def __init__(self, opened: T, frame: FrameType) -> None:
        self.opened: T | None = opened
        self.frame = id(frame)


# The blocks that this thread or task has entered, of all context managers.
_ENTERED: ContextVar[tuple[_Block[Any], ...]] = ContextVar("eco2ai_entered", default=())


class Blocks(Generic[T]):
    """What each block that shares a context manager has opened.

    A ``with`` statement is entered and left by the same frame, whichever thread or task runs it then. What is entered
    by a call, as :class:`contextlib.ExitStack` does it, is looked up by its thread or task.
    """

    def __init__(self) -> None:
        # Without a lock: the collection of a generator may leave a block in the middle of anything. Each access is one
        # step of the interpreter.
        self._open: list[_Block[T]] = []

    def enter(self, opened: T, frame: FrameType) -> T:
        """Remember what a block has opened, and return it.

        Args:
            opened: What it has opened.
            frame: The frame that enters the block.
        """
        block = _Block(opened, frame)
        self._open.append(block)
        _ENTERED.set((*_still_open(), block))
        return opened

    def leave(self, frame: FrameType) -> T | None:
        """Return what the block that is left had opened; ``None`` where none is open.

        Args:
            frame: The frame that leaves the block.
        """
        blocks, entered = tuple(self._open), _ENTERED.get()
        by_frame = [block for block in blocks if block.frame == id(frame)]
        by_context = [block for block in blocks if block in entered]
        found = by_frame or by_context or blocks
        if not found:
            return None
        block = found[-1]
        opened, block.opened = block.opened, None
        with contextlib.suppress(ValueError):  # another thread was first
            self._open.remove(block)
        _ENTERED.set(_still_open())
        return opened


def _still_open() -> tuple[_Block[Any], ...]:
    """Return the blocks of this thread or task that were not left, from wherever."""
    return tuple(block for block in _ENTERED.get() if block.opened is not None)
