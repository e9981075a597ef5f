"""Names of the segments between two marks: nested stages, epochs and their attempts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from eco2ai_callbacks.guard import Guard
from eco2ai_callbacks.record import STAGES
from eco2ai_callbacks.runlog.attempts import Attempts


class Segment(NamedTuple):
    """The key of a time segment: stage, epoch, attempt."""

    stage: str = "other"
    epoch: int | None = None
    attempt: int | None = None


def known_stage(stage: str, guard: Guard) -> str:
    """Return a stage's name; ``other``, with a failure recorded, for an unknown one.

    Args:
        stage: The caller's name of the stage.
        guard: Records failures.
    """
    if stage in STAGES:
        return stage
    guard.record(f"tracker: {stage!r} is no stage ({', '.join(STAGES)}); it is counted as other")
    return "other"


class Stages:
    """The stages that have been entered and not left, and how often each epoch was begun.

    Args:
        base: Stage of the time outside of all stages that were entered.
        attempts: How often each epoch was begun in earlier sessions of the run.
    """

    def __init__(self, base: str = "train", attempts: Mapping[int, int] | None = None) -> None:
        self._base = base
        self._attempts = Attempts(attempts)
        self._stack: list[Segment] = []
        self._next = 0
        self._open: int | None = None

    @property
    def inside(self) -> Segment | None:
        """The innermost stage that was entered and not left."""
        return self._stack[-1] if self._stack else None

    @property
    def current(self) -> Segment:
        """The current segment."""
        if self._stack:
            return self._stack[-1]
        return self.latest("train", self._next) if self._base == "train" else Segment(self._base)

    def enter(self, stage: str, epoch: int | None = None) -> None:
        """Enter a stage; with ``train`` an epoch begins (again, if it had begun before)."""
        epoch = self._epoch() if epoch is None else epoch
        if stage == "train":
            self._open = None
            self._stack.append(self.named("train", epoch))
        else:
            self._stack.append(self.latest(stage, epoch))

    def leave(self) -> None:
        """Return to the enclosing stage."""
        if self._stack:
            self._stack.pop()

    def named(self, stage: str, epoch: int | None) -> Segment:
        """Return the segment of this stage and epoch; ``train`` begins the epoch if it is not open."""
        epoch = self._epoch() if epoch is None else epoch
        if stage == "train" and epoch is not None and self._open != epoch:
            self._open = epoch
            self._attempts.begin(epoch)
        return self.latest(stage, epoch)

    def close_epoch(self, epoch: int | None) -> None:
        """End an epoch, and with it the train stage that it was in; the time after it belongs to the next epoch."""
        self._open = None
        if self._stack and self._stack[-1].stage == "train":
            self._stack.pop()
        if epoch is not None:
            self._next = epoch + 1

    def latest(self, stage: str, epoch: int | None) -> Segment:
        """Return the segment of this stage and epoch in its latest attempt."""
        if epoch is None:
            return Segment(stage)
        # Outside of all stages of a training an epoch runs before a call names it.
        unnamed = self._base == "train" and epoch == self._next and self._open != epoch
        return Segment(stage, epoch, self._attempts.of(epoch) + unnamed or None)

    def _epoch(self) -> int | None:
        if self._stack:
            return self._stack[-1].epoch
        return self._next if self._base == "train" else None
