"""A record to the run log and the sinks; a failure there is recorded."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from eco2ai_callbacks.guard import Guard
from eco2ai_callbacks.record import Record
from eco2ai_callbacks.runlog.write import Writer
from eco2ai_callbacks.sinks import Sink


class Publisher:
    """Numbers the records of one session and hands each to the log and the sinks.

    Args:
        writer: The run log; ``None`` writes none.
        sinks: Where else records go.
        guard: Records failures.
    """

    def __init__(self, writer: Writer | None, sinks: Sequence[Sink], guard: Guard) -> None:
        self._writer = writer
        self._sinks = sinks
        self._guard = guard
        self._seq = 0

    def publish(self, record: Record) -> Record:
        """Hand a record out; never raises. Returns it with its number."""
        record = dataclasses.replace(record, seq=self._seq)
        if self._logged(record):
            self._seq += 1
        for sink in self._sinks:
            self._guard.call(sink.name, lambda sink=sink: sink.write(record), None)  # type: ignore[misc]
        return record

    def _logged(self, record: Record) -> bool:
        """Whether the number is taken; one that the log refused for good goes to the next record."""
        writer = self._writer
        if writer is None:
            return True

        def keep() -> bool:
            writer.keep(record)
            return True

        kept = self._guard.call("log file", keep, False)
        self._guard.call("log file", writer.flush, None)
        return kept
