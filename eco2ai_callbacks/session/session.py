"""One session of a run: its parts put together, from opened meters to the stop record."""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from eco2ai_callbacks.carbon.grid import Grid, grid_for
from eco2ai_callbacks.distributed.messages import (
    ProposedRun,
    RankStart,
    common,
    drop_channels_owned_elsewhere,
    yield_channels_when_taken,
)
from eco2ai_callbacks.guard import Guard, logger
from eco2ai_callbacks.host.machine import process_started
from eco2ai_callbacks.host.registry import Entry, Registry, ancestry, lineage, parent_of
from eco2ai_callbacks.meters.cpu.busy import JobBusy
from eco2ai_callbacks.meters.discovery import MeterContext, Source
from eco2ai_callbacks.meters.gpu.torch_cuda import synchronize, used_devices
from eco2ai_callbacks.meters.meter import Meter
from eco2ai_callbacks.metrics import model_card
from eco2ai_callbacks.record import Record, banded, measured, summary
from eco2ai_callbacks.runlog.paths import file_for
from eco2ai_callbacks.runlog.read import carried_usage
from eco2ai_callbacks.runlog.resume import PriorUsage, load_prior
from eco2ai_callbacks.runlog.write import Writer
from eco2ai_callbacks.session.context import Platform, RunContext
from eco2ai_callbacks.session.identity import Checkpoint, SessionIdentity, new_id, rank_from
from eco2ai_callbacks.session.ledger import Ledger
from eco2ai_callbacks.session.metering import Metering
from eco2ai_callbacks.session.publish import Publisher
from eco2ai_callbacks.session.stages import Segment, Stages
from eco2ai_callbacks.settings import Settings
from eco2ai_callbacks.sinks.console import Console
from eco2ai_callbacks.sinks.csv import CsvFile
from eco2ai_callbacks.usage import Method, Reading, Usage, sum_parallel

# How long a fit may be over before that is noticed, where no hook tells: so much at most is counted beyond it. A look
# takes microseconds and reads no meter.
WATCH_S = 0.25


