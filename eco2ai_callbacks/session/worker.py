"""The one thread of a tracker, which reads, marks and writes for the threads of the program."""

from __future__ import annotations

import math
import queue
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

from eco2ai_callbacks.guard import Guard
from eco2ai_callbacks.session.calls import Call, SucceededError, Timer

R = TypeVar("R")

# Seconds that a program waits for a driver or a file system that another call has met, or for its record to be written.
PATIENCE_S = 1.0
# On a busy machine a call takes seconds without anything being wrong. Only this multiple of the above means that the
# call itself is stuck.
HOPELESS = 10


class Worker:
    """A thread that runs the calls of other threads, one after the other, and calls of its own by the clock.

    Python runs signal handlers in the main thread, which only waits here: a Ctrl-C in the middle of a mark leaves no
    mark half done, and a mark that a signal handler asks for has its turn after the one that it came into.

    A call holds the turn, except where it may be stuck, in a driver or a file system (:meth:`outside`). If it is stuck
    there, a successor takes the turn: it repeats the call, if that has returned nothing yet, and serves those that
    follow. The thread that was stuck ends when it comes back. So a call does all that may be stuck before it changes
    anything.

    Args:
        guard: Records failures.
        patience_s: Seconds that callers wait for what may be stuck.
    """

    def __init__(self, guard: Guard, patience_s: float = PATIENCE_S) -> None:
        self._guard = guard
        self._patience_s = patience_s
        self._calls: queue.SimpleQueue[Call] = queue.SimpleQueue()
        self._timers: list[Timer] = []
        self._deliver: Callable[[], None] | None = None
        # Guards all that the calls change. Held by the thread that serves, except outside and while it waits for calls.
        self._turn = threading.Lock()
        self._thread: threading.Thread | None = None
        # Of the thread that serves; ``None`` before and after, for a later thread of the program may get the number.
        self._ident: int | None = None
        # The call that runs and has returned nothing yet.
        self._current: Call | None = None
        # The call for which a caller has waited in vain: while it runs, nobody waits.
        self._given_up: Call | None = None
        # Whether the last delivery took long, so that callers do not wait for the next.
        self._late = False
        self._retired = False
        # Where no thread can be started, the callers' threads do the work.
        self._alone = threading.RLock()

    def start(self) -> None:
        """Start the thread; where none can be started, callers do the work themselves."""
        with self._turn:
            self._guard.call("thread", self._start, False)

    def every(self, period_s: Callable[[], float], fn: Callable[[], None]) -> None:
        """Run ``fn`` in the thread each time that a period has passed; called by the thread.

        Args:
            period_s: Returns the seconds between two calls, infinite for none; it may change from call to call.
            fn: What to call; its failures are recorded.
        """
        self._timers.append(Timer(period_s, fn))

    def after_each(self, deliver: Callable[[], None]) -> None:
        """Run ``deliver`` outside of the turn after each call: it may be stuck, and callers wait for it only so long.

        Args:
            deliver: What to call; several threads may call it at once.
        """
        self._deliver = deliver

    def run(self, fn: Callable[[], R], default: R, *, keeps_turn: bool = False) -> R:
        """Run ``fn`` in the thread, wait for it, and return what it returns.

        Where no thread could be started, and after it has retired, the caller's thread runs it.

        Args:
            fn: What to call.
            default: Returned where ``fn`` does not return in time, and to the thread itself, whose own calls have their
                turn afterwards.
            keeps_turn: Whether nobody may take over, even where ``fn`` is stuck outside of the turn.

        Raises:
            BaseException: What ``fn`` raises.
        """
        if self._given_up is not None and self._given_up is self._current:
            return default
        if self._retired or self._thread is None:
            return self._run_here(fn)
        call = Call(fn, default, keeps_turn)
        self._calls.put(call)
        if threading.get_ident() != self._ident:
            self._wait(call)
        return call.outcome()  # type: ignore[no-any-return]

    def post(self, fn: Callable[[], Any]) -> None:
        """Run ``fn`` in the thread, and wait for nothing: a finalizer may call this at any point of any thread."""
        self._calls.put(Call(fn, None, keeps_turn=False))

    def outside(self) -> _Outside:
        """Leave the turn to a successor, should what follows be stuck; a thread that was succeeded ends here."""
        return _Outside(self)

    def retire(self) -> None:
        """End the thread after this call and those that wait; called by the thread."""
        self._timers.clear()
        self._retired = True

    def join(self) -> None:
        """Wait until a thread that retires has ended."""
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout=self._patience_s)

    # --- in the caller's thread ------------------------------------------------------------------------------------

    def _start(self) -> bool:
        """Start a thread that serves from now on; called with the turn, which it waits for."""
        thread = threading.Thread(target=self._serve, name="eco2ai", daemon=True)
        thread.start()
        self._thread, self._ident = thread, thread.ident
        return True

    def _wait(self, call: Call) -> None:
        """Wait until a call has returned and its records are delivered, or for as long as it makes sense."""
        waits, successors = 0, 0
        while not call.done.acquire(timeout=self._patience_s):
            waits += 1
            hopeless = waits >= HOPELESS
            if self._retired:
                return
            if (hopeless or self._current is None) and successors < 2 and self._succeed():
                waits, successors, hopeless = 0, successors + 1, False
            if call.returned:
                return
            if hopeless:
                self._given_up = self._current
                self._guard.record(f"tracker: a call did not return within {waits * self._patience_s:g} s")
                return

    def _succeed(self) -> bool:
        """Let a new thread take over from one that is outside of the turn; return whether it does."""
        if not self._turn.acquire(blocking=False):
            return False
        try:
            self._late = True
            return not self._retired and self._guard.call("thread", self._start, False)
        finally:
            self._turn.release()

    def _run_here(self, fn: Callable[[], R]) -> R:
        with self._alone:
            try:
                return fn()
            finally:
                if self._deliver is not None:
                    self._guard.call("thread", self._deliver, None)

    # --- in the thread ---------------------------------------------------------------------------------------------

    def _serve(self) -> None:
        try:
            self.take_turn()
            while not self._retired:
                self._serve_one(self._current or self._next())
            while not self._calls.empty():
                self._serve_one(self._calls.get())
        except SucceededError:
            return
        self._ident = None
        self._turn.release()
        # Whoever was succeeded while it waited for a call waits still: it gets this one, and leaves it to the next.
        self._calls.put(Call(bool, None, keeps_turn=False))

    def _serve_one(self, call: Call | None) -> None:
        self._current = call
        if call is None:
            for timer in self._timers:
                if timer.is_due() and not self._retired:
                    self._guard.call("thread", timer.fn, None)
        else:
            call.run()
        self._current = None
        late = self._late
        if call is not None and late:
            call.done.release()
        if self._deliver is not None:
            self._turn.release()
            try:
                began = time.monotonic()
                self._guard.call("thread", self._deliver, None)
                self._late = time.monotonic() - began > self._patience_s
            finally:
                self.take_turn()
        if call is not None and not late:
            call.done.release()

    def _next(self) -> Call | None:
        """Wait for the next call, without the turn; return ``None`` where a timer is due first."""
        due_s = math.inf
        for timer in self._timers:
            due_s = min(due_s, timer.due_s)
        wait_s = min(max(0.0, due_s - time.monotonic()), threading.TIMEOUT_MAX)
        self._turn.release()
        try:
            call = self._calls.get(timeout=wait_s)
        except queue.Empty:
            call = None
        try:
            self.take_turn()
        except SucceededError:
            if call is not None:
                self._calls.put(call)
            raise
        return call

    def leave_turn(self) -> bool:
        """Leave the turn, if the calling thread has it and may leave it, and return whether it did."""
        call = self._current
        if threading.get_ident() != self._ident or (call is not None and call.keeps_turn):
            return False
        self._turn.release()
        return True

    def take_turn(self) -> None:
        """Take the turn.

        Raises:
            SucceededError: Another thread has taken over.
        """
        self._turn.acquire()
        if threading.get_ident() != self._ident:
            self._turn.release()
            raise SucceededError


class _Outside:
    """What surrounds that which may be stuck: a context manager made of slots, for each mark enters two."""

    __slots__ = ("_left", "_worker")

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._left = False

    def __enter__(self) -> None:
        self._left = self._worker.leave_turn()

    def __exit__(self, *_: object) -> None:
        if self._left:
            self._worker.take_turn()
