"""A session that writes a log without a machine: real ledger, publisher and writer, and what it uses is told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from eco2ai_callbacks.guard import Guard
from eco2ai_callbacks.record import Record, banded, measured, summary
from eco2ai_callbacks.runlog.read import carried_usage
from eco2ai_callbacks.runlog.resume import load_prior
from eco2ai_callbacks.runlog.write import Writer
from eco2ai_callbacks.session.identity import new_id
from eco2ai_callbacks.session.ledger import Ledger
from eco2ai_callbacks.session.publish import Publisher
from eco2ai_callbacks.session.stages import Segment
from eco2ai_callbacks.usage import Method, Reading, Usage

METHODS = {"cpu": Method("cpu-model:vm", 1 / 3, 2.0, attribution="job's process tree")}


class Written:
    """One session; each call writes a line.

    Args:
        path: The file.
        run: The run's id; one that the log knows is continued.
        key: Key of the HMAC.
        carried: What a checkpoint knew of and the log did not.
        fields: What every record holds beside.
    """

    def __init__(
        self,
        path: Path,
        run: str = "run",
        key: str | None = None,
        carried: dict[str, float | None] | None = None,
        **fields: Any,
    ) -> None:
        known = load_prior(path, run)
        self.guard = Guard()
        self.path = path
        self.writer = new_id()
        self.ledger = Ledger(Reading(0.0, {"cpu": 0.0}), 400.0, 1.2, known.usage + carried_usage(carried or {}))
        self._publisher = Publisher(Writer(path, key), [], self.guard)
        self._fields = {"run": run, "writer": self.writer, "project": "demo", "host": "host", "pue": 1.2, **fields}
        self._t = 0.0
        self._j = 0.0
        self._publish("start", Usage(), Segment(), continues=known.continues, carried=carried)

    def mark(
        self, event: str = "epoch", epoch: int | None = 0, stage: str = "train", attempt: int | None = 1, **fields: Any
    ) -> Usage:
        """Use 2 s and 36 J, and close them under a name."""
        segment = Segment(stage, epoch, attempt)
        usage = self.ledger.mark(self._reading(), segment)
        if event == "epoch":
            fields["epoch_total"] = summary(self.ledger.sum(segment) or usage)
        self._publish(event, usage, segment, **fields)
        return usage

    def heartbeat(self, epoch: int | None = 0) -> None:
        """Use 2 s and 36 J, and say so without a mark."""
        self._publish("heartbeat", self.ledger.since(self._reading()), Segment("train", epoch, 1))

    def note(self, event: str = "metrics", **metrics: Any) -> None:
        """A line that adds nothing up."""
        self._publish(event, Usage(), Segment(), metrics=metrics)

    def stop(self, ended: str = "finished") -> None:
        """Use 2 s and 36 J, and end."""
        self.mark("stop", None, "other", None, ended=ended)

    def _reading(self) -> Reading:
        self._t += 2.0
        self._j += 36.0
        return Reading(self._t, {"cpu": self._j})

    def _publish(self, event: str, usage: Usage, segment: Segment, **fields: Any) -> None:
        total = self.ledger.total + usage if event == "heartbeat" else self.ledger.total
        self._publisher.publish(
            Record(
                event=event,
                stage=segment.stage,
                epoch=segment.epoch,
                attempt=segment.attempt,
                start=f"2026-01-01T00:00:{int(self._t):02d}.000+00:00",
                total=banded(total, METHODS, (0.9, 1.1)),
                **measured(usage, METHODS),
                **self._fields,
                **fields,
            )
        )
