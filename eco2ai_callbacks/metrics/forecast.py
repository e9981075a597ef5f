"""Forecasts what the whole run will use from its first epochs: the expected energy, CO2e and time, with a band.

The epochs ahead are taken to cost what those behind have cost, per step where steps are known. An epoch's cost is
all that was used from one epoch's end to the next: training, validation, saving and the time between. A session's
first epoch also pays for set-up, compilation and empty caches: it counts into the total, and into the expectation only
until there is a second one. What earlier sessions of the run have used is in the total, epochs that are done again
included. Whether a training stops early cannot be known: the forecast is that of the plan.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from itertools import combinations
from typing import Any

from eco2ai_callbacks.usage import GRAMS_PER_KG, JOULES_PER_KWH, Usage

# Lowest and highest figure that may be true, as factors on the one that is given.
Band = tuple[float, float]
# A band without width.
EXACT: Band = (1.0, 1.0)

# Seconds, joules, grams.
Figures = tuple[float, float, float]

# So many epochs are looked back upon: enough for a mean, and few enough to follow a training that changes.
RECENT = 32
# Epochs of one training are taken to differ by 5 % before anything is known of them, and that weighs like four epochs.
# Both are assumptions: two epochs alone give next to no estimate of their spread.
PRIOR_SPREAD = 0.05
PRIOR_WEIGHT = 4
# The work ahead may cost 5 % more or less per step than the work behind, as machines warm up and trainings change: an
# assumption too. It fades as less is ahead than behind.
DRIFT = 0.05
# The band is meant to hold the run's end in some nine of ten cases: of the normal distribution a twentieth is above.
_QUANTILE = 1.6448536269514722
# Epochs that rise (or fall) so steadily that chance does it once in 60 cases: five in a row each above the last.
_FEWEST_FOR_TREND = 5
_CLEAR_TREND = 2.2
# Two costs are the same where they differ by less, relatively.
_SAME = 1e-6


@dataclass(frozen=True, slots=True)
class Span:
    """An expected figure and its band."""

    expected: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Forecast:
    """What the whole run will have used at its end.

    Args:
        seconds: Its time.
        joules: Its IT energy; ``None`` where nothing is measured.
        grams: Its CO2e, PUE included; ``None`` where nothing is measured.
        epochs: How many epochs of this session it is computed from.
        done: How far the run has come.
        planned: How far it is to go, in the same unit.
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
    """From one epoch's end to the next.

    Args:
        work: What was done in it, in the unit of the plan: steps, epochs or a fraction of the run.
        used: All that was used.
        between: What of that was used before the training went on: evaluation and saving after the epoch before.
    """

    work: float
    used: Figures
    between: Figures = (0.0, 0.0, 0.0)


@dataclass(frozen=True, slots=True)
class Progress:
    """How one session of a run has come along.

    Args:
        done: How far it has come; ``None`` where that is not known yet.
        total: What the job had used until then, all its ranks and earlier sessions.
        own: This process's part of it; all of it where there is one process.
        between: What this process has used since then, before the training went on.
        epochs: How many epochs have ended.
        recent: The epochs that the next ones are expected to cost like.

    Example:
        >>> progress = Progress(done=0)
        >>> for epoch in (1, 2):
        ...     progress = progress.reached(epoch, Usage(10.0 * epoch, {"cpu": 500.0 * epoch}, 0.1 * epoch))
        >>> progress.forecast(10).joules.expected
        5000.0
    """

    done: float | None = None
    total: Usage = field(default_factory=Usage)
    own: Usage = field(default_factory=Usage)
    between: Usage = field(default_factory=Usage)
    epochs: int = 0
    recent: tuple[EpochCost, ...] = ()

    def resumed(self, own: Usage) -> Progress:
        """Return the progress where training goes on: what was used since the last epoch's end belongs to no epoch's.

        Args:
            own: What this process has used until now.
        """
        return replace(self, between=own - self.own) if self.epochs else self

    def reached(self, done: float, total: Usage, own: Usage | None = None) -> Progress:
        """Return the progress where training begins, or an epoch has ended.

        Args:
            done: How far the run has come: steps, epochs or a fraction, always the same of them.
            total: What the job has used until now.
            own: This process's part of it; all of it by default.
        """
        own = total if own is None else own
        if self.done is None or done < self.done or (done == self.done and not self.epochs):
            return Progress(done, total, own)  # it begins, or begins anew
        if done == self.done:
            return self
        used, mine = _figures(total - self.total), _figures(own - self.own)
        between = tuple(
            all_ranks * part / whole if whole > 0 else 0.0
            for all_ranks, part, whole in zip(used, _figures(self.between), mine, strict=True)
        )
        epoch_cost = EpochCost(done - self.done, used, between)  # type: ignore[arg-type]
        recent = (epoch_cost,) if self.epochs <= 1 else (*self.recent, epoch_cost)[-RECENT:]
        return Progress(done, total, own, Usage(), self.epochs + 1, recent)

    def forecast(
        self,
        planned: float | None,
        energy_band: tuple[float, float] = EXACT,
        co2_band: tuple[float, float] = EXACT,
    ) -> Forecast | None:
        """Return what the run will have used at its end; ``None`` where the end is not known, or no epoch has ended.

        Args:
            planned: How far the run is to go, in the unit of ``done``.
            energy_band: Lowest and highest energy that may be true, as factors on what was measured.
            co2_band: The same of CO2e.
        """
        if self.done is None or not self.recent or planned is None or not (0 < planned < math.inf):
            return None
        ahead = max(0.0, planned - self.done)
        spans: list[Span | None] = []
        for index, (used, band) in enumerate(zip(_figures(self.total), (EXACT, energy_band, co2_band), strict=True)):
            costs = [(epoch_cost.work, epoch_cost.used[index]) for epoch_cost in self.recent]
            if index and not any(cost for _, cost in costs):
                spans.append(None)  # of what is not measured nothing is expected
                continue
            rest, off = _ahead(costs, ahead)
            rest += math.fsum(epoch_cost.between[index] for epoch_cost in self.recent) / len(self.recent)
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
    """Return what was used and what is expected, with the errors of the measuring and of the expectation.

    They know nothing of each other, so they add in quadrature. What was used will not become less.
    """
    low, high = band
    expected = used + rest
    return Span(
        expected,
        max(used * low, expected - math.hypot(expected * (1 - low), off)),
        expected + math.hypot(expected * (high - 1), off),
    )


