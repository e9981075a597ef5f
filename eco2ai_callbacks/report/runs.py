"""The runs of logs as plain objects: what each used, how it was measured, and how it ended."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from eco2ai_callbacks.host.gpu_health import GpuHealth
from eco2ai_callbacks.report.epoch_table import Epoch
from eco2ai_callbacks.report.frames import epoch_row, frame
from eco2ai_callbacks.report.stated import Basis, Check, ExpectedTotal, Factor
from eco2ai_callbacks.report.sums import Sum, Summed, in_turn, parallel
from eco2ai_callbacks.report.timeline import Interval
from eco2ai_callbacks.runlog.aggregate import of_ranks
from eco2ai_callbacks.runlog.read import Unread


@dataclass(frozen=True, slots=True)
class Writer:
    """One session: a process that wrote records of a run from its start to its end.

    Args:
        id: The writer's id.
        rank: Its rank.
        host: Hash of its host's boot id.
        started: Label of its first record.
        ended: When its last record's segment ended.
        state: How it ended by its ``stop`` record; ``None`` where it has none.
        continued: Whether a later session goes on where it ended.
        records: Number of its records.
    """

    id: str
    rank: int
    host: str
    started: datetime | None
    ended: datetime | None
    state: str | None
    continued: bool
    records: int


@dataclass(frozen=True, slots=True)
class Portion:
    """What one rank of a run used on one host inside one other run, or inside none.

    Args:
        rank: The rank.
        host: Hash of the host's boot id.
        parent: Id of the run inside which it was measured.
        sum: What it used.
        stages: The same by stage.
        days: The same by the day on which a record's segment began, by its own clock.
        power: Power over time.
        phases: The same by phase; all is ``other`` where no phase was named.
    """

    rank: int
    host: str
    parent: str | None
    sum: Sum
    stages: Mapping[str, Sum]
    days: Mapping[str, Sum]
    power: tuple[Interval, ...]
    phases: Mapping[str, Sum] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Run(Summed):
    """One run over all of its ranks and sessions.

    Args:
        id: The run's id.
        project: Its project.
        description: Its description.
        portions: Its usage by rank, host and enclosing run.
        epochs: Its epochs, in the order of their numbers.
        writers: Its sessions.
        forecasts: Forecasts of the whole run, the first one and later ones.
        world_size: Number of ranks of the job.
        methods: Measuring methods of each channel.
        attribution: Whose energy each channel holds.
        covers: The components that each channel includes.
        hardware: The methods that read hardware; the others are estimates.
        devices: Names of the devices that were measured, by their unique ids.
        unused: Sources of energy figures that were not used, each with the reason.
        not_covered: Hardware that draws power and that no meter reads.
        failures: Failures, one sentence each.
        shared_with: Other runs that used the same devices.
        siblings: Other runs of the same process: the energy is this run's part of what they used together.
        factors: The carbon intensities.
        versions: The versions of the package that wrote it, or the tool whose file it is from.
        within: Ids of the runs of the selection inside which it was measured: their energy includes that of the
            portions with that parent.
        metrics: The last numbers that were logged outside of any epoch.
        bases: The factors of its figures beside energy and CO2e.
        checks: Comparisons of the CPU's model with its counters, one for each session that made one.
        gpu_health: The state of its GPUs over all of its records, by UUID.
        place: Its place in the selection, from 0.
    """

    id: str
    project: str = ""
    description: str = ""
    portions: tuple[Portion, ...] = ()
    epochs: Sequence[Epoch] = ()
    writers: tuple[Writer, ...] = ()
    forecasts: tuple[ExpectedTotal, ...] = ()
    world_size: int = 1
    methods: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    attribution: Mapping[str, str] = field(default_factory=dict)
    covers: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    hardware: frozenset[str] = frozenset()
    devices: Mapping[str, str] = field(default_factory=dict)
    unused: tuple[tuple[str, str], ...] = ()
    not_covered: tuple[str, ...] = ()
    failures: tuple[str, ...] = ()
    shared_with: tuple[str, ...] = ()
    siblings: tuple[str, ...] = ()
    factors: tuple[Factor, ...] = ()
    versions: tuple[str, ...] = ()
    within: frozenset[str] = frozenset()
    metrics: Mapping[str, float] = field(default_factory=dict)
    bases: tuple[Basis, ...] = ()
    checks: tuple[Check, ...] = ()
    gpu_health: Mapping[str, GpuHealth] = field(default_factory=dict)
    place: int = 0

    @property
    def sum(self) -> Sum:
        """All that it used."""
        return of_portions(self.portions)

    @property
    def counted(self) -> tuple[Portion, ...]:
        """The portions that add to a sum over the selection: no other run of it includes their energy."""
        return tuple(portion for portion in self.portions if portion.parent not in self.within)

    @property
    def counts(self) -> bool:
        """Whether any of its energy adds to a sum over the selection."""
        return bool(self.counted)

    @property
    def parent(self) -> str | None:
        """Id of the first run inside which it was measured."""
        return next((portion.parent for portion in self.portions if portion.parent is not None), None)

    @property
    def ranks(self) -> tuple[int, ...]:
        """The ranks that have records."""
        return tuple(sorted({writer.rank for writer in self.writers}))

    @property
    def hosts(self) -> tuple[str, ...]:
        """Hashes of the hosts."""
        return tuple(dict.fromkeys(writer.host for writer in self.writers))

    @property
    def said(self) -> str:
        """How many ranks the figures include, in words; empty where the job has one rank."""
        return of_ranks(len(self.ranks), self.world_size)

    @property
    def started(self) -> datetime | None:
        """When its first record's segment began."""
        return min((writer.started for writer in self.writers if writer.started is not None), default=None)

    @property
    def ended(self) -> datetime | None:
        """When its last record's segment ended."""
        return max((writer.ended for writer in self.writers if writer.ended is not None), default=None)

    @property
    def states(self) -> tuple[str, ...]:
        """How its sessions ended that no other continues, each way once; ``unfinished`` for those without an end."""
        open_ends = (writer for writer in self.writers if not writer.continued)
        return tuple(dict.fromkeys(writer.state or "unfinished" for writer in open_ends))


