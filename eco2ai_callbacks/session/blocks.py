"""The ``with`` blocks that share one context manager, kept apart across threads, tasks and generators."""

from __future__ import annotations

import contextlib
import weakref
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from types import FrameType
from typing import Any, Generic, Protocol, TypeVar

T = TypeVar("T")


class _Block(Generic[T]):
    """A block that was entered: the object that it opened, and the id of the frame that entered it.

    The frame itself is not kept, for it would keep the program's variables alive.
    """

    def __init__(self, opened: T, frame: FrameType) -> None:
        self.opened: T | None = opened
        self.frame = id(frame)


# The blocks that this thread or task has entered, of all context managers. They are not kept by this: a run that nobody
# can stop any more ends by garbage collection.
_ENTERED: ContextVar[tuple[weakref.ref[_Block[Any]], ...]] = ContextVar("eco2ai_entered", default=())


class Stoppable(Protocol):
    """What can be stopped."""

    def stop(self, ended: str, /) -> object:
        """End it, given how."""


@contextlib.contextmanager
def until_entered(run: Stoppable, abandon: Callable[[], object] | None = None) -> Iterator[None]:
    """Stop a run as ``interrupted`` where its block is not entered: nobody else would end it.

    Args:
        run: The run.
        abandon: Ends it once it is garbage. A signal handler may raise where nothing is protected, such as just before
            ``__exit__`` stops the run, and nobody is left then who could.
    """
    if abandon is not None:
        weakref.finalize(run, abandon).atexit = False
    with contextlib.ExitStack() as interrupted:
        interrupted.callback(run.stop, "interrupted")
        yield
        interrupted.pop_all()


class Blocks(Generic[T]):
    """The objects that the blocks of one context manager have opened.

    A ``with`` statement is entered and left by the same frame, whichever thread or task runs it then. A block that is
    entered by a call, such as by :class:`contextlib.ExitStack`, is looked up by its thread or task.
    """

    def __init__(self) -> None:
        # Without a lock: the garbage collection of a generator may leave a block at any moment. Each access is one step
        # of the interpreter.
        self._open: list[_Block[T]] = []

    def enter(self, opened: T, frame: FrameType) -> T:
        """Store the object that a block has opened, and return it.

        Args:
            opened: The object.
            frame: The frame that enters the block.
        """
        block = _Block(opened, frame)
        self._open.append(block)
        _ENTERED.set((*_still_open(), weakref.ref(block)))
        return opened

    def leave(self, frame: FrameType) -> T | None:
        """Remove the block that is left, and return the object that it had opened; ``None`` where none is open.

        Args:
            frame: The frame that leaves the block.
        """
        blocks, entered = tuple(self._open), [block() for block in _ENTERED.get()]
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


def _still_open() -> tuple[weakref.ref[_Block[Any]], ...]:
    """Return the blocks of this thread or task that are still open; another thread may have left some."""
    return tuple(ref for ref in _ENTERED.get() if (block := ref()) is not None and block.opened is not None)
