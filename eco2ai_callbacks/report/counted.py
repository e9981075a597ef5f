"""The records of logs one by one, each with whether it counts: sums over those agree with a report."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from eco2ai_callbacks.record import Record
from eco2ai_callbacks.report.load import Progress, count_selection, records_of, told
from eco2ai_callbacks.report.runs import Runs
from eco2ai_callbacks.report.select import Selection
from eco2ai_callbacks.report.sessions import Session
from eco2ai_callbacks.runlog.read import Progress as Reading
from eco2ai_callbacks.runlog.tally import carried_usage
from eco2ai_callbacks.usage import GRAMS_PER_KG, Usage


@dataclass(frozen=True)
class CountedRecord:
    """A record, and whether it counts.

    Args:
        record: The record.
        log: The log that holds it, by the name that a person calls it.
        own: Whether it counts in a sum over its run: marks do, what a ``start`` record carries over, and a heartbeat
            that its writer's last line with usage is.
        counts: Whether it counts in a sum over the selection, in which a run inside another one of it does not.
    """

    record: Record
    log: str
    own: bool
    counts: bool

    @cached_property
    def usage(self) -> Usage:
        """What the record holds: the figures that count where it does."""
        record = self.record
        if record.event == "start":
            return carried_usage(record.carried or {})
        grams = None if record.co2_kg is None else record.co2_kg * GRAMS_PER_KG
        return Usage(record.seconds, record.joules, grams, record.cost)


class CountedRecords:
    """The records of a selection, read twice: once for which of them count, once for the records.

    Args:
        selection: The logs.
        progress: Called with the bytes that were read, each time.

    Raises:
        NoLog: No log holds a record.
        OSError: A file cannot be read.
    """

    def __init__(self, selection: Selection, progress: Progress | None = None) -> None:
        self._selection = selection
        self._progress = progress
        found = count_selection(selection, progress=progress)
        # The runs count the last heartbeats, and then they are gone.
        self._beats: Mapping[tuple[str, str], int] = {
            (name, writer): session.beat.seq
            for name, run in found.count.runs.items()
            for writer, session in run.sessions.items()
            if session.beat is not None
        }
        self._spans = found.count.spans()
        self.runs: Runs = found.runs()
        self._within = {run.id: run.within for run in self.runs}

    def __iter__(self) -> Iterator[CountedRecord]:
        """Return the records in the order of the logs; one that stands in several logs once."""
        seen: dict[tuple[str, str], Session] = {}
        for log, name in zip(self._selection.logs, self._selection.names, strict=True):
            reading = Reading()
            for record in told(records_of(log, reading), log, reading, self._progress):
                writer = record.run, record.writer
                session = seen.get(writer)
                if session is None:
                    session = seen[writer] = Session(record)
                # What a log has got since it was counted has no place in a sum that was made before, and neither has
                # a table's run that a run log holds.
                spans = self._spans.get(writer, ())
                if any(first <= record.seq <= last for first, last in spans) and session.is_new(record.seq):
                    own = self._counts(record)
                    inside = record.parent is not None and record.parent in self._within[record.run]
                    yield CountedRecord(record, name, own, own and not inside)

    def _counts(self, record: Record) -> bool:
        if record.event == "heartbeat":
            return self._beats.get((record.run, record.writer)) == record.seq
        return record.adds or (record.event == "start" and bool(record.carried))
