"""One pass over the records of logs: the one place that decides which of them count."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from eco2ai_callbacks.record import Record
from eco2ai_callbacks.report.epoch_table import Table
from eco2ai_callbacks.report.epochs import Epochs
from eco2ai_callbacks.report.facts import Facts
from eco2ai_callbacks.report.fields import text
from eco2ai_callbacks.report.portions import PortionAdder
from eco2ai_callbacks.report.runs import Run
from eco2ai_callbacks.report.sessions import Session

# Rank, host, enclosing run.
_Place = tuple[int, str, str | None]


@dataclass(slots=True)
class RunAdder:
    """One run, as its records are read; its size depends on its sessions and epochs."""

    facts: Facts = field(default_factory=Facts)
    sessions: dict[str, Session] = field(default_factory=dict)
    portions: dict[_Place, PortionAdder] = field(default_factory=dict)
    tables: dict[int, Table] = field(default_factory=dict)

    def add(self, record: Record) -> bool:
        """Add a record; return whether it is no copy of one that was read before."""
        session = self.sessions.get(record.writer)
        if session is None:
            session = self.sessions[record.writer] = Session(record)
        if not session.is_new(record.seq):
            return False
        self.facts.take(record)
        if session.take(record):
            self.count(record)
        elif record.event == "metrics":
            self.table(record.rank).note(record)
        return True

    def count(self, record: Record) -> None:
        """Add a record that counts."""
        place = record.rank, text(record.host), record.parent
        portion = self.portions.get(place)
        if portion is None:
            portion = self.portions[place] = PortionAdder()
        figures = portion.add(record)
        if record.event != "start":
            self.table(record.rank).add(figures)

    def table(self, rank: int) -> Table:
        """Return the epochs of a rank."""
        found = self.tables.get(rank)
        if found is None:
            found = self.tables[rank] = Table()
        return found

    def plus(self, other: RunAdder) -> None:
        """Add what another log holds of the run."""
        self.facts.plus(other.facts)
        for name, session in other.sessions.items():
            if name in self.sessions:
                self.sessions[name].plus(session)
            else:
                self.sessions[name] = session
        for place, portion in other.portions.items():
            self.portions.setdefault(place, PortionAdder()).plus(portion)
        for rank, table in other.tables.items():
            if rank in self.tables:
                self.tables[rank].plus(table)
            else:
                self.tables[rank] = table

    def run(self, name: str, number: int) -> Run:
        """Return the run as a plain object; its last heartbeats are counted now."""
        for session in self.sessions.values():
            if session.beat is not None:
                self.count(session.beat)
                session.beat = None
        continued = {session.continues for session in self.sessions.values()}
        ordered = sorted(self.portions.items(), key=lambda item: item[0][0])
        return Run(
            id=name,
            portions=tuple(adder.portion(*place) for place, adder in ordered),
            epochs=Epochs([self.tables[rank] for rank in sorted(self.tables)]),
            writers=tuple(each.writer(writer, writer in continued) for writer, each in self.sessions.items()),
            place=number,
            **self.facts.fields(),
        )


class Count:
    """The runs of any number of logs, as their records are read."""

    __slots__ = ("copies", "records", "runs")

    def __init__(self) -> None:
        self.runs: dict[str, RunAdder] = {}
        self.records: int = 0
        self.copies: int = 0

    def add(self, record: Record) -> None:
        """Add the next record."""
        run = self.runs.get(record.run)
        if run is None:
            run = self.runs[record.run] = RunAdder()
        if run.add(record):
            self.records += 1
        else:
            self.copies += 1

    def spans(self) -> dict[tuple[str, str], list[list[int]]]:
        """Return the numbers of the records that were read, by run and writer."""
        return {
            (name, writer): session.spans for name, run in self.runs.items() for writer, session in run.sessions.items()
        }

    def repeats(self, other: Count) -> bool:
        """Return whether another log holds records that were read here."""
        for name, run in other.runs.items():
            mine = self.runs.get(name)
            if mine is None:
                continue
            for writer, session in run.sessions.items():
                held = mine.sessions.get(writer)
                if held is not None and held.overlaps((first, last) for first, last in session.spans):
                    return True
        return False

    def drop(self, names: Collection[str]) -> None:
        """Leave out the runs of these names: their records are copies of what was read elsewhere."""
        for name in self.runs.keys() & names:
            read = sum(session.records for session in self.runs.pop(name).sessions.values())
            self.records -= read
            self.copies += read

    def plus(self, other: Count) -> None:
        """Add the runs of another log, which repeats nothing of this one."""
        self.records += other.records
        self.copies += other.copies
        for name, run in other.runs.items():
            if name in self.runs:
                self.runs[name].plus(run)
            else:
                self.runs[name] = run

    def result(self) -> tuple[Run, ...]:
        """Return the runs, each with the runs of the selection inside which it was measured."""
        found = [adder.run(name, place) for place, (name, adder) in enumerate(self.runs.items())]
        within = enclosing({run.id: [portion.parent for portion in run.portions] for run in found})
        return tuple(dataclasses.replace(run, within=within[run.id]) for run in found)


def enclosing(parents: Mapping[str, Iterable[str | None]]) -> dict[str, frozenset[str]]:
    """Return, for each run, the others among these inside which it was measured.

    Runs that name each other as parents, which no writer writes, do not vanish from a sum: a link that closes a circle
    is passed over.

    Args:
        parents: The parents that each run names.
    """
    links = {run: [p for p in dict.fromkeys(named) if p in parents and p != run] for run, named in parents.items()}
    kept: dict[str, set[str]] = {run: set() for run in links}
    done: set[str] = set()
    for root in links:
        path = [root]
        on_path = {root}
        left = {root: iter(links[root])}
        while path:
            run = path[-1]
            parent = next(left[run], None) if run not in done else None
            if parent is None:
                done.add(run)
                on_path.discard(path.pop())
            elif parent not in on_path:
                kept[run].add(parent)
                if parent not in done:
                    path.append(parent)
                    on_path.add(parent)
                    left[parent] = iter(links[parent])
    return {run: frozenset(found) for run, found in kept.items()}
