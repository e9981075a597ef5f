"""Comparisons of groups of runs: the energy per epoch, to reach a value of a metric, and in all."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

from eco2ai_callbacks.comparing.comparison import Comparison, percent
from eco2ai_callbacks.comparing.doubts import Side, cautions, doubts, epoch_doubts
from eco2ai_callbacks.comparing.figures import Figures, figures_of
from eco2ai_callbacks.comparing.groups import RunGroup
from eco2ai_callbacks.comparing.metric import Curve, chosen, common_value, is_lower_better
from eco2ai_callbacks.comparing.rank import holm, mann_whitney
from eco2ai_callbacks.comparing.spread import difference, relative_change


class NotComparable(ValueError):
    """A question that the runs cannot answer, in one sentence."""


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked of the runs.

    Args:
        metric: The metric; by default one that all runs have.
        reach: The value to reach; by default the best that all runs have reached.
        lower: Whether a lower value is better; by default by the metric's name.
        tolerance: Relative difference up to which values of a metric are equal.
        same_hardware: Whether the user states that the hosts are equal.
        seed: Seed of the resampling.
    """

    metric: str | None = None
    reach: float | None = None
    lower: bool | None = None
    tolerance: float = 0.02
    same_hardware: bool = False
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Compared:
    """All comparisons of a selection.

    Args:
        sides: The groups; the first one is the baseline.
        metric: The metric that was looked at; ``None`` where there is none.
        reach: The value that was to be reached.
        lower: Whether a lower value is better.
        comparisons: The comparisons of each other group with the first one.
        notes: What else a reader must know.
    """

    sides: tuple[Side, ...]
    metric: str | None
    reach: float | None
    lower: bool
    comparisons: tuple[Comparison, ...]
    notes: tuple[str, ...]


def compare(groups: Sequence[RunGroup], question: Question) -> Compared:
    """Return how groups of runs differ in the energy per epoch, to reach a value of a metric, and in all.

    Args:
        groups: The groups; each is compared with the first one.
        question: What is asked.

    Raises:
        NotComparable: The metric is not logged, or it is not known which way is better.
    """
    directions = {} if question.metric is None or question.lower is None else {question.metric: question.lower}
    sides = tuple(Side(group.name, [figures_of(run, directions) for run in group.runs]) for group in groups)
    metric = question.metric or _metric(sides)
    curves = [each.curves.get(metric) for side in sides for each in side.figures] if metric is not None else []
    known = [curve for curve in curves if curve is not None]
    if question.metric is not None and not known:
        raise NotComparable(_no_metric(question.metric, sides))
    lower = known[0].lower if known else True
    reach = question.reach if question.reach is not None else common_value(known) if len(known) == len(curves) else None
    notes: dict[str, None] = {}
    asked = _Asked(sides, metric, reach, lower, question)
    found = [asked.comparison(measure, side) for side in sides[1:] for measure in asked.measures]
    for side in sides[1:]:
        notes |= dict.fromkeys(cautions(sides[0], side))
    for side in sides:
        notes |= dict.fromkeys(_left_out(side))
    if metric is None:
        notes["no metric was logged with the epochs, so whether the results are equally good is not known"] = None
    elif question.metric is None:
        notes[f"the metric is {metric}; --metric chooses another one"] = None
    if metric is not None and question.reach is None and reach is not None:
        notes[f"{metric} {_sign(lower)} {reach:.6g} is the best value that all runs have reached"] = None
    return Compared(sides, metric, reach, lower, tuple(_adjusted(found)), tuple(notes))