class Session:
    """Meters, ledger, log and sinks of one ``start`` to ``stop``. Not safe for threads by itself."""

    def __init__(
        self,
        settings: Settings,
        platform: Platform,
        opening: RunContext,
        guard: Guard,
        run: ProposedRun,
    ) -> None:
        environ = os.environ if platform.environ is None else platform.environ
        host = platform.host()
        self.guard = guard
        self.settings = settings
        self._opening = opening
        self._platform = platform
        self._claims: tuple[Entry, ...] = ()
        self._begun: Metering | None = None
        self._stop: Record | None = None
        writer = new_id()
        log = None if settings.log_file is None else settings.log_file.absolute()
        rank, world_size = opening.rank or rank_from(environ)
        known = PriorUsage()
        if log is not None and run.continued:
            known = guard.call("log file", lambda: load_prior(log, run.run, rank, world_size), known)
        self._known = known
        self._registry = Registry(host.hash, platform.registry)
        living = self._living()
        self.run = SessionIdentity(
            id=run.run,
            writer=writer,
            host=host.hash,
            rank=rank,
            world_size=world_size,
            pid=os.getpid(),
            parent=guard.call("registry", lambda: parent_of(living, lineage(), run.run), None),
            continues=known.continues,
        )
        self.grid: Grid = grid_for(settings, environ, platform.root, datetime.now().year, guard)
        if self.grid.warning and not opening.quiet and rank == 0:
            guard.call("logging", lambda: logger.warning("%s", self.grid.warning), None)
        job = JobBusy(opening.pid, foreign=self._siblings) if settings.scope == "process" else None
        uuids = guard.call("CUDA", used_devices, None)
        around = MeterContext(
            host, job, root=platform.root, environ=environ, clock=platform.clock,
            gpu_uuids=None if uuids is None else tuple(uuids),
        )  # fmt: skip
        self.found = platform.discover(settings, around, guard)
        self._meters: list[Meter] = list(self.found.meters)
        self._publisher = Publisher(
            None if log is None else Writer(file_for(log, writer), environ.get("ECO2AI_LOG_KEY")),
            [] if settings.csv_file is None else [CsvFile(settings.csv_file.absolute(), host.cpu_name)],
            guard,
        )
        shown = settings.console and not opening.quiet and rank == 0
        self._console = Console() if shown else None
        self.stages = Stages(opening.base, known.attempts)
        devices = tuple(c.partition(":")[2] for c in self._methods if c.startswith("gpu:"))
        self._devices = frozenset(devices)
        self._cpu_name = host.cpu_name
        self._entry = Entry(
            writer,
            run.run,
            host.hash,
            os.getpid(),
            process_started() or 0.0,
            platform.clock(),
            rank,
            self.run.parent,
            devices,
            common(self._meters),
        )

    @property
    def claim(self) -> RankStart:
        """What the other ranks must know before this one begins."""
        return RankStart(self._entry, self._known.usage)

    def begin(self, claims: Sequence[RankStart], beat: Callable[[Reading], None], look: Callable[[], None]) -> None:
        """Take the first reading and write the ``start`` record.

        Args:
            claims: What all ranks have told, where they can; else this one's.
            beat: Called by the thread after each of its readings.
            look: Called by the thread more often.
        """
        clock, opening, run = self._platform.clock, self._opening, self.run
        carried = None
        if run.rank == 0 or opening.gather is None:
            carried = _carried(opening.resume, sum_parallel(claim.known for claim in claims))
        if opening.gather is not None:
            self._claims = tuple(claim.entry for claim in claims if claim.entry is not None)
            self._meters = drop_channels_owned_elsewhere(self._meters, self._entry, self._claims, clock)
        elif run.world_size > 1 or self.settings.run_id is not None:
            self._meters = yield_channels_when_taken(self._meters, self._entry, self._same_run, clock)
        self._begun = self._metering = Metering(
            self._meters,
            self.guard,
            clock,
            beat,
            self.settings.heartbeat_s or math.inf,
            None if opening.inside is None else look,
            WATCH_S,
        )
        self._finish_gpu_work()
        self._wall = datetime.now().astimezone()
        reading = self._metering.start()
        usage = self._known.usage + carried_usage(carried or {})
        self.ledger = Ledger(reading, self.grid.intensity.g_per_kwh, self.grid.pue, usage)
        self._beaten = reading.t
        self._template = self._constant_fields()
        self._entry = dataclasses.replace(self._entry, since=reading.t)
        self.guard.call("registry", lambda: self._registry.enter(self._entry), None)
        start = self._publish(
            "start",
            Usage(),
            Segment(),
            sources=tuple(source.to_dict() for source in self._sources()),
            carried=carried,
            continues=run.continues,
        )
        before = sum_parallel(claim.known for claim in claims) + carried_usage(carried or {})
        self._show(dataclasses.replace(start, total=summary(before)))

    def abandon(self) -> None:
        """Give back what a session holds that could not begin."""
        if self._begun is not None:
            self._begun.stop()
        self._registry.leave(self.run.writer)

    # --- reading and marking ---------------------------------------------------------------------------------------

    def read(self) -> Usage:
        """What has been used since the last mark."""
        return self.ledger.since(self._metering.read())

    def reading(self) -> Reading:
        """All counters now, with the GPU's work finished if that is wanted."""
        self._finish_gpu_work()
        return self._metering.read()

    def mark(self, event: str, segment: Segment, reading: Reading, **fields: Any) -> Usage:
        """Close the time since the last mark under a name, and publish it."""
        usage = self.ledger.mark(reading, segment)
        next_begins = self._label(reading, usage.seconds)
        self.guard.call("CUDA", self._name_unmeasured, None)
        if event == "epoch":
            fields["epoch_total"] = summary(self.ledger.sum(segment) or usage)
        record = self._publish(event, usage, segment, **fields)
        if event == "stop":
            self._stop = record
        self._wall = next_begins
        self._beaten = reading.t
        return usage

    def note(self, event: str, metrics: Mapping[str, Any], epoch: int | None) -> None:
        """Publish a record that adds nothing up and closes nothing."""
        segment = self.stages.latest(self.stages.current.stage, epoch)
        self._show(self._publish(event, Usage(), segment, metrics=dict(metrics)))

    @property
    def bands(self) -> tuple[tuple[float, float], tuple[float, float]]:
        """Lowest and highest energy and CO2e that may be true of the total, as factors on what was measured."""
        total = self.ledger.total
        known = banded(total, self._methods, self._grid_spread)
        return (
            _factors(known.get("energy_band_kwh"), total.energy_kwh),
            _factors(known.get("co2_band_kg"), total.co2_kg),
        )

    def card_field(self, total: Usage, training_type: model_card.TrainingType | None) -> dict[str, Any] | None:
        """What a model card says of the run."""
        names = [device.name for meter in self.found.meters for device in getattr(meter, "devices", ())]
        grid = self.grid.intensity
        return model_card.field(
            total,
            source=f"eco2AI (eco2ai-callbacks {_version()})",
            location=None if grid.found_by == "unknown" else model_card.location(grid),
            hardware=model_card.hardware(self._cpu_name, names),
            training_type=training_type,
        )

    def heartbeat(self, reading: Reading) -> None:
        """Write what has been used since the last mark, if it is time to."""
        period = self.settings.heartbeat_s
        # At the next look it would be too late: a mark may have come in between two looks.
        due = period - self._metering.period_s + 1e-3
        if period and reading.t > self.ledger.marked.t and reading.t - self._beaten >= due:
            self._publish("heartbeat", self.ledger.since(reading), self.stages.current)
            self._beaten = reading.t

    def close(self, ended: str) -> None:
        """End the thread, take the last reading and write what is left since the last mark.

        Args:
            ended: ``finished``, ``interrupted``, or what stopped the run.
        """
        # What was interrupted may never be done, and the thread, which closes what nobody else does, waits for no GPU.
        if ended != "interrupted":
            self._finish_gpu_work()
        reading = self._metering.stop()
        try:
            self.mark("stop", self.stages.inside or Segment(), reading, ended=ended)
        finally:
            self.guard.call("registry", lambda: self._registry.leave(self.run.writer), None)

    def tell(self, others: Usage, ranks: int | None) -> None:
        """Show the line of a run that has been closed, once.

        Args:
            others: What the other ranks have used.
            ranks: How many ranks have told what they used; ``None`` where none was asked.
        """
        stop, self._stop = self._stop, None
        if stop is None:
            return
        total = banded(self.ledger.total + others, self._methods, self._grid_spread)
        self._show(dataclasses.replace(stop, total=total | {"ranks": ranks}, failures=self.guard.failures))

    def _show(self, record: Record) -> None:
        console = self._console
        if console is not None:
            self.guard.call(console.name, lambda: console.write(record), None)

    def _label(self, reading: Reading, seconds: float) -> datetime:
        """The wall clock's time of a reading: so long after the last, unless the machine slept or the clock was set.

        Args:
            reading: The reading; the meters may have been slow since it began, and a card may have hung.
            seconds: How long after the last one it was taken.
        """
        looked_up = datetime.now().astimezone() - timedelta(seconds=self._platform.clock() - reading.t)
        expected = (self._wall + timedelta(seconds=seconds)).astimezone()  # the offset may change overnight
        return expected if abs(looked_up - expected) < timedelta(seconds=1) else looked_up

    def _finish_gpu_work(self) -> None:
        if self.settings.sync_gpu:
            self.guard.call("CUDA", synchronize, None)

    def _name_unmeasured(self) -> None:
        """Note the GPUs that the framework took into use after the start and that were not chosen then."""
        if self.settings.gpus != "auto" or not self._devices or any(each.startswith("MIG-") for each in self._devices):
            return
        for uuid in sorted(set(used_devices() or ()) - self._devices):
            self.guard.record(f"NVML: {uuid} came into use after the start; its energy is missing")

    # --- what every record holds -----------------------------------------------------------------------------------

    def _publish(self, event: str, usage: Usage, segment: Segment, **fields: Any) -> Record:
        methods = self._methods
        total = self.ledger.total if event != "heartbeat" else self.ledger.total + usage
        record = dataclasses.replace(
            self._template,
            event=event,
            stage=segment.stage,
            epoch=segment.epoch,
            attempt=segment.attempt,
            start=self._wall.isoformat(timespec="milliseconds"),
            **measured(usage, methods),
            cost=self.grid.cost(usage.energy_kwh, self._wall, usage.seconds),
            total=banded(total, methods, self._grid_spread),
            shared_with=self._shared_with(),
            failures=self.guard.failures,
            **fields,
        )
        return self._publisher.publish(record)

    @property
    def _methods(self) -> dict[str, Method]:
        """How each channel is known; a meter may find more channels as it runs."""
        return {channel: method for meter in self._meters for channel, method in meter.methods.items()}

    @property
    def _grid_spread(self) -> tuple[float, float]:
        """Lowest and highest carbon intensity, as factors on the one that is used."""
        grid = self.grid.intensity
        return (grid.low / grid.g_per_kwh, grid.high / grid.g_per_kwh) if grid.g_per_kwh else (1.0, 1.0)

    def _constant_fields(self) -> Record:
        return Record(
            run=self.run.id,
            writer=self.run.writer,
            parent=self.run.parent,
            project=self.settings.project,
            description=self.settings.description,
            host=self.run.host,
            rank=self.run.rank,
            world_size=self.run.world_size,
            pid=self.run.pid,
            event="start",
            covers={c: tuple(sorted(meter.covers)) for meter in self._meters for c in meter.methods},
            not_covered=self.found.not_covered,
            pue=self.grid.pue,
            intensity=self.grid.intensity.to_dict() | {"pue_source": self.grid.pue_source},
            version=_version(),
        )

    def _sources(self) -> list[Source]:
        """The ways of measuring; those of which other ranks count everything are not used here."""
        counted = self._methods.keys()
        return [
            dataclasses.replace(source, used=False, reason="not needed: a lower rank of this host counts it")
            if source.used and source.methods and not source.methods.keys() & counted
            else source
            for source in self.found.sources
        ]

    def _living(self) -> list[Entry]:
        nobody: list[Entry] = []
        return self.guard.call("registry", self._registry.living, nobody)

    def _siblings(self) -> list[int]:
        """Processes of this host that measure themselves for the same run."""
        if not self._claims:
            return [entry.pid for entry in self._same_run() if entry.pid != self.run.pid]
        here = [entry for entry in self._claims if entry.host == self.run.host and entry.pid != self.run.pid]
        return [entry.pid for entry in here if process_started(entry.pid) == entry.started]

    def _same_run(self) -> list[Entry]:
        return [entry for entry in self._living() if entry.run == self.run.id and entry.writer != self.run.writer]

    def _shared_with(self) -> tuple[str, ...]:
        """Other runs that measure one of our devices now, apart from those around or inside this one."""
        if not self._devices:
            return ()
        living = self._living()
        others = {entry.run for entry in living if self._devices & set(entry.devices)}
        others -= {self.run.id, *ancestry(living, self.run.parent)}
        return tuple(sorted(run for run in others if self.run.id not in ancestry(living, run)))


def _carried(resume: Checkpoint | None, known: Usage) -> dict[str, float | None] | None:
    """What the checkpoint knows of the run and the log does not."""
    if resume is None:
        return None
    missing = {
        "energy_kwh": _beyond(resume.energy_kwh, known.energy_kwh),
        "co2_kg": _beyond(resume.co2_kg, known.co2_kg),
        "seconds": _beyond(resume.seconds, known.seconds) or 0.0,
    }
    return missing if missing["energy_kwh"] or missing["co2_kg"] or missing["seconds"] else None


def _beyond(saved: float | None, known: float | None) -> float | None:
    """How much more was saved than is known; rounding in either is no energy."""
    if saved is None:
        return None
    rest = saved - (known or 0.0)
    return rest if rest > 1e-9 * saved else 0.0


def _factors(band: tuple[float, float] | None, value: float | None) -> tuple[float, float]:
    """A band as factors on the figure that it belongs to."""
    return (band[0] / value, band[1] / value) if band and value else (1.0, 1.0)


@cache
def _version() -> str:
    try:
        return version("eco2ai-callbacks")
    except PackageNotFoundError:  # run from a folder that was never installed
        return "unknown"