@dataclass(frozen=True, slots=True)
class Runs:
    """All runs of a selection, in the order of their first records.

    Args:
        runs: The runs.
        logs: The logs that were read, by the names that a person calls them.
        records: Number of records in them.
        copies: Number of records that stood in another log too and were passed over.
        torn: Log and number of the lines that a crash or a full disk cut off.
        unread: Log and lines of schemas that this version does not know: they are left out.
        foreign: Files without any record.
    """

    runs: tuple[Run, ...] = ()
    logs: tuple[str, ...] = ()
    records: int = 0
    copies: int = 0
    torn: tuple[tuple[str, int], ...] = ()
    unread: tuple[tuple[str, Unread], ...] = ()
    foreign: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.runs)

    def __iter__(self) -> Iterator[Run]:
        return iter(self.runs)

    def __getitem__(self, place: int | str) -> Run:
        """Return a run by its place, or by its id or the beginning of it.

        Raises:
            KeyError: No run has this id, or several ids begin with it.
        """
        if isinstance(place, int):
            return self.runs[place]
        found = [run for run in self.runs if run.id == place] or [r for r in self.runs if r.id.startswith(place)]
        if len(found) != 1:
            raise KeyError(f"{place}: {len(found)} runs have an id that begins so")
        return found[0]

    def _repr_html_(self) -> str:
        # By name: what shows runs stands above them, and only a notebook needs it.
        return str(importlib.import_module("eco2ai_callbacks.report.notebook").runs_html(self))

    @property
    def sum(self) -> Sum:
        """All that the runs used; what is measured twice, by a run and by the one around it, counts once."""
        return in_turn(of_portions(run.counted) for run in self.runs)

    def to_frame(self, kind: str | None = None) -> Any:
        """Return a data frame with one row for each epoch.

        Args:
            kind: ``pandas`` or ``polars``; by default pandas where it is installed, else Polars.

        Raises:
            ImportError: The package is not installed.
        """
        rows = (
            epoch_row(epoch, run=run.id, project=run.project, description=run.description)
            for run in self.runs
            for epoch in run.epochs
        )
        return frame(rows, kind)


def of_portions(portions: Sequence[Portion]) -> Sum:
    """Return what portions of one run used: ranks ran side by side, a rank's own portions followed each other."""
    ranks: dict[int, Sum] = {}
    for portion in portions:
        held = ranks.get(portion.rank)
        ranks[portion.rank] = portion.sum if held is None else held + portion.sum
    if len(ranks) == 1:
        return next(iter(ranks.values()))
    return parallel(ranks[rank] for rank in sorted(ranks))
