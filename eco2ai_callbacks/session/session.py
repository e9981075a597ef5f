"""One session of a tracker: read, mark, heartbeat, close."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from eco2ai_callbacks.distributed.job import JobTotals
from eco2ai_callbacks.distributed.messages import RankUsage
from eco2ai_callbacks.host.gpu_health import plain
from eco2ai_callbacks.metrics.epoch_report import MarkedEpoch
from eco2ai_callbacks.metrics.model_card import CardFacts
from eco2ai_callbacks.metrics.run_facts import Facts
from eco2ai_callbacks.phases.ledger import PhaseLedger
from eco2ai_callbacks.record import Record
from eco2ai_callbacks.runlog.draft import Draft
from eco2ai_callbacks.session.gpu_health import HealthLedger
from eco2ai_callbacks.session.gpu_work import GpuWork
from eco2ai_callbacks.session.identity import Checkpoint, SessionIdentity
from eco2ai_callbacks.session.journal import Journal
from eco2ai_callbacks.session.ledger import Ledger
from eco2ai_callbacks.session.metering import Metering
from eco2ai_callbacks.session.presence import Presence
from eco2ai_callbacks.session.publishing import Publisher
from eco2ai_callbacks.session.stages import Segment, Stages
from eco2ai_callbacks.usage import Reading, Usage

# Less than this, in seconds, between two stages is left to the next: entering one right after another is no segment.
_SHORTEST_S = 1e-3


class Session:
    """A session that reads, marks and writes. All of it is called by one thread, except where it is said.

    Args:
        identity: Identity of the writer.
        metering: Reads the open meters; it has been started.
        ledger: Sums up the readings.
        phases: Splits their usage over phases.
        health: Sums up the looks at GPUs.
        stages: Names the time between two marks.
        journal: Makes the records.
        publisher: Writes them.
        presence: This tracker in the host's registry.
        gpu: The GPU work of this process.
        card: The values of a model card beside the run's usage.
        facts: What a logger's configuration holds of the run.
        heartbeat_s: Longest time without a record, in seconds; 0 turns heartbeats off.
    """

    def __init__(
        self,
        *,
        identity: SessionIdentity,
        metering: Metering,
        ledger: Ledger,
        phases: PhaseLedger,
        health: HealthLedger,
        stages: Stages,
        journal: Journal,
        publisher: Publisher,
        presence: Presence,
        gpu: GpuWork,
        card: CardFacts,
        facts: Facts,
        heartbeat_s: float,
    ) -> None:
        self.identity = identity
        self.card = card
        self.facts = facts
        self._metering = metering
        self._ledger = ledger
        self._phases = phases
        self._health = health
        self._stages = stages
        self._journal = journal
        self._publisher = publisher
        self._presence = presence
        self._gpu = gpu
        self._heartbeat_s = heartbeat_s
        # How often :meth:`sample` must be called now, in seconds: a meter whose source is lost may need it more often.
        self.period_s: float = self._period()
        self._beaten = ledger.marked.t
        # Training since the last window of steps was closed, as far as it was marked.
        self._window = Usage()
        self.stopped: bool = False

    @property
    def total(self) -> Usage:
        """Usage of the run up to the last mark; replaced as a whole, so that it is read without a lock."""
        return self._ledger.total

    # --- reading and marking ---------------------------------------------------------------------------------------

    def finish_gpu_work(self) -> None:
        """Wait until the GPU's work is done, so that its energy falls before the mark that follows."""
        self._gpu.finish()

    def read(self) -> Usage:
        """Return the usage since the last mark."""
        return self._ledger.since(self._metering.read())

    def so_far(self) -> tuple[Usage, tuple[float, float], tuple[float, float]]:
        """Return the usage of the run until now, and the bands of its energy and its CO2e, as factors."""
        usage = self.total + self.read()
        return usage, *self._journal.bands(usage)

    def mark(self, event: str, stage: str, epoch: int | None, **fields: Any) -> Usage:
        """Close the time since the last mark under a stage and an epoch, and write its record."""
        return self._mark_named(event, stage, epoch, **fields)[0]

    def end_epoch(self, epoch: int | None, *, samples: int | None, tokens: int | None, **fields: Any) -> MarkedEpoch:
        """Close an epoch's training, write its record, and return its usage.

        Args:
            epoch: Number of the epoch; the current one by default.
            samples: Samples of it that this process has trained on.
            tokens: Tokens of it that this process has trained on.
            fields: Further fields of the record.
        """
        usage, segment, record = self._mark_named("epoch", "train", epoch, samples=samples, tokens=tokens, **fields)
        train = self._ledger.sum(segment)
        validation = self._ledger.sum(self._stages.latest("validate", segment.epoch))
        recent = self._phases.recent(), self._health.recent()
        rank = RankUsage(train, validation, self.total, samples, tokens, (), *recent)
        return MarkedEpoch(usage, segment.epoch, rank, record.total or {}, speaks=self.identity.rank == 0)

    def close_steps(self, steps: tuple[int, int, int | None, int | None]) -> Usage | None:
        """Close a window of training steps, and return its usage; ``None``, and nothing is closed, where it is short.

        Over less than the meters' figures need to change, a window would hold a step of a counter, or nothing.

        Args:
            steps: Number of the last step, number of steps, their samples and tokens.
        """
        if self._window.seconds + self._metering.now() - self._ledger.marked.t < self._metering.refresh_s:
            return None
        self._mark_reading("stage", self._stages.current, self._metering.read(), steps=steps)
        window, self._window = self._window, Usage()
        return window

    def enter(self, stage: str, epoch: int | None) -> Usage:
        """Enter a stage; the time before is closed under the enclosing stage, and its usage is returned."""
        usage = self._close_segment(self._stages.current)
        self._stages.enter(stage, epoch)
        return usage

    def leave(self) -> Usage:
        """Return to the enclosing stage; the time since the last mark is closed under this one, its usage returned."""
        if self._stages.inside is None:
            return Usage()
        usage = self._close_segment(self._stages.current)
        self._stages.leave()
        return usage

    @property
    def parent(self) -> str | None:
        """Id of the run inside which this one is measured now."""
        return self._presence.parent()

    def note(self, event: str, metrics: Mapping[str, Any], epoch: int | None) -> None:
        """Write and show a record that adds no usage and closes no segment."""
        segment = self._stages.latest(self._stages.current.stage, epoch)
        self._journal.show(self._journal.write(event, Usage(), segment, self.total, metrics=dict(metrics)))

    def sample(self) -> None:
        """Read the meters that may not go unread for long, and write a heartbeat if one is due."""
        if not self.stopped:
            reading = self._metering.read(waited=False)
            looks = self._metering.look()
            self._phases.take(reading)
            self._health.take(reading, looks)
            self._leave_ended_parents(reading)
            self.heartbeat(reading)
            self.period_s = self._period()

    def leave_ended_parents(self) -> None:
        """Close the time inside a run that has just ended: what follows is counted beside it."""
        self._leave_ended_parents(self._metering.read())

    def heartbeat(self, reading: Reading) -> None:
        """Write the usage since the last mark, if a heartbeat is due."""
        period = self._heartbeat_s
        # At the next reading it would be too late: a mark may have come between two readings.
        due = period - self.period_s + 1e-3
        if period and reading.t > self._ledger.marked.t and reading.t - self._beaten >= due:
            usage = self._ledger.since(reading)
            phases = self._phases.so_far(reading, usage)
            self._journal.write("heartbeat", usage, self._stages.current, self.total + usage, phases=phases)
            self._beaten = reading.t

    def checkpoint(self, job: JobTotals) -> Checkpoint:
        """Return the run's id and totals, which a checkpoint needs to continue it.

        Args:
            job: The totals that the ranks have exchanged; where they have not, the totals are this rank's own.
        """
        total, identity = self.total + job.others, self.identity
        alone = identity.world_size > 1 and job.ranks is None
        figures = total.energy_kwh, total.co2_kg, total.seconds
        return Checkpoint(identity.id, *figures, identity.rank if alone else None)

    # --- the end ---------------------------------------------------------------------------------------------------

    def stop(self, ended: str) -> None:
        """Take the last reading and write the usage since the last mark; a second call does nothing.

        Args:
            ended: ``finished``, ``interrupted``, or what stopped the run.
        """
        if not self.stopped:
            self._presence.member.leave()
            reading = self._metering.read()
            self.stopped = True
            self._mark_reading("stop", self._stages.inside or Segment(), reading, ended=ended)
            self._presence.withdraw()

    def wait_for_log(self, timeout_s: float) -> bool:
        """Wait for other threads that write now, and return whether the log has got everything."""
        return self._publisher.wait(timeout_s)

    def close(self) -> None:
        """Close the meters and the sinks."""
        self._presence.member.remove()
        self._publisher.close()
        self._metering.close()

    def show_summary(self, others: Usage, ranks: int | None) -> None:
        """Show the line of a run that has stopped, once.

        Args:
            others: Usage of the other ranks.
            ranks: Number of ranks that have reported usage; ``None`` where they exchange nothing.
        """
        health = plain(self._health.total)
        self._journal.summary(self.total + others, ranks, phases=self._phases.whole, gpu_health=health)

    # --- inside ----------------------------------------------------------------------------------------------------

    def _mark_named(
        self, event: str, stage: str, epoch: int | None, **fields: Any
    ) -> tuple[Usage, Segment, Record | Draft]:
        segment = self._stages.named(stage, epoch)
        usage, record = self._mark_reading(event, segment, self._metering.read(), **fields)
        if event == "epoch":
            self._stages.close_epoch(segment.epoch)
        return usage, segment, record

    def _mark_reading(
        self, event: str, segment: Segment, reading: Reading, **fields: Any
    ) -> tuple[Usage, Record | Draft]:
        usage = self._ledger.mark(reading, segment)
        self._gpu.name_late_devices()
        if segment.stage == "train":
            self._window = Usage() if event == "epoch" else self._window + usage
        if event == "epoch":
            fields["train"] = self._ledger.sum(segment) or usage
        if (metrics := fields.get("metrics")) is not None:
            fields["metrics"] = dict(metrics)
        fields["phases"] = self._phases.mark(reading, usage)
        if health := self._health.mark(reading):
            fields["gpu_health"] = plain(health)
        record = self._journal.mark(event, usage, segment, reading, self.total, **fields)
        self._beaten = reading.t
        self.period_s = self._period()
        self._presence.leave_ended_parents()
        return usage, record

    def _period(self) -> float:
        return self._metering.period_s(min(self._heartbeat_s or math.inf, self._phases.period_s, self._health.period_s))

    def _leave_ended_parents(self, reading: Reading) -> None:
        if self._presence.parent_has_ended():
            self._mark_reading("stage", self._stages.current, reading)

    def _close_segment(self, segment: Segment) -> Usage:
        """Close the time since the last mark; less than ``_SHORTEST_S`` between two stages is left to the next one."""
        between = segment.stage in ("train", "other")
        if between and self._metering.now() - self._ledger.marked.t < _SHORTEST_S:
            return Usage()
        return self._mark_reading("stage", segment, self._metering.read())[0]
