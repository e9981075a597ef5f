"""The trackers of a process whose measured call may end unreported: the next start closes those whose call is over."""

from __future__ import annotations

import weakref
from collections.abc import Callable

from eco2ai_callbacks.session.of_process import OfProcess


class WatchedCalls(OfProcess):
    """The checks of a process's trackers, held by weak references. A check closes its tracker if the call is over."""

    def __init__(self) -> None:
        self._checks: list[weakref.WeakMethod[Callable[[], None]]] = []

    def add(self, check: Callable[[], None]) -> None:
        """Add a tracker that has started.

        Args:
            check: A bound method that closes the tracker if its call is over.
        """
        self._checks.append(weakref.WeakMethod(check))

    def discard(self, check: Callable[[], None]) -> None:
        """Remove a tracker that has ended, and those that no longer exist."""
        self._checks = [each for each in self._checks if each() not in (None, check)]

    def close_ended(self) -> None:
        """Close the trackers whose call is over, so that a tracker that starts now is not taken for a part of them."""
        for each in self._checks:
            check = each()
            if check is not None:
                check()
