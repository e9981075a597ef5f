"""The way of records to the log, the sinks and the console, none of which may keep a training waiting."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence, Sized

from eco2ai_callbacks.guard import Guard, captured
from eco2ai_callbacks.record import Record
from eco2ai_callbacks.runlog.draft import Draft
from eco2ai_callbacks.runlog.writable import are_writable, without_unwritable
from eco2ai_callbacks.runlog.write import MAX_PENDING, Writer
from eco2ai_callbacks.sinks import Sink

# A destination that a thread has been waiting for this long, in seconds, is said not to answer: half of the time that a
# program waits for its record.
LATE_S = 0.5


class Publisher:
    """The output of one session: numbers its records and passes each on; failures are recorded.

    To publish a record writes nothing: :meth:`deliver` does, which may be stuck in a file system, and which another
    thread then calls in its place.

    Args:
        writer: The run log; ``None`` writes none.
        sinks: The further destinations of the records.
        guard: Records failures.
        console: Gets the records that are to be shown; ``None`` shows none.
    """

    def __init__(
        self, writer: Writer | None, sinks: Sequence[Sink], guard: Guard, *, console: Sink | None = None
    ) -> None:
        self._writer = writer
        self._guard = guard
        self._seq = 0
        self._log = [] if writer is None else [_Outbox("log file", writer.waiting, writer.flush, guard)]
        self._sinks = [_Records(sink, guard) for sink in sinks]
        self._console = None if console is None else _Records(console, guard)
        shown = [] if self._console is None else [self._console]
        records = [_Outbox(each.sink.name, each.records, each.take, guard) for each in (*self._sinks, *shown)]
        self._outboxes = [*self._log, *records]

    def publish(self, record: Record | Draft) -> Record | Draft:
        """Take a record for all destinations; never raises. Returns it with its number, without unwritable fields.

        Args:
            record: The record, or what it is made of, once a sink needs it.
        """
        if type(record) is Draft:
            record.seq = self._seq
        elif record.seq != self._seq:
            record = dataclasses.replace(record, seq=self._seq)  # type: ignore[type-var]
        record, taken = self._chained(record)
        self._seq += taken
        for sink in self._sinks:
            sink.records.append(whole(record))
        return record

    def show(self, record: Record) -> None:
        """Take a record for the console."""
        if self._console is not None:
            self._console.records.append(record)

    def deliver(self) -> None:
        """Write all that was published to where it belongs; never raises. Several threads may call it at once."""
        for outbox in self._outboxes:
            outbox.deliver()

    def wait(self, timeout_s: float) -> bool:
        """Wait for other threads that deliver now, and return whether the log has got everything.

        Args:
            timeout_s: Longest time, in seconds.
        """
        until = time.monotonic() + timeout_s
        for outbox in self._outboxes:
            outbox.wait(max(0.0, until - time.monotonic()))
        return not any(outbox.waiting for outbox in self._log)

    def close(self) -> None:
        """Close every sink, once; never raises."""
        sinks, self._sinks = self._sinks, []
        for each in sinks:
            self._guard.call(each.sink.name, each.sink.close, None)

    def _chained(self, record: Record | Draft) -> tuple[Record | Draft, bool]:
        """Return the record as it will be written, and whether its number is taken.

        Fields are checked one by one only where the record as a whole is refused, or holds metrics of the user's. The
        number of a record that the log refuses for good is given to the next record.
        """
        writer = self._writer
        metrics = record.further.get("metrics") if isinstance(record, Draft) else record.metrics
        if metrics is not None and not are_writable(metrics):
            record = without_unwritable(whole(record), self._guard)
        if writer is None:
            return record, True
        _, refused = captured(lambda: writer.keep(record))
        taken = refused is None
        if isinstance(refused, Exception):  # the check of each field records the reason
            checked = record = without_unwritable(whole(record), self._guard)

            def keep() -> bool:
                writer.keep(checked)
                return True

            taken = self._guard.call("log file", keep, False)
        elif refused is not None:
            raise refused
        return record, taken


def whole(record: Record | Draft) -> Record:
    """Return the whole record."""
    return record.record if isinstance(record, Draft) else record


class _Outbox:
    """The records that wait for one destination, where one thread at a time takes them.

    Args:
        name: Name that failures begin with.
        waiting: The records.
        take: Takes them to their destination; raises where they are not taken.
        guard: Records failures.
    """

    def __init__(self, name: str, waiting: Sized, take: Callable[[], None], guard: Guard) -> None:
        self.waiting = waiting
        self._name = name
        self._take = take
        self._guard = guard
        self._delivering = threading.Lock()
        # Since when a thread delivers.
        self._since_s = 0.0

    def deliver(self) -> None:
        """Take the records to their destination, also those that come meanwhile, unless another thread does so."""
        while self.waiting:
            if not self._delivering.acquire(blocking=False):
                # Two threads may come at the same time, as at the end of a run: the first takes what the second brings.
                if time.monotonic() - self._since_s > LATE_S:
                    self._guard.record(f"{self._name}: does not answer; {len(self.waiting)} records wait for it")
                return
            self._since_s = time.monotonic()
            try:
                taken = self._guard.call(self._name, self._taken, False)
            finally:
                self._delivering.release()
            if not taken:
                return

    def wait(self, timeout_s: float) -> None:
        """Wait until no thread delivers."""
        if self.waiting and self._delivering.acquire(timeout=timeout_s):
            self._delivering.release()

    def _taken(self) -> bool:
        self._take()
        return True


class _Records:
    """The records that wait for a sink."""

    def __init__(self, sink: Sink, guard: Guard) -> None:
        self.sink = sink
        self.records: deque[Record] = deque(maxlen=MAX_PENDING)
        self._guard = guard

    def take(self) -> None:
        """Pass the oldest on; the sink that refuses it does not get it again."""
        record = self.records.popleft()
        self._guard.call(self.sink.name, lambda: self.sink.write(record), None)
