"""Whether runs stay within a limit, or within a margin above runs of a baseline."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean, variance

from eco2ai_callbacks.comparing.comparison import percent
from eco2ai_callbacks.comparing.doubts import Side, cautions, epoch_doubts, unlike
from eco2ai_callbacks.comparing.figures import Figures, figures_of
from eco2ai_callbacks.comparing.spread import t_quantile
from eco2ai_callbacks.comparing.verdict import NotComparable
from eco2ai_callbacks.report.formats import in_markdown, shown
from eco2ai_callbacks.report.groups import some
from eco2ai_callbacks.report.runs import Run, Runs
from eco2ai_callbacks.sinks.console import amount
from eco2ai_callbacks.usage import JOULES_PER_KWH

PER = ("run", "epoch")
# One run in twenty that uses no more than the baseline would exceed the margin of the baseline's spread.
_SURE = 0.95
_WH = JOULES_PER_KWH / 1000
# Checks that a summary lists.
_MOST_ROWS = 100


@dataclass(frozen=True, slots=True)
class Limits:
    """What runs may use.

    Args:
        max_kwh: IT energy of each run, or of each epoch; ``None`` for no limit.
        budget: Share by which the mean may be above the baseline's; ``None`` for no baseline.
        per: One of :data:`PER`.
    """

    max_kwh: float | None = None
    budget: float | None = None
    per: str = "run"


@dataclass(frozen=True, slots=True)
class Check:
    """One figure beside what is allowed.

    Args:
        name: What was checked.
        per: One of :data:`PER`.
        used_j: Its energy in joules.
        most_j: The most that passes.
        detail: What the limit is made of, in words.
        passed: Whether it is within.
    """

    name: str
    per: str
    used_j: float
    most_j: float
    detail: str
    passed: bool

    @property
    def sentence(self) -> str:
        """The check as a clause."""
        relation = "within" if self.passed else "above"
        return f"{self.name} used {self.used}, {relation} the limit of {_wh(self.most_j)} ({self.detail})"

    @property
    def used(self) -> str:
        """What was used, for people."""
        return f"{_wh(self.used_j)} per {self.per}"


@dataclass(frozen=True, slots=True)
class Gated:
    """All checks.

    Args:
        checks: The checks.
        notes: What else a reader must know.
    """

    checks: tuple[Check, ...]
    notes: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether all checks passed."""
        return all(check.passed for check in self.checks)

    @property
    def sentence(self) -> str:
        """The result as one sentence."""
        failed = [check for check in self.checks if not check.passed]
        if failed:
            more = f"; and {len(failed) - 1} more" if len(failed) > 1 else ""
            return f"failed: {failed[0].sentence}{more}."
        # The one that comes closest to its limit.
        closest = max(self.checks, key=lambda check: check.used_j / check.most_j)
        others = f"; {len(self.checks)} checks in all" if len(self.checks) > 1 else ""
        return f"passed: {closest.sentence}{others}."

    @property
    def summary(self) -> str:
        """The result in Markdown."""
        rows = sorted(self.checks, key=lambda check: check.passed)[:_MOST_ROWS]
        lines = [
            f"| {in_markdown(each.name)} | {each.used} | {_wh(each.most_j)} | {in_markdown(each.detail)} "
            f"| {'passed' if each.passed else '**failed**'} |"
            for each in rows
        ]
        more = len(self.checks) - len(rows)
        title = f"### Energy: {'passed' if self.passed else 'failed'}"
        head = ["| checked | used | limit | made of | result |", "| :-- | --: | --: | :-- | :-- |"]
        notes = [f"- {in_markdown(note)}" for note in (*([f"{more} more checks passed"] if more else []), *self.notes)]
        return "\n".join([title, "", in_markdown(self.sentence), "", *head, *lines, "", *notes]).rstrip() + "\n"


