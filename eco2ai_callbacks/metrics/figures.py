"""The whole job's figures for loggers: one exchange between the ranks, then scalars, forecast and budget."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from eco2ai_callbacks.distributed.job import LOOK_S, JobTotals
from eco2ai_callbacks.distributed.messages import RankUsage
from eco2ai_callbacks.guard import Guard, logger
from eco2ai_callbacks.metrics import scalars
from eco2ai_callbacks.metrics.epoch_report import EpochReport, MarkedEpoch
from eco2ai_callbacks.metrics.forecast import Band
from eco2ai_callbacks.metrics.outlook import Outlook
from eco2ai_callbacks.metrics.run_facts import Facts
from eco2ai_callbacks.record import band_factors
from eco2ai_callbacks.settings import Settings
from eco2ai_callbacks.usage import Usage


class Running(Protocol):
    """A run between two marks."""

    def clock(self) -> float:
        """Return monotonic seconds."""

    @property
    def facts(self) -> Facts:
        """What a logger's configuration holds of the run; empty where it has not begun."""

    def so_far(self) -> tuple[Usage, Band, Band]:
        """Return the usage of this process until now, and the bands of its energy and its CO2e, as factors."""


class JobFigures:
    """The figures of the whole job, from a rank's usage. Where ranks exchange it, all must make the same calls.

    Args:
        settings: ``scalars``, ``units``, ``forecast_after`` and the budgets.
        guard: Records failures.
        job: Exchanges usage between the ranks.
        own: Returns this process's usage in the run, up to the last mark.
        running: The run between two marks; without it, nothing is checked within an epoch.
    """

    def __init__(
        self,
        settings: Settings,
        guard: Guard,
        job: JobTotals,
        own: Callable[[], Usage],
        running: Running | None = None,
    ) -> None:
        self.outlook: Outlook = Outlook(settings)
        self._level = settings.scalars
        self._units = scalars.UNITS[settings.units]
        self._guard = guard
        self._job = job
        self._own = own
        self._running = running
        self._looked = -math.inf

    @property
    def total(self) -> Usage:
        """Usage of all ranks at the last exchange, the same on all of them; this rank's own without an exchange."""
        return self._own() if self._job.total is None else self._job.total

    @property
    def latest(self) -> Usage:
        """Usage of all ranks, this one's until now and the others' at the last exchange."""
        return self._own() + self._job.others

    @property
    def facts(self) -> Facts:
        """What a logger's configuration holds of the run; empty where it has not begun."""
        return {} if self._running is None else self._running.facts

    def training_begins(self, done: float) -> None:
        """Set the run's progress where its training starts or restarts; the forecast counts from there.

        Args:
            done: Steps, epochs or a fraction of the run, as in :meth:`end_epoch`.
        """
        self._looked = -math.inf if self._running is None else self._running.clock()
        if self._job.synchronized:
            self._guard.call("tracker", lambda: self.outlook.reached(done, self.total, self._own()), None)

    def end_epoch(
        self,
        marked: MarkedEpoch,
        *,
        done: float | None,
        planned: float | None,
        note: Callable[[Mapping[str, Any]], None],
        decides: bool = True,
    ) -> EpochReport:
        """Exchange the usage of an epoch once, and return its figures.

        Args:
            marked: The epoch as this rank has closed it.
            done: Progress of the run; by default the number of epochs that have ended.
            planned: Planned length of the run, in the same unit; ``None`` where it is open.
            note: Writes a forecast to the log.
            decides: Whether to compute forecast and budget: not after the end.
        """
        job = self._job.add(marked.rank)
        forecast: dict[str, float] = {}
        stop = None
        if done is None and marked.epoch is not None:
            done = marked.epoch + 1
        if decides and self._job.synchronized:
            if done is not None:
                forecast = self._guard.call("tracker", lambda: self._forecast(marked, done, planned, note), forecast)
            complete = self._guard.call("tracker", lambda: self.outlook.completes(done, planned), False)
            stop = self._guard.call("tracker", lambda: self._over_budget(marked, complete), None)
        nothing = EpochReport(marked.usage)
        return self._guard.call("tracker", lambda: self._report(marked.usage, job, forecast, stop), nothing)

    def look(
        self,
        done: Callable[[], float | None],
        planned: Callable[[], float | None],
        note: Callable[[Mapping[str, Any]], None],
    ) -> str | None:
        """Check the budget within an epoch, every ``LOOK_S`` seconds at most; return the sentence where it is used up.

        Called at each step. Until enough epochs have ended, a forecast by steps is written too. Ranks that exchange
        their usage look at the same steps, and decide alike. Nothing is checked where ranks do not know each other's.

        Args:
            done: Returns the progress of the run, as in :meth:`end_epoch`.
            planned: Returns its planned length.
            note: Writes a forecast to the log.
        """
        running = self._running
        if running is None:
            return None
        if self._job.alone:
            if running.clock() - self._looked < LOOK_S:
                return None
            self._looked = running.clock()
            total, *bands = running.so_far()
        else:
            jobs = self._job.look(running.clock, lambda: running.so_far()[0]) if self.outlook.looks else None
            if jobs is None:
                return None
            own, *bands = running.so_far()
            total = dataclasses.replace(jobs, seconds=own.seconds)
        reached = done() if self._job.leads else None
        if reached is not None and total.joules:
            found = self.outlook.forecast_by_steps(reached, planned(), total, *bands)
            if found is not None:
                note(found.to_dict())
        first = self.outlook.over is None
        over = self.outlook.over_budget(total)
        if over is not None and first and self._job.leads:
            self._guard.call("logging", lambda: logger.warning("%s; the run is to stop", over), None)
        return over

    def stage(self, usage: Usage, stage: str = "", prefix: str = "") -> dict[str, float]:
        """Exchange the usage of one evaluation, and return its scalars.

        Args:
            usage: Usage of the evaluation in this process.
            stage: A part inside the names: ``test`` gives ``eco2ai/test_energy_kwh``.
            prefix: A part before them: ``eval_`` gives ``eval_eco2ai/energy_kwh``.
        """
        job = self._job.add(RankUsage(usage, total=self._own()))
        return scalars.stage_scalars(job.train or Usage(), stage, prefix, self._units)

    def totals(self) -> dict[str, float]:
        """Exchange the totals, and return the run's scalars."""
        return scalars.total_scalars(self._job.add(RankUsage(total=self._own())).total, self._units)

    def _report(self, usage: Usage, job: RankUsage, forecast: dict[str, float], stop: str | None) -> EpochReport:
        return EpochReport(
            usage,
            scalars.train_scalars(
                job.train,
                level=self._level,
                samples=job.samples,
                tokens=job.tokens,
                units=self._units,
                phases=job.phases,
                health=job.health,
            ),
            scalars.validation_scalars(job.validation, self._units),
            scalars.total_scalars(job.total, self._units),
            forecast,
            stop,
        )

    def _forecast(
        self, marked: MarkedEpoch, done: float, planned: float | None, note: Callable[[Mapping[str, Any]], None]
    ) -> dict[str, float]:
        self.outlook.reached(done, self.total, self._own())
        bands = band_factors(marked.total)
        found = self.outlook.forecast(planned, self.total, *bands)
        if found is not None and marked.speaks and self.outlook.is_to_be_written(found):
            note(found.to_dict())
        shown = found or self.outlook.expected(planned, self.total, *bands)
        if shown is None:
            return {}
        return scalars.forecast_scalars(shown.to_dict(), level=self._level, units=self._units)

    def _over_budget(self, marked: MarkedEpoch, complete: bool) -> str | None:
        """Return why the run is to stop; nothing where its last epoch has used the budget up."""
        unenforceable = self.outlook.unenforceable_budget(self.total)
        if unenforceable is not None:
            self._guard.record(unenforceable)
        first = self.outlook.over is None
        over = self.outlook.over_budget(self.total, marked.epoch, complete=complete)
        if over is not None and first and marked.speaks:
            what_follows = "the training was complete" if complete else "the run is to stop"
            self._guard.call("logging", lambda: logger.warning("%s; %s", over, what_follows), None)
        return None if complete else over
