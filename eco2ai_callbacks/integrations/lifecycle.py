"""Which run a fit, an evaluation or a resumed job of one callback belongs to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from eco2ai_callbacks.carbon import grid
from eco2ai_callbacks.distributed.messages import Gather
from eco2ai_callbacks.guard import Guard, logger
from eco2ai_callbacks.metrics.model_card import TrainingType
from eco2ai_callbacks.session.context import Platform, RunContext, open_runs
from eco2ai_callbacks.session.identity import Checkpoint
from eco2ai_callbacks.settings import Settings, SettingsArgs, resolve
from eco2ai_callbacks.tracker import Tracker


class RunLifecycle:
    """The sessions of one callback.

    ``fit`` opens a run unless it resumes one; a second ``fit`` opens another. Validation, test and prediction alone
    join the last run, else open one. A fit that ended by an exception that nobody saw is closed by the next start.

    Args:
        args: The settings that the user passed; they are checked here, and no hardware is opened.

    Raises:
        SettingsError: A setting has a value that is not accepted.
    """

    def __init__(self, args: SettingsArgs, platform: Platform | None = None) -> None:
        self.settings: Settings = resolve(args)
        grid.check(self.settings)
        self._platform = platform
        self._tracker: Tracker | None = None
        self._open = False
        self._last: Checkpoint | None = None

    def __getstate__(self) -> dict[str, Any]:
        """Copies and pickles hold the settings and the last run, never what is live."""
        live = {"_tracker": None, "_open": False}
        return {"settings": self.settings, "_machinery": self._platform, "_last": self.last, **live}

    @property
    def tracker(self) -> Tracker | None:
        """The tracker of the call that has begun and not ended, also where it could not start and measures nothing.

        So all ranks of a job take the same steps, whatever has failed on some.
        """
        return self._tracker if self._open else None

    @property
    def last(self) -> Checkpoint | None:
        """The run that was opened last, with its total."""
        return (self._tracker.resume if self._tracker is not None else None) or self._last

    def card_field(self, training_type: TrainingType | None) -> dict[str, Any] | None:
        """What a model card says of the run that was opened last; ``None`` where nothing was measured."""
        return None if self._tracker is None else self._tracker.card_field(training_type)

    def continued(self) -> Checkpoint | None:
        """The run that a fit goes on with, where the framework's checkpoint cannot name one.

        The one that the settings name, else the last of this callback, else the only one in the log of this project
        and host that has no end and that nobody writes; ``None``, which is said, where that is not known.
        """
        if self.settings.run_id is not None or self.last is not None:
            return self.last if self.settings.run_id is None else Checkpoint(self.settings.run_id)
        nothing: list[str] = []
        guard = Guard()
        found = guard.call("log file", lambda: open_runs(self.settings, self._platform), nothing)
        if len(found) == 1:
            return Checkpoint(found[0])
        known = f"the log holds {len(found)} unfinished runs" if found else "the log holds no unfinished run"
        said = f"{known} of this project: the fit, which does not begin at its first epoch, is counted as a new one"
        guard.call("logging", lambda: logger.warning("%s; to continue a run set run_id=", said), None)
        return None

    def begin(
        self,
        *,
        fit: bool,
        resume: Checkpoint | None = None,
        inside: Callable[[], bool] | None = None,
        rank: tuple[int, int] | None = None,
        quiet: bool = False,
        gather: Gather | None = None,
    ) -> Tracker:
        """Start the tracker of a fit, or of a validation, test or prediction alone.

        Args:
            fit: Whether it is a fit.
            resume: The run that a checkpoint names.
            inside: Whether the framework's call still runs.
            rank: Rank and world size, where the framework knows them.
            quiet: Whether the console line is left out.
            gather: Tells all ranks something; ``None`` where there is but one, or no way to.
        """
        running = self.tracker
        if running is not None:
            if running.call_is_running:
                return running  # the same call begins anew, as Hugging Face's search for a batch size does
            running.stop("interrupted")
        if not fit:
            resume, quiet = self.last, quiet or self.last is not None
        self._last = self.last
        self._tracker = Tracker(self.settings, platform=self._platform)
        self._open = True
        return self._tracker.start(
            RunContext(base="other", resume=resume, rank=rank, quiet=quiet, inside=inside, gather=gather)
        )

    def end(self, ended: str = "finished") -> None:
        """Stop the tracker that runs now."""
        tracker, self._open = self.tracker, False
        if tracker is not None:
            tracker.stop(ended)
