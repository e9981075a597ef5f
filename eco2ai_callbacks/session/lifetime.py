"""The lifetime of a session: started, running and ended once each, in one process, by one thread."""

from __future__ import annotations

import functools
import os
import weakref
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import TypeVar

from eco2ai_callbacks.distributed.job import JobTotals
from eco2ai_callbacks.distributed.messages import ProposedRun, RankStart
from eco2ai_callbacks.errors import Eco2AIError
from eco2ai_callbacks.guard import Guard
from eco2ai_callbacks.metrics.run_facts import Facts
from eco2ai_callbacks.session.assembly import PreparedSession, open_session
from eco2ai_callbacks.session.at_exit import end_at_exit
from eco2ai_callbacks.session.context import MeasuredCall, Platform, RunContext, propose_run
from eco2ai_callbacks.session.identity import Checkpoint, new_id
from eco2ai_callbacks.session.session import Session
from eco2ai_callbacks.session.worker import Worker
from eco2ai_callbacks.settings import Settings
from eco2ai_callbacks.usage import Usage

R = TypeVar("R")
# Lower and upper end of a band, as factors.
Factors = tuple[float, float]
# Seconds between two looks whether a framework's call still runs whose frame is not freed at its end, as an exception
# holds it: in a variable, or in a cycle until the garbage collector finds it. A look reads no meter.
LOOK_S = 2.0
# Seconds that the end of a run, and once more the end of the program, waits for a log that does not answer.
LOG_S = 5.0
# The trackers of this process that have begun and not ended.
_OPEN: weakref.WeakSet[Lifetime] = weakref.WeakSet()


