"""Checks across the sessions of one run: its sum, how it ended, and the totals that its sessions began with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eco2ai_callbacks.parallel import sum_parallel
from eco2ai_callbacks.runlog.chain_check import Fault, Found
from eco2ai_callbacks.runlog.prior import inheriting_rank
from eco2ai_callbacks.runlog.shapes import Figures, Mark
from eco2ai_callbacks.runlog.sums import all_same, figures
from eco2ai_callbacks.runlog.tally import Tally
from eco2ai_callbacks.usage import Usage


@dataclass(slots=True, eq=False)
class _Session:
    """What is kept of one session: its rank, its first and last place among all records, how it ended."""

    rank: int
    first: int
    last: int
    ended: str | None = None
    has_stop: bool = False


@dataclass(slots=True, eq=False)
class _Start:
    """A ``start`` record with a total, and the sum of the run's lines before it."""

    line: Found
    continues: bool
    total: Figures
    expected: Figures
    earlier: bool
    rank: int
    world_size: int


class RunCheck:
    """One run, as its lines are read; its size depends on its sessions, not on its lines."""

    __slots__ = ("_alone", "_continued", "_file", "_ranks", "_starts", "parent", "sessions", "world_size")

    def __init__(self) -> None:
        self._alone = True
        self._file: Path | None = None
        self._ranks: dict[int, Tally] = {}
        self._continued: set[str] = set()
        self._starts: list[_Start] = []
        self.sessions: dict[str, _Session] = {}
        self.parent: str | None = None
        self.world_size: int = 1

    @property
    def usage(self) -> Usage:
        """The sum over all ranks: energy and CO2e add up, the seconds are those of the first rank."""
        return sum_parallel(self._ranks[rank].usage for rank in self.ranks)

    @property
    def ranks(self) -> tuple[int, ...]:
        """The ranks that have records."""
        return tuple(sorted(self._ranks))

    @property
    def ended(self) -> tuple[str, ...]:
        """How the sessions ended that no other continues, each way once; empty where none has written ``stop``."""
        ends = (session for writer, session in self.sessions.items() if writer not in self._continued)
        return tuple(dict.fromkeys(session.ended or "finished" for session in ends if session.has_stop))

    def add(self, line: Found, counts: bool = True) -> None:
        """Add the run's next line.

        Args:
            line: The line.
            counts: Whether its usage is counted; that of a copy is not.
        """
        values = line.values
        writer = values["writer"]
        session = self.sessions.get(writer)
        if session is None:
            session = self.sessions[writer] = _Session(values.get("rank", 0), line.place, line.place)
        rank = session.rank
        session.last = line.place
        if self._file is None:
            self._file = line.file
            self.parent = values.get("parent")
        elif self._file is not line.file:
            self._alone = False
        if values.get("world_size", 1) > self.world_size:
            self.world_size = values["world_size"]
        event = values["event"]
        if event == "start":
            self._begins(line, values, rank)
        elif event == "stop":
            session.has_stop, session.ended = True, values.get("ended")
        if counts:
            self._count(values, rank)

    def take(self, mark: Mark, place: int, file: Path) -> bool:
        """Add a mark as :meth:`add` does; return whether that was possible: its session and file are known."""
        session = self.sessions.get(mark.writer)
        tally = None if session is None else self._ranks.get(session.rank)
        if session is None or tally is None or file is not self._file:
            return False
        session.last = place
        _, co2, seconds = mark.own
        tally.add(mark.writer, mark.event, seconds or 0.0, mark.joules, co2, None)
        return True

    def count(self, line: Found) -> None:
        """Count a line's usage."""
        self._count(line.values, self.sessions[line.writer].rank)

    def _count(self, values: Mapping[str, Any], rank: int) -> None:
        tally = self._ranks.get(rank)
        if tally is None:
            tally = self._ranks[rank] = Tally()
        tally.add(
            values["writer"],
            values["event"],
            values.get("seconds", 0.0),
            values.get("joules", {}),
            values.get("co2_kg"),
            values.get("cost"),
            values.get("carried"),
        )

    def total_faults(self) -> Iterator[Fault]:
        """Return the ``start`` records whose total is not the sum of the lines before them, where those are known."""
        if not self._alone:
            return
        # Per rank, the last place of the sessions that had begun.
        last: dict[int, int] = {}
        sessions = iter(sorted(self.sessions.values(), key=lambda session: session.first))
        following = next(sessions, None)
        for start in self._starts:
            while following is not None and following.first < start.line.place:
                last[following.rank] = max(last.get(following.rank, -1), following.last)
                following = next(sessions, None)
            # Where sessions overlap, the lines before this one are not known.
            over = all(last.get(rank, -1) < start.line.place for rank in self._parts(start.rank, start.world_size))
            if over and (start.continues or not start.earlier) and not all_same(start.total, start.expected):
                kind = "removed" if start.earlier else "changed"
                yield start.line.fault(kind, "its total is not what the lines of the run before it add up to")

    def _begins(self, line: Found, values: Any, rank: int) -> None:
        continues, total, world_size = values.get("continues"), values.get("total"), values.get("world_size", 1)
        if continues:
            self._continued.add(continues["writer"])
        if total is None:
            return
        parts = [self._ranks[part] for part in self._parts(rank, world_size)]
        before = Tally()
        before.add(line.writer, "start", 0.0, {}, None, None, values.get("carried"))
        usage = before.usage
        for part in parts:
            usage += part.usage
        expected = usage.energy_kwh, usage.co2_kg, usage.seconds
        bare = Found(line.file, line.number, line.place, {"writer": line.writer, "seq": line.seq}, line.hash)
        self._starts.append(_Start(bare, bool(continues), figures(total), expected, bool(parts), rank, world_size))

    def _parts(self, rank: int, world_size: int) -> list[int]:
        """Return the ranks whose usage a rank continues: its own, and for the first that of ranks that are no more."""
        if rank != 0:
            return [rank] if rank in self._ranks and inheriting_rank(rank, world_size) == rank else []
        return [part for part in self._ranks if inheriting_rank(part, world_size) == rank]
