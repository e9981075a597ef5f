"""Make a call in a thread of its own, so that whoever needs the answer waits no longer than it can."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Aside(Generic[T]):
    """One call that may hang, made by a daemon thread.

    A call of a driver cannot be timed out. The thread ends when the call returns, and never where it does not.

    Args:
        call: The call; it must not raise.

    Example:
        >>> Aside(lambda: 42).wait(10.0)
        42
    """

    def __init__(self, call: Callable[[], T]) -> None:
        self._call = call
        self._answer: T | None = None
        self._returned = threading.Event()
        self._lock = threading.Lock()
        self._then: Callable[[], object] | None = None
        threading.Thread(target=self._run, name="eco2ai-aside", daemon=True).start()

    def wait(self, seconds: float) -> T | None:
        """Return the answer; ``None`` where it has not come in this time."""
        return self._answer if self._returned.wait(seconds) else None

    def then(self, action: Callable[[], object]) -> None:
        """Call an action once the call has returned: at once where it has, else from its thread."""
        with self._lock:
            if not self._returned.is_set():
                self._then = action
                return
        action()

    def _run(self) -> None:
        self._answer = self._call()
        with self._lock:
            self._returned.set()
            action = self._then
        if action is not None:
            action()
