"""A call of a framework, which a test ends."""

from __future__ import annotations

from collections.abc import Callable


class FakeCall:
    """A measured call that runs until ``end``; ``asked`` counts the questions whether it still does."""

    def __init__(self) -> None:
        self.running = True
        self.asked = 0
        self.forgotten = False
        self._notify: Callable[[], None] = lambda: None

    def is_running(self) -> bool:
        self.asked += 1
        return self.running

    def when_over(self, notify: Callable[[], None], /) -> None:
        self._notify = notify

    def forget(self) -> None:
        self.forgotten = True

    def end(self, *, reported: bool = True) -> None:
        """End the call; where it is not ``reported``, it is found only by asking."""
        self.running = False
        if reported:
            self._notify()
