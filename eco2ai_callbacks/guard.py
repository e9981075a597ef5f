"""The one place where a failure beside a training is caught: it is recorded, and a default takes the result's place."""

from __future__ import annotations

import contextlib
import logging
import re
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")

logger: logging.Logger = logging.getLogger("eco2ai_callbacks")

# Every record names all failures: sentences that differ each time must not make the log grow without end.
MAX_FAILURES = 50
# How many of these places one source may fill: each GPU of a large machine may fail.
MAX_PER_SOURCE = 16
# How many of these places are kept for sources of this process that have not failed before.
RESERVED = 16
_FURTHER = "further failures are not listed"
# What may differ between two failures of one kind. The number of a device (``package-0``, ``GPU 0``) is part of its
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
    """The result of a guarded call, or the reason why it failed.

    Args:
        value: The result; ``None`` where the call failed.
        failure: The reason, as one clause without the source's name; ``None`` where the call returned.
    """

    value: T | None = None
    failure: str | None = None


class Guard:
    """A runner of calls that may fail, which keeps each failure as one sentence that names its source.

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
        # Whether a failure was not listed for want of a place, and whether one of this process was not.
        self._unlisted = False
        self._unlisted_local = False
        self._lock = threading.RLock()

    @property
    def failures(self) -> tuple[str, ...]:
        """The latest failure of every source and kind so far, in the order of their first appearance."""
        return self._failures

    @property
    def local_failures(self) -> tuple[str, ...]:
        """The failures of this process, in the same order."""
        return self._local_failures

    def add_remote(self, failures: Iterable[str]) -> None:
        """Add the failures of other processes of the job, which have logged them.

        Args:
            failures: One sentence each.
        """
        with self._lock:
            for failure in failures:
                if failure not in self._failures:
                    self._place(failure, remote=True)
            self._renew()

    def call(self, source: str, fn: Callable[[], T], default: T) -> T:
        """Call ``fn``; on any exception record the failure and return ``default``.

        Args:
            source: Name that failures of this call begin with (``log file``, ``RAPL``).
            fn: The function that may fail.
            default: Returned where it fails.
        """
        try:
            return fn()
        except Exception as error:
            self._failure(source, error)
            return default

    def attempt(self, source: str, fn: Callable[[], T]) -> Outcome[T]:
        """Call ``fn``; on any exception record the failure and return why, for callers that report it themselves.

        An exception of the program's signal handler, which may run in the middle of any call, is raised.

        Args:
            source: Name that failures of this call begin with.
            fn: The function that may fail.

        Example:
            >>> Guard().attempt("clock", lambda: 1 / 0)
            Outcome(value=None, failure='division by zero (ZeroDivisionError)')
        """
        try:
            return Outcome(fn())
        except Exception as error:
            return Outcome(failure=self._failure(source, error))

    def _failure(self, source: str, error: Exception) -> str:
        """Record an exception that was caught, and return the reason; raise it if it is a signal handler's."""
        if is_a_signal_handlers(error):
            raise error
        failure = _sentence(error)
        # A refusal of the system (a full disk, a missing right) needs a sentence; any other error a traceback.
        self.record(f"{source}: {failure}", trace=None if isinstance(error, OSError) else error)
        return failure

    def record(self, failure: str, trace: BaseException | None = None) -> None:
        """Record a failure, and log it if its kind is new.

        A later failure of the same source and kind takes the place of the earlier one.

        Args:
            failure: A sentence that begins with the source's name and a colon.
            trace: The exception, to be logged with its traceback.
        """
        with self._lock:
            if failure in self._local_failures:
                return
            new = self._place(failure, remote=False)
            self._renew()
        if new:
            with suppressed(Exception):  # a log handler of the user's may raise
                logger.warning("%s; training goes on", new, exc_info=trace if new is failure else None)

    def _place(self, failure: str, remote: bool) -> str | None:
        """Put a failure in the place of its kind.

        Args:
            failure: The sentence.
            remote: Whether it is another process's.

        Returns:
            The sentence to log: the failure if its kind is new in this process, or that further ones are not listed;
            ``None`` if neither is new.
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
        """Replace the tuples that are read without the lock."""
        # Copied in one step, here as above: a signal handler may record a failure meanwhile.
        places = list(self._places.items())
        self._failures = (*(failure for _, failure in places), *[_FURTHER] * self._unlisted)
        local = (failure for key, failure in places if key not in self._remote)
        self._local_failures = (*local, *[_FURTHER] * self._unlisted_local)


def captured(fn: Callable[[], T]) -> tuple[T | None, BaseException | None]:
    """Call ``fn``, and return what it returns and what it raises, for another thread to raise."""
    try:
        return fn(), None
    except BaseException as error:
        return None, error


def _source(failure: str) -> str:
    """Return the text before the first colon; empty where there is none."""
    source, colon, _ = failure.partition(": ")
    return source if colon else ""


@contextlib.contextmanager
def suppressed(*kinds: type[Exception]) -> Iterator[None]:
    """Suppress exceptions of these kinds, as ``contextlib.suppress`` does, but for those of a signal handler.

    Args:
        kinds: Classes of exceptions.

    Example:
        >>> with suppressed(ZeroDivisionError):
        ...     1 / 0
    """
    try:
        yield
    except kinds as error:
        if is_a_signal_handlers(error):
            raise


def is_a_signal_handlers(error: BaseException) -> bool:
    """Return whether a signal handler has raised this, such as torch's where a worker of a DataLoader was killed.

    Whoever catches an exception in the main thread asks this first: a handler may run in the middle of any call.
    """
    if threading.current_thread() is not threading.main_thread():
        return False
    handlers = [signal.getsignal(number) for number in signal.valid_signals()]
    # A handler is a function, a bound method, or an object with ``__call__``.
    parts = [*handlers, *(getattr(each, "__call__", None) for each in handlers)]  # noqa: B004 - the method is needed
    codes = {getattr(getattr(part, "__func__", part), "__code__", None) for part in parts} - {None}
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code in codes:
            return True
        trace = trace.tb_next
    return False


def _sentence(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        where = f" ({error.filename})" if error.filename else ""
        return f"{error.strerror}{where}"
    text: list[str] = []
    with contextlib.suppress(Exception):  # an exception's ``__str__`` may raise
        text = str(error).strip().splitlines()
    return f"{text[0]} ({type(error).__name__})" if text else type(error).__name__
