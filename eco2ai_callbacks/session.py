"""One session of a run: its parts put together, from opened meters to the stop record."""

from __future__ import annotations

import dataclasses
import math
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from eco2ai_callbacks.carbon.grid import Grid, grid_for
from eco2ai_callbacks.contain import Containment, logger
from eco2ai_callbacks.host import Host, process_started, read_host
from eco2ai_callbacks.ledger import Ledger
from eco2ai_callbacks.metering import Metering
from eco2ai_callbacks.meters import Discovery, Surroundings, discover
from eco2ai_callbacks.meters.busy import JobBusy
from eco2ai_callbacks.meters.cuda import synchronize, used_devices
from eco2ai_callbacks.publish import Publisher
from eco2ai_callbacks.record import Record, banded, measured, summary
from eco2ai_callbacks.registry import Entry, Registry, lineage, parent_of
from eco2ai_callbacks.run import Resume, Run, new_id, rank_from
from eco2ai_callbacks.runlog.place import file_for
from eco2ai_callbacks.runlog.read import carried_usage
from eco2ai_callbacks.runlog.resume import Before, before, unfinished
from eco2ai_callbacks.runlog.write import Writer
from eco2ai_callbacks.settings import Settings
from eco2ai_callbacks.sinks import Sink
from eco2ai_callbacks.sinks.console import Console
from eco2ai_callbacks.sinks.csv import CsvFile
from eco2ai_callbacks.stages import Stages, Stretch
from eco2ai_callbacks.usage import Method, Reading, Usage

# How long a fit may be over before that is noticed, where no hook tells: so much at most is counted beyond it. A look
# takes microseconds and reads no meter.
WATCH_S = 0.25


@dataclass(frozen=True, slots=True)
class Machinery:
    """What a session stands on; tests put a machine of their own here.

    Args:
        clock: Monotonic seconds.
        host: Reads the machine's facts.
        find: Opens the meters.
        environ: The environment; this process's by default.
        root: The root of the file system, for what a platform put there.
        registry: Folder of the running trackers; one that all users share by default.
    """

    clock: Callable[[], float] = time.monotonic
    host: Callable[[], Host] = read_host
    find: Callable[[Settings, Surroundings], Discovery] = discover
    environ: Mapping[str, str] | None = None
    root: Path = Path("/")
    registry: Path | None = None


@dataclass(frozen=True, slots=True)
class Opening:
    """How a session begins.

    Args:
        base: The stage of the time outside of all stages that are entered.
        resume: The run to continue, as a checkpoint or the same object remembers it.
        rank: Rank and world size; as the launcher's variables say by default.
        quiet: Whether the console line is left out.
        inside: Whether what is measured still goes on; the thread looks every ``WATCH_S`` seconds.
        pid: The process at the top of the measured tree; this one by default.
    """

    base: str = "train"
    resume: Resume | None = None
    rank: tuple[int, int] | None = None
    quiet: bool = False
    inside: Callable[[], bool] | None = None
    pid: int | None = None


