"""The one place where a failure beside a training becomes an absence."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar, cast

T = TypeVar("T")

logger = logging.getLogger("eco2ai_callbacks")

# Every record names all failures: sentences that differ each time must not make the log grow without end.
MAX_FAILURES = 50


@dataclass(frozen=True, slots=True)
class Outcome(Generic[T]):
    """What a guarded call returned or why it failed.

    Args:
        value: What it returned; ``None`` where it failed.
        failure: Why it failed, as one clause without the source's name; ``None`` where it returned.
    """

    value: T | None = None
    failure: str | None = None


class Guard:
    """Runs what may fail, and remembers each failure as one sentence that names its source.

    Example:
        >>> guard = Guard()
        >>> guard.call("clock", lambda: 1 / 0, default=0.0)
        0.0
        >>> guard.failures
        ('clock: division by zero (ZeroDivisionError)',)
    """

    def __init__(self) -> None:
        # Replaced as a whole, so that it is read without the lock; sentences are unique, so that each is logged once.
        self._failures: tuple[str, ...] = ()
        self._remote: frozenset[str] = frozenset()
        self._lock = threading.RLock()

    @property
    def failures(self) -> tuple[str, ...]:
        """Every failure so far, in the order of their first appearance."""
        return self._failures

    @property
    def local_failures(self) -> tuple[str, ...]:
        """Those of this process."""
        return tuple(failure for failure in self._failures if failure not in self._remote)

    def add_remote(self, failures: Iterable[str]) -> None:
        """Add the failures of other processes of the job, which have logged them.

        Args:
            failures: A sentence each.
        """
        with self._lock:
            new = [failure for failure in failures if failure not in self._failures]
            self._remote |= set(new)
            self._failures = (*self._failures, *new)[: MAX_FAILURES + 1]

    def call(self, source: str, fn: Callable[[], T], default: T) -> T:
        """Call ``fn``; on any exception record the failure and return ``default``.

        Args:
            source: What failures of this call are named after (``log file``, ``RAPL``).
            fn: What may fail.
            default: What is returned then.
        """
        outcome = self.attempt(source, fn)
        return default if outcome.failure is not None else cast(T, outcome.value)

    def attempt(self, source: str, fn: Callable[[], T]) -> Outcome[T]:
        """Call ``fn``; on any exception record the failure and return why, for callers that report it themselves.

        Args:
            source: What failures of this call are named after.
            fn: What may fail.

        Example:
            >>> Guard().attempt("clock", lambda: 1 / 0)
            Outcome(value=None, failure='division by zero (ZeroDivisionError)')
        """
        try:
            return Outcome(fn())
        except Exception as error:
            failure = _sentence(error)
            # What the machine refuses (a full disk, a missing right) needs a sentence; the rest is a fault to trace.
            self.record(f"{source}: {failure}", trace=None if isinstance(error, OSError) else error)
            return Outcome(failure=failure)

    def record(self, failure: str, trace: BaseException | None = None) -> None:
        """Record a failure, and log it if it is new."""
        with self._lock:
            if failure in self._failures or len(self._failures) > MAX_FAILURES:
                return
            if len(self._failures) == MAX_FAILURES:
                failure, trace = "further failures are not listed", None
            self._failures = (*self._failures, failure)
        with contextlib.suppress(Exception):  # a log handler of the user's
            logger.warning("%s; training goes on", failure, exc_info=trace)


def _sentence(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        where = f" ({error.filename})" if error.filename else ""
        return f"{error.strerror}{where}"
    text: list[str] = []
    with contextlib.suppress(Exception):  # an exception's text may fail
        text = str(error).strip().splitlines()
    return f"{text[0]} ({type(error).__name__})" if text else type(error).__name__
