"""Forecast of the whole run from its first epochs: expected energy, CO2e and time, each with a band.

The next epochs are assumed to cost what the past ones have cost, per step where steps are known. An epoch's cost is
all usage from one epoch's end to the next: training, validation, saving and the time between. A session's first epoch
also includes set-up, compilation and empty caches: it is part of the total, and part of the expectation only until
there is a second one. The total includes earlier sessions of the run, with epochs that are repeated. Early stopping
cannot be predicted: the forecast is that of the plan.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right, insort
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

from eco2ai_callbacks.usage import GRAMS_PER_KG, JOULES_PER_KWH, NO_USAGE, Usage

# Lower and upper end of a band, as factors on the figure.
Band = tuple[float, float]
# A band without width.
EXACT: Band = (1.0, 1.0)

# Seconds, joules, grams.
Figures = tuple[float, float, float]

# Number of past epochs that are used: enough for a mean, and few enough to follow a training that changes.
RECENT = 32
# A prior: epochs of one training are assumed to differ by 5 %, with the weight of four epochs. Both are assumptions:
# two epochs alone give next to no estimate of their spread.
PRIOR_SPREAD = 0.05
PRIOR_WEIGHT = 4
# The remaining work may cost 5 % more or less per step than the past work, as machines warm up and trainings change: an
# assumption too. It shrinks with the share of the work that remains.
DRIFT = 0.05
# The band should hold the final figure in about nine of ten cases: 5 % of the normal distribution are above this.
_QUANTILE = 1.6448536269514722
# A rise (or fall) so steady that chance causes it once in 60 cases: five epochs in a row, each above the last.
_FEWEST_FOR_TREND = 5
_CLEAR_TREND = 2.2
# Relative difference below which two costs are equal.
_SAME = 1e-6


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
            rest, off = _ahead(works, costs, ahead)
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


def _ahead(works: list[float], costs: list[float], ahead: float) -> tuple[float, float]:
    """Return the expected cost of the remaining work, and its error.

    Uses the mean, not the median: costs of some epochs only (a validation every fifth) are part of it. The variance of
    an epoch's cost is proportional to its work. It is estimated from the past epochs and, as long as these are few,
    from the prior. The distance between a trend and the mean is added to the error, in quadrature.

    Args:
        works: Work of each past epoch.
        costs: Its cost.
        ahead: The remaining work.
    """
    behind = math.fsum(works)
    rate = math.fsum(costs) / behind
    squares = math.fsum([(cost - rate * work) ** 2 / work for work, cost in zip(works, costs, strict=True)])
    usual = (PRIOR_SPREAD * rate) ** 2 * behind / len(costs)
    freedom = PRIOR_WEIGHT + len(costs) - 1
    variance = (PRIOR_WEIGHT * usual + squares) / freedom
    drift = DRIFT * rate * ahead * math.sqrt(ahead / (ahead + behind))
    off = _student(freedom) * math.hypot(math.sqrt(variance * (ahead + ahead**2 / behind)), drift)
    trend = _trend(works, costs)
    if trend is None:
        return rate * ahead, off
    rest = _continued(*trend, behind, ahead)
    return rest, math.hypot(off, rest - rate * ahead)


def _trend(works: list[float], costs: list[float]) -> tuple[float, float] | None:
    """Return the present level and the slope of costs per work that clearly rise or fall; ``None`` for others.

    Uses the Mann-Kendall test and the Theil-Sen slope, which are robust to single outliers.
    """
    count = len(costs)
    if count < _FEWEST_FOR_TREND:
        return None
    rates = [cost / work for work, cost in zip(works, costs, strict=True)]
    if abs(_rises(rates)) - 1 < _CLEAR_TREND * math.sqrt(count * (count - 1) * (2 * count + 5) / 18):
        return None
    points: list[tuple[float, float]] = []
    behind = 0.0
    for work, rate in zip(works, rates, strict=True):
        points.append((behind + work / 2, rate))
        behind += work
    pairs = combinations(points, 2)
    slope = _median([(later[1] - earlier[1]) / (later[0] - earlier[0]) for earlier, later in pairs])
    # The mean level, not the median one: see _ahead.
    return math.fsum(rate - slope * place for place, rate in points) / count + slope * behind, slope


def _rises(rates: list[float]) -> int:
    """Return in how many pairs the later rate is the higher one, less those where it is the lower one.

    Costs are differences of growing sums, so none is negative, and the rounding error between equal ones is no step.
    """
    score = 0
    before: list[float] = []  # sorted: each rate is looked up, not compared one by one
    for rate in rates:
        score += bisect_left(before, rate * (1 - _SAME)) + bisect_right(before, rate / (1 - _SAME)) - len(before)
        insort(before, rate)
    return score


def _median(values: list[float]) -> float:
    ordered = sorted(values)  # the module statistics is slow to import
    middle = len(ordered) // 2
    return (ordered[middle] + ordered[~middle]) / 2


def _continued(now: float, slope: float, behind: float, ahead: float) -> float:
    """Return the cost of the remaining work, where a trend continues for as long as it was observed and then levels.

    Most changes at the start of a training (temperature, caches, a growing batch) come to an end.
    """
    now = max(0.0, now)
    sloping = min(behind, ahead)
    if slope < 0:
        sloping = min(sloping, now / -slope)
    end = max(0.0, now + slope * sloping)
    return (now + end) / 2 * sloping + end * (ahead - sloping)


def _student(freedom: int) -> float:
    """Return Student's t for the band's level by the Cornish-Fisher expansion: within 0.1 % from 4 degrees on."""
    z = _QUANTILE
    return (
        z
        + (z**3 + z) / (4 * freedom)
        + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)
        + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * freedom**3)
    )