def _ahead(costs: list[tuple[float, float]], ahead: float) -> tuple[float, float]:
    """Return what the work ahead is expected to cost, and how far off that may be.

    The mean, not the median: what comes in some epochs only (a validation every fifth) is part of what they cost. The
    costs of epochs vary in proportion to their work; their spread is known from the epochs behind and, as long as these
    are few, from what is usual. How far a trend leads away from the mean is as uncertain as it is far.

    Args:
        costs: Work and cost of each epoch behind.
        ahead: The work that is left.
    """
    behind = math.fsum(work for work, _ in costs)
    rate = math.fsum(cost for _, cost in costs) / behind
    squares = math.fsum((cost - rate * work) ** 2 / work for work, cost in costs)
    usual = (PRIOR_SPREAD * rate) ** 2 * behind / len(costs)
    freedom = PRIOR_WEIGHT + len(costs) - 1
    variance = (PRIOR_WEIGHT * usual + squares) / freedom
    drift = DRIFT * rate * ahead * math.sqrt(ahead / (ahead + behind))
    off = _student(freedom) * math.hypot(math.sqrt(variance * (ahead + ahead**2 / behind)), drift)
    trend = _trend(costs)
    if trend is None:
        return rate * ahead, off
    rest = _continued(*trend, behind, ahead)
    return rest, math.hypot(off, rest - rate * ahead)


def _trend(costs: list[tuple[float, float]]) -> tuple[float, float] | None:
    """Return the present level and the slope of costs per work that clearly rise or fall; ``None`` for others.

    By Mann and Kendall's test, and Theil and Sen's slope, which single odd epochs do not turn.
    """
    count = len(costs)
    if count < _FEWEST_FOR_TREND:
        return None
    points: list[tuple[float, float]] = []
    behind = 0.0
    for work, cost in costs:
        points.append((behind + work / 2, cost / work))
        behind += work
    pairs = list(combinations(points, 2))
    slopes = [(later[1] - earlier[1]) / (later[0] - earlier[0]) for earlier, later in pairs]
    # Costs come as differences of growing sums: what their rounding leaves between equal ones is no step.
    steps = [
        0.0 if math.isclose(earlier[1], later[1], rel_tol=_SAME) else later[1] - earlier[1] for earlier, later in pairs
    ]
    score = abs(sum((step > 0) - (step < 0) for step in steps))
    if score - 1 < _CLEAR_TREND * math.sqrt(count * (count - 1) * (2 * count + 5) / 18):
        return None
    slope = _median(slopes)
    # The mean level, not the median one: see _ahead.
    return math.fsum(rate - slope * place for place, rate in points) / count + slope * behind, slope


def _median(values: list[float]) -> float:
    ordered = sorted(values)  # the module statistics takes longer to import than all of this room
    middle = len(ordered) // 2
    return (ordered[middle] + ordered[~middle]) / 2


def _continued(now: float, slope: float, behind: float, ahead: float) -> float:
    """Return the cost of the work ahead where a trend goes on for as long as it has been seen, and then stays level.

    Most of what changes at the beginning of a training (warmth, caches, a growing batch) settles.
    """
    now = max(0.0, now)
    sloping = min(behind, ahead)
    if slope < 0:
        sloping = min(sloping, now / -slope)
    end = max(0.0, now + slope * sloping)
    return (now + end) / 2 * sloping + end * (ahead - sloping)


def _student(freedom: int) -> float:
    """Return Student's t for the band's level, by Cornish and Fisher's expansion: from 4 degrees on within 0.1 %."""
    z = _QUANTILE
    return (
        z
        + (z**3 + z) / (4 * freedom)
        + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)
        + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * freedom**3)
    )