class Session:
    """Meters, ledger, log and sinks of one ``start`` to ``stop``. Not safe for threads by itself."""

    def __init__(
        self,
        settings: Settings,
        machinery: Machinery,
        opening: Opening,
        contain: Containment,
        beat: Callable[[Reading], None],
        look: Callable[[], None],
    ) -> None:
        environ = os.environ if machinery.environ is None else machinery.environ
        host = machinery.host()
        self.contain = contain
        self.settings = settings
        self._opening = opening
        writer = new_id()
        log = None if settings.log_file is None else settings.log_file.absolute()
        rank, world_size = opening.rank or rank_from(environ)
        continued = opening.resume.run_id if opening.resume else settings.run_id
        known = Before()
        if log is not None and continued is not None:
            known = contain.contained("log file", lambda: before(log, continued), known)
        carried = _carried(opening.resume, known.usage)
        self._registry = Registry(host.hash, machinery.registry)
        living = self._living()
        run_id = continued or new_id()
        self.run = Run(
            id=run_id,
            writer=writer,
            host=host.hash,
            rank=rank,
            world_size=world_size,
            pid=os.getpid(),
            parent=contain.contained("registry", lambda: parent_of(living, lineage(), run_id), None),
            continues=known.continues,
        )
        self.grid: Grid = grid_for(settings, environ, machinery.root, datetime.now().year)
        if self.grid.warning and not opening.quiet and rank == 0:
            logger.warning("%s", self.grid.warning)
        job = JobBusy(opening.pid, foreign=self._siblings) if settings.scope == "process" else None
        uuids = used_devices()
        around = Surroundings(
            host, job, root=machinery.root, environ=environ, clock=machinery.clock,
            gpu_uuids=None if uuids is None else tuple(uuids),
        )  # fmt: skip
        self.found = machinery.find(settings, around)
        self._metering = Metering(
            self.found.meters,
            contain,
            machinery.clock,
            beat,
            settings.heartbeat_s or math.inf,
            None if opening.inside is None else look,
            WATCH_S,
        )
        self._publisher = Publisher(
            None if log is None else Writer(file_for(log, writer), environ.get("ECO2AI_LOG_KEY")),
            self._sinks(host.cpu_name),
            contain,
        )
        self._wall = datetime.now().astimezone()
        reading = self._metering.start()
        usage = known.usage + carried_usage(carried or {})
        self.ledger = Ledger(reading, self.grid.intensity.g_per_kwh, self.grid.pue, usage)
        self.stages = Stages(opening.base, known.attempts)
        self._beaten = reading.t
        self._template = self._constant_fields()
        devices = tuple(c.partition(":")[2] for c in self._methods if c.startswith("gpu:"))
        self._devices = frozenset(devices)
        entry = Entry(
            writer,
            run_id,
            host.hash,
            os.getpid(),
            process_started() or 0.0,
            time.time(),
            rank,
            self.run.parent,
            devices,
        )
        contain.contained("registry", lambda: self._registry.enter(entry), None)
        self._publish(
            "start",
            Usage(),
            Stretch(),
            sources=tuple(source.to_dict() for source in self.found.sources),
            carried=carried,
            continues=self.run.continues,
        )

    # --- reading and marking ---------------------------------------------------------------------------------------

    def read(self) -> Usage:
        """What has been used since the last mark."""
        return self.ledger.since(self._metering.read())

    def reading(self) -> Reading:
        """All counters now, with the GPU's work finished if that is wanted."""
        if self.settings.sync_gpu:
            self.contain.contained("CUDA", synchronize, None)
        return self._metering.read()

    def mark(self, event: str, stretch: Stretch, reading: Reading, **fields: Any) -> Usage:
        """Close the time since the last mark under a name, and publish it."""
        usage = self.ledger.mark(reading, stretch)
        if event == "epoch":
            fields["epoch_total"] = summary(self.ledger.sum(stretch) or usage)
        self._publish(event, usage, stretch, **fields)
        self._wall = datetime.now().astimezone()
        self._beaten = reading.t
        return usage

    def note(self, event: str, metrics: Mapping[str, Any], epoch: int | None) -> None:
        """Publish a record that adds nothing up and closes nothing."""
        self._publish(event, Usage(), self.stages.latest(self.stages.current.stage, epoch), metrics=dict(metrics))

    def heartbeat(self, reading: Reading) -> None:
        """Write what has been used since the last mark, if it is time to."""
        period = self.settings.heartbeat_s
        if period and reading.t > self.ledger.marked.t and reading.t - self._beaten >= period * 0.99:
            self._publish("heartbeat", self.ledger.since(reading), self.stages.current)
            self._beaten = reading.t

    def close(self, ended: str) -> None:
        """End the thread, take the last reading and write what is left since the last mark.

        Args:
            ended: ``finished``, ``interrupted``, or what stopped the run.
        """
        reading = self._metering.stop()
        self.mark("stop", self.stages.inside or Stretch(), reading, ended=ended)
        self.contain.contained("registry", lambda: self._registry.leave(self.run.writer), None)

    # --- what every record holds -----------------------------------------------------------------------------------

    def _publish(self, event: str, usage: Usage, stretch: Stretch, **fields: Any) -> None:
        methods = self._methods
        total = self.ledger.total if event != "heartbeat" else self.ledger.total + usage
        grid = self.grid.intensity
        spread = (grid.low / grid.g_per_kwh, grid.high / grid.g_per_kwh) if grid.g_per_kwh else (1.0, 1.0)
        record = dataclasses.replace(
            self._template,
            event=event,
            stage=stretch.stage,
            epoch=stretch.epoch,
            attempt=stretch.attempt,
            start=self._wall.isoformat(timespec="milliseconds"),
            **measured(usage, methods),
            cost=self.grid.cost(usage.energy_kwh, self._wall, usage.seconds),
            total=banded(total, methods, spread),
            shared_with=self._shared_with(),
            failures=self.contain.failures,
            **fields,
        )
        self._publisher.publish(record)

    @property
    def _methods(self) -> dict[str, Method]:
        """How each channel is known; a meter may find more channels as it runs."""
        return {channel: method for meter in self.found.meters for channel, method in meter.methods.items()}

    def _constant_fields(self) -> Record:
        return Record(
            run=self.run.id,
            writer=self.run.writer,
            parent=self.run.parent,
            project=self.settings.project,
            description=self.settings.description,
            host=self.run.host,
            rank=self.run.rank,
            pid=self.run.pid,
            event="start",
            covers={c: tuple(sorted(meter.covers)) for meter in self.found.meters for c in meter.methods},
            not_covered=self.found.not_covered,
            pue=self.grid.pue,
            intensity=self.grid.intensity.to_dict() | {"pue_source": self.grid.pue_source},
            version=_version(),
        )

    def _sinks(self, cpu_name: str) -> list[Sink]:
        sinks: list[Sink] = []
        if self.settings.csv_file is not None:
            sinks.append(CsvFile(self.settings.csv_file.absolute(), cpu_name))
        if self.settings.console and not self._opening.quiet and self.run.rank == 0:
            sinks.append(Console())
        return sinks

    def _living(self) -> list[Entry]:
        nobody: list[Entry] = []
        return self.contain.contained("registry", self._registry.living, nobody)

    def _siblings(self) -> list[int]:
        """Processes of this host that measure themselves for the same run."""
        return [entry.pid for entry in self._living() if entry.run == self.run.id and entry.pid != self.run.pid]

    def _shared_with(self) -> tuple[str, ...]:
        """Other runs that measure one of our devices now, apart from those around or inside this one."""
        if not self._devices:
            return ()
        living = self._living()
        related = {self.run.id, self.run.parent}
        return tuple(
            sorted(
                {
                    entry.run
                    for entry in living
                    if self._devices & set(entry.devices) and entry.run not in related and entry.parent != self.run.id
                }
            )
        )


def open_runs(settings: Settings, machinery: Machinery | None = None) -> list[str]:
    """Runs of this project and host in the log that have no ``stop`` and that nobody writes now."""
    machinery = machinery or Machinery()
    if settings.log_file is None:
        return []
    host = machinery.host().hash
    living = {entry.writer for entry in Registry(host, machinery.registry).living()}
    return unfinished(settings.log_file.absolute(), settings.project, host, living)


def _carried(resume: Resume | None, known: Usage) -> dict[str, float | None] | None:
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


@cache
def _version() -> str:
    try:
        return version("eco2ai-callbacks")
    except PackageNotFoundError:  # run from a folder that was never installed
        return "unknown"
