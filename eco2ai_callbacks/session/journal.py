"""The records of a session, made from usage and sent to the run log, the sinks and the console."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from eco2ai_callbacks.carbon.grid import Grid
from eco2ai_callbacks.guard import Guard
from eco2ai_callbacks.record import Record, banded, measured, summary
from eco2ai_callbacks.runlog.writable import without_unwritable
from eco2ai_callbacks.runlog.write import Writer
from eco2ai_callbacks.session.stages import Segment
from eco2ai_callbacks.sinks import Sink
from eco2ai_callbacks.usage import Method, Reading, Usage


class Publisher:
    """The output of one session: numbers its records and sends each to the log and the sinks; failures are recorded.

    Args:
        writer: The run log; ``None`` writes none.
        sinks: The further destinations of the records.
        guard: Records failures.
    """

    def __init__(self, writer: Writer | None, sinks: Sequence[Sink], guard: Guard) -> None:
        self._writer = writer
        self._sinks = sinks
        self._guard = guard
        self._seq = 0

    def publish(self, record: Record) -> Record:
        """Send a record to all destinations; never raises. Returns it with its number, without unwritable fields."""
        record, taken = self._logged(dataclasses.replace(record, seq=self._seq))
        self._seq += taken
        for sink in self._sinks:
            self._guard.call(sink.name, lambda sink=sink: sink.write(record), None)  # type: ignore[misc]
        return record

    def close(self) -> None:
        """Close every sink, once; never raises."""
        sinks, self._sinks = self._sinks, ()
        for sink in sinks:
            self._guard.call(sink.name, sink.close, None)

    def _logged(self, record: Record) -> tuple[Record, bool]:
        """Return the record as it was written, and whether its number is taken.

        Fields are checked one by one only where the record as a whole is refused, or holds metrics of the user's. The
        number of a record that the log refuses for good is given to the next record.
        """
        writer, taken = self._writer, False
        if record.metrics is not None:
            record = without_unwritable(record, self._guard)
        if writer is None:
            return record, True
        with contextlib.suppress(Exception):  # the check of each field records the reason
            writer.keep(record)
            taken = True
        if not taken:
            record = without_unwritable(record, self._guard)

            def keep() -> bool:
                writer.keep(record)
                return True

            taken = self._guard.call("log file", keep, False)
        self._guard.call("log file", writer.flush, None)
        return record, taken


class WallClock:
    """The wall-clock time at which the current segment began: a label, never a duration.

    Args:
        clock: Monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self.label = datetime.now().astimezone()

    def at(self, reading: Reading, seconds: float) -> datetime:
        """Return the label of a reading: ``seconds`` after the last, unless the machine slept or the clock was set.

        Args:
            reading: The reading; it may have begun some time ago, as meters may be slow, and a GPU may hang.
            seconds: Seconds since the last one.
        """
        looked_up = datetime.now().astimezone() - timedelta(seconds=self._clock() - reading.t)
        expected = (self.label + timedelta(seconds=seconds)).astimezone()  # the UTC offset may change overnight
        return expected if abs(looked_up - expected) < timedelta(seconds=1) else looked_up


class Journal:
    """The writer of the records of one session.

    Args:
        template: The fields that are the same in all of them.
        grid: Carbon intensity, PUE and price.
        wall: The label of the current segment.
        publisher: Receives the records.
        guard: Holds the failures that each record names.
        methods: Returns the measuring method of each channel; a meter may find more channels as it runs.
        shared_with: Returns the other runs that measure the same devices now.
        console: Prints the run's line; ``None`` prints none.
    """

    def __init__(
        self,
        template: Record,
        grid: Grid,
        wall: WallClock,
        publisher: Publisher,
        guard: Guard,
        *,
        methods: Callable[[], Mapping[str, Method]] = dict,
        shared_with: Callable[[], tuple[str, ...]] = tuple,
        console: Sink | None = None,
    ) -> None:
        self._template = template
        self._grid = grid
        self._wall = wall
        self._publisher = publisher
        self._guard = guard
        self._methods = methods
        self._shared_with = shared_with
        self._console = console
        self._stop: Record | None = None

    def write(self, event: str, usage: Usage, segment: Segment, total: Usage, **fields: Any) -> Record:
        """Write one record and return it.

        Args:
            event: The record's event.
            usage: Usage in the segment.
            segment: The segment that the record belongs to.
            total: Usage of the run, this record included.
            fields: Further fields of the record.
        """
        methods, label = self._methods(), self._wall.label
        record = dataclasses.replace(
            self._template,
            event=event,
            stage=segment.stage,
            epoch=segment.epoch,
            attempt=segment.attempt,
            start=label.isoformat(timespec="milliseconds"),
            **measured(usage, methods),
            cost=self._grid.cost(usage.energy_kwh, label, usage.seconds),
            total=banded(total, methods, self._grid.spread),
            shared_with=self._shared_with(),
            failures=self._guard.failures,
            **fields,
        )
        return self._publisher.publish(record)

    def mark(self, event: str, usage: Usage, segment: Segment, reading: Reading, total: Usage, **fields: Any) -> Record:
        """Write the record that closes a segment, and begin the next one at the reading.

        Args:
            event: ``epoch``, ``stage`` or ``stop``.
            usage: Usage in the segment.
            segment: The segment that ends.
            reading: The reading at its end.
            total: Usage of the run, this segment included.
            fields: Further fields of the record.
        """
        ends = self._wall.at(reading, usage.seconds)
        record = self.write(event, usage, segment, total, **fields)
        self._wall.label = ends
        if event == "stop":
            self._stop = record
        return record

    def close(self) -> None:
        """Close every sink, once."""
        self._publisher.close()

    def show(self, record: Record) -> None:
        """Send a record to the console."""
        console = self._console
        if console is not None:
            self._guard.call(console.name, lambda: console.write(record), None)

    def summary(self, total: Usage, ranks: int | None) -> None:
        """Show the line of a run that has ended, once.

        Args:
            total: Usage of all ranks.
            ranks: Number of ranks that have reported usage; ``None`` where they exchange nothing.
        """
        stop, self._stop = self._stop, None
        if stop is not None:
            found = banded(total, self._methods(), self._grid.spread) | {"ranks": ranks}
            self.show(dataclasses.replace(stop, total=found, failures=self._guard.failures))

    def begin(self, known: Usage, total: Usage, **fields: Any) -> None:
        """Write the ``start`` record, and show it with the earlier usage of all ranks.

        Args:
            known: Usage of all ranks in earlier sessions of the run.
            total: This rank's part of it.
            fields: Further fields of the record.
        """
        start = self.write("start", Usage(), Segment(), total, **fields)
        self.show(dataclasses.replace(start, total=summary(known)))
