"""What is kept of one writer: which of its records were read, its last heartbeat, and how it ended."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

from eco2ai_callbacks.record import Record
from eco2ai_callbacks.report.fields import moment, text
from eco2ai_callbacks.report.runs import Writer

# First and last number of records that follow each other.
Span = tuple[int, int]


class Session:
    """What is kept of one writer.

    Args:
        record: Its first record.
    """

    __slots__ = ("beat", "continues", "first", "host", "last", "marked", "rank", "records", "spans", "state", "stops")

    def __init__(self, record: Record) -> None:
        self.rank: int = record.rank
        self.host: str = text(record.host)
        self.first: tuple[str, float] = text(record.start), 0.0
        self.last: tuple[str, float] = self.first
        self.state: str | None = None
        self.stops: bool = False
        self.continues: str | None = None
        self.records: int = 0
        # The numbers of its records that were read: a number that comes again is a copy.
        self.spans: list[list[int]] = []
        self.marked: int = -1
        self.beat: Record | None = None

    def is_new(self, seq: int) -> bool:
        """Take the number of a record; return whether it was not read before."""
        spans = self.spans
        if spans and seq == spans[-1][1] + 1:
            spans[-1][1] = seq
            return True
        if any(first <= seq <= last for first, last in spans):
            return False
        spans.append([seq, seq])
        return True

    def overlaps(self, spans: Iterable[Span]) -> bool:
        """Return whether one of these numbers was read before."""
        return any(first <= its[1] and its[0] <= last for first, last in self.spans for its in spans)

    def take(self, record: Record) -> bool:
        """Take the writer's next record; return whether its usage counts now."""
        self.records += 1
        self.last = record.start if len(record.start) < 64 else "", record.seconds
        if record.event == "heartbeat":
            if record.seq > self.marked and (self.beat is None or record.seq > self.beat.seq):
                self.beat = record
            return False
        if record.event == "start":
            self.continues = (record.continues or {}).get("writer")
            return True
        if record.adds:
            self.marked = max(self.marked, record.seq)
            if self.beat is not None and self.beat.seq < self.marked:
                self.beat = None
            if record.event == "stop":
                self.stops, self.state = True, text(record.ended) or "finished"
        return record.adds

    def plus(self, other: Session) -> None:
        """Add what another log holds of the writer."""
        self.records += other.records
        if other.spans and self.spans and other.spans[0][0] < self.spans[0][0]:
            self.first = other.first
        else:
            self.last = other.last
        self.spans = sorted([*self.spans, *other.spans])
        self.marked = max(self.marked, other.marked)
        if other.stops:
            self.stops, self.state = True, other.state
        self.continues = self.continues or other.continues
        beats = [beat for beat in (self.beat, other.beat) if beat is not None and beat.seq > self.marked]
        self.beat = max(beats, key=lambda beat: beat.seq, default=None)

    def writer(self, name: str, continued: bool) -> Writer:
        """Return it as a plain object."""
        began, ended = moment(self.first[0]), moment(self.last[0])
        if ended is not None:
            try:
                ended += timedelta(seconds=self.last[1])
            except OverflowError:
                ended = None
        return Writer(name, self.rank, self.host, began, ended, self.state, continued, self.records)
