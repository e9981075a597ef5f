"""Sums of runs by project, sweep, run, epoch and other keys (:data:`BY`), and what a reader must know of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from eco2ai_callbacks.report.beside import beside_notes
from eco2ai_callbacks.report.runs import Portion, Run, Runs, of_portions
from eco2ai_callbacks.report.stated import Factor
from eco2ai_callbacks.report.sums import Sum, in_turn
from eco2ai_callbacks.sinks.console import gpu_sentences

BY = ("project", "sweep", "run", "epoch", "stage", "phase", "host", "component", "day")
# What stands for a name that is empty.
NONE = "(none)"
# Failures, torn lines and files that are named; the rest is counted.
_NAMED = 5


@dataclass(frozen=True, slots=True)
class Group:
    """One row of a report.

    Args:
        keys: What the row is of: one text for each column of keys.
        sum: What it used.
        counts: Whether it is part of the total: a run inside another one of the selection is not.
        note: What else is to be known of it: how a run ended, how many ranks it includes.
        sci: Its SCI score, grams for a functional unit, where that is asked for and known.
    """

    keys: tuple[str, ...]
    sum: Sum
    counts: bool = True
    note: str = ""
    sci: float | None = None


@dataclass(frozen=True, slots=True)
class Grouped:
    """The rows of a report with their total.

    Args:
        by: What they are grouped by.
        names: Names of the columns of keys.
        rows: The rows.
        total: The sum over the selection.
        counted: Number of rows that are part of the total.
        unit: The functional unit of the SCI scores; ``None`` where none are asked for.
        sci: The score of the total.
    """

    by: str
    names: tuple[str, ...]
    rows: tuple[Group, ...]
    total: Sum
    counted: int
    unit: str | None = None
    sci: float | None = None


def grouped(runs: Runs, by: str = "run") -> Grouped:
    """Return the sums of runs.

    Args:
        runs: The runs.
        by: One of :data:`BY`.

    Raises:
        ValueError: There is no such group.
    """
    if by not in BY:
        raise ValueError(f"by={by!r} is no group; accepted are {', '.join(BY)}.")
    if by == "run":
        rows = tuple(map(_of_run, runs))
        return _with_total(runs, by, ("run", "project"), rows)
    if by == "epoch":
        return _with_total(runs, by, ("run", "epoch", "attempt"), tuple(_epochs(runs)))
    if by == "sweep":
        return _with_total(runs, by, ("sweep", "project"), tuple(_sweeps(runs)))
    pieces = {"project": _by_project, "host": _by_host, "component": _by_component}.get(by) or _by_part(by)
    return _with_total(runs, by, (by,), tuple(_summed(runs, pieces)))


# A run's portions in, sums by name out.
_Pieces = Callable[[Run], Mapping[str, Sum]]


def _summed(runs: Runs, pieces: _Pieces) -> Iterator[Group]:
    parts: dict[str, list[Sum]] = {}
    for run in runs:
        if run.counted:
            for name, part in pieces(run).items():
                parts.setdefault(name or NONE, []).append(part)
    for name, found in parts.items():
        yield Group((name,), in_turn(found), note=f"{len(found)} run{'s' if len(found) != 1 else ''}")


def _by_project(run: Run) -> Mapping[str, Sum]:
    return {run.project: of_portions(run.counted)}


def _sweeps(runs: Runs) -> Iterator[Group]:
    """Return a row for each run with runs inside it, such as a search's, and one for the runs that stand alone."""
    known = {run.id: run for run in runs}
    sweeps: dict[str, list[Run]] = {}
    for run in runs:
        sweeps.setdefault(_outermost(run, known), []).append(run)
    alone: list[Sum] = []
    for name, found in sweeps.items():
        used = in_turn([of_portions(run.counted) for run in found if run.counted])
        inside = sum(run.id != name for run in found)
        if not inside:
            alone.append(used)
            continue
        outer = known.get(name)
        notes = [
            f"{inside} run{'s' if inside != 1 else ''} inside",
            *(() if outer else ("which was not given itself",)),
        ]
        named = found[0] if outer is None else outer
        yield Group((name, named.project or NONE), used, note=", ".join(notes))
    if alone:
        yield Group((NONE, ""), in_turn(alone), note=f"{len(alone)} run{'s' if len(alone) != 1 else ''}")


def _outermost(run: Run, known: Mapping[str, Run]) -> str:
    """Return the id of the outermost run inside which a run was measured; its own where it was in none."""
    passed = {run.id}
    while run.parent is not None and run.parent not in passed:
        if run.parent not in known:
            return run.parent
        run = known[run.parent]
        passed.add(run.id)
    return run.id


def _by_component(run: Run) -> Mapping[str, Sum]:
    whole = of_portions(run.counted)
    return {name: whole.of(name) for name in whole.components}


def _by_host(run: Run) -> Mapping[str, Sum]:
    return _parallel(run, lambda portion: {portion.host: portion.sum})


def _by_part(by: str) -> _Pieces:
    return lambda run: _parallel(run, lambda portion: _PARTS[by](portion))