@dataclass(frozen=True, slots=True)
class _Asked:
    """A question, with what the runs decide of it."""

    sides: Sequence[Side]
    metric: str | None
    reach: float | None
    lower: bool
    question: Question

    @property
    def measures(self) -> list[str]:
        """The measures that the runs have figures for."""
        every = [each for side in self.sides for each in side.figures]
        found = ["epoch"] if any(each.epoch_j is not None for each in every) else []
        return [*found, *(["reach"] if self.metric is not None and self.reach is not None else []), "run"]

    def comparison(self, measure: str, other: Side) -> Comparison:
        """Return the comparison of a group with the first one."""
        baseline, question = self.sides[0], self.question
        why = doubts(baseline, other, same_hardware=question.same_hardware)
        before, after = (self._values(measure, side) for side in (baseline, other))
        for side, values in ((baseline, before), (other, after)):
            if not values:
                why.insert(0, f"no run of {side.name} {_LACKING[measure]}")
        if measure == "epoch":
            why += epoch_doubts(baseline, other)
        elif measure == "reach":
            why += self._not_reached(baseline, other)
        value = fmean(after) / fmean(before) - 1 if before and after else None
        return Comparison(
            measure,
            self._phrase(measure),
            baseline.name,
            other.name,
            tuple(before),
            tuple(after),
            value,
            relative_change(before, after, question.seed),
            mann_whitney(before, after) if len(before) > 1 and len(after) > 1 else None,
            tuple(why),
            self._quality(other) if measure == "epoch" else "",
        )

    def _values(self, measure: str, side: Side) -> list[float]:
        take: Mapping[str, Callable[[Figures], float | None]] = {
            "epoch": lambda each: each.epoch_j,
            "run": lambda each: each.joules,
            "reach": self._to_reach,
        }
        return [value for each in side.figures if (value := take[measure](each)) is not None and value > 0]

    def _to_reach(self, each: Figures) -> float | None:
        curve = each.curves.get(self.metric or "")
        step = curve.reach(self.reach) if curve is not None and self.reach is not None else None
        return None if step is None else step.joules

    def _not_reached(self, *sides: Side) -> Iterator[str]:
        for side in sides:
            missed = sum(self._to_reach(each) is None for each in side.figures)
            if 0 < missed < len(side.figures):
                yield f"{missed} of {len(side.figures)} runs of {side.name} did not get there"

    def _phrase(self, measure: str) -> str:
        if measure == "reach":
            return f"to reach {self.metric} {_sign(self.lower)} {self.reach:.6g}"
        return {"epoch": "per epoch", "run": "per run"}[measure]

    def _quality(self, other: Side) -> str:
        """Return how good the other group's runs are beside the first one's, as the end of a clause."""
        pairs = [[self._curve(each) for each in side.figures] for side in (self.sides[0], other)]
        before, after = ([curve.best for curve in curves if curve is not None] for curves in pairs)
        if self.metric is None or not before or not after:
            return ""
        scale = max(abs(fmean(before)), abs(fmean(after)))
        off = (fmean(after) - fmean(before)) / scale if scale else 0.0
        change = difference(before, after, self.question.seed)
        least, most = (change.low / scale, change.high / scale) if change is not None and scale else (off, off)
        most_equal = self.question.tolerance
        if -most_equal <= least and most <= most_equal:
            return f" at equal {self.metric}"
        if least <= 0 <= most:
            return f" at a {self.metric} that may differ by {percent(max(-least, most))} %"
        worse = (off > 0) == self.lower
        return f" at a {self.metric} that is {percent(abs(off))} % {'worse' if worse else 'better'}"

    def _curve(self, each: Figures) -> Curve | None:
        return each.curves.get(self.metric or "")


_LACKING = {"epoch": "has an epoch that was measured to its end", "run": "has measured energy", "reach": "got there"}


def _metric(sides: Sequence[Side]) -> str | None:
    """Return the metric that all runs have and that shows best how good they are."""
    every = [each.curves.keys() for side in sides for each in side.figures]
    return chosen(set.intersection(*map(set, every))) if every else None


def _no_metric(name: str, sides: Sequence[Side]) -> str:
    logged = {
        key for side in sides for each in side.figures for epoch in each.run.epochs[:100] for key in epoch.metrics
    }
    if name in logged and is_lower_better(name) is None:
        return f"--metric={name!r} does not tell by its name which way is better: give --mode min or --mode max."
    accepted = f"logged are {', '.join(sorted(logged)[:20])}" if logged else "no metric is logged with an epoch"
    return f"--metric={name!r} is in none of the runs; {accepted}."


def _left_out(side: Side) -> Iterator[str]:
    unmeasured = sum(each.joules is None for each in side.figures)
    if unmeasured:
        yield f"nothing was measured in {unmeasured} of {len(side.figures)} runs of {side.name}: they are left out"
    short = sum(each.joules is not None and each.epoch_j is None for each in side.figures)
    if short and any(each.epoch_j is not None for each in side.figures):
        yield f"{short} of {len(side.figures)} runs of {side.name} have no whole epoch"


def _adjusted(found: Sequence[Comparison]) -> Iterator[Comparison]:
    """Return comparisons with p-values for their number: each measure is a question of its own."""
    raised: dict[int, float | None] = {}
    for measure in dict.fromkeys(each.measure for each in found):
        places = [place for place, each in enumerate(found) if each.measure == measure]
        raised |= zip(places, holm([found[place].p for place in places]), strict=True)
    return (replace(each, p=raised[place]) for place, each in enumerate(found))


def _sign(lower: bool) -> str:
    return "<=" if lower else ">="