def gate(runs: Runs, limits: Limits, baseline: Runs | None = None) -> Gated:
    """Check runs against limits.

    Args:
        runs: The runs. Those inside others are part of these.
        limits: The limits.
        baseline: Runs to compare with, by project; runs that are checked are none of them.

    Raises:
        NotComparable: There is nothing to check, nothing was measured, or the baseline was measured otherwise.
    """
    checked = _measured([run for run in runs if run.counts], limits.per)
    if not checked:
        raise NotComparable("there is no run to check.")
    checks: list[Check] = []
    notes: dict[str, None] = {}
    if limits.max_kwh is not None:
        most = limits.max_kwh * JOULES_PER_KWH
        for each in checked:
            used = _figure(each, limits.per)
            checks.append(Check(f"run {shown(each.run.id, 40)}", limits.per, used, most, "--max-kwh", used <= most))
        notes |= dict.fromkeys(_unfinished(checked))
    if limits.budget is not None and baseline is not None:
        own = {each.run.id for each in checked}
        known = [run for run in baseline if run.counts and run.id not in own]
        for project in dict.fromkeys(each.run.project for each in checked):
            mine = Side("the runs", [each for each in checked if each.run.project == project])
            its = Side("the baseline", _measured([run for run in known if run.project == project], limits.per))
            checks.append(_budget(project, its, mine, limits))
            notes |= dict.fromkeys((*cautions(its, mine), *_hosts(its, mine)))
    return Gated(tuple(checks), (*notes, "all figures are IT energy, without the overhead of the data centre"))


def _budget(project: str, baseline: Side, side: Side, limits: Limits) -> Check:
    name = f"project {shown(project, 40) or '(none)'}"
    if not baseline.figures:
        raise NotComparable(f"--baseline has no other run of {name} to compare with.")
    why = [*unlike(baseline, side, same_hardware=True)]
    if limits.per == "epoch":
        why += epoch_doubts(baseline, side)
    if why:
        raise NotComparable(f"{name} cannot be compared with the baseline: {'; '.join(why)}.")
    before, after = ([_figure(each, limits.per) for each in side.figures] for side in (baseline, side))
    mean, used = fmean(before), fmean(after)
    budget = limits.budget or 0.0
    margin = margin_of(before, after)
    most = mean * (1 + budget) * (1 + (margin or 0.0))
    spread = "spread unknown: one run each" if margin is None else f"{percent(margin)} % for the spread of repeats"
    of = f"{_wh(mean)} in {len(before)} baseline run{'s' if len(before) != 1 else ''}"
    off = used / mean - 1
    detail = (
        f"{percent(abs(off))} % {'more' if off > 0 else 'less'} than {of}; allowed are {percent(budget)} %, {spread}"
    )
    return Check(name, limits.per, used, most, f"{_mean_of(len(after))}{detail}", used <= most)


def margin_of(before: Sequence[float], after: Sequence[float]) -> float | None:
    """Return by which share the mean of repeats may exceed the mean of others by chance; ``None`` for one run each.

    It is the upper end of the one-sided 95 % prediction interval, by Student's distribution of the logarithms with the
    variance of both samples.

    Args:
        before: Values above 0.
        after: Values above 0.
    """
    freedom = len(before) + len(after) - 2
    if freedom < 1:
        return None
    logs = ([math.log(value) for value in values] for values in (before, after))
    squares = sum(variance(values) * (len(values) - 1) for values in logs if len(values) > 1)
    error = math.sqrt(squares / freedom * (1 / len(before) + 1 / len(after)))
    return math.expm1(min(t_quantile(_SURE, freedom) * error, 50.0))


def _measured(runs: Sequence[Run], per: str) -> list[Figures]:
    """Return the figures of runs.

    Raises:
        NotComparable: One has no energy, or no epoch.
    """
    found = [figures_of(run) for run in runs]
    missing = [shown(each.run.id, 40) for each in found if (each.joules if per == "run" else each.epoch_j) is None]
    if missing:
        what = "nothing was measured" if per == "run" else "no epoch was measured to its end"
        raise NotComparable(f"{what} in {some(missing, 'run')}, so there is nothing to check.")
    return found


def _figure(each: Figures, per: str) -> float:
    found = each.joules if per == "run" else each.epoch_j
    assert found is not None
    return found


def _unfinished(found: Sequence[Figures]) -> Iterator[str]:
    ids = [each.run.id for each in found if each.run.states != ("finished",)]
    if ids:
        yield f"not finished, so a whole run would use more: {some(ids, 'run')}"


def _hosts(one: Side, other: Side) -> Iterator[str]:
    hosts, others = ({host for run in side.runs for host in run.hosts} for side in (one, other))
    if hosts.isdisjoint(others):
        yield "the baseline was measured on another host, or before a reboot: both must be equal machines"


def _mean_of(count: int) -> str:
    return f"mean of {count} runs, " if count > 1 else ""


def _wh(joules: float) -> str:
    return amount(joules / _WH, "Wh")
