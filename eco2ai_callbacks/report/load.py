"""Read logs as runs: many files at once, each once."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path

from eco2ai_callbacks.record import Record
from eco2ai_callbacks.report.count import Count
from eco2ai_callbacks.report.csv_logs import reader_of
from eco2ai_callbacks.report.runs import Runs
from eco2ai_callbacks.report.select import TABLE, NoLog, Selection, selected
from eco2ai_callbacks.runlog.paths import files_of
from eco2ai_callbacks.runlog.read import Progress as Reading
from eco2ai_callbacks.runlog.read import Unread, lines, raw_lines, segments

# Bytes of all logs together from which on processes of their own pay: starting one takes about as long as reading this.
PARALLEL_FROM = 16 * 2**20
# Records between two reports of progress.
_STEP = 2000

# Called with the number of bytes that were read since the last call, about.
Progress = Callable[[int], None]
# Numbers of records by run and writer.
Spans = Mapping[tuple[str, str], Sequence[Sequence[int]]]


@dataclass(slots=True)
class LogCount:
    """What one log holds."""

    count: Count = field(default_factory=Count)
    torn: list[int] = field(default_factory=list)
    unread: list[Unread] = field(default_factory=list)
    is_foreign: bool = False


def load(
    given: str | Path | Iterable[str | Path], *, processes: int | None = 1, progress: Progress | None = None
) -> Runs:
    """Read logs as runs.

    Args:
        given: A file, a folder, a pattern, an address of another file system, or several of them.
        processes: Number of processes that read files. More than one begin by importing the script that calls this, as
            `multiprocessing` does. ``None`` takes as many as this process has cores, where there is much to read.
        progress: Called with the bytes that were read.

    Raises:
        NoLog: One of them names no log.
        OSError: A file cannot be read.

    Example:
        >>> for run in load("logs/*.jsonl"):
        ...     print(run.project, len(run.epochs))
        demo 1
    """
    with selected(given) as selection:
        return load_selection(selection, processes=processes, progress=progress)


def load_selection(selection: Selection, *, processes: int | None = None, progress: Progress | None = None) -> Runs:
    """Read logs that were selected; see :func:`load`."""
    return count_selection(selection, processes=processes, progress=progress).runs()


@dataclass(frozen=True, slots=True)
class Counted:
    """What all logs of a selection hold.

    Args:
        count: Their runs, as the records were read.
        logs: The logs that hold records, by the names that a person calls them.
        torn: Log and number of the lines that a crash or a full disk cut off.
        unread: Log and lines of schemas that this version does not know: they are left out.
        foreign: Files without any record.
    """

    count: Count
    logs: tuple[str, ...]
    torn: tuple[tuple[str, int], ...]
    unread: tuple[tuple[str, Unread], ...]
    foreign: tuple[str, ...]

    def runs(self) -> Runs:
        """Return the runs as plain objects; called once."""
        return Runs(
            runs=self.count.result(),
            logs=self.logs,
            records=self.count.records,
            copies=self.count.copies,
            torn=self.torn,
            unread=self.unread,
            foreign=self.foreign,
        )


def count_selection(selection: Selection, *, processes: int | None = None, progress: Progress | None = None) -> Counted:
    """Count the records of logs that were selected; see :func:`load`."""
    names = dict(zip(selection.logs, selection.names, strict=True))
    found: dict[Path, LogCount] = dict(_counted(selection.logs, processes, progress))
    count = Count()
    logged: set[str] = set()
    # Other tools' tables last: where a run has a run log too, that holds all of it.
    for log in sorted(selection.logs, key=lambda log: log.suffix == TABLE):
        own = found[log].count
        if log.suffix == TABLE:
            own.drop(logged)
        if count.repeats(own):
            # Read again without the records of other logs, such as of a backup.
            own = count_log(log, known=count.spans()).count
            if log.suffix == TABLE:
                own.drop(logged)
        count.plus(own)
        if log.suffix != TABLE:
            logged |= own.runs.keys()
        found[log].count = Count()
    foreign = tuple(names[log] for log in selection.logs if found[log].is_foreign)
    if len(foreign) == len(names):
        raise NoLog(f"LOG={foreign[0]!r} is no run log: no line of it is a record.")
    unread = tuple((names[log], each) for log in selection.logs for each in found[log].unread)
    if unread and not count.runs:
        raise NoLog(f"LOG={unread[0][0]!r} holds no record of a known schema: {unread[0][1]}; update eco2ai_callbacks.")
    return Counted(
        count,
        tuple(name for log, name in names.items() if not found[log].is_foreign),
        tuple((names[log], number) for log in selection.logs for number in found[log].torn),
        unread,
        foreign,
    )


def count_log(log: Path, *, known: Spans | None = None, progress: Progress | None = None) -> LogCount:
    """Read one log, with the files of single writers beside it.

    Args:
        log: The log.
        known: Records that were read from other logs: they are passed over.
        progress: Called with the bytes that were read, about.

    Raises:
        OSError: A file cannot be read.
    """
    found = LogCount()
    reading = Reading()
    seen = 0
    found_here = segments(log, reading) if log.suffix != TABLE else records_of(log)
    for record in told(found_here, log, reading, progress):
        spans = known.get((record.run, record.writer), ()) if known else ()
        if any(first <= record.seq <= last for first, last in spans):
            found.count.copies += 1
        else:
            found.count.add(record)
        seen += 1
    found.unread = list(reading.unread.values())
    found.is_foreign = not seen and not found.unread and _is_foreign(log)
    found.torn = [] if found.is_foreign else reading.torn
    return found


def told(records: Iterator[Record], log: Path, reading: Reading, progress: Progress | None) -> Iterator[Record]:
    """Return the records of a log, and report the bytes that were read meanwhile.

    Args:
        records: The records.
        log: The log.
        reading: How far the log was read.
        progress: Called with the bytes that were read since the last call.
    """
    if progress is None:
        yield from records
        return
    so_far = 0
    for number, record in enumerate(records, 1):
        yield record
        if number % _STEP == 0:
            progress(reading.bytes - so_far)
            so_far = reading.bytes
    progress(max(0, size_of(log) - so_far))


def records_of(log: Path, reading: Reading | None = None) -> Iterator[Record]:
    """Return the records of a log, or those that another tool's CSV file holds.

    Args:
        log: The log.
        reading: Is told how far a log was read.
    """
    if log.suffix == TABLE:
        reader = reader_of(log)
        if reader is not None:
            yield from reader.records(log)
        return
    for line in lines(log, reading):
        yield line.record


def _is_foreign(log: Path) -> bool:
    """Return whether a log without records is of no tool; a table with its header alone, or an empty file, is not."""
    if log.suffix == TABLE and reader_of(log) is not None:
        return False
    return any(True for file in files_of(log) for _ in raw_lines(file))


def size_of(log: Path) -> int:
    """Return the bytes of a log and of the writers' own files beside it."""
    return sum(file.stat().st_size for file in files_of(log))


def _counted(logs: Sequence[Path], processes: int | None, progress: Progress | None) -> Iterator[tuple[Path, LogCount]]:
    sizes = {log: size_of(log) for log in logs}
    most = processes if processes is not None else _cores()
    if processes is None and sum(sizes.values()) < PARALLEL_FROM:
        most = 1
    if min(most, len(logs)) > 1:
        # The largest first, so that no process is left with it at the end.
        ordered = sorted(logs, key=lambda log: -sizes[log])
        try:
            with ProcessPoolExecutor(min(most, len(logs)), mp_context=get_context("spawn")) as pool:
                chunk = max(1, min(64, len(logs) // (4 * most)))
                for log, found in zip(ordered, pool.map(count_log, ordered, chunksize=chunk), strict=True):
                    if progress is not None:
                        progress(sizes[log])
                    yield log, found
            return
        except BrokenProcessPool:  # no process may be started here, or one was killed for its memory
            pass
    for log in logs:
        yield log, count_log(log, progress=progress)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
