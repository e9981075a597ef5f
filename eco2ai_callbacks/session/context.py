"""What a session stands on and how it begins: the machine, and what an adapter knows of the run."""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from eco2ai_callbacks.distributed.messages import Gather, ProposedRun
from eco2ai_callbacks.guard import Guard
from eco2ai_callbacks.host.machine import Host, read_host
from eco2ai_callbacks.host.registry import Registry
from eco2ai_callbacks.meters.discovery import Discovery, MeterContext, discover
from eco2ai_callbacks.runlog.resume import unfinished
from eco2ai_callbacks.session.identity import Checkpoint, launched_id, new_id, rank_from
from eco2ai_callbacks.settings import Settings


@dataclass(frozen=True, slots=True)
class Platform:
    """What a session stands on; tests put a machine of their own here.

    Args:
        clock: Monotonic seconds.
        host: Reads the machine's facts.
        discover: Opens the meters.
        environ: The environment; this process's by default.
        root: The root of the file system, for what a platform put there.
        registry: Folder of the running trackers; one that all users share by default.
        number: Counts the trackers that this process starts as a rank of a launch without a process group.
    """

    clock: Callable[[], float] = time.monotonic
    host: Callable[[], Host] = read_host
    discover: Callable[[Settings, MeterContext, Guard], Discovery] = discover
    environ: Mapping[str, str] | None = None
    root: Path = Path("/")
    registry: Path | None = None
    number: Callable[[], int] = itertools.count().__next__


@dataclass(frozen=True, slots=True)
class RunContext:
    """How a session begins.

    Args:
        base: The stage of the time outside of all stages that are entered.
        resume: The run to continue, as a checkpoint or the same object remembers it.
        rank: Rank and world size; as the launcher's variables say by default.
        quiet: Whether the console line is left out.
        inside: Whether what is measured still goes on; the thread looks every ``WATCH_S`` seconds.
        pid: The process at the top of the measured tree; this one by default.
        gather: Tells all ranks something and returns what each has told; ``None`` where there is no way to.
    """

    base: str = "train"
    resume: Checkpoint | None = None
    rank: tuple[int, int] | None = None
    quiet: bool = False
    inside: Callable[[], bool] | None = None
    pid: int | None = None
    gather: Gather | None = None


def named(settings: Settings, platform: Platform, opening: RunContext) -> ProposedRun:
    """The run that this process would write for: the one to continue, that of its launch, or a new one."""
    continued = opening.resume.run_id if opening.resume else settings.run_id
    if continued is not None:
        return ProposedRun(continued, True)
    environ = os.environ if platform.environ is None else platform.environ
    if opening.gather is None and (opening.rank or rank_from(environ))[1] > 1:
        launched = launched_id(environ, platform.host().hash, platform.number())
        if launched is not None:
            return ProposedRun(launched)
    return ProposedRun(new_id())


def open_runs(settings: Settings, platform: Platform | None = None) -> list[str]:
    """Runs of this project and host in the log that have no ``stop`` and that nobody writes now."""
    platform = platform or Platform()
    if settings.log_file is None:
        return []
    host = platform.host().hash
    living = {entry.writer for entry in Registry(host, platform.registry).living()}
    return unfinished(settings.log_file.absolute(), settings.project, host, living)
