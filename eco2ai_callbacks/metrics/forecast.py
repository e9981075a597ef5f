"""Forecast of the whole run from its first epochs: expected energy, CO2e and time, each with a band.

The next epochs are assumed to cost what the past ones have cost, per step where steps are known. An epoch's cost is
all usage from one epoch's end to the next: training, validation, saving and the time between. A session's first epoch
also includes set-up, compilation and empty caches: it is part of the total, and part of the expectation only until
there is a second one. The total includes earlier sessions of the run, with epochs that are repeated. Early stopping
cannot be predicted: the forecast is that of the plan.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

from eco2ai_callbacks.metrics.ahead import expected_ahead
from eco2ai_callbacks.usage import GRAMS_PER_KG, JOULES_PER_KWH, NO_USAGE, Usage

# Lower and upper end of a band, as factors on the figure.
Band = tuple[float, float]
# A band without width.
EXACT: Band = (1.0, 1.0)

# Seconds, joules, grams.
Figures = tuple[float, float, float]

# Number of past epochs that are used: enough for a mean, and few enough to follow a training that changes.
RECENT = 32


@dataclass(frozen=True, slots=True)
class Span:
    """An expected figure and its band."""

    expected: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Forecast:
    """The expected usage of the whole run at its end.

    Args:
        seconds: Its duration.
        joules: Its IT energy; ``None`` where nothing is measured.
        grams: Its CO2e, PUE included; ``None`` where nothing is measured.
        epochs: Number of epochs of this session that have ended.
        done: Progress of the run.
        planned: Planned length of the run, in the same unit.
    """

    seconds: Span
    joules: Span | None
    grams: Span | None
    epochs: int
    done: float
    planned: float

    def to_dict(self) -> dict[str, Any]:
        """Return plain values with the names and units that records use."""
        return {
            **_named(self.joules, "energy_kwh", "energy_band_kwh", JOULES_PER_KWH),
            **_named(self.grams, "co2_kg", "co2_band_kg", GRAMS_PER_KG),
            **_named(self.seconds, "seconds", "seconds_band", 1.0),
            "epochs": self.epochs,
            "done": self.done,
            "planned": self.planned,
        }


@dataclass(frozen=True, slots=True)
class EpochCost:
    """The cost from one epoch's end to the next.

    Args:
        work: Work done in it, in the unit of the plan: steps, epochs or a fraction of the run.
        used: All usage.
        between: The part of it before the training resumed: evaluation and saving after the epoch before.
    """

    work: float
    used: Figures
    between: Figures = (0.0, 0.0, 0.0)


@dataclass(frozen=True, slots=True)
class Progress:
    """The progress of one session of a run, and the cost of its recent epochs.

    Args:
        done: Work done until now; ``None`` where it is not known yet.
        total: Usage of the job until then, all its ranks and earlier sessions.
        own: This process's part of it; all of it where there is one process.
        between: Usage of this process since then, before the training resumed.
        epochs: Number of epochs that have ended.
        recent: Costs of the epochs that the expectation is computed from.

    Example:
        >>> progress = Progress(done=0)
        >>> for epoch in (1, 2):
        ...     progress = progress.reached(epoch, Usage(10.0 * epoch, {"cpu": 500.0 * epoch}, 0.1 * epoch))
        >>> progress.forecast(10).joules.expected
        5000.0
    """

    done: float | None = None
    total: Usage = NO_USAGE
    own: Usage = NO_USAGE
    between: Usage = NO_USAGE
    epochs: int = 0
    recent: tuple[EpochCost, ...] = ()

    def resumed(self, own: Usage) -> Progress:
        """Return the progress where training resumes: usage since the last epoch's end is that between two epochs.

        Args:
            own: Usage of this process until now.
        """
        return replace(self, between=own - self.own) if self.epochs else self

    def reached(self, done: float, total: Usage, own: Usage | None = None) -> Progress:
        """Return the progress at the start of training, or at the end of an epoch.

        Args:
            done: Work done in the run: steps, epochs or a fraction, always in the same unit.
            total: Usage of the job until now.
            own: This process's part of it; all of it by default.
        """
        own = total if own is None else own
        if self.done is None or done < self.done or (done == self.done and not self.epochs):
            return Progress(done, total, own)  # training starts, or restarts
        if done == self.done:
            return self
        used, mine = _figures(total - self.total), _figures(own - self.own)
        between = tuple(
            all_ranks * part / whole if whole > 0 else 0.0
            for all_ranks, part, whole in zip(used, _figures(self.between), mine, strict=True)
        )
        epoch_cost = EpochCost(done - self.done, used, between)  # type: ignore[arg-type]
        recent = (epoch_cost,) if self.epochs <= 1 else (*self.recent, epoch_cost)[-RECENT:]
        return Progress(done, total, own, NO_USAGE, self.epochs + 1, recent)

    def forecast(
        self,
        planned: float | None,
        energy_band: tuple[float, float] = EXACT,
        co2_band: tuple[float, float] = EXACT,
    ) -> Forecast | None:
        """Return the expected usage at the run's end, and at the end the total.

        ``None`` where the end is unknown, or no epoch has ended.

        Args:
            planned: Planned length of the run, in the unit of ``done``.
            energy_band: Lower and upper end of the measured energy's band, as factors.
            co2_band: The same for CO2e.
        """
        if self.done is None or not self.recent or planned is None or not (0 < planned < math.inf):
            return None
        ahead = max(0.0, planned - self.done)
        works = [epoch_cost.work for epoch_cost in self.recent]
        spans: list[Span | None] = []
        for index, (used, band) in enumerate(zip(_figures(self.total), (EXACT, energy_band, co2_band), strict=True)):
            costs = [epoch_cost.used[index] for epoch_cost in self.recent]
            if index and not any(costs):
                spans.append(None)  # without a measurement there is no expectation
                continue
            rest, off = expected_ahead(works, costs, ahead)
            if ahead:
                rest += math.fsum([epoch_cost.between[index] for epoch_cost in self.recent]) / len(self.recent)
            spans.append(_span(used, rest, off, band))
        seconds, joules, grams = spans
        assert seconds is not None
        return Forecast(seconds, joules, grams, self.epochs, self.done, planned)


def _figures(usage: Usage) -> Figures:
    return usage.seconds, usage.total_j or 0.0, usage.grams or 0.0


def _named(span: Span | None, name: str, band: str, unit: float) -> dict[str, Any]:
    if span is None:
        return {name: None}
    return {name: span.expected / unit, band: (span.low / unit, span.high / unit)}


def _span(used: float, rest: float, off: float, band: tuple[float, float]) -> Span:
    """Return past plus expected usage, with the errors of the measurement and of the expectation.

    The errors are independent, so they add in quadrature. The past usage cannot become less.
    """
    low, high = band
    expected = used + rest
    return Span(
        expected,
        max(used * low, expected - math.hypot(expected * (1 - low), off)),
        expected + math.hypot(expected * (high - 1), off),
    )
