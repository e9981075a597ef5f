"""The one place where a failure beside a training becomes an absence."""

from __future__ import annotations

import contextlib
import logging
import re
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar, cast

T = TypeVar("T")

logger = logging.getLogger("eco2ai_callbacks")

# Every record names all failures: sentences that differ each time must not make the log grow without end.
MAX_FAILURES = 50
# How many of these places one source may fill: each GPU of a large machine may fail.
MAX_PER_SOURCE = 16
# How many of these places are kept for sources of this process that have not failed before.
RESERVED = 16
_FURTHER = "further failures are not listed"
# What may differ between two sentences of one kind. The number of a device (``package-0``, ``GPU 0``) is part of its
# name: two devices that fail are two failures.
_VARIES = re.compile(
    r"""
      (?<!\w)'[^']*'(?!\w) | "[^"]*" | `[^`]*`             # a quoted value
    | \((?:/|[A-Za-z]:[\\/])[^()]*\)                       # a path in brackets, which may hold spaces
    | (?<!\S)(?:/|[A-Za-z]:[\\/])\S+                       # a path
    | 0[xX][0-9a-fA-F]+                                    # an address
    | (?<![\w-])(?=[a-f-]*\d)[0-9a-f]{8,}(?:-[0-9a-f]{4,})*(?!\w)   # an id
    | (?<![\w-])(?<!GPU[ ])(?<!rank[ ])-?\d[\d.,]*(?:e[+-]?\d+)?   # a number
    """,
    re.VERBOSE,
)


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
        # Replaced as a whole, so that they are read without the lock.
        self._failures: tuple[str, ...] = ()
        self._local_failures: tuple[str, ...] = ()
        # The latest sentence by source and kind, in the order in which the kinds appeared; and the keys of those that
        # other processes have sent.
        self._places: dict[tuple[str, str], str] = {}
        self._remote: set[tuple[str, str]] = set()
        # Whether a failure has found no place, and whether one of this process has.
        self._unlisted = False
        self._unlisted_local = False
        self._lock = threading.RLock()

    @property
    def failures(self) -> tuple[str, ...]:
        """The latest failure of every source and kind so far, in the order of their first appearance."""
        return self._failures

    @property
    def local_failures(self) -> tuple[str, ...]:
        """Those of this process."""
        return self._local_failures

    def add_remote(self, failures: Iterable[str]) -> None:
        """Add the failures of other processes of the job, which have logged them.

        Args:
            failures: A sentence each.
        """
        with self._lock:
            for failure in failures:
                if failure not in self._failures:
                    self._place(failure, remote=True)
            self._renew()

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
        """Record a failure, and log it if its kind is new.

        A later failure of the same source and kind takes the place of the earlier one.

        Args:
            failure: A sentence that begins with the source's name and a colon.
            trace: What was raised, to be logged with its traceback.
        """
        with self._lock:
            if failure in self._local_failures:
                return
            new = self._place(failure, remote=False)
            self._renew()
        if new:
            with contextlib.suppress(Exception):  # a log handler of the user's
                logger.warning("%s; training goes on", new, exc_info=trace if new is failure else None)

    def _place(self, failure: str, remote: bool) -> str | None:
        """Put a failure in the place of its kind.

        Args:
            failure: The sentence.
            remote: Whether it is another process's.

        Returns:
            What is new for this process: the sentence, or that further ones are not listed; ``None`` for neither.
        """
        source = _source(failure)
        key = source, _VARIES.sub("*", failure)
        if key not in self._places and not self._has_place(source, remote):
            new = None if self._unlisted_local or remote else _FURTHER
            self._unlisted = True
            self._unlisted_local |= not remote
            return new
        if key in self._places and key not in self._remote:
            if not remote:
                self._places[key] = failure
            return None
        (self._remote.add if remote else self._remote.discard)(key)
        self._places[key] = failure
        return None if remote else failure

    def _has_place(self, source: str, remote: bool) -> bool:
        """Return whether a source may take another place."""
        taken = [other for other, _ in list(self._places)].count(source)
        reserved = RESERVED if remote or taken else 0
        return taken < MAX_PER_SOURCE and len(self._places) < MAX_FAILURES - reserved

    def _renew(self) -> None:
        """Replace what is read without the lock."""
        # Copied in one step, here as above: a signal handler may record a failure meanwhile.
        places = list(self._places.items())
        self._failures = (*(failure for _, failure in places), *[_FURTHER] * self._unlisted)
        local = (failure for key, failure in places if key not in self._remote)
        self._local_failures = (*local, *[_FURTHER] * self._unlisted_local)


def _source(failure: str) -> str:
    """Return what stands before the first colon; nothing where there is none."""
    source, colon, _ = failure.partition(": ")
    return source if colon else ""


def _sentence(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        where = f" ({error.filename})" if error.filename else ""
        return f"{error.strerror}{where}"
    text: list[str] = []
    with contextlib.suppress(Exception):  # an exception's text may fail
        text = str(error).strip().splitlines()
    return f"{text[0]} ({type(error).__name__})" if text else type(error).__name__
