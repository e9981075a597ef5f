"""A session that writes a log without a machine: real ledger, journal and writer; the usage is given."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from eco2ai_callbacks.carbon.grid import Grid
from eco2ai_callbacks.carbon.intensity import user
from eco2ai_callbacks.guard import Guard
from eco2ai_callbacks.record import Record, described, whole_epoch
from eco2ai_callbacks.runlog.resume import load_prior
from eco2ai_callbacks.runlog.tally import carried_usage
from eco2ai_callbacks.runlog.write import Writer
from eco2ai_callbacks.session.identity import new_id
from eco2ai_callbacks.session.journal import Alone, Journal
from eco2ai_callbacks.session.ledger import Ledger
from eco2ai_callbacks.session.publishing import Publisher
from eco2ai_callbacks.session.stages import Segment
from eco2ai_callbacks.usage import Method, Reading, Usage

METHODS = {"cpu": Method("cpu-model:vm", 1 / 3, 2.0, scope="job")}
GRID = Grid(dataclasses.replace(user(400.0), low=360.0, high=440.0), 1.2, "setting", None)


class Written:
    """One session; each call writes a line.

    Args:
        path: The file.
        run: The run's id; one that is in the log is continued.
        key: Key of the HMAC.
        carried: Usage that a checkpoint held and the log did not.
        fields: Further fields of every record.
    """

    def __init__(
        self,
        path: Path,
        run: str = "run",
        key: str | None = None,
        carried: dict[str, float | None] | None = None,
        **fields: Any,
    ) -> None:
        known = load_prior(path, run, fields.get("rank", 0), fields.get("world_size", 1))
        self.guard = Guard()
        self.path = path
        self.writer = new_id()
        self._t = 0.0
        self._j = 0.0
        self.ledger = Ledger(
            Reading(0.0, {"cpu": 0.0}),
            lambda joules, seconds: GRID.emissions(joules, self.label, seconds),
            before=known.usage + carried_usage(carried or {}),
        )
        common = {"run": run, "writer": self.writer, "project": "demo", "host": "host", "pue": 1.2, **fields}
        common.setdefault("intensity", GRID.intensity.to_dict())
        self._publisher = Publisher(Writer(path, key), [], self.guard)
        start = Record(event="start", **common)
        self._journal = Journal(
            start,
            GRID,
            self,  # type: ignore[arg-type]
            self._publisher,
            self.guard,
            methods=lambda: METHODS,
            attempts=known.attempts,
            others=Alone(fields.get("parent")),
        )
        self._write("start", Usage(), Segment(), **described(METHODS), continues=known.continues, carried=carried)

    @property
    def label(self) -> datetime:
        """The wall-clock time, as the journal reads it."""
        return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=self._t)

    def mark(
        self, event: str = "epoch", epoch: int | None = 0, stage: str = "train", attempt: int | None = 1, **fields: Any
    ) -> Usage:
        """Use 2 s and 36 J, and close them as a segment."""
        segment = Segment(stage, epoch, attempt)
        usage = self.ledger.mark(self._reading(), segment)
        if event == "epoch":
            fields |= whole_epoch(self.ledger.sum(segment) or usage)
        self._write(event, usage, segment, **fields)
        return usage

    def heartbeat(self, epoch: int | None = 0) -> None:
        """Use 2 s and 36 J, and write them without a mark."""
        self._write("heartbeat", self.ledger.since(self._reading()), Segment("train", epoch, 1))

    def note(self, event: str = "metrics", **metrics: Any) -> None:
        """Write a line that adds no usage."""
        self._write(event, Usage(), Segment(), metrics=metrics)

    def stop(self, ended: str = "finished") -> None:
        """Use 2 s and 36 J, and end."""
        self.mark("stop", None, "other", None, ended=ended)

    def _reading(self) -> Reading:
        self._t += 2.0
        self._j += 36.0
        return Reading(self._t, {"cpu": self._j})

    def _write(self, event: str, usage: Usage, segment: Segment, **fields: Any) -> None:
        total = self.ledger.total + usage if event == "heartbeat" else self.ledger.total
        self._journal.write(event, usage, segment, total, **fields)
        self._publisher.deliver()
