"""The calls that a tracker's thread serves: those of other threads, and those by the clock."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from eco2ai_callbacks.guard import captured


class SucceededError(BaseException):
    """Ends a thread whose work another one has taken over; no handler of errors on the way may catch it."""


class Call:
    """A call: the function, and what it returned or raised."""

    __slots__ = ("_error", "_fn", "_value", "done", "keeps_turn", "returned")

    def __init__(self, fn: Callable[[], Any], default: Any, keeps_turn: bool) -> None:
        self._fn = fn
        self.keeps_turn: bool = keeps_turn
        self._value = default
        self._error: BaseException | None = None
        self.returned: bool = False
        # Released once the caller need not wait any longer.
        self.done: threading.Lock = threading.Lock()
        self.done.acquire()

    def run(self) -> None:
        """Run the function."""
        value, self._error = captured(self._fn)
        if self._error is None:
            self._value = value
        elif isinstance(self._error, SucceededError):
            raise self._error
        self.returned = True

    def outcome(self) -> Any:
        """Return what the function returned, or the default; raise what it raised."""
        if self._error is not None:
            raise self._error
        return self._value


class Timer:
    """A call by the clock."""

    __slots__ = ("_period_s", "_since_s", "fn")

    def __init__(self, period_s: Callable[[], float], fn: Callable[[], None]) -> None:
        self._period_s = period_s
        self.fn: Callable[[], None] = fn
        self._since_s = time.monotonic()

    @property
    def due_s(self) -> float:
        """Monotonic seconds of the next call."""
        return self._since_s + self._period_s()

    def is_due(self) -> bool:
        """Return whether the period has passed, and begin the next one if so."""
        now = time.monotonic()
        due = now >= self.due_s
        if due:
            self._since_s = now
        return due
