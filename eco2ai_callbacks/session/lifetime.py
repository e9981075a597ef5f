"""The lifetime of a session: started, running and ended once each, in one process, under one lock."""

from __future__ import annotations

import atexit
import os
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import TypeVar

from eco2ai_callbacks.distributed.job import JobTotals
from eco2ai_callbacks.distributed.messages import ProposedRun, RankStart
from eco2ai_callbacks.errors import Eco2AIError
from eco2ai_callbacks.guard import Guard
from eco2ai_callbacks.session.assembly import PreparedSession, open_session
from eco2ai_callbacks.session.context import Platform, RunContext, propose_run
from eco2ai_callbacks.session.identity import new_id
from eco2ai_callbacks.session.session import Session
from eco2ai_callbacks.settings import Settings
from eco2ai_callbacks.usage import Reading

R = TypeVar("R")
# Seconds that a second call of ``end`` waits for the first.
_WAIT_S = 5.0


class Lifetime:
    """The lifetime of a tracker's session: opens it, lets one thread at a time use it, and closes it once.

    Args:
        settings: The settings in force.
        platform: The outside world.
        guard: Records failures.
        job: Exchanges messages between the ranks.
    """

    def __init__(self, settings: Settings, platform: Platform, guard: Guard, job: JobTotals) -> None:
        self._settings = settings
        self._platform = platform
        self._guard = guard
        self._job = job
        self._lock = threading.RLock()
        self._pid: int | None = None
        self._is_running: Callable[[], bool] | None = None
        self._ending = False
        self._ended = threading.Event()
        self.session: Session | None = None

    @property
    def started(self) -> bool:
        """Whether :meth:`start` was called, also where it failed."""
        return self._pid is not None

    @property
    def running(self) -> bool:
        """Whether a session is open."""
        return self.session is not None and not self._ending

    @property
    def ending(self) -> bool:
        """Whether a session is being closed, or was closed."""
        return self._ending

    @property
    def call_is_running(self) -> bool:
        """Whether the measured call still runs, as far as that can be checked from outside of it."""
        return self.started and (self._is_running is None or self._is_running())

    def require_start(self, what: str) -> None:
        """Check that a method is called after the start.

        Raises:
            Eco2AIError: It is not.
        """
        if not self.started:
            raise Eco2AIError(f"{what}() was called before start()")

    def start(self, context: RunContext) -> ProposedRun:
        """Agree on a run with the other ranks, open the session, begin it, and return the run.

        Raises only what the ranks' own exchange raises.

        Args:
            context: The caller's facts about the run.
        """
        self._pid = os.getpid()
        self._is_running = context.is_running
        settings, platform, call = self._settings, self._platform, self._guard.call
        own = call("tracker", lambda: propose_run(settings, platform, context), ProposedRun(new_id()))
        run = self._job.exchange(own)[0]
        prepared = call("tracker", lambda: open_session(settings, platform, context, self._guard, run), None)
        with prepared or nullcontext():
            starts = self._job.exchange_starts(None if prepared is None else prepared.start)
            if prepared is not None:
                call("tracker", lambda: self._begin(prepared, starts), None)
        return run

    def call(self, what: str, fn: Callable[[Session], R], default: R, *, marks: bool = True) -> R:
        """Call ``fn`` with the session, under the lock; on any exception record the failure and return ``default``.

        Also returns ``default`` where no session could be opened, after the end and in a forked child. Waits for the
        GPU's work before it takes the lock: the thread continues meanwhile.

        Args:
            what: Name of the method, for the error.
            fn: The function to call with the session.
            default: Returned where that is not possible.
            marks: Whether it closes a segment, to which the energy of the GPU's work belongs.

        Raises:
            Eco2AIError: :meth:`start` was not called.
        """
        self.require_start(what)
        session = self.session
        if session is None or self._ending or os.getpid() != self._pid:
            return default

        if marks:
            session.finish_gpu_work()

        def locked() -> R:
            with self._lock:
                return fn(session)

        return self._guard.call("tracker", locked, default)

    def end(self, ended: str) -> None:
        """Close the session, once; a second call waits for the first.

        Args:
            ended: ``finished``, ``interrupted``, or what stopped the run.
        """
        session = self.session
        if session is None or os.getpid() != self._pid:
            return
        with self._lock:
            first = not self._ending
            self._ending = True
        if first:
            # Outside of the lock: the thread may wait for it, and this call waits for the thread.
            self._guard.call("tracker", lambda: session.close(ended), None)
            atexit.unregister(self._interrupt)
            self._ended.set()
        else:
            self._ended.wait(timeout=_WAIT_S)

    def show_summary(self) -> None:
        """Show the line of a run that has ended, once."""
        session, job = self.session, self._job
        if session is not None and os.getpid() == self._pid:
            self._guard.call("console", lambda: session.show_summary(job.others, job.ranks), None)

    # --- inside ----------------------------------------------------------------------------------------------------

    def _begin(self, prepared: PreparedSession, starts: Sequence[RankStart]) -> None:
        # Under the lock, for the thread may call ``_beat`` before the session is set.
        with self._lock:
            self.session = prepared.begin(starts, self._beat, self._look)
        atexit.register(self._interrupt)
        # Children of multiprocessing exit without running the functions that atexit holds.
        processes = sys.modules.get("multiprocessing.process")
        if processes is not None and processes.parent_process() is not None:
            from multiprocessing.util import Finalize

            Finalize(None, self._interrupt, exitpriority=100)

    def _beat(self, reading: Reading) -> None:
        """Write a heartbeat where one is due; called by the thread, which waits for no mark, as that writes more."""
        if self._lock.acquire(blocking=False):
            try:
                if self.session is not None and not self._ending:
                    self.session.heartbeat(reading)
            finally:
                self._lock.release()

    def _look(self) -> None:
        """End a run whose call has ended by an exception that no hook reported; called by the thread."""
        if not self.call_is_running:
            self._interrupt()

    def _interrupt(self) -> None:
        self.end("interrupted")
        self.show_summary()
