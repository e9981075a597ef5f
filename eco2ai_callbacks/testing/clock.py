"""A clock that a test moves."""

from __future__ import annotations


class Clock:
    """A monotonic clock that only a test moves.

    Args:
        now: Where it begins, in seconds.

    Example:
        >>> clock = Clock()
        >>> clock.advance(2.5)
        >>> clock()
        2.5
    """

    def __init__(self, now: float = 0.0) -> None:
        self.now: float = now

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        """Move the clock on.

        Args:
            seconds: How far.
        """
        self.now += seconds
