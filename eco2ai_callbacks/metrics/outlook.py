"""Progress of a run: the state of its forecast and of its budget."""

from __future__ import annotations

from dataclasses import replace

from eco2ai_callbacks.metrics import budget
from eco2ai_callbacks.metrics.forecast import EXACT, Band, Forecast, Progress
from eco2ai_callbacks.settings import Settings
from eco2ai_callbacks.usage import Usage

# Stretches between two looks before a forecast by steps: the first holds what a run does once.
_STRETCHES = 2
# A forecast is written again after this part of the plan: a run of a million epochs needs no million forecasts.
WRITTEN_EVERY = 0.01


class Outlook:
    """The progress of one session of a run, and whether its budget is used up. Pure: reads no clock and no file.

    Args:
        settings: ``forecast_after``, ``max_energy_kwh`` and ``max_co2_kg``.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._progress = Progress()
        self._steps = Progress()
        self._shown = 0.0
        # The progress at the last forecast that was written.
        self._written: float | None = None
        # The budget that was used up first, as a sentence.
        self.over: str | None = None
        self._completed = False

    @property
    def ended(self) -> str:
        """The end of a run that is stopped now: the budget that is used up, else ``finished``."""
        return "finished" if self.over is None else f"budget: {self.over}"

    @property
    def looks(self) -> bool:
        """Whether a look within an epoch has a use: a budget may be used up, or no forecast by epochs is there yet."""
        budgets = self._settings.max_energy_kwh, self._settings.max_co2_kg
        return any(budget is not None for budget in budgets) or self._progress.epochs < self._settings.forecast_after

    def begin(self, *, continued: bool) -> None:
        """Begin a session; the progress of a continued run is unknown until the framework reports it."""
        self._progress = Progress(None if continued else 0.0)
        self._steps, self._shown, self._written = Progress(), 0.0, None

    def resume_training(self, own: Usage) -> None:
        """Record that training resumes after an evaluation, a checkpoint or set-up.

        Args:
            own: Usage of this process until now.
        """
        self._progress = self._progress.resumed(own)

    def reached(self, done: float, job: Usage, own: Usage) -> None:
        """Record the run's progress, at an epoch's end or at the start of training.

        Args:
            done: Steps, epochs or a fraction of the run; always in the same unit.
            job: Usage of all ranks until now.
            own: This process's part of it.
        """
        self._progress = self._progress.reached(done, job, own)

    def forecast(
        self, planned: float | None, job: Usage, energy_band: Band = EXACT, co2_band: Band = EXACT
    ) -> Forecast | None:
        """Return the expected usage at the run's end; ``None`` while no forecast is known, and at the end.

        Args:
            planned: Planned length of the run, in the unit of ``done``.
            job: Usage of all ranks until now.
            energy_band: Lower and upper end of the measured energy's band, as factors.
            co2_band: The same for CO2e.
        """
        done = self._progress.done
        ahead = planned is None or done is None or done < planned
        if not (ahead and self._settings.forecast_after <= self._progress.epochs):
            return None
        return self.expected(planned, job, energy_band, co2_band)

    def expected(
        self, planned: float | None, job: Usage, energy_band: Band = EXACT, co2_band: Band = EXACT
    ) -> Forecast | None:
        """Return the figure that loggers show from the first epoch to the last; ``None`` without a plan or a forecast.

        A logger that watches a name needs a figure in every epoch. Before :meth:`forecast` has one, it is the
        expectation by fewer epochs, the first of which includes set-up; at the end it is the total.

        Args:
            planned: Planned length of the run, in the unit of ``done``.
            job: Usage of all ranks until now.
            energy_band: Lower and upper end of the measured energy's band, as factors.
            co2_band: The same for CO2e.
        """
        if not (job.seconds > 0 and self._settings.forecast_after):
            return None
        return self._progress.forecast(planned, energy_band, co2_band)

    def is_to_be_written(self, found: Forecast) -> bool:
        """Return whether a forecast is to be written to the log: the first is, and each after a part of the plan.

        Args:
            found: The forecast.
        """
        due = self._written is None or not 0 <= found.done - self._written < WRITTEN_EVERY * found.planned
        if due:
            self._written = found.done
        return due

    def forecast_by_steps(
        self, done: float, planned: float | None, job: Usage, energy_band: Band = EXACT, co2_band: Band = EXACT
    ) -> Forecast | None:
        """Return the expected usage at the run's end, before enough epochs for :meth:`forecast` have ended.

        The stretches between two calls stand for epochs. ``None`` until the progress has doubled since the last one.

        Args:
            done: Steps or a fraction of the run, in the unit of :meth:`reached`.
            planned: Planned length of the run, in the same unit.
            job: Usage until now.
            energy_band: As in :meth:`forecast`.
            co2_band: As in :meth:`forecast`.
        """
        if planned is None or done >= planned or not self._progress.epochs < self._settings.forecast_after:
            return None
        self._steps = self._steps.reached(done, job, job)
        if self._steps.epochs < _STRETCHES or done < 2 * self._shown:
            return None
        found = self._steps.forecast(planned, energy_band, co2_band)
        self._shown = self._shown if found is None else done
        return None if found is None else replace(found, epochs=self._progress.epochs)

    def completes(self, done: float | None, planned: float | None) -> bool:
        """Return whether the epoch that has just ended is the last one that is planned.

        A plan is believed once: where training goes on after its end, none of the later epochs is the last.

        Args:
            done: Progress of the run.
            planned: Planned length of the run, in the same unit; ``None`` or 0 where it is open.
        """
        at_end = bool(planned) and done is not None and done >= (planned or 0)
        first = at_end and not self._completed
        self._completed = self._completed or at_end
        return first

    def over_budget(self, job: Usage, epoch: int | None = None, *, complete: bool = False) -> str | None:
        """Return a sentence that names the budget that is used up; ``None`` where none is.

        Args:
            job: Usage of all ranks until now.
            epoch: Number of the epoch that has just ended.
            complete: Whether it is the last one, so that the budget stops nothing.
        """
        over = budget.over(job, self._settings, epoch)
        if self.over is None and not complete:
            self.over = over
        return over

    def unenforceable_budget(self, job: Usage) -> str | None:
        """Return a sentence that names a budget that cannot be enforced, since nothing is measured; else ``None``.

        Args:
            job: Usage of all ranks until now.
        """
        return budget.blind(job, self._settings)
