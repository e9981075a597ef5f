"""The records of a session, made from usage."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, tzinfo
from typing import Any, Protocol

from eco2ai_callbacks.carbon.grid import Grid
from eco2ai_callbacks.guard import Guard
from eco2ai_callbacks.record import ADDING_EVENTS, Record, band_factors, banded, described, summary
from eco2ai_callbacks.runlog.attempts import Attempts
from eco2ai_callbacks.runlog.draft import Draft
from eco2ai_callbacks.session.publishing import Publisher, whole
from eco2ai_callbacks.session.siblings import Named
from eco2ai_callbacks.session.stages import Segment
from eco2ai_callbacks.usage import Method, Reading, Usage

# In this century, clocks were set forward and back at whole minutes alone (tz database): so long, in seconds, a UTC
# offset is looked up once.
_OFFSET_HOLDS_S = 60


class WallClock:
    """The wall-clock time at which the current segment began: a label, never a duration.

    Args:
        clock: Monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._began_s = time.time()
        self._minute = -1.0
        self._zone: tzinfo | None = None

    @property
    def label(self) -> datetime:
        """The time, with the UTC offset of its day."""
        minute = self._began_s // _OFFSET_HOLDS_S
        if minute != self._minute:
            self._minute, self._zone = minute, datetime.fromtimestamp(self._began_s, UTC).astimezone().tzinfo
        return datetime.fromtimestamp(self._began_s, self._zone)

    def turn(self, reading: Reading, seconds: float) -> None:
        """Begin a segment: ``seconds`` after the last began, unless the machine slept or the clock was set.

        Args:
            reading: The reading; it may have begun some time ago, as meters may be slow, and a GPU may hang.
            seconds: Seconds since the last one.
        """
        looked_up = time.time() - (self._clock() - reading.t)
        expected = self._began_s + seconds
        self._began_s = expected if abs(looked_up - expected) < 1 else looked_up


class Others(Protocol):
    """The runs beside and around a run."""

    @property
    def divided_with(self) -> Named:
        """The runs that the energy since the last mark was divided with."""
        ...

    def shared_with(self) -> tuple[str, ...]:
        """Return the other runs that measure the same devices now."""
        ...

    def parent(self) -> str | None:
        """Return the run inside which this one is measured now."""
        ...


class Alone:
    """No other runs, or one around this."""

    def __init__(self, parent: str | None = None) -> None:
        self.divided_with: Named = Named()
        self._parent = parent

    def shared_with(self) -> tuple[str, ...]:
        """Return no runs."""
        return ()

    def parent(self) -> str | None:
        """Return the run around this one."""
        return self._parent


