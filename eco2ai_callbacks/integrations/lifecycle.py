"""The mapping of a framework's fits, evaluations and resumes to runs."""

from __future__ import annotations

import functools
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from eco2ai_callbacks.carbon import grid
from eco2ai_callbacks.distributed.messages import Gather, SharedStore
from eco2ai_callbacks.guard import Guard, logger
from eco2ai_callbacks.integrations.fit_phases import FitPhases
from eco2ai_callbacks.metrics.model_card import TrainingType
from eco2ai_callbacks.session.context import MeasuredCall, Platform, RunContext
from eco2ai_callbacks.session.identity import Checkpoint
from eco2ai_callbacks.session.presence import unfinished_runs
from eco2ai_callbacks.settings import Settings, SettingsArgs, resolve
from eco2ai_callbacks.tracker import Tracker


class RunLifecycle:
    """The runs of one callback, to which it maps fit, validate, test, predict and resume.

    A fit starts a run unless it resumes one; a second fit starts another. Validation, test and prediction outside of a
    fit join the last run, else start one. A fit that ended by an exception that no hook reported is closed by the next
    start.

    Args:
        args: The settings that the user passed; they are checked here, and no hardware is opened.
        platform: The outside world; tests pass a fake.

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
        # The phases of the fit that runs now.
        self.fit: FitPhases = FitPhases()

    def __getstate__(self) -> dict[str, Any]:
        """Return the state for copies and pickles: the settings and the last run, and no live object."""
        live = {"_tracker": None, "_open": False, "fit": FitPhases()}
        return {"settings": self.settings, "_platform": self._platform, "_last": self.last, **live}

    @property
    def tracker(self) -> Tracker | None:
        """The tracker of the call that has begun and not ended, also where it could not start and measures nothing.

        So all ranks of a job make the same calls, whatever has failed on some of them.
        """
        return self._tracker if self._open else None

    def phase(self, name: str) -> AbstractContextManager[None]:
        """Return a block whose time and energy are counted apart; outside of a call it counts nothing.

        Args:
            name: Name of the phase.
        """
        tracker = self.tracker
        return nullcontext() if tracker is None else tracker.phase(name)

    @property
    def last(self) -> Checkpoint | None:
        """The run that was started last, with its total."""
        return (self._tracker.checkpoint if self._tracker is not None else None) or self._last

    def model_card(self, training_type: TrainingType | None) -> dict[str, Any] | None:
        """Return the model card's field for the run that was started last; ``None`` where nothing was measured."""
        return None if self._tracker is None else self._tracker.model_card(training_type)

    def continued(self, first_epoch: int = 0) -> Checkpoint | None:
        """Return the run that a fit continues, where the framework's checkpoint cannot name one.

        It is the one that the settings name, else the last of this callback, else the only one of this project and
        host in the log that was killed or interrupted, also by an exception in this process; ``None``, with a warning,
        where there is not exactly one.

        Args:
            first_epoch: The first epoch of the fit.
        """
        platform = self._platform or Platform()
        if self.settings.run_id is not None or self.last is not None:
            return self.last if self.settings.run_id is None else Checkpoint(self.settings.run_id)
        nothing: list[str] = []
        guard = Guard()
        guard.call("tracker", platform.watched.close_ended, None)  # the run may be one whose call is over
        found = guard.call("log file", lambda: unfinished_runs(self.settings, platform, first_epoch), nothing)
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
        checkpoint: Checkpoint | None = None,
        done: float | None = None,
        call: MeasuredCall | None = None,
        rank: tuple[int, int] | None = None,
        quiet: bool = False,
        gather: Gather | None = None,
        store: SharedStore | None = None,
    ) -> Tracker:
        """Start the tracker of a fit, or of a validation, test or prediction outside of one.

        Args:
            fit: Whether it is a fit.
            checkpoint: The run that a checkpoint names.
            done: Progress of a fit at its start: steps or epochs, in the unit of its epochs' ends.
            call: The framework's call.
            rank: Rank and world size, where the framework sets them.
            quiet: Whether the console line is left out.
            gather: Sends a message to all ranks, where the framework synchronises them in the fit. It is not used
                outside of a fit, where a rank may be alone.
            store: What the ranks share without waiting for each other.
        """
        tracker = self.tracker
        if tracker is None or not tracker.call_is_running:
            if tracker is not None:
                tracker.stop("interrupted")
            if not fit:
                checkpoint, quiet = self.last, quiet or self.last is not None
            self._last = self.last
            self._tracker = tracker = Tracker(self.settings, platform=self._platform)
            self._open = True
            tracker.start(
                RunContext(
                    base="other",
                    checkpoint=checkpoint,
                    rank=rank,
                    quiet=quiet,
                    call=call,
                    gather=gather if fit else None,
                    alone=not fit,
                    store=store,
                )
            )
        # Else the same call starts again, as in Hugging Face's search for a batch size.
        if fit:
            self.fit.begin(tracker)
        if done is not None:
            tracker.figures.training_begins(done)
        return tracker

    def is_over_budget(
        self, done: Callable[[], float | None], planned: Callable[[], float | None], epoch: int | None
    ) -> bool:
        """Return whether the budget is used up within an epoch; reads no meter more often than every few seconds.

        Args:
            done: Returns the progress of the fit, in the unit of its epochs' ends.
            planned: Returns its planned length.
            epoch: Number of the epoch that runs.
        """
        tracker = self.tracker
        if tracker is None or not tracker.running:
            return False
        note = functools.partial(tracker.write, "forecast", epoch=epoch)
        return tracker.guard.call("budget", lambda: tracker.figures.look(done, planned, note), None) is not None

    def end(self, ended: str | None = None) -> None:
        """Stop the tracker that runs now.

        Args:
            ended: As in :meth:`Tracker.stop`.
        """
        tracker, self._open = self.tracker, False
        self.fit.end()
        if tracker is not None:
            tracker.stop(ended)