_PARTS: Mapping[str, Callable[[Portion], Mapping[str, Sum]]] = {
    "stage": lambda portion: portion.stages,
    "phase": lambda portion: portion.phases,
    "day": lambda portion: portion.days,
}


def _parallel(run: Run, parts: Callable[[Portion], Mapping[str, Sum]]) -> Mapping[str, Sum]:
    """Return the parts of a run by name: ranks ran side by side."""
    found: dict[str, list[Portion]] = {}
    for portion in run.counted:
        for name, part in parts(portion).items():
            found.setdefault(name, []).append(Portion(portion.rank, portion.host, portion.parent, part, {}, {}, ()))
    return {name: of_portions(portions) for name, portions in found.items()}


def _of_run(run: Run) -> Group:
    notes = [" and ".join(run.states), run.said]
    if not run.counts:
        notes.append(f"inside {run.parent}")
    elif len(run.counted) < len(run.portions):
        notes.append(f"partly inside {run.parent}")
    elif run.parent is not None:
        notes.append(f"inside {run.parent}, which was not given")
    return Group((run.id, run.project), run.sum, run.counts, ", ".join(note for note in notes if note))


def _epochs(runs: Runs) -> Iterator[Group]:
    for run in runs:
        note = "" if run.counts else f"inside {run.parent}"
        for epoch in run.epochs:
            yield Group((run.id, str(epoch.epoch), str(epoch.attempt)), epoch.sum, run.counts, note)


def _with_total(runs: Runs, by: str, names: tuple[str, ...], rows: tuple[Group, ...]) -> Grouped:
    return Grouped(by, names, rows, runs.sum, sum(row.counts for row in rows))


# --- what a reader must know -----------------------------------------------------------------------------------------


def notes(runs: Runs) -> list[str]:
    """Return what a reader must know of the figures, one sentence each."""
    return [
        *_factor_notes(runs),
        *_missing_ranks(runs),
        *_nested(runs),
        *_divided(runs),
        *(f"not covered: {name}" for name in dict.fromkeys(name for run in runs for name in run.not_covered)),
        *_failures(runs),
        *_gpus(runs),
        *beside_notes(runs),
        *_files(runs),
    ]


def _factor_notes(runs: Runs) -> Iterator[str]:
    kinds: dict[str, dict[str, None]] = {}
    for run in runs:
        for factor in run.factors:
            if factor.g_per_kwh is not None:
                kinds.setdefault(said_of(factor), {})[run.id] = None
    if len(kinds) > 1:
        parts = (f"{said} in {some(list(ids), 'run')}" for said, ids in kinds.items())
        yield f"carbon intensities differ in kind or year, so CO2e is not comparable: {'; '.join(parts)}"


def said_of(factor: Factor) -> str:
    """Return the kind and the year of a carbon intensity: figures are comparable where both are the same."""
    return f"{factor.kind or 'unstated'}{f' {factor.year}' if factor.year else ''}"


def some(names: list[str], noun: str) -> str:
    """Return names in words, the first ones of many."""
    shown = ", ".join(names[:_NAMED])
    more = len(names) - _NAMED
    return f"{noun}{'s' if len(names) > 1 else ''} {shown}{f' and {more} more' if more > 0 else ''}"


def _missing_ranks(runs: Runs) -> Iterator[str]:
    found = [f"{run.id} ({run.said})" for run in runs if len(run.ranks) < run.world_size]
    if found:
        yield f"ranks are missing, give their logs as well: {some(found, 'run')}"


def _nested(runs: Runs) -> Iterator[str]:
    found = [run.id for run in runs if run.within]
    if found:
        yield f"measured inside another run of this report, so not added again: {some(found, 'run')}"


def _divided(runs: Runs) -> Iterator[str]:
    found = [run.id for run in runs if run.siblings]
    if found:
        yield f"ran beside others in one process, and each has its part of what that used: {some(found, 'run')}"


def _failures(runs: Runs) -> Iterator[str]:
    found = [f"{run.id}: {failure}" for run in runs for failure in run.failures]
    yield from (f"failed in {each}" for each in found[:_NAMED])
    if len(found) > _NAMED:
        yield f"{len(found) - _NAMED} more failures"


def _gpus(runs: Runs) -> Iterator[str]:
    found = [f"{run.id}: {sentence}" for run in runs for sentence in gpu_sentences(run.gpu_health)]
    yield from (f"in {each}" for each in found[:_NAMED])
    if len(found) > _NAMED:
        yield f"{len(found) - _NAMED} more sentences on GPUs that were throttled or idle"


def _files(runs: Runs) -> Iterator[str]:
    yield from (f"{name}, {each}" for name, each in runs.unread[:_NAMED])
    if len(runs.unread) > _NAMED:
        more = sum(each.lines for _, each in runs.unread[_NAMED:])
        yield f"{more} more lines of schemas that this version does not know are left out"
    yield from (f"{name}, line {number}: torn and passed over" for name, number in runs.torn[:_NAMED])
    if len(runs.torn) > _NAMED:
        yield f"{len(runs.torn) - _NAMED} more torn lines"
    if runs.copies:
        yield f"{runs.copies} records stand in several logs and count once"
    if runs.foreign:
        yield f"no record in {some(list(runs.foreign), 'file')}"
