"""Energy and CO2 per epoch in the trackers of Accelerate, for loops that have no Trainer."""

from __future__ import annotations

import math
from collections.abc import Mapping, MutableMapping
from numbers import Integral, Real
from typing import Any, Literal, TypeVar, Unpack

from accelerate import Accelerator, tracking

from eco2ai_callbacks.distributed.process_group import torch_group, torch_rank, torch_store
from eco2ai_callbacks.errors import SettingsError
from eco2ai_callbacks.integrations.accelerate_processes import pass_on
from eco2ai_callbacks.integrations.callstack import owner
from eco2ai_callbacks.session.context import RunContext
from eco2ai_callbacks.settings import SettingsArgs
from eco2ai_callbacks.tracker import Tracker

# Most rows in which an epoch's end is logged (training, validation, test); more rows are logged during an epoch.
AT_THE_END = 4
# Seconds that the processes which log an epoch wait for one that saves a checkpoint before it does. Less than torch's
# shortest time-out of a collective, which the others may be in meanwhile: 10 minutes with NCCL.
PATIENCE_S = 300.0
A = TypeVar("A", bound=Accelerator)


class Eco2AITracker(tracking.GeneralTracker):
    """An Accelerate tracker that measures from ``init_trackers`` to ``end_training``; rows with a new epoch close one.

    A custom loop has only the epochs that it logs. ``accelerator.log({"epoch": n, ...})`` closes epoch ``n``. The usage
    since the row of the epoch before is its energy. Its ``eco2ai/*`` figures are added to the row, for TensorBoard, W&B
    and all other trackers of the Accelerator, and the run log holds the row. Further rows of the same epoch, such as
    those of its evaluation, change nothing; the time between belongs to the next epoch. Where many rows name one
    epoch, such as those of single steps, or where they name a part of it (``0.25``; ``1.0`` is the end of the first),
    an epoch is closed by the first row that names a later one.

    Every other mark can be set by hand: ``accelerator.get_tracker("eco2ai").tracker`` is the
    :class:`~eco2ai_callbacks.tracker.Tracker`, so ``.tracker.enter("validate")`` and ``.tracker.leave()`` around an
    evaluation, or ``.tracker.mark(epoch=n)`` in place of rows.

    Accelerate calls trackers only in its main process: in a job of several processes the others are not measured, and
    the records name that. :func:`measure_every_process` measures all of them.

    Args:
        project_name: Argument of ``init_trackers``, where Accelerate makes the tracker (``log_with="eco2ai"``).
        settings: See :class:`~eco2ai_callbacks.settings.Settings`.

    Raises:
        SettingsError: A setting has a value that is not accepted.

    Example:
        >>> accelerator = Accelerator(log_with=[Eco2AITracker(region="FR"), "tensorboard"])  # doctest: +SKIP
        >>> accelerator.init_trackers("demo")  # doctest: +SKIP
        >>> for epoch in range(3):  # doctest: +SKIP
        ...     train()
        ...     accelerator.log({"loss": loss, "epoch": epoch}, step=step)
        >>> accelerator.end_training()  # doctest: +SKIP
    """

    name = "eco2ai"
    requires_logging_directory = False
    main_process_only = True

    def __init__(self, project_name: str | None = None, /, **settings: Unpack[SettingsArgs]) -> None:
        super().__init__()
        if project_name:
            settings.setdefault("project", project_name)
        self._tracker = Tracker(**settings)
        # How the processes of a job are measured; ``None``: this one alone.
        self._processes: Literal["together", "apart"] | None = None
        self._begun = self._lost = False
        self._epoch: int | None = None
        self._rows = 0
        self._during = False
        self._step: int | None = None

    @property
    def tracker(self) -> Tracker:
        """The underlying tracker, for marks by hand."""
        return self._tracker

    def start(self) -> None:
        """Start to measure, from ``init_trackers``, and move to the front of the trackers, to get rows first."""
        accelerator = owner(Accelerator, lambda each: self in each.trackers)
        if accelerator is not None:
            accelerator.trackers.remove(self)
            accelerator.trackers.insert(0, self)
        self.begin(accelerator)

    def begin(self, accelerator: Accelerator | None = None) -> None:
        """Start to measure before ``init_trackers``, which a script without other trackers may never call.

        Args:
            accelerator: The Accelerator that the tracker belongs to.
        """
        if self._tracker.running:
            return
        self._begun = True
        if self._processes is not None:
            self._tracker.start(self._among_the_processes())
            return
        if accelerator is not None and accelerator.num_processes > 1 and self._tracker.settings.scope == "process":
            all_of_them = accelerator.num_processes
            self._tracker.guard.record(
                f"Accelerate: tells its main process only; not measured: {all_of_them - 1} of {all_of_them} processes"
            )
        self._tracker.start()

    def in_every_process(self, *, together: bool) -> None:
        """Expect the same calls in every process of the job.

        Args:
            together: Whether the processes make all calls alike, so that they exchange their figures at each epoch's
                end. Otherwise each writes its own part of the run.
        """
        self._processes = "together" if together else "apart"

    def log(self, values: MutableMapping[str, Any], step: int | None = None, **_: Any) -> None:
        """Close an epoch or a window of steps, if the row names the end of one, and add its figures to the row.

        Args:
            values: The row.
            step: Number of steps so far, as the loop counts them; windows of steps need it.
        """
        if self._processes is not None and not self._begun:
            return  # without `init_trackers` Accelerate's main process logs nothing: it would not come
        self._tracker.start()
        if step is not None and self._tracker.step.wanted:
            done, self._step = step - (self._step or 0), step
            found = self._tracker.step(number=step, steps=max(0, done))
            self._tracker.guard.call("Accelerate's row", lambda: values.update(found), None)
        ended = self._ended(values.get("epoch"))
        if ended is None:
            return
        metrics = _plain(values)
        if self._processes == "together" and not self._all_are_here():
            # Without an exchange, which would wait for the others.
            self._tracker.mark("epoch", ended, metrics=metrics)
            return
        found = self._tracker.end_epoch(ended, metrics=metrics).scalars
        self._tracker.guard.call("Accelerate's row", lambda: values.update(found), None)

    def finish(self) -> None:
        """Close the epoch that rows were logged in, and end the run, from ``end_training``."""
        if self._during and self._epoch is not None:
            self._tracker.mark("epoch", self._epoch)
        self._during = False
        self._tracker.stop("finished")

    def _among_the_processes(self) -> RunContext:
        """Return the place of this process among those of the job, with what they exchange over, if they do."""
        guard = self._tracker.guard
        if self._processes == "together":
            context = RunContext().in_group("auto", guard)
            if context.gather is not None:
                return context
            self._processes = "apart"
        rank = guard.call("ranks", torch_rank, None)
        return RunContext(rank=rank, store=guard.call("ranks", torch_store, None))

    def _all_are_here(self) -> bool:
        """Return whether all processes log this epoch; where some do not, nothing more is exchanged."""
        guard = self._tracker.guard
        if not self._lost and guard.call("ranks", lambda: torch_group(wait_s=PATIENCE_S), None) is None:
            self._lost = True
            guard.record("Accelerate: not every process logs its epochs, so the rows hold no figures of the whole job")
        return not self._lost

    def _ended(self, value: object) -> int | None:
        """Return the epoch that has ended, by the epoch that a row names; ``None`` where none has."""
        epoch = _number(value)
        if epoch is None:
            return None
        named, self._epoch = self._epoch, epoch
        self._rows = self._rows + 1 if epoch == named else 1
        if epoch == named:
            self._during = self._during or self._rows > AT_THE_END
            return None
        if self._during:
            return named
        # A part of an epoch: rows come while it runs.
        self._during = isinstance(value, float) and not value.is_integer()
        return None if self._during else epoch