class Lifetime:
    """The lifetime of a tracker's session: opens it, lets its thread work on it, and closes it once.

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
        self._worker = Worker(guard)
        self._pid: int | None = None
        self._call: MeasuredCall | None = None
        self._closed = False
        self._at_exit = ExitStack()
        self.session: Session | None = None

    def clock(self) -> float:
        """Return monotonic seconds."""
        return self._platform.clock()

    @property
    def facts(self) -> Facts:
        """What a logger's configuration holds of the run; empty where it has not begun."""
        return {} if self.session is None else self.session.facts

    @property
    def started(self) -> bool:
        """Whether :meth:`start` was called, also where it failed."""
        return self._pid is not None

    @property
    def running(self) -> bool:
        """Whether a session is open."""
        return self.session is not None and not self.session.stopped

    @property
    def ending(self) -> bool:
        """Whether a session has stopped."""
        return self.session is not None and self.session.stopped

    @property
    def call_is_running(self) -> bool:
        """Whether the measured call still runs, as far as that can be checked from outside of it."""
        return self.started and (self._call is None or self._call.is_running())

    @property
    def checkpoint(self) -> Checkpoint | None:
        """The run's id and totals, the whole job's where they are known; ``None`` before the start."""
        return None if self.session is None else self.session.checkpoint(self._job)

    def require_start(self, what: str) -> None:
        """Check that a method is called after the start.

        Raises:
            Eco2AIError: It is not.
        """
        if self._pid is None:
            raise Eco2AIError(f"{what}() was called before start()")

    def start(self, context: RunContext) -> ProposedRun:
        """Agree on a run with the other ranks, open the session, begin it, and return the run.

        Raises only what the ranks' own exchange raises.

        Args:
            context: The caller's facts about the run.
        """
        self._pid = os.getpid()
        self._call = context.call
        settings, platform, call = self._settings, self._platform, self._guard.call
        call("tracker", platform.watched.close_ended, None)
        call("tracker", lambda: platform.by_hand.begin(context.by_hand, settings, self), None)
        own = call("tracker", lambda: propose_run(settings, platform, context), ProposedRun(new_id()))
        run = self._job.exchange(own)[0]
        prepared = call("tracker", lambda: open_session(settings, platform, context, self._guard, run), None)
        with ExitStack() as opened:
            if prepared is not None:
                opened.enter_context(prepared)
            starts = self._job.exchange_starts(None if prepared is None else prepared.start)
            if prepared is not None:
                prepared.gpu.finish()
                self._worker.start()
                prepared = prepared.rested(self._worker)
            opened.pop_all()
        if prepared is not None:
            self._begin(prepared, starts)
        return run

    def call(self, what: str, fn: Callable[[Session], R], default: R, *, marks: bool = True) -> R:
        """Let the thread call ``fn`` with the session; on any exception record the failure and return ``default``.

        Also returns ``default`` where no session could be opened, after the end and in a forked child. Waits for the
        GPU's work before: the thread continues meanwhile.

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
        if session is None or session.stopped or os.getpid() != self._pid:
            return default

        if marks:
            session.finish_gpu_work()

        def use() -> R:
            return default if session.stopped else fn(session)

        return self._worker.run(functools.partial(self._guard.call, "tracker", use, default), default)

    def post(self, fn: Callable[[Session], object]) -> None:
        """Let the thread call ``fn`` with the session, and wait for nothing."""
        session = self.session

        def use() -> None:
            if session is not None and not session.stopped:
                self._guard.call("tracker", lambda: fn(session), None)

        self._worker.post(use)

    def so_far(self) -> tuple[Usage, Factors, Factors]:
        """Return the usage of the run until now, and the bands of its energy and its CO2e, as factors."""
        nothing: tuple[Usage, Factors, Factors] = Usage(), (1.0, 1.0), (1.0, 1.0)
        return self.call("so_far", lambda session: session.so_far(), nothing, marks=False)

    def end(self, ended: str) -> None:
        """Stop and close the session, once; a further call goes on where that was cut short or the log did not answer.

        Args:
            ended: ``finished``, ``interrupted``, or what stopped the run.
        """
        session = self.session
        if session is None or self._closed or os.getpid() != self._pid:
            return
        # Interrupted work may never finish.
        if ended != "interrupted" and not session.stopped:
            session.finish_gpu_work()

        def finish() -> None:
            self._guard.call("tracker", lambda: session.stop(ended), None)
            # These have their turn after the record is written, also where the caller's wait is cut short.
            self._worker.run(lambda: self._close(session), None)
            self._worker.run(self._worker.retire, None)

        self._worker.run(finish, None)
        for child in _children(session):
            child.call("leave", Session.leave_ended_parents, None, marks=False)
        self._worker.run(lambda: None, None)
        self._worker.join()
        self._forget_once_written(session, LOG_S)

    def interrupt(self) -> None:
        """End the session as ``interrupted``, and show the line of its run."""
        self.end("interrupted")
        self.show_summary()

    def show_summary(self) -> None:
        """Show the line of a run that has ended, once."""
        session, job = self.session, self._job
        if session is not None and os.getpid() == self._pid:
            show = functools.partial(session.show_summary, job.others, job.ranks)
            self._worker.run(lambda: self._guard.call("console", show, None), None)

    # --- inside ----------------------------------------------------------------------------------------------------

    def _begin(self, prepared: PreparedSession, starts: Sequence[RankStart]) -> None:
        def begin() -> None:
            with prepared:
                session = self.session = prepared.begin(starts, self._worker)
                self._worker.every(lambda: session.period_s, self._tick)
            if self._call is not None:
                self._platform.watched.add(self._close_if_over)
                self._worker.every(lambda: LOOK_S, self._over)
                self._call.when_over(lambda: self._worker.post(self._over))

        self._remember()
        begun = False
        try:
            self._worker.run(lambda: self._guard.call("tracker", begin, None), None, keeps_turn=True)
            begun = True
        finally:
            if not begun:
                self._worker.run(lambda: None, None)  # a caller that was interrupted waits for what it has begun
                self.interrupt()
            if self.session is None:
                self._worker.run(self._worker.retire, None)
                self._worker.join()
                self._forget()

    def _close(self, session: Session) -> None:
        """Close what the session holds; called by the thread, also where no caller waits for it."""
        self._guard.call("tracker", session.close, None)
        for child in _children(session):
            child.post(Session.leave_ended_parents)
        self._forget_once_written(session, 0.0)

    def _forget_once_written(self, session: Session, timeout_s: float) -> None:
        """Let go of the tracker once it has stopped and the log has got everything."""
        if not self._closed and session.stopped and session.wait_for_log(timeout_s):
            self._closed = True
            self._forget()

    def _remember(self) -> None:
        """End the session when the process exits."""
        _OPEN.add(self)
        end_at_exit(self.interrupt, self._at_exit)

    def _forget(self) -> None:
        """Let go of the tracker, which is over."""
        _OPEN.discard(self)
        self._platform.watched.discard(self._close_if_over)
        if self._call is not None:
            self._call.forget()
        self._at_exit.close()

    def _tick(self) -> None:
        """Read the meters that may not go unread for long, unless the call is over; called by the thread."""
        self._over()
        if self.session is not None:
            self.session.sample()

    def _over(self) -> None:
        """End a run whose call has ended by an exception that no hook reported; called by the thread."""
        if self.running and not self.call_is_running:
            self.interrupt()

    def abandon(self) -> None:
        """End a run that nobody can stop any more, without waiting: garbage collection may call this anywhere."""
        if self.running and os.getpid() == self._pid:
            self._worker.post(self.interrupt)

    def _close_if_over(self) -> None:
        """End a run whose call is over, or wait for its end; called before another run starts."""
        if not self.call_is_running:
            self.interrupt()


def _children(session: Session) -> list[Lifetime]:
    """Return the trackers of this process that are measured inside of this run; they go on alone at its end."""
    sessions = [(other, other.session) for other in list(_OPEN)]
    return [other for other, inner in sessions if inner is not None and inner.parent == session.identity.id]
