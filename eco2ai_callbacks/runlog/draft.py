"""A record that is about to be written: what it is made of, and the whole record only where somebody needs one."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from eco2ai_callbacks.record import Record, banded, measured, whole_epoch
from eco2ai_callbacks.usage import Method, Usage

Methods = Mapping[str, Method]
# What seldom changes: intensity, shared_with, parent, failures, siblings.
Standing = tuple[Mapping[str, Any] | None, tuple[str, ...], str | None, tuple[str, ...], tuple[str, ...]]
# Fields of a plain record beside those that a draft has by itself.
_PLAIN = frozenset({"samples", "tokens", "ended", "metrics", "beside", "phases", "steps", "gpu_health"})


class Draft:
    """What a record is made of.

    A record has more than forty fields, and most of them are the same in all records of a session or follow from
    others: a line leaves them out. So a mark makes no record, unless a sink or a reader asks for it.

    Args:
        template: The fields that are the same in all of the session's records.
        event: The record's event.
        segment: Stage, epoch and attempt.
        start: When the segment began.
        usage: Usage in the segment.
        methods: Measuring methods in the segment.
        total: Usage of the run, this record included.
        total_methods: Measuring methods in the run.
        spread: Lower and upper end of the carbon intensity's band, as factors.
        standing: Further fields that seldom change: ``intensity``, ``shared_with``, ``parent``, ``failures``,
            ``siblings``.
        attempts: How often each epoch was begun.
        train: Sum of the epoch's ``train`` marks, where an epoch ends; ``None`` elsewhere.
        further: Fields that only this record has.
    """

    __slots__ = (
        *("attempt", "attempts", "epoch", "event", "further", "methods", "seq", "spread", "stage", "standing", "start"),
        *("template", "total_methods", "total_usage", "train", "usage", "_record"),
    )

    def __init__(
        self,
        template: Record,
        event: str,
        segment: tuple[str, int | None, int | None],
        start: str,
        usage: Usage,
        methods: Methods,
        total: Usage,
        total_methods: Methods,
        spread: tuple[float, float],
        standing: Standing,
        attempts: tuple[tuple[int, int, int], ...],
        train: Usage | None,
        further: Mapping[str, Any],
    ) -> None:
        self.template = template
        self.event = event
        self.stage: str
        self.epoch: int | None
        self.attempt: int | None
        self.stage, self.epoch, self.attempt = segment
        self.start = start
        self.usage = usage
        self.methods = methods
        self.total_usage = total
        self.total_methods = total_methods
        self.spread = spread
        self.standing = standing
        self.attempts = attempts
        self.train = train
        self.further = further
        self.seq: int = template.seq
        self._record: Record | None = None

    @property
    def total(self) -> dict[str, Any]:
        """The run's total with its bands, as the record holds it."""
        return banded(self.total_usage, self.total_methods, self.spread) | {"joules": self.total_usage.joules}

    @property
    def record(self) -> Record:
        """The whole record."""
        if self._record is None:
            intensity, shared_with, parent, failures, siblings = self.standing
            fields = {
                **measured(self.usage, self.methods),
                **({} if self.train is None else whole_epoch(self.train)),
                **self.further,
            }
            self._record = dataclasses.replace(
                self.template,
                seq=self.seq,
                event=self.event,
                stage=self.stage,
                epoch=self.epoch,
                attempt=self.attempt,
                start=self.start,
                intensity=intensity,
                total=self.total,
                attempts=self.attempts,
                shared_with=shared_with,
                parent=parent,
                failures=failures,
                siblings=siblings,
                **fields,
            )
        return self._record

    @property
    def plain(self) -> bool:
        """Whether its bands follow from its joules: each channel has a method, and none has gaps."""
        methods, joules = self.methods, self.usage.joules
        return (
            methods is self.total_methods
            and list(methods) == list(joules)
            and not any(method.gap_j != (0.0, 0.0) for method in methods.values())
        )

    def follows(self, other: Draft) -> bool:
        """Return whether it differs from a plain one only in its figures, its segment and its time."""
        return (
            self.methods is other.methods
            and self.total_methods is other.total_methods
            and self.template is other.template
            and self.standing == other.standing
            and self.spread == other.spread
            # Records without usage describe no channels, and so change nothing about them.
            and (not self.usage.joules or self.usage.joules.keys() == other.usage.joules.keys())
            and (self.train is not None) == (self.event == "epoch")
            and self.further.keys() <= _PLAIN
        )