def _number(value: object) -> int | None:
    """Return the epoch that a row names, from 0; a float is the number of epochs that are done."""
    if isinstance(value, bool) or not isinstance(value, Real):
        return None
    if isinstance(value, Integral):
        return int(value)
    return max(0, math.ceil(float(value)) - 1) if math.isfinite(value) else None


def _plain(values: Mapping[str, Any]) -> dict[str, float | str]:
    """Return the values of a row that JSON can hold."""
    return {
        str(name): value
        for name, value in values.items()
        if isinstance(value, str | int) or (isinstance(value, float) and math.isfinite(value))
    }


def measure_every_process(accelerator: A, **settings: Unpack[SettingsArgs]) -> A:
    """Measure every process of an Accelerator's job, and log the figures of the whole job with each epoch.

    Every process must then call ``init_trackers``, ``log`` with the rows that name epochs, and ``end_training``, as
    Accelerate's own examples do; Accelerate itself lets only its main process through. Where a process does not log an
    epoch, the others wait for it for five minutes once, and then each measures its own part: the run log is complete,
    and the rows hold no figures of ours any more.

    Args:
        accelerator: The Accelerator. An :class:`Eco2AITracker` in its ``log_with`` is used; else one is added.
        settings: See :class:`~eco2ai_callbacks.settings.Settings`, where ``log_with`` has no tracker of ours.

    Returns:
        The same Accelerator.

    Raises:
        SettingsError: A setting has a value that is not accepted, or the tracker in ``log_with`` has its own.

    Example:
        >>> accelerator = measure_every_process(Accelerator(log_with="tensorboard"), region="FR")  # doctest: +SKIP
        >>> accelerator.init_trackers("demo")  # doctest: +SKIP
        >>> for epoch in range(3):  # doctest: +SKIP
        ...     train()
        ...     accelerator.log({"loss": loss, "epoch": epoch}, step=step)
        >>> accelerator.end_training()  # doctest: +SKIP
    """
    ours = next((each for each in accelerator.log_with if isinstance(each, Eco2AITracker)), None)
    if ours is not None and settings:
        given = ", ".join(settings)
        raise SettingsError(
            f"measure_every_process({given}=...) is not accepted: the Eco2AITracker in log_with takes the settings."
        )
    if ours is None:
        ours = Eco2AITracker(**settings)
        accelerator.log_with = [ours, *(each for each in accelerator.log_with if not is_ours(each))]
    ours.in_every_process(together=True)
    pass_on(accelerator, ours)
    return accelerator


def is_ours(listed: object) -> bool:
    """Return whether an entry of ``log_with``, an object or a name, is our tracker."""
    return isinstance(listed, Eco2AITracker) or str(listed) == Eco2AITracker.name


# So that `log_with="eco2ai"` finds it, once this module is imported; older versions take objects only. A module that is
# started as a program is a second copy, and Accelerate warns where a name is registered twice.
if __name__ != "__main__" and hasattr(tracking, "register_tracker_class"):
    tracking.register_tracker_class(Eco2AITracker)


if __name__ == "__main__":
    from eco2ai_callbacks.integrations.script import launch

    launch("accelerate")
