"""Trackers that are started by hand and not stopped, as by a notebook's cell that is run again."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from eco2ai_callbacks.session.of_process import OfProcess
from eco2ai_callbacks.settings import Settings


class RunningLifetime(Protocol):
    """A tracker's session, as far as its end is concerned."""

    @property
    def running(self) -> bool:
        """Whether it measures."""

    def interrupt(self) -> None:
        """End it now."""

    def post(self, fn: Callable[[Any], object], /) -> None:
        """Let its thread call ``fn`` with the session; waits for nothing."""


@dataclass(slots=True)
class _Started:
    """A tracker that was started by hand.

    Args:
        tracker: The object that a program holds.
        settings: Its settings.
        lifetime: Its session.
        is_replaced: Whether another one with equal settings was started after it.
    """

    tracker: Callable[[], object]
    settings: Settings
    lifetime: RunningLifetime
    is_replaced: bool = False

    def gone(self, _: object = None) -> None:
        """End the run where the program holds its tracker no longer and has started the next one."""
        if self.is_replaced:
            self.lifetime.post(lambda _: self.lifetime.interrupt())


class StartedByHand(OfProcess):
    """The trackers of a process that were started by a call of ``start``, and run.

    A program may start a tracker, hold no reference to it, and be measured to its end. But where it starts another one
    with equal settings, as a cell that is run again does, nobody can stop the first one any more: it would measure all
    that follows, and name itself as what the later ones are inside of. So it ends as ``interrupted``.
    """

    def __init__(self) -> None:
        self._started: list[_Started] = []

    def begin(self, tracker: object, settings: Settings, lifetime: RunningLifetime) -> None:
        """End the forgotten trackers that a new one replaces; those that are still held end once they are not.

        Args:
            tracker: The new one; ``None`` where a framework or a block starts it, and ends it too.
            settings: Its settings.
            lifetime: Its session, which has not begun.
        """
        if tracker is None:
            return
        self._started = [each for each in self._started if each.lifetime.running]
        for each in self._started:
            if each.settings == settings:
                each.is_replaced = True
                if each.tracker() is None:
                    each.lifetime.interrupt()
        new = _Started(lambda: None, settings, lifetime)
        new.tracker = weakref.ref(tracker, new.gone)
        self._started.append(new)
