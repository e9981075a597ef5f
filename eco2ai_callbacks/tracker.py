"""The facade: starts, marks and stops, and lets nothing that fails inside reach a training."""

from __future__ import annotations

import atexit
import dataclasses
import os
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, TypeVar, Unpack

from eco2ai_callbacks.carbon import grid
from eco2ai_callbacks.distributed.messages import (
    Gather,
    ProposedRun,
    RankStart,
    RankUsage,
    failures_of,
    measuring,
    misses_something,
    together,
)
from eco2ai_callbacks.errors import Eco2AIError
from eco2ai_callbacks.guard import Guard, logger
from eco2ai_callbacks.metrics import budget
from eco2ai_callbacks.metrics.forecast import EXACT, Progress
from eco2ai_callbacks.metrics.model_card import TrainingType
from eco2ai_callbacks.metrics.scalars import epoch_scalars, forecast_scalars, stage_scalars
from eco2ai_callbacks.record import STAGES
from eco2ai_callbacks.session.context import Platform, RunContext, named
from eco2ai_callbacks.session.identity import Checkpoint, new_id
from eco2ai_callbacks.session.session import Session
from eco2ai_callbacks.session.stages import Segment
from eco2ai_callbacks.settings import Settings, SettingsArgs, resolve
from eco2ai_callbacks.usage import Reading, Usage

R = TypeVar("R")
_ENTERED_AT_MOST_S = 1e-3


