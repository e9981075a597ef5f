"""The assembly of a session, from opened meters to the ``start`` record."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

from eco2ai_callbacks.carbon.grid import Grid
from eco2ai_callbacks.distributed import ownership
from eco2ai_callbacks.distributed.launcher import rank_from, ranks_here
from eco2ai_callbacks.distributed.messages import ProposedRun, RankStart
from eco2ai_callbacks.guard import Guard, logger
from eco2ai_callbacks.host.package import package_version
from eco2ai_callbacks.host.registry import Registry
from eco2ai_callbacks.meters.cpu.busy import JobBusy
from eco2ai_callbacks.meters.discovery import Discovery, MeterContext
from eco2ai_callbacks.meters.gpu.torch_cuda import used_devices, used_hip_devices
from eco2ai_callbacks.meters.meter import Meter, devices_of
from eco2ai_callbacks.metrics import model_card
from eco2ai_callbacks.metrics.run_facts import facts_of
from eco2ai_callbacks.parallel import sum_parallel
from eco2ai_callbacks.phases.ledger import PhaseLedger
from eco2ai_callbacks.record import Record
from eco2ai_callbacks.runlog.paths import file_for
from eco2ai_callbacks.runlog.prior import PriorUsage
from eco2ai_callbacks.runlog.tally import carried_usage
from eco2ai_callbacks.runlog.write import Writer
from eco2ai_callbacks.session.beside import BesideFigures, beside_figures
from eco2ai_callbacks.session.context import Platform, RunContext
from eco2ai_callbacks.session.gpu_health import HealthLedger
from eco2ai_callbacks.session.gpu_work import GpuWork, chosen_devices
from eco2ai_callbacks.session.identity import SessionIdentity, carried_over, new_id
from eco2ai_callbacks.session.journal import Journal, WallClock
from eco2ai_callbacks.session.ledger import Ledger
from eco2ai_callbacks.session.metering import Metering, MethodsNow, methods_of
from eco2ai_callbacks.session.presence import Presence, runs_around
from eco2ai_callbacks.session.publishing import Publisher
from eco2ai_callbacks.session.session import Session
from eco2ai_callbacks.session.stages import Stages
from eco2ai_callbacks.session.worker import Worker
from eco2ai_callbacks.settings import Settings
from eco2ai_callbacks.sinks import open_sinks

if TYPE_CHECKING:
    from eco2ai_callbacks.session.baseline import Baseline


def open_session(
    settings: Settings, platform: Platform, context: RunContext, guard: Guard, run: ProposedRun
) -> PreparedSession:
    """Open the meters and all else that a session needs before the ranks exchange; close them where anything raises.

    Args:
        settings: The settings in force.
        platform: The outside world.
        context: The caller's facts about the run.
        guard: Records failures.
        run: The run to write for.
    """
    environ, host = platform.variables, platform.host()
    log = None if settings.log_file is None else settings.log_file.absolute()
    rank, world_size = context.rank or rank_from(environ)
    prior = PriorUsage()
    if log is not None and run.continued:
        from eco2ai_callbacks.runlog.resume import load_prior  # for a run that goes on

        prior = guard.call("log file", lambda: load_prior(log, run.run, rank, world_size), prior)
        if prior.note is not None:
            guard.record(f"log file: {prior.note}")
    registry = Registry(host.hash, platform.registry)
    member = platform.siblings.enter(run.run, (host.hash, context.pid), platform.thread_clock())
    identity = SessionIdentity(
        id=run.run,
        writer=new_id(),
        host=host.hash,
        rank=rank,
        world_size=world_size,
        pid=os.getpid(),
        around=member.around or runs_around(registry, run.run, guard, member.within),
        continues=prior.continues,
    )
    presence = Presence(registry, identity, platform.clock(), guard, member)
    grid = platform.grid(settings, environ, platform.root, datetime.now().year, guard)
    speaks = rank == 0 and not context.quiet
    if grid.warning and speaks:
        guard.call("logging", lambda: logger.warning("%s", grid.warning), None)
    uuids = guard.call("CUDA", lambda: used_devices() or used_hip_devices(), None)
    around = MeterContext(
        host,
        JobBusy(context.pid, foreign=presence.siblings) if settings.scope == "process" else None,
        root=platform.root,
        environ=environ,
        clock=platform.clock,
        gpu_uuids=None if uuids is None else tuple(uuids),
        world_size=world_size,
    )
    with ExitStack() as stack:
        found = platform.discover(settings, around, guard)
        for meter in found.meters:
            stack.callback(meter.close)
        writer = None if log is None else Writer(file_for(log, identity.writer), environ.get("ECO2AI_LOG_KEY"))
        sinks = open_sinks(settings, host, platform.sinks, guard)
        console = None
        if settings.console and speaks:
            from eco2ai_callbacks.sinks.console import Console  # where a line is printed

            console = Console(log=log, environ=environ)
        publisher = Publisher(writer, sinks, guard, console=console)
        stack.callback(publisher.close)
        presence.measures([each.uuid for each in devices_of(found.meters)], ownership.shared_channels(found.meters))
        return PreparedSession(
            settings=settings,
            platform=platform,
            context=context,
            guard=guard,
            identity=identity,
            prior=prior,
            presence=presence,
            grid=grid,
            found=found,
            cpu_name=host.cpu_name,
            publisher=publisher,
            gpu=GpuWork(guard, sync=settings.sync_gpu, measured=chosen_devices(settings.gpus, found.meters)),
            opened=stack.pop_all(),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedSession:
    """A session with open meters that has not begun. A context manager: closes them unless it has begun.

    Args:
        settings: The settings in force.
        platform: The outside world.
        context: The caller's facts about the run.
        guard: Records failures.
        identity: Identity of the writer.
        prior: Usage of earlier sessions of the run, from the log.
        presence: This tracker in the host's registry.
        grid: Carbon intensity, PUE and price.
        found: The open meters, and all sources of energy figures.
        cpu_name: The processor's name.
        publisher: Receives the records.
        gpu: The GPU work of this process.
        opened: Closes what is open.
        baseline: What the meters count while the machine waits; ``None`` where that was not measured.
    """

    settings: Settings
    platform: Platform
    context: RunContext
    guard: Guard
    identity: SessionIdentity
    prior: PriorUsage
    presence: Presence
    grid: Grid
    found: Discovery
    cpu_name: str
    publisher: Publisher
    gpu: GpuWork
    opened: ExitStack
    baseline: Baseline | None = None

    def __enter__(self) -> PreparedSession:
        return self

    def __exit__(self, *_: object) -> None:
        self.opened.close()

    @property
    def start(self) -> RankStart:
        """The message that the other ranks need before this one begins."""
        return RankStart(self.presence.entry, self.prior.usage)

    def rested(self, worker: Worker) -> PreparedSession:
        """Return the session with its baseline, for which the caller waits where a setting asks for one.

        Args:
            worker: The thread that reads; it ends where the wait is interrupted.
        """
        settings, platform, guard = self.settings, self.platform, self.guard
        if not settings.baseline_s or self.context.alone:
            return self
        from eco2ai_callbacks.session.baseline import measure_baseline

        metering = Metering(self.found.meters, guard, platform.clock, worker.outside)
        others, sleep = self.presence.shared_with(), platform.sleep
        found = measure_baseline(
            settings.baseline_s, metering, worker, guard, sleep=sleep, cpu_ns=platform.cpu_ns, others=others
        )
        return replace(self, baseline=found)

    def begin(self, starts: Sequence[RankStart], worker: Worker) -> Session:
        """Take the first reading, write the ``start`` record, and return the session that has begun.

        Args:
            starts: The message of each rank; this one's alone where ranks exchange nothing.
            worker: The thread that this is called by; it will read, write and check for the end.
        """
        settings, platform, context, guard = self.settings, self.platform, self.context, self.guard
        ranks = [start.known for start in starts]
        exchanged = None if context.gather is None else ranks
        carried = carried_over(context.checkpoint, self.identity, self.prior, exchanged)
        meters = self._own_meters(starts)
        metering = Metering(meters, guard, platform.clock, worker.outside)
        # From here on the metering closes the meters.
        self.opened.callback(metering.close)
        wall = WallClock(platform.clock)
        self.opened.callback(self.presence.member.remove)
        reading = self.presence.member.begin(metering)
        before = self.prior.usage + carried_usage(carried or {})
        ledger = Ledger(reading, *self.grid.from_label(lambda: wall.label), before=before)
        self.presence.announce(reading.t)
        self.opened.callback(self.presence.withdraw)
        beside = self._beside(starts, meters)
        template = replace(self._template(meters), basis=beside.basis)
        journal = Journal(
            template,
            self.grid,
            wall,
            self.publisher,
            guard,
            methods=MethodsNow(meters),
            others=self.presence,
            attempts=self.prior.attempts,
            beside=beside.fields,
        )
        journal.begin(
            sum_parallel(ranks) + carried_usage(carried or {}),
            before,
            sources=tuple(source.to_dict() for source in self.found.counted(methods_of(meters).keys())),
            carried=carried,
            continues=self.identity.continues,
        )
        session = Session(
            identity=self.identity,
            metering=metering,
            ledger=ledger,
            phases=PhaseLedger(context.phases, reading),
            health=HealthLedger(reading, metering.looks),
            stages=Stages(context.base, self.prior.attempts),
            journal=journal,
            publisher=self.publisher,
            presence=self.presence,
            gpu=self.gpu,
            card=model_card.card_facts(self.grid.intensity, self.cpu_name, devices_of(self.found.meters)),
            facts=facts_of(template, methods_of(meters)),
            heartbeat_s=settings.heartbeat_s,
        )
        self.opened.pop_all()  # the session closes it
        worker.after_each(self.publisher.deliver)
        return session

    def _own_meters(self, starts: Sequence[RankStart]) -> list[Meter]:
        """Return the meters, without the channels that other ranks of this host count."""
        meters, clock = self.found.meters, self.platform.clock
        entry = self.presence.entry
        if self.context.gather is not None:
            ranks = tuple(start.entry for start in starts if start.entry is not None)
            self.presence.joins(ranks)
            return ownership.drop_channels_owned_elsewhere(meters, entry, ranks, clock)
        if self.identity.world_size > 1 or self.settings.run_id is not None:
            return ownership.yield_channels_when_taken(meters, entry, self.presence.same_run, clock)
        return list(meters)

    def _template(self, meters: Sequence[Meter]) -> Record:
        """Return the fields that all records of the session have in common."""
        identity = self.identity
        return Record(
            run=identity.id,
            writer=identity.writer,
            project=self.settings.project,
            description=self.settings.description,
            host=identity.host,
            rank=identity.rank,
            world_size=identity.world_size,
            pid=identity.pid,
            event="start",
            covers={channel: tuple(sorted(meter.covers)) for meter in meters for channel in meter.methods},
            not_covered=self.found.not_covered,
            pue=self.grid.pue,
            intensity=self.grid.facts(),
            version=package_version(),
        )

    def _beside(self, starts: Sequence[RankStart], meters: Sequence[Meter]) -> BesideFigures:
        """Return what computes the figures beside energy and CO2e."""
        entries = [start.entry for start in starts if start.entry is not None]
        known = sum(entry.host == self.identity.host for entry in entries) if self.context.gather else 0
        ranks = known or ranks_here(self.platform.variables)
        host = self.platform.host
        figures = beside_figures(self.settings, host, self.grid, self.cpu_name, meters, ranks, self.guard)
        return figures if self.baseline is None else figures.above(self.baseline.of(methods_of(meters)))
