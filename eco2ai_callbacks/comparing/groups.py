"""Which runs are compared: groups by names of runs, projects and logs, or by what the runs have in common."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from eco2ai_callbacks.report.runs import Run, Runs
from eco2ai_callbacks.runlog.paths import files_of

# Groups that are compared with the first one: a table of more is none.
MOST_GROUPS = 24
# Names that an error lists.
_NAMED = 8
# What only a path, a pattern or an address holds, and how a log's name ends.
_PATH = re.compile(r"[/\\*?\[]|://|\.(?:jsonl|csv)$")
_KEYS: Mapping[str, Callable[[Run], str]] = {
    "project": lambda run: run.project,
    "description": lambda run: run.description,
    "version": lambda run: ", ".join(run.versions),
    "host": lambda run: ", ".join(run.hosts),
    "ranks": lambda run: str(run.world_size),
}
BY = tuple(_KEYS)

# Reads logs by their paths, patterns and addresses.
Read = Callable[[tuple[str, ...]], Runs]


class NoGroup(ValueError):
    """Why there are no groups to compare, in one sentence."""


@dataclass(frozen=True, slots=True)
class RunGroup:
    """Runs that are repeats of each other.

    Args:
        name: What they are called.
        runs: The runs.
    """

    name: str
    runs: tuple[Run, ...]


def by_names(names: Sequence[str], logs: tuple[str, ...], read: Read) -> list[RunGroup]:
    """Return one group for each name: a log, a pattern, a run's id or its beginning, or a project.

    Args:
        names: The names.
        logs: Where runs and projects are looked for.
        read: Reads logs.

    Raises:
        NoGroup: A name stands for nothing, or for several runs, or a run is in two groups.
    """
    known: Runs | None = None
    found = []
    for name in names:
        if _PATH.search(name):
            found.append(RunGroup(name, read((name,)).runs))
            continue
        if known is None and any(map(_may_be_there, logs)):
            known = read(logs)
        runs = runs_called(known, name) if known is not None else ()
        if not runs and name and Path(name).exists():
            runs = read((name,)).runs
        if not runs:
            raise NoGroup(f"{name!r} cannot be compared: {_unknown(known, ', '.join(logs))}.")
        found.append(RunGroup(name, runs))
    _check(found)
    return [_counted(group) for group in found]


def runs_called(runs: Runs, name: str) -> tuple[Run, ...]:
    """Return the run with an id or the beginning of one, else the runs of a project.

    Raises:
        NoGroup: Several ids begin so.
    """
    exact = tuple(run for run in runs if run.id == name)
    project = tuple(run for run in runs if run.project == name)
    if exact or project:
        return exact or project
    begun = tuple(run for run in runs if name and run.id.startswith(name))
    if len(begun) > 1:
        raise NoGroup(f"{name!r} is the beginning of {len(begun)} runs: {_listed([run.id for run in begun])}.")
    return begun


def by_key(runs: Runs, by: str, baseline: str | None = None) -> list[RunGroup]:
    """Return the groups of runs that have a project, a description or something else in common.

    Args:
        runs: The runs.
        by: One of :data:`BY`.
        baseline: Name of the group that comes first; by default that of the first run.

    Raises:
        NoGroup: There are fewer than two groups or too many, or none is called like the baseline.
    """
    parts: dict[str, list[Run]] = {}
    for run in runs:
        parts.setdefault(_KEYS[by](run) or "(none)", []).append(run)
    if baseline is not None and baseline not in parts:
        raise NoGroup(f"--baseline={baseline!r} is no {by} of these runs; accepted are {_listed(list(parts))}.")
    if len(parts) < 2:
        held = f"all {len(runs)} runs have the {by} {next(iter(parts))!r}" if parts else "there is no run"
        raise NoGroup(f"--group-by={by!r} makes no two groups: {held}.")
    if len(parts) > MOST_GROUPS:
        raise NoGroup(f"--group-by={by!r} makes {len(parts)} groups; at most {MOST_GROUPS} are compared: select runs.")
    names = sorted(parts, key=lambda name: name != baseline) if baseline is not None else list(parts)
    return [_counted(RunGroup(name, tuple(parts[name]))) for name in names]


def _may_be_there(log: str) -> bool:
    return bool(re.search(r"[*?\[]|://", log)) or Path(log).exists() or bool(files_of(Path(log)))


def _check(groups: Sequence[RunGroup]) -> None:
    seen: dict[str, str] = {}
    for group in groups:
        if not group.runs:
            raise NoGroup(f"{group.name!r} cannot be compared: there is no run in it.")
        for run in group.runs:
            if run.id in seen:
                twice = (
                    "is given twice" if seen[run.id] == group.name else f"is in {seen[run.id]!r} and in {group.name!r}"
                )
                raise NoGroup(f"run {run.id!r} {twice}: a run cannot be compared with itself.")
            seen[run.id] = group.name


def _counted(group: RunGroup) -> RunGroup:
    """Return a group without runs inside others of it: their energy is part of that of those."""
    ids = {run.id for run in group.runs}
    return RunGroup(group.name, tuple(run for run in group.runs if run.within.isdisjoint(ids)))


def _unknown(known: Runs | None, logs: str) -> str:
    """Return why a name stands for nothing, and what is accepted."""
    if known is None:
        return (
            f"no log, and no run or project, for {logs} is not there; accepted are logs, and runs and projects of --log"
        )
    return f"no run or project of {logs}, and no log{_choice(known)}"


def _choice(runs: Runs) -> str:
    projects = list(dict.fromkeys(run.project for run in runs if run.project))
    parts = [f"projects {_listed(projects)}"] if projects else []
    return "; accepted are " + ", and ".join([*parts, f"runs {_listed([run.id for run in runs])}"]) if len(runs) else ""


def _listed(names: Sequence[str]) -> str:
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")