class Tracker:
    """Measures what a stretch of a program uses, mark by mark, and writes it to the run log.

    Args:
        settings: Settings that are resolved already; keyword arguments otherwise (see
            :class:`~eco2ai_callbacks.settings.Settings`).

    Raises:
        SettingsError: A setting has a value that is not accepted. Nothing else is raised from ``start`` on.

    Example:
        >>> with Tracker(project="demo", log_file=None, console=False) as run:  # doctest: +SKIP
        ...     for epoch in range(3):
        ...         train()
        ...         print(run.mark(epoch=epoch).energy_kwh)
    """

    def __init__(
        self,
        settings: Settings | None = None,
        /,
        *,
        platform: Platform | None = None,
        **args: Unpack[SettingsArgs],
    ) -> None:
        self.settings = resolve(args) if settings is None else settings
        grid.check(self.settings)
        self.guard = Guard()
        self._platform = platform or Platform()
        self._lock = threading.RLock()
        self._session: Session | None = None
        self._started = False
        self._inside: Callable[[], bool] | None = None
        self._pid = os.getpid()
        self._ending = False
        self._ended = threading.Event()
        self._progress = Progress()
        self._over: str | None = None
        # Replaced as a whole at each mark: read without the lock, by signal handlers and checkpoints too.
        self._total = Usage()
        # What all ranks had used when they last told, and what of it the others had.
        self._gather: Gather | None = None
        self._told: Usage | None = None
        self._others = Usage()
        self._ranks: int | None = None
        self._rank = 0
        self._parted = False

    # --- life ------------------------------------------------------------------------------------------------------

    @property
    def run_id(self) -> str | None:
        """Id of the run; ``None`` before ``start``."""
        return None if self._session is None else self._session.run.id

    @property
    def total(self) -> Usage:
        """What the run has used up to the last mark, its earlier sessions included; a rank knows its own part."""
        return self._total

    @property
    def job_total(self) -> Usage:
        """What all ranks together had used when they last told each other; :attr:`total` where there is but one.

        It is the same on all ranks, so that what they decide by it is.
        """
        return self._total if self._told is None else self._told

    @property
    def running(self) -> bool:
        """Whether the tracker has started and not stopped."""
        return self._session is not None and not self._ending

    @property
    def call_is_running(self) -> bool:
        """Whether what is measured still goes on, as far as that can be seen from outside of it."""
        return self._started and (self._inside is None or self._inside())

    @property
    def resume(self) -> Checkpoint | None:
        """What a checkpoint needs to continue the run; ``None`` before ``start``."""
        run_id, total = self.run_id, self._total + self._others
        return None if run_id is None else Checkpoint(run_id, total.energy_kwh, total.co2_kg, total.seconds)

    def start(self, opening: RunContext | None = None) -> Tracker:
        """Open the meters and begin; a second ``start`` does nothing.

        Args:
            opening: What an adapter knows of the run; not needed in a program of one's own.
        """
        if not self._started:
            self._started = True
            opening = opening or RunContext()
            self._pid = os.getpid()
            self._inside = opening.inside
            self._gather = opening.gather
            self._rank = opening.rank[0] if opening.rank else 0
            self._start(opening)
        return self

    def stop(self, ended: str = "finished") -> Usage:
        """Read a last time, write the rest, give everything back; a second ``stop`` returns the same total.

        Args:
            ended: ``finished``, ``interrupted``, or what stopped the run.
        """
        self._finish(ended)
        # Where something has interrupted this rank, the others may not come here.
        if ended != "interrupted" and self._started and not self._parted:
            self._parted = True
            self._together(RankUsage(total=self._total))
        self._tell()
        return self._total

    def __enter__(self) -> Tracker:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop("finished" if kind is None else "interrupted")

    # --- marking ---------------------------------------------------------------------------------------------------

    def mark(
        self,
        event: str = "epoch",
        epoch: int | None = None,
        stage: str = "train",
        samples: int | None = None,
        tokens: int | None = None,
        metrics: Mapping[str, Any] | None = None,
    ) -> Usage:
        """Close the time since the last mark, and write what was used in it.

        Args:
            event: ``epoch`` where an epoch (and its ``train`` stage) ends with it, else ``stage``.
            epoch: Number of the epoch, from 0; counted up by itself where it is not given.
            stage: ``train``, ``validate``, ``test``, ``predict`` or ``other``.
            samples: Samples that were processed.
            tokens: Tokens that were processed.
            metrics: What else the record shall hold.

        Raises:
            Eco2AIError: ``start`` was not called.
        """

        def mark(session: Session) -> Usage:
            segment = session.stages.named(self._stage(stage), epoch)
            kind = event if event in ("epoch", "stage") else "stage"
            usage = session.mark(
                kind, segment, session.reading(), samples=samples, tokens=tokens, metrics=metrics and dict(metrics)
            )
            if kind == "epoch":
                session.stages.close_epoch(segment.epoch)
            return usage

        return self._within("mark", mark, Usage())

    def read(self) -> Usage:
        """What has been used since the last mark; nothing is written."""
        return self._within("read", lambda session: session.read(), Usage())

    def enter(self, stage: str, epoch: int | None = None) -> Usage:
        """Go into a stage; what came before is closed under the name of the stage around, and returned.

        Args:
            stage: ``train`` (an epoch begins), ``validate``, ``test``, ``predict`` or ``other``.
            epoch: Number of the epoch; that of the stage around where it is not given.
        """

        def enter(session: Session) -> Usage:
            usage = self._close(session, session.stages.current)
            session.stages.enter(self._stage(stage), epoch)
            if stage == "train":
                self._progress = self._progress.resumed(session.ledger.total)
            return usage

        return self._within("enter", enter, Usage())

    def leave(self) -> Usage:
        """Go back to the stage around; what was used since the last mark is closed under this stage and returned."""

        def leave(session: Session) -> Usage:
            if session.stages.inside is None:
                return Usage()
            usage = self._close(session, session.stages.current)
            session.stages.leave()
            return usage

        return self._within("leave", leave, Usage())

    def write(self, event: str, metrics: Mapping[str, Any], epoch: int | None = None) -> None:
        """Write a line that adds nothing up (``metrics``, ``forecast``)."""
        self._within("write", lambda session: session.note(event, metrics, epoch), None)

    # --- figures for loggers ---------------------------------------------------------------------------------------

    def scalars(self, epoch: int | None, samples: int | None = None, tokens: int | None = None) -> dict[str, float]:
        """The scalars of an epoch that was marked, by the names that loggers show.

        They are the whole job's: where its ranks can tell each other, all of them must call this.

        Args:
            epoch: Number of the epoch.
            samples: Samples of it that this process has trained on.
            tokens: Tokens of it that this process has trained on.
        """

        def share(session: Session) -> RankUsage:
            latest, total = session.stages.latest, session.ledger.total
            train, validation = (session.ledger.sum(latest(stage, epoch)) for stage in ("train", "validate"))
            return RankUsage(train, validation, total, samples, tokens)

        job = self._together(self._within("scalars", share, RankUsage(total=self._total)))
        return epoch_scalars(
            job.train,
            job.validation,
            job.total,
            level=self.settings.scalars,
            samples=job.samples,
            tokens=job.tokens,
        )

    def stage_scalars(self, usage: Usage, stage: str = "", prefix: str = "") -> dict[str, float]:
        """The scalars of one evaluation; see :func:`~eco2ai_callbacks.metrics.scalars.stage_scalars`.

        They are the whole job's, as those of :meth:`scalars` are.
        """
        return stage_scalars(self._together(RankUsage(usage, total=self._total)).train or Usage(), stage, prefix)

    # --- the rest of the run ---------------------------------------------------------------------------------------

    def forecast(self, done: float, planned: float | None, epoch: int | None = None) -> dict[str, float]:
        """The scalars of what the whole run will have used at its end; empty as long as that cannot be told.

        Called after the :meth:`scalars` of each epoch; in a run that goes on, also where its training begins. From the
        setting ``forecast_after`` on, each forecast is written to the log, and the first one is shown.

        Args:
            done: How far the run has come: steps, epochs, or a part of 1; the same of them in all calls.
            planned: How far it is to go; ``None`` where that is open.
            epoch: Number of the epoch that has just ended.

        Example:
            >>> run.mark(epoch=epoch)  # doctest: +SKIP
            >>> run.forecast(epoch + 1, 10, epoch)  # doctest: +SKIP
            {'eco2ai/forecast_energy_kwh': 0.0123, 'eco2ai/forecast_co2_kg': 0.0051, 'eco2ai/forecast_seconds': 940.2}
        """
        return self._of_job("forecast", lambda: self._forecast(done, planned, epoch), {})

    def over_budget(self, epoch: int | None = None) -> str | None:
        """The sentence that says which budget is used up, whereupon the run is to be stopped; ``None`` where none is.

        Called after the :meth:`scalars` of each epoch. The ``stop`` record of a run that ends so says ``budget`` and
        this sentence in ``ended``.

        Args:
            epoch: Number of the epoch that has just ended.
        """
        return self._of_job("over_budget", lambda: self._over_budget(epoch), None)

    def card_field(self, training_type: TrainingType | None = None) -> dict[str, Any] | None:
        """The value of ``co2_eq_emissions`` for a model card, also after ``stop``; ``None`` where nothing was measured.

        Args:
            training_type: ``pre-training`` or ``fine-tuning``, where that is known.
        """
        session = self._session
        if session is None:
            return None
        return self.guard.call("model card", lambda: session.card_field(self.job_total, training_type), None)

    def _forecast(self, done: float, planned: float | None, epoch: int | None) -> dict[str, float]:
        self._progress = self._progress.reached(done, self.job_total, self._total)
        ahead = self.job_total.seconds > 0 and (planned is None or done < planned)
        if not (ahead and 0 < self.settings.forecast_after <= self._progress.epochs):
            return {}
        energy, co2 = self._within("forecast", lambda session: session.bands, (EXACT, EXACT))
        found = self._progress.forecast(planned, energy, co2)
        if found is None:
            return {}
        if self._speaks:
            self.write("forecast", found.to_dict(), epoch)
        return forecast_scalars(found.to_dict(), level=self.settings.scalars)

    def _over_budget(self, epoch: int | None) -> str | None:
        used = self.job_total
        blind = budget.blind(used, self.settings)
        if blind is not None:
            self.guard.record(blind)
        over = budget.over(used, self.settings, epoch)
        if over is not None and self._over is None:
            self._over = over
            if self._speaks:
                self.guard.call("logging", lambda: logger.warning("%s; the run is stopped", over), None)
        return over

    @property
    def _speaks(self) -> bool:
        """Whether this rank says what is true of the whole job."""
        return self._session is not None and self._session.run.rank == 0

    def _of_job(self, what: str, call: Callable[[], R], default: R) -> R:
        """Do something with the whole job's total, contained; the same on a rank that could not start.

        Nothing after the end, and nothing before all ranks have told: their decisions would part.
        """
        if not self._started:
            raise Eco2AIError(f"{what}() was called before start()")
        if self._ending or (self._gather is not None and self._told is None):
            return default
        return self.guard.call("tracker", call, default)

    # --- inside ----------------------------------------------------------------------------------------------------

    def _start(self, opening: RunContext) -> None:
        call = self.guard.call
        new = ProposedRun(new_id())
        run = self._all(call("tracker", lambda: named(self.settings, self._platform, opening), new))[0]
        # Where a run that goes on stands, only its framework knows.
        self._progress = Progress(None if run.continued else 0.0)
        session = call("tracker", lambda: Session(self.settings, self._platform, opening, self.guard, run), None)
        claims = self._all(RankStart(failures=self._unable) if session is None else session.claim)
        self.guard.add_remote(failures_of(claims, self._rank))
        if session is not None:
            call("tracker", lambda: self._begin(session, claims), None)
            if self._session is None:
                call("tracker", session.abandon, None)

    def _begin(self, session: Session, claims: Sequence[RankStart]) -> None:
        # Under the lock, for the thread may beat before the session is in place.
        with self._lock:
            session.begin(claims, self._beat, self._look)
            self._session = session
            self._total = session.ledger.total
        atexit.register(self._at_exit)
        # Children of multiprocessing leave without running what atexit holds.
        processes = sys.modules.get("multiprocessing.process")
        if processes is not None and processes.parent_process() is not None:
            from multiprocessing.util import Finalize

            Finalize(None, self._at_exit, exitpriority=100)

    def _all(self, told: R) -> list[R]:
        """What all ranks tell here. Outside of containment: a rank that failed must not be missed by the others."""
        return [told] if self._gather is None or os.getpid() != self._pid else self._gather(told)

    def _together(self, share: RankUsage) -> RankUsage:
        """The whole job's share."""
        if self._gather is None:
            return share
        if self._session is None or misses_something(share):
            share = dataclasses.replace(share, failures=self._unable)
        shares = self._all(share)
        self.guard.add_remote(failures_of(shares, self._rank))
        job = together(shares)
        self._told, self._ranks = job.total, measuring(shares)
        others = job.total - share.total
        self._others = Usage(0.0, others.joules, others.grams)
        return job

    @property
    def _unable(self) -> tuple[str, ...]:
        """Why this rank measures nothing, for the others."""
        return self.guard.local_failures or ("nothing can be measured",)

    def _tell(self) -> None:
        session = self._session
        if session is not None and os.getpid() == self._pid:
            self.guard.call("console", lambda: session.tell(self._others, self._ranks), None)

    def _within(self, what: str, call: Callable[[Session], R], default: R) -> R:
        """Do something with the session, contained; nothing in a forked child or after the end."""
        if not self._started:
            raise Eco2AIError(f"{what}() was called before start()")
        if self._session is None or self._ending or os.getpid() != self._pid:
            return default
        session = self._session

        def guarded() -> R:
            with self._lock:
                result = call(session)
                self._total = session.ledger.total
                return result

        return self.guard.call("tracker", guarded, default)

    def _close(self, session: Session, segment: Segment) -> Usage:
        """Close the time since the last mark; next to no time between two stages is left for what follows."""
        reading = session.reading()
        between = segment.stage in ("train", "other")
        if between and reading.t - session.ledger.marked.t < _ENTERED_AT_MOST_S:
            return Usage()
        return session.mark("stage", segment, reading)

    def _stage(self, stage: str) -> str:
        if stage in STAGES:
            return stage
        self.guard.record(f"tracker: {stage!r} is no stage ({', '.join(STAGES)}); it is counted as other")
        return "other"

    def _beat(self, reading: Reading) -> None:
        """The thread's: write a heartbeat where one is due."""
        with self._lock:
            if self._session is not None and not self._ending:
                self._session.heartbeat(reading)

    def _look(self) -> None:
        """The thread's: close a run whose fit has ended by an exception that no hook was told of."""
        if self._inside is not None and not self._inside():
            self._finish("interrupted")
            self._tell()

    def _finish(self, ended: str) -> None:
        if self._session is None or os.getpid() != self._pid:
            return
        session = self._session
        if self._over is not None and ended == "finished":
            ended = f"budget: {self._over}"
        with self._lock:
            first = not self._ending
            self._ending = True
        if first:
            # Outside of the lock: the thread may wait for it, and is waited for.
            self.guard.call("tracker", lambda: session.close(ended), None)
            self._total = session.ledger.total
            atexit.unregister(self._at_exit)
            self._ended.set()
        elif self._ended.wait(timeout=5.0):
            self._total = session.ledger.total

    def _at_exit(self) -> None:
        self._finish("interrupted")
        self._tell()
