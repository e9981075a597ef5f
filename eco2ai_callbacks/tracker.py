"""The tracker of a program, mark by mark; failures inside never reach the program."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, ParamSpec, TypeVar, Unpack, overload

from eco2ai_callbacks.carbon import grid
from eco2ai_callbacks.distributed.job import JobTotals
from eco2ai_callbacks.distributed.messages import RankUsage
from eco2ai_callbacks.distributed.process_group import Ranks, check_ranks
from eco2ai_callbacks.guard import Guard
from eco2ai_callbacks.metrics.epoch_report import EpochReport, MarkedEpoch
from eco2ai_callbacks.metrics.figures import JobFigures
from eco2ai_callbacks.metrics.model_card import TrainingType
from eco2ai_callbacks.phases.clock import PhaseClock
from eco2ai_callbacks.session.arguments import Arguments
from eco2ai_callbacks.session.blocks import until_entered
from eco2ai_callbacks.session.context import Platform, RunContext
from eco2ai_callbacks.session.identity import Checkpoint
from eco2ai_callbacks.session.lifetime import Lifetime
from eco2ai_callbacks.session.measured import Measured
from eco2ai_callbacks.session.stages import known_stage
from eco2ai_callbacks.session.steps import Steps
from eco2ai_callbacks.settings import Settings, SettingsArgs, by_name, resolve, resolved
from eco2ai_callbacks.usage import NO_USAGE, Usage

P = ParamSpec("P")
R = TypeVar("R")


class Tracker:
    """A tracker of the usage of a part of a program, which it measures mark by mark and writes to the run log.

    Args:
        settings: Resolved settings; else keyword arguments (see :class:`~eco2ai_callbacks.settings.Settings`).
        ranks: Framework whose process group the ranks exchange figures over, where no callback does: ``torch``,
            ``jax``, ``auto`` (the initialised one) or ``None``. All ranks must then start, end epochs and stop alike.
        platform: The outside world; tests pass a fake.

    Raises:
        SettingsError: A setting has a value that is not accepted. Nothing else is raised from ``start`` on.

    Example:
        >>> with Tracker(project="demo", log_file=None, console=False) as run:
        ...     for epoch in range(3):
        ...         train()
        ...         scalars = run.end_epoch(epoch, planned=3).scalars
    """

    def __init__(
        self,
        settings: Settings | None = None,
        /,
        *,
        ranks: Ranks = None,
        platform: Platform | None = None,
        **args: Unpack[SettingsArgs],
    ) -> None:
        self.settings: Settings = resolved("Tracker", settings, args)
        grid.check(self.settings)
        self._ranks = check_ranks(ranks)
        # Runs what may fail, and holds every failure that the records name.
        self.guard: Guard = Guard()
        self._arguments = Arguments(self.guard)
        self._job = JobTotals(self.guard)
        platform = platform or Platform()
        self._lifetime = running = Lifetime(self.settings, platform, self.guard, self._job)
        # ``with tracker.phase("augment"):`` counts a block's time and energy apart.
        self.phase: PhaseClock = PhaseClock(self.guard.record, platform.wall_ns, platform.cpu_ns)
        # ``tracker.step(samples=32)`` counts a training step, with the setting ``every_n_steps``.
        self.step: Steps = Steps(self.settings, self.guard, running)
        # The whole job's figures for loggers.
        self.figures: JobFigures = JobFigures(self.settings, self.guard, self._job, lambda: _total(running), running)

    @property
    def run_id(self) -> str | None:
        """Id of the run; ``None`` before ``start``."""
        return None if self._lifetime.session is None else self._lifetime.session.identity.id

    @property
    def total(self) -> Usage:
        """Usage of the run up to the last mark, earlier sessions included; on a rank, its own part."""
        return _total(self._lifetime)

    @property
    def running(self) -> bool:
        """Whether the tracker measures now."""
        return self._lifetime.running

    @property
    def call_is_running(self) -> bool:
        """Whether the measured call still runs, as far as that can be checked from outside of it."""
        return self._lifetime.call_is_running

    @property
    def checkpoint(self) -> Checkpoint | None:
        """The run's id and totals, which a checkpoint needs to continue it; ``None`` before ``start``."""
        return self._lifetime.checkpoint

    def start(self, context: RunContext | None = None) -> Tracker:
        """Open the meters and begin to measure; a second ``start`` does nothing.

        Args:
            context: An adapter's facts about the run; not needed in a custom loop.
        """
        if not self._lifetime.started:
            self.phase.begin()
            context = replace(context or RunContext(by_hand=self), phases=self.phase).in_group(self._ranks, self.guard)
            self._job.join(context.gather, context.rank, context.meet, context.store)
            run = self._lifetime.start(context)
            self.figures.outlook.begin(continued=run.continued)
        return self

    def stop(self, ended: str | None = None) -> Usage:
        """Take the last reading, write the rest, close everything; a second ``stop`` returns the same total.

        Args:
            ended: What stopped the run; by default the budget that is used up, else ``finished``.
        """
        self._lifetime.end(ended or self.figures.outlook.ended)
        if self._lifetime.started:
            self._job.finish(self.total, interrupted=ended == "interrupted")
        self._lifetime.show_summary()
        return self.total

    def __enter__(self) -> Tracker:
        with until_entered(self, self._lifetime.abandon):
            return self.start(RunContext())

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.stop(None if kind is None else "interrupted")

    def mark(
        self,
        event: str = "epoch",
        epoch: int | None = None,
        stage: str = "train",
        samples: int | None = None,
        tokens: int | None = None,
        metrics: Mapping[str, Any] | None = None,
    ) -> Usage:
        """Close the time since the last mark, write its usage, and return it.

        Args:
            event: ``epoch`` where an epoch (and its ``train`` stage) ends with it, else ``stage``.
            epoch: Number of the epoch, from 0; counted automatically where it is not given.
            stage: ``train``, ``validate``, ``test``, ``predict`` or ``other``.
            samples: Samples that were processed.
            tokens: Tokens that were processed.
            metrics: Further values for the record.

        Raises:
            Eco2AIError: ``start`` was not called.
        """
        fields = self._arguments.given(epoch=epoch, samples=samples, tokens=tokens, metrics=metrics)
        kind, known = "epoch" if event == "epoch" else "stage", known_stage(stage, self.guard)
        return self._lifetime.call("mark", lambda session: session.mark(kind, known, **fields), NO_USAGE)

    def read(self) -> Usage:
        """Return the usage since the last mark; writes nothing."""
        return self._lifetime.call("read", lambda session: session.read(), NO_USAGE, marks=False)

    def enter(self, stage: str, epoch: int | None = None) -> Usage:
        """Enter a stage; the time before is closed under the enclosing stage, and its usage is returned.

        Args:
            stage: ``train`` (an epoch begins), ``validate``, ``test``, ``predict`` or ``other``.
            epoch: Number of the epoch; that of the enclosing stage where it is not given.
        """
        epoch = self._arguments.whole_number("epoch", epoch)
        usage = self._lifetime.call("enter", lambda session: session.enter(known_stage(stage, self.guard), epoch), None)
        if stage == "train" and usage is not None:
            self.figures.outlook.resume_training(self.total)
        return usage or NO_USAGE

    def leave(self) -> Usage:
        """Return to the enclosing stage; the time since the last mark is closed under this one, its usage returned."""
        return self._lifetime.call("leave", lambda session: session.leave(), NO_USAGE)

    def write(self, event: str, metrics: Mapping[str, Any], epoch: int | None = None) -> None:
        """Write a record that adds no usage (``metrics``, ``forecast``)."""
        fields = self._arguments.given(epoch=epoch, metrics=metrics)
        note, number = fields["metrics"] or {}, fields["epoch"]
        self._lifetime.call("write", lambda session: session.note(event, note, number), None, marks=False)

    def end_epoch(
        self,
        epoch: int | None = None,
        *,
        samples: int | None = None,
        tokens: int | None = None,
        done: float | None = None,
        planned: float | None = None,
        metrics: Mapping[str, Any] | None = None,
    ) -> EpochReport:
        """Close an epoch, exchange its figures between the ranks once, and return the figures for loggers.

        Args:
            epoch: Number of the epoch, from 0; counted automatically where it is not given.
            samples: Samples of it that this process has trained on.
            tokens: Tokens of it that this process has trained on.
            done: Progress of the run: steps, epochs, or a fraction; by default the number of epochs that have ended.
            planned: Planned length of the run, in the same unit; ``None`` where it is open, without a forecast then.
            metrics: Further values for the record.

        Raises:
            Eco2AIError: ``start`` was not called.

        Example:
            >>> with track(log_file=None, console=False) as run:
            ...     stop = run.end_epoch(0, samples=60_000, planned=10).stop
        """
        fields = self._arguments.given(epoch=epoch, samples=samples, tokens=tokens, metrics=metrics)
        steps = self.step.rest()
        found = self._lifetime.call("end_epoch", lambda session: session.end_epoch(**fields, steps=steps), None)
        marked = found or MarkedEpoch(NO_USAGE, fields["epoch"], RankUsage(total=self.total))
        note = functools.partial(self.write, "forecast", epoch=marked.epoch)
        decides = not self._lifetime.ending
        return self.figures.end_epoch(marked, done=done, planned=planned, note=note, decides=decides)

    def model_card(self, training_type: TrainingType | None = None) -> dict[str, Any] | None:
        """Return the value of ``co2_eq_emissions`` for a model card, also after ``stop``; ``None`` if not measured.

        Args:
            training_type: ``pre-training`` or ``fine-tuning``, where that is known.
        """
        session = self._lifetime.session
        if session is None:
            return None
        return self.guard.call("model card", lambda: session.card.field(self.figures.latest, training_type), None)


