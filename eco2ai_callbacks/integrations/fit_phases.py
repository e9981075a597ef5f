"""The phases of a framework's fit, by its hooks and by the calls that no hook brackets."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from eco2ai_callbacks.phases.clock import PhaseClock
from eco2ai_callbacks.phases.times import OTHER
from eco2ai_callbacks.tracker import Tracker

DATA, TRAIN, VALIDATION = "data", "train", "validation"
CHECKPOINT, LOGGING, SETUP = "checkpoint", "logging", "setup"
# A logger that watches a name needs a figure of it in every epoch.
_ALL = (SETUP, DATA, TRAIN, VALIDATION, CHECKPOINT, LOGGING)


class FitPhases:
    """The phases of the fit that runs now: ``setup`` until the end of its first step, then what the hooks report.

    Hooks are called by the training's thread; a change that another thread reports is passed over, as those of Keras's
    callbacks that it calls while the next batch runs.
    """

    def __init__(self) -> None:
        self._tracker: Tracker | None = None
        self._stepped = False
        # Whether steps cannot be told from waiting.
        self._blind = False
        self._counted: list[_Counted] = []

    def begin(self, tracker: Tracker) -> None:
        """Begin with the set-up of a fit.

        Args:
            tracker: Measures the fit.
        """
        self._let_go()
        self._tracker, self._stepped, self._blind = tracker, False, False
        tracker.phase.expect(*_ALL)
        tracker.phase.switch(SETUP)

    @property
    def phase(self) -> str:
        """The phase outside of the blocks of a program."""
        return OTHER if self._tracker is None else self._tracker.phase.base

    def turn(self, name: str) -> None:
        """Count what follows under a phase; up to the end of the first step all is set-up, compilation included.

        Args:
            name: The phase.
        """
        if self._stepped and self._tracker is not None:
            self._tracker.phase.switch(OTHER if self._blind and name in (DATA, TRAIN) else name)

    def step_ended(self, name: str = DATA) -> None:
        """Count what follows a step under a phase.

        Args:
            name: The phase; by default the wait for the next batch.
        """
        self._stepped = True
        self.turn(name)

    def count(self, owner: Any, method: str, name: str) -> None:
        """Count the calls of an object's method under a phase, until the fit ends.

        Args:
            owner: The object.
            method: Name of the method.
            name: The phase.
        """
        if (tracker := self._tracker) is not None:
            self._put(tracker, owner, method, lambda call: _in_phase(tracker.phase, name, call))

    def count_steps(self, owner: Any, method: str, stepped: Callable[[], object]) -> None:
        """Count the calls of an object's method as training steps, until the fit ends.

        Where there is no such method, as in a loop of the program's own, waiting cannot be told from steps: both are
        ``other``.

        Args:
            owner: The object.
            method: Name of the method.
            stepped: Called after each.
        """

        def step(call: Callable[[], Any]) -> Any:
            self.turn(TRAIN)
            result = call()
            stepped()
            self.step_ended()
            return result

        tracker = self._tracker
        if tracker is not None and not self._put(tracker, owner, method, step):
            self._blind = self._stepped = True
            self.turn(OTHER)

    def end(self) -> None:
        """End the fit."""
        self.turn(OTHER)
        self._let_go()
        self._tracker = None

    def _put(self, tracker: Tracker, owner: Any, method: str, around: Callable[[Callable[[], Any]], Any]) -> bool:
        """Put something around the calls of a method; return whether there is one."""

        def put() -> bool:
            if not callable(getattr(owner, method, None)):
                return False
            counted = _Counted(owner, method, around)
            counted.put()
            self._counted.append(counted)
            return True

        return tracker.guard.call("phases", put, False)

    def _let_go(self) -> None:
        for counted in self._counted:
            counted.remove()
        self._counted = []


def _same(value: Any) -> Any:
    return value


def _in_phase(phases: PhaseClock, name: str, call: Callable[[], Any]) -> Any:
    with phases(name):
        return call()


class _Counted:
    """A method of one object, with something around each call. Copies and pickles have the plain method."""

    def __init__(self, owner: Any, method: str, around: Callable[[Callable[[], Any]], Any]) -> None:
        self._owner, self._method, self._around = owner, method, around
        self._before = getattr(owner, method)
        self._own = method in vars(owner)
        functools.update_wrapper(self, self._before)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._around(lambda: self._before(*args, **kwargs))

    def __reduce__(self) -> tuple[Any, ...]:
        return (_same, (self._before,)) if self._own else (getattr, (self._owner, self._method))

    def put(self) -> None:
        """Take the method's place."""
        setattr(self._owner, self._method, self)

    def remove(self) -> None:
        """Leave it, unless somebody else has put something there since."""
        if vars(self._owner).get(self._method) is self:
            if self._own:
                setattr(self._owner, self._method, self._before)
            else:
                delattr(self._owner, self._method)
