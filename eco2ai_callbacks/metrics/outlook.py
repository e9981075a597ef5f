"""How far a run has come: the state of its forecast and of its budget."""

from __future__ import annotations

from eco2ai_callbacks.metrics import budget
from eco2ai_callbacks.metrics.forecast import EXACT, Band, Forecast, Progress
from eco2ai_callbacks.settings import Settings
from eco2ai_callbacks.usage import Usage


class Outlook:
    """Holds the progress of one session of a run, and whether its budget is used up. Pure: reads no clock and no file.

    Args:
        settings: ``forecast_after``, ``max_energy_kwh`` and ``max_co2_kg``.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._progress = Progress()
        # The budget that was used up first, as a sentence.
        self.over: str | None = None

    @property
    def ended(self) -> str:
        """How a run that is stopped now has ended: by the budget that is used up, else ``finished``."""
        return "finished" if self.over is None else f"budget: {self.over}"

    def begin(self, *, continued: bool) -> None:
        """Begin a session; only its framework can report how far a run that goes on has come."""
        self._progress = Progress(None if continued else 0.0)

    def resume_training(self, own: Usage) -> None:
        """Note that training goes on after an evaluation, a checkpoint or set-up.

        Args:
            own: What this process has used until now.
        """
        self._progress = self._progress.resumed(own)

    def reached(self, done: float, job: Usage, own: Usage) -> None:
        """Note how far the run has come, at an epoch's end or where training begins.

        Args:
            done: Steps, epochs or a fraction of the run; always the same of them.
            job: What all ranks have used until now.
            own: What this process has used of it.
        """
        self._progress = self._progress.reached(done, job, own)

    def forecast(
        self, planned: float | None, job: Usage, energy_band: Band = EXACT, co2_band: Band = EXACT
    ) -> Forecast | None:
        """Return what the run will have used at its end; ``None`` as long as that is not known, and at the end.

        Args:
            planned: How far the run is to go, in the unit of ``done``.
            job: What all ranks have used until now.
            energy_band: Lowest and highest energy that may be true, as factors on what was measured.
            co2_band: The same of CO2e.
        """
        done = self._progress.done
        ahead = job.seconds > 0 and (planned is None or done is None or done < planned)
        if not (ahead and 0 < self._settings.forecast_after <= self._progress.epochs):
            return None
        return self._progress.forecast(planned, energy_band, co2_band)

    def over_budget(self, job: Usage, epoch: int | None = None) -> str | None:
        """Return the sentence that names the budget that is used up; ``None`` where none is.

        Args:
            job: What all ranks have used until now.
            epoch: Number of the epoch that has just ended.
        """
        over = budget.over(job, self._settings, epoch)
        if self.over is None:
            self.over = over
        return over

    def unenforceable_budget(self, job: Usage) -> str | None:
        """Return the sentence that names a budget that nothing measured can reach; ``None`` where there is none.

        Args:
            job: What all ranks have used until now.
        """
        return budget.blind(job, self._settings)