def _total(running: Lifetime) -> Usage:
    """Return a run's usage up to its last mark, without the tracker: what refers to itself is freed late."""
    return Usage() if running.session is None else running.session.total


class _Track(Measured[Tracker]):
    """A measured block or function, with a tracker of its own at each call; threads and tasks may share it."""

    def __init__(self, settings: Settings, platform: Platform | None = None) -> None:
        super().__init__(functools.partial(Tracker, settings, platform=platform))

    @classmethod
    def on_platform(cls, platform: Platform, **args: Unpack[SettingsArgs]) -> _Track:
        """Return one that measures a given platform in place of this machine; tests pass a fake."""
        return cls(resolve(args), platform)


@overload
def track(function: Callable[P, R], /) -> Callable[P, R]: ...
@overload
def track(**args: Unpack[SettingsArgs]) -> _Track: ...
def track(function: Callable[..., Any] | None = None, /, **args: Any) -> Any:
    """Measure a block or a function.

    A generator is measured from its first step to its end. Threads and tasks may share one object.

    Args:
        function: The function, where this is a bare decorator.
        args: Settings, as for :class:`Tracker`.

    Raises:
        SettingsError: A setting has a value that is not accepted.

    Example:
        >>> with track(project="demo", log_file=None) as run:
        ...     train()
        >>> @track(region="FR")
        ... def train(): ...
    """
    if not (function is None or callable(function)):
        raise by_name("track", function)
    settings = resolve(args)
    grid.check(settings)
    measured = _Track(settings)
    return measured if function is None else measured(function)