class Journal:
    """The writer of the records of one session.

    Args:
        template: The fields that are the same in all of them.
        grid: Carbon intensity, PUE and price.
        wall: The label of the current segment.
        publisher: Receives the records.
        guard: Holds the failures that each record names.
        methods: Returns the measuring method of each channel; a meter may find more channels as it runs.
        others: The runs beside and around this one.
        attempts: How often each epoch was begun in earlier sessions of the run.
        beside: Returns the fields of a record for figures beside energy and CO2e, from its event, usage and fields.
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
        others: Others | None = None,
        attempts: Mapping[int, int] | None = None,
        beside: Callable[[str, Usage, Mapping[str, Any]], Mapping[str, Any]] = lambda *_: {},
    ) -> None:
        self._template = template
        self._grid = grid
        self._wall = wall
        self._publisher = publisher
        self._guard = guard
        self._methods = methods
        self._beside = beside
        self._others = others or Alone()
        self._spread = grid.spread
        self._stop: Record | None = None
        self._beside_sum: dict[str, float] = {}
        # The methods at the last record and at the last mark: a segment's band holds its own gaps alone.
        self._latest: Mapping[str, Method] = {}
        self._marked: Mapping[str, Method] = {}
        self._attempts = Attempts(attempts)

    def write(
        self, event: str, usage: Usage, segment: Segment, total: Usage, train: Usage | None = None, **fields: Any
    ) -> Record | Draft:
        """Write one record and return it.

        Args:
            event: The record's event.
            usage: Usage in the segment.
            segment: The segment that the record belongs to.
            total: Usage of the run, this record included.
            train: Sum of the epoch's ``train`` marks, where an epoch ends.
            fields: Further fields of the record; those that are ``None`` are left out.
        """
        methods, label, grid = self._methods(), self._wall.label, self._grid
        self._latest = methods
        if segment.stage == "train" and segment.epoch is not None:
            self._attempts.add(segment.epoch, segment.attempt or 1)
        intensity = grid.facts(label, usage) if grid.over_time else self._template.intensity
        further = {name: value for name, value in fields.items() if value is not None}
        if added := self._beside(event, usage, fields):
            further = {**{name: value for name, value in added.items() if value is not None}, **further}
        if event in ADDING_EVENTS and "beside" in further:
            for name, value in further["beside"].items():
                self._beside_sum[name] = self._beside_sum.get(name, 0.0) + value
        others = self._others
        draft = Draft(
            self._template,
            event,
            (segment.stage, segment.epoch, segment.attempt),
            label.isoformat(timespec="milliseconds"),
            usage,
            self._since_mark(methods),
            total,
            methods,
            self._spread,
            (intensity, others.shared_with(), others.parent(), self._guard.failures, others.divided_with.runs),
            self._attempts.ranges,
            train,
            further,
        )
        return self._publisher.publish(draft)

    def mark(
        self, event: str, usage: Usage, segment: Segment, reading: Reading, total: Usage, **fields: Any
    ) -> Record | Draft:
        """Write the record that closes a segment, and begin the next one at the reading.

        Args:
            event: ``epoch``, ``stage`` or ``stop``.
            usage: Usage in the segment.
            segment: The segment that ends.
            reading: The reading at its end.
            total: Usage of the run, this segment included.
            fields: Further fields of the record.
        """
        record = self.write(event, usage, segment, total, **fields)
        self._wall.turn(reading, usage.seconds)
        self._marked = self._latest
        if self._others.divided_with.runs:
            self._others.divided_with.marked()
        if event == "stop":
            self._stop = whole(record)
        return record

    def _since_mark(self, methods: Mapping[str, Method]) -> Mapping[str, Method]:
        """Return the methods for what was used since the last mark; the same object where none has gaps."""
        for method in methods.values():
            if method.gap_j != (0.0, 0.0):
                return {channel: held.since(self._marked.get(channel)) for channel, held in methods.items()}
        return methods

    def bands(self, usage: Usage) -> tuple[tuple[float, float], tuple[float, float]]:
        """Return the bands of a sum's energy and CO2e, as factors on its figures."""
        return band_factors(banded(usage, self._methods(), self._grid.spread))

    def show(self, record: Record | Draft) -> None:
        """Send a record to the console."""
        self._publisher.show(whole(record))

    def summary(self, total: Usage, ranks: int | None, **whole: Any) -> None:
        """Show the line of a run that has ended, once.

        Args:
            total: Usage of all ranks.
            ranks: Number of ranks that have reported usage; ``None`` where they exchange nothing.
            whole: Fields of the record that hold for the whole of this process's session.
        """
        stop, self._stop = self._stop, None
        if stop is not None:
            found = banded(total, self._methods(), self._grid.spread) | {"ranks": ranks}
            grid = stop.intensity and self._grid.of_run(stop.intensity, total)
            whole = {"failures": self._guard.failures, "beside": self._beside_sum, **whole}
            self.show(dataclasses.replace(stop, total=found, intensity=grid, **whole))

    def begin(self, known: Usage, total: Usage, **fields: Any) -> None:
        """Write the ``start`` record, and show it with the earlier usage of all ranks.

        Args:
            known: Usage of all ranks in earlier sessions of the run.
            total: This rank's part of it.
            fields: Further fields of the record.
        """
        start = self.write("start", Usage(), Segment(), total, **described(self._methods()), **fields)
        self._marked = self._latest
        self.show(dataclasses.replace(whole(start), total=summary(known)))
