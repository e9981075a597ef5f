"""Blocks and functions that are measured, each with a run of its own."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import TracebackType
from typing import Any, Generic, ParamSpec, Protocol, Self, TypeVar

from eco2ai_callbacks.session.blocks import Blocks, until_entered
from eco2ai_callbacks.session.wrapping import around_each_call

P = ParamSpec("P")
R = TypeVar("R")


class Run(Protocol):
    """What measures a block: a tracker."""

    def stop(self, ended: str | None = None, /) -> Any:
        """End the run."""

    def __enter__(self) -> Self: ...

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None: ...


T = TypeVar("T", bound=Run)


class Measured(Generic[T]):
    """A measured block or function, with a tracker of its own at each call; threads and tasks may share it.

    Args:
        tracker: Makes a tracker.
    """

    def __init__(self, tracker: Callable[[], T]) -> None:
        self._tracker = tracker
        self._blocks: Blocks[T] = Blocks()

    def __enter__(self) -> T:
        tracker = self._tracker()
        with until_entered(tracker):
            self._blocks.enter(tracker.__enter__(), sys._getframe(1))
            return tracker

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        tracker = self._blocks.leave(sys._getframe(1))
        if tracker is not None:
            tracker.__exit__(kind, error, trace)

    def __call__(self, function: Callable[P, R], /) -> Callable[P, R]:
        """Return the function, measured at each call."""
        return around_each_call(function, self._tracker)
