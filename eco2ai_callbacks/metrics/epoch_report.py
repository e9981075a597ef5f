"""The values at an epoch's end: the epoch as a rank has closed it, and the job's report of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from eco2ai_callbacks.distributed.messages import RankUsage
from eco2ai_callbacks.usage import Usage


@dataclass(frozen=True, slots=True)
class MarkedEpoch:
    """An epoch that a session has closed, before its figures are exchanged.

    Args:
        usage: Usage since the last mark.
        epoch: The epoch's number.
        rank: This rank's usage of the epoch and of the run, for the other ranks.
        total: The run's total as the record holds it, with its bands.
        speaks: Whether this rank writes and logs the whole job's forecast and budget.
    """

    usage: Usage
    epoch: int | None
    rank: RankUsage
    total: Mapping[str, Any] = field(default_factory=dict)
    speaks: bool = False


@dataclass(frozen=True, slots=True)
class EpochReport:
    """The figures of an epoch that has just ended, by the names that loggers show. They are the whole job's.

    Args:
        usage: This process's usage since the last mark.
        train: Scalars of the epoch's training; with ``scalars="all"`` its components, power and efficiency too.
        validation: Scalars of the epoch's validation; empty where there was none.
        total: Scalars of the run so far.
        forecast: Scalars expected at the run's end, in every epoch; at the end the total. Empty where the end is not
            known, or no forecast is wanted.
        stop: A sentence that names the budget that is used up, where the loop is to stop; ``None`` where none is.

    Example:
        >>> report = EpochReport(train={"eco2ai/energy_kwh": 0.002}, total={"eco2ai/total_energy_kwh": 0.01})
        >>> report.scalars
        {'eco2ai/energy_kwh': 0.002, 'eco2ai/total_energy_kwh': 0.01}
    """

    usage: Usage = field(default_factory=Usage)
    train: dict[str, float] = field(default_factory=dict)
    validation: dict[str, float] = field(default_factory=dict)
    total: dict[str, float] = field(default_factory=dict)
    forecast: dict[str, float] = field(default_factory=dict)
    stop: str | None = None

    @property
    def scalars(self) -> dict[str, float]:
        """All scalars together."""
        return self.train | self.validation | self.total | self.forecast
