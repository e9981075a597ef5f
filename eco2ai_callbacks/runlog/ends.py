"""The last records of a run in one file: of each rank, and without reading the file.

They are found by anchors (:mod:`.anchors`). Where these do not reach back far enough, as in a log that an earlier
version has begun, they are looked for in the last ``MOST_BYTES`` of the file, and it is noted that what stands before
was not read.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from eco2ai_callbacks.runlog.anchors import MOST_BYTES, NOTES, Anchor, Anchors, NotFollowed
from eco2ai_callbacks.runlog.hashing import canonical, link_of
from eco2ai_callbacks.runlog.tail import later_line, lines_back, reader_of, record_in, writer_of
from eco2ai_callbacks.runlog.tally import carried_usage
from eco2ai_callbacks.usage import GRAMS_PER_KG, Usage

# Bytes at the end of a log without anchors that are always read: sessions of one run that overlap show there.
_OVERLAP = 2**20
# Lines with one of these state the rank: all of schema 1, and anchors.
_STATING = frozenset({"rank", "anchor"})


@dataclass(slots=True)
class SessionEnd:
    """The end of one session.

    Args:
        writer: The session.
        rank: Number of its rank.
        world_size: Number of ranks of its job.
        link: Link to its last line.
        usage: Usage of the rank's part in the run at its end; ``None`` where its records do not hold it.
        attempts: Attempts of the run's epochs, as ranges; ``None`` where its records do not hold them.
        ended: How it ended; ``None`` where it was killed, or still runs.
    """

    writer: str
    rank: int
    world_size: int
    link: str
    usage: Usage | None = None
    attempts: Sequence[Sequence[int]] | None = None
    ended: str | None = None

    def take(self, values: Mapping[str, Any]) -> None:
        """Take the totals of its last record that holds all that it has used."""
        total = values.get("total")
        self.usage = None if total is None else usage_of(total, values.get("joules"))
        self.attempts = values.get("attempts")
        self.ended = values.get("ended")


@dataclass(frozen=True, slots=True)
class Ends:
    """The ends of a run's sessions.

    Args:
        by_rank: The end of each rank's last session.
        unclear: Whether sessions of one rank overlap, so that none of their records holds all that they have used.
        note: What was not read, as one clause; ``None`` where all of the run was found.
    """

    by_rank: Mapping[int, SessionEnd] = field(default_factory=dict)
    unclear: bool = False
    note: str | None = None


def ends_in(file: Path, run: str) -> Ends:
    """Return the ends of a run's sessions in one file.

    Args:
        file: The file.
        run: The run's id.

    Raises:
        OSError: The file cannot be read.
    """
    with file.open("rb") as raw:
        size = raw.seek(0, os.SEEK_END)
        read = reader_of(raw)
        schema = later_line(read, size, _needle(run))
        found = _found(file, read, size, run)
    if schema is None:
        return found
    note = f"run {run} has lines of schema {schema} in {file.name}, which this version does not know"
    return replace(found, note=note)


def _found(file: Path, read: Callable[[int, int], bytes], size: int, run: str) -> Ends:
    """Return what :func:`ends_in` does, from the lines of known schemas."""
    anchors = Anchors(read, size)
    found = Ends()
    with contextlib.suppress(NotFollowed):
        found = _by_anchors(anchors, run)
        if not anchors.since or found.unclear or _has_all(found.by_rank):
            return found
    scanned = _scanned(read, size, run)
    note = scanned.note and f"run {run} was looked for in the last {MOST_BYTES >> 20} MiB of {file.name} alone"
    return Ends({**found.by_rank, **scanned.by_rank}, scanned.unclear, None if found.by_rank else note)


def _needle(run: str) -> bytes:
    """Return what the lines of a run hold."""
    return canonical({"run": run})[1:-1].encode() + b","


def _has_all(by_rank: Mapping[int, SessionEnd]) -> bool:
    return 0 in by_rank and all(rank in by_rank for rank in range(by_rank[0].world_size))


def usage_of(total: Mapping[str, Any], joules: Mapping[str, float] | None = None) -> Usage:
    """Return the usage that a record's total holds.

    Args:
        total: The total.
        joules: The record's own joules, whose channels a list of the total's joules has.
    """
    own, co2 = total.get("joules"), total.get("co2_kg")
    if own is None:
        return carried_usage(total)
    if isinstance(own, list):
        own = dict(zip(joules or (), own, strict=False))
    return Usage(total.get("seconds") or 0.0, own, None if co2 is None else co2 * GRAMS_PER_KG, total.get("cost"))


# --- by anchors -----------------------------------------------------------------------------------------------------


def _by_anchors(anchors: Anchors, run: str) -> Ends:
    """Return the ends that anchors lead to.

    Raises:
        NotFollowed: An offset leads nowhere.
    """
    by_rank: dict[int, SessionEnd] = {}
    unclear = False
    for last in anchors.of_run(run):
        end, began = _end_of(anchors, last)
        by_rank[end.rank] = end
        other = anchors.other(last)
        unclear = unclear or (other is not None and next(anchors.last_lines(other))[0] > began)
    return Ends(by_rank, unclear)


def _end_of(anchors: Anchors, last: Anchor) -> tuple[SessionEnd, int]:
    """Return the end of an anchor's session, and where its first line in the file begins."""
    values = last.values
    end: SessionEnd | None = None
    for _, line, values in anchors.last_lines(last):
        if end is None:
            stated = last.values
            end = SessionEnd(last.writer, stated.get("rank", 0), stated.get("world_size", 1), link_of(line))
        if values["event"] not in NOTES:
            break
    assert end is not None
    end.take(values)
    return end, last.start if last.start >= 0 else last.offset


# --- from the end ---------------------------------------------------------------------------------------------------


def _scanned(read: Callable[[int, int], bytes], size: int, run: str) -> Ends:
    """Return the ends that the last part of a file shows; the note says that it does not show all."""
    needle = _needle(run)
    by_rank: dict[int, SessionEnd] = {}
    sessions: dict[str, SessionEnd] = {}
    used: set[str] = set()
    behind: set[str] = set()
    for begin, line in lines_back(read, size, needle):
        if line is None:
            if size - begin >= _OVERLAP and _is_complete(by_rank, used):
                return Ends(by_rank)
            if begin and size - begin >= MOST_BYTES:
                return Ends(by_rank, note="not all was read")
            continue
        writer = writer_of(line)
        if writer in behind:
            return Ends(by_rank, unclear=True)
        end = sessions.get(writer)
        if end is not None and end.rank >= 0 and writer in used:
            continue
        values = record_in(line)
        if values is None or values["run"] != run:
            continue
        if end is None:
            end = sessions[writer] = SessionEnd(writer, -1, 1, link_of(line))
        if writer not in used and values["event"] not in NOTES:
            end.take(values)
            used.add(writer)
        if end.rank < 0 and not _STATING.isdisjoint(values):
            end.rank, end.world_size = values.get("rank", 0), values.get("world_size", 1)
            newest = by_rank.setdefault(end.rank, end)
            if newest is not end:
                # An earlier session of the rank: its last line stands before all of the later one's.
                behind.add(newest.writer)
    return Ends(by_rank)


def _is_complete(by_rank: Mapping[int, SessionEnd], used: Container[str]) -> bool:
    """Return whether each rank's last record is known; the first rank continues those beyond its number of ranks."""
    return _has_all(by_rank) and all(by_rank[rank].writer in used for rank in range(by_rank[0].world_size))
