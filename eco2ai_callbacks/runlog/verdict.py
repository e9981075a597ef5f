"""What a verification found: the runs of a log, and the places where it differs from what was written."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from eco2ai_callbacks.runlog.aggregate import of_ranks
from eco2ai_callbacks.runlog.chain_check import Fault
from eco2ai_callbacks.runlog.read import Unread
from eco2ai_callbacks.runlog.run_check import RunCheck
from eco2ai_callbacks.usage import Usage


@dataclass(frozen=True, slots=True)
class CheckedRun:
    """One run in the log.

    Args:
        id: The run's id.
        state: ``finished``, ``unfinished`` (no ``stop``: interrupted, or still running) or ``altered``.
        usage: Sum of its lines, recomputed. Energies of ranks add up; the seconds are those of the first rank.
        ended: How it ended by its ``stop`` records, each way once: ``finished``, ``interrupted``, or what stopped it.
        parent: Id of the run inside which it was measured.
        ranks: How many ranks the sum includes, in words; empty where the job has one rank.
        partial: Whether lines of it are not in the files that were read.
    """

    id: str
    state: str
    usage: Usage
    ended: tuple[str, ...] = ()
    parent: str | None = None
    ranks: str = ""
    partial: bool = False


@dataclass(frozen=True, slots=True)
class Verdict:
    """The result of :func:`verify`.

    Args:
        files: The files that were read.
        records: Number of records in them.
        keyed: Whether HMACs were recomputed.
        faults: The alterations, in the order of files and lines.
        torn: File and number of the lines that a crash or a full disk cut off: no alterations.
        runs: All runs.
        elsewhere: Where lines of a session are in a file that was not read, or are gone.
        foreign: The files that hold lines and no record: they are no run logs.
        unread: File and lines of schemas that this version does not know: they were not checked.
    """

    files: tuple[Path, ...]
    records: int
    keyed: bool
    faults: tuple[Fault, ...]
    torn: tuple[tuple[Path, int], ...]
    runs: tuple[CheckedRun, ...]
    elsewhere: tuple[Fault, ...] = ()
    foreign: tuple[Path, ...] = ()
    unread: tuple[tuple[Path, Unread], ...] = ()

    @property
    def whole(self) -> bool:
        """Whether nothing was altered, no session continues from another file, and all lines could be checked.

        There may still be runs without ``stop`` and torn lines.
        """
        return not self.faults and not self.elsewhere and not self.unread

    @property
    def first(self) -> Fault | None:
        """The first line that was altered, else the first session with lines elsewhere."""
        return next(iter((*self.faults, *self.elsewhere)), None)


def first_of_each_line(faults: Iterable[Fault], files: Sequence[Path]) -> list[Fault]:
    """Return the first fault of each line, in the order of files and lines."""
    order = {file: place for place, file in enumerate(files)}
    ordered = sorted(faults, key=lambda fault: (order[fault.file], fault.line))
    return list({(fault.file, fault.line): fault for fault in reversed(ordered)}.values())[::-1]


def checked_run(run: str, check: RunCheck, altered: set[str | None], partial: bool) -> CheckedRun:
    """Return what was found of one run; ``altered`` are the sessions that have faults."""
    state = "finished" if check.ended else "unfinished"
    if not altered.isdisjoint(check.sessions):
        state = "altered"
    ranks = of_ranks(len(check.ranks), check.world_size)
    return CheckedRun(run, state, check.usage, check.ended, check.parent, ranks, partial)
