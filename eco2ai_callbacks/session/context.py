"""The inputs of a session: the outside world, and the caller's facts about the run."""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from eco2ai_callbacks.carbon.grid import Grid, grid_for
from eco2ai_callbacks.distributed.launcher import rank_from, restarts
from eco2ai_callbacks.distributed.messages import Gather, Meet, ProposedRun, SharedStore
from eco2ai_callbacks.distributed.process_group import Ranks, find_group
from eco2ai_callbacks.guard import Guard
from eco2ai_callbacks.host.machine import Host, read_host
from eco2ai_callbacks.meters.discovery import Discovery, MeterContext, discover
from eco2ai_callbacks.phases.clock import PhaseClock
from eco2ai_callbacks.session.by_hand import StartedByHand
from eco2ai_callbacks.session.identity import Checkpoint, new_id
from eco2ai_callbacks.session.place import ThreadClock, thread_clock
from eco2ai_callbacks.session.siblings import Siblings
from eco2ai_callbacks.session.watched import WatchedCalls
from eco2ai_callbacks.settings import Settings
from eco2ai_callbacks.sinks import SINKS, OpenSink


class MeasuredCall(Protocol):
    """A call of a framework that a tracker measures, and whose end no hook may report."""

    def is_running(self) -> bool:
        """Return whether the call still runs."""
        ...

    def when_over(self, notify: Callable[[], None], /) -> None:
        """Call ``notify`` once the call is over; from any thread, at any point, as finalizers are called."""
        ...

    def forget(self) -> None:
        """Watch the call no longer."""
        ...


@dataclass(frozen=True, slots=True)
class Platform:
    """The outside world of a session: clock, host facts, discovery, environment. Tests inject fakes.

    Args:
        clock: Monotonic seconds.
        host: Reads the machine's facts.
        discover: Opens the meters.
        sinks: Open the sinks that the settings name.
        grid: Returns carbon intensity, PUE and price from the settings, the environment, the root of the file system,
            the year and the guard.
        environ: The environment; this process's by default.
        root: Root of the file system, where a platform's files are looked up.
        registry: Folder of the running trackers; the user's private folder by default.
        number: Counts the trackers that this process starts as a rank of a launch without a process group.
        evaluations: The same for evaluations outside of a fit, which a rank may run alone.
        watched: The trackers of this process whose measured call may end unreported.
        siblings: The trackers of this process that are measuring.
        thread_clock: Returns a clock of the calling thread's CPU time that other threads may read.
        by_hand: The trackers of this process that were started by hand.
        wall_ns: Wall time by which phases are told apart, in nanoseconds.
        cpu_ns: CPU time of this process, for the same, in nanoseconds.
        sleep: Waits for some seconds.
    """

    clock: Callable[[], float] = time.monotonic
    host: Callable[[], Host] = read_host
    discover: Callable[[Settings, MeterContext, Guard], Discovery] = discover
    sinks: Sequence[OpenSink] = SINKS
    grid: Callable[[Settings, Mapping[str, str], Path, int, Guard], Grid] = grid_for
    environ: Mapping[str, str] | None = None
    root: Path = Path("/")
    registry: Path | None = None
    number: Callable[[], int] = itertools.count().__next__
    evaluations: Callable[[], int] = itertools.count().__next__
    watched: WatchedCalls = field(default=WatchedCalls())  # one for the process
    siblings: Siblings = field(default=Siblings())  # one for the process
    thread_clock: Callable[[], ThreadClock | None] = thread_clock
    by_hand: StartedByHand = field(default=StartedByHand())  # the same
    wall_ns: Callable[[], int] = time.perf_counter_ns
    cpu_ns: Callable[[], int] = time.process_time_ns
    sleep: Callable[[float], None] = time.sleep

    @property
    def variables(self) -> Mapping[str, str]:
        """The environment variables in use."""
        return os.environ if self.environ is None else self.environ


@dataclass(frozen=True, slots=True)
class RunContext:
    """The caller's facts about the run: base stage, checkpoint, rank, verbosity, measured call, gather.

    Args:
        base: Stage of the time outside of all stages that are entered.
        checkpoint: The run to continue, as a checkpoint or the same object holds it.
        rank: Rank and world size; from the launcher's variables by default.
        quiet: Whether the console line is left out.
        call: The measured call, where no hook may report its end.
        pid: Root of the measured process tree; this process by default.
        gather: Sends a message to all ranks and returns every rank's; ``None`` where nothing synchronises them.
        meet: Finds out whether all ranks come to the end, where they are to exchange there too.
        alone: Whether it is an evaluation outside of a fit, which a rank may run alone.
        store: What the ranks share without waiting; ``None`` where they share nothing.
        phases: The time spent in each phase.
        by_hand: The tracker, where a program starts it by a call and may forget it.
    """

    base: str = "train"
    checkpoint: Checkpoint | None = None
    rank: tuple[int, int] | None = None
    quiet: bool = False
    call: MeasuredCall | None = None
    pid: int | None = None
    gather: Gather | None = None
    meet: Meet | None = None
    alone: bool = False
    store: SharedStore | None = None
    phases: PhaseClock = field(default_factory=PhaseClock, compare=False)
    by_hand: object = None

    def in_group(self, ranks: Ranks, guard: Guard) -> RunContext:
        """Return the context with a process group to exchange over, where no framework's callback has set one.

        Args:
            ranks: Framework of the group.
            guard: Records failures.
        """
        if self.gather is not None or ranks is None:
            return self
        group = guard.call("ranks", lambda: find_group(ranks, guard), None)
        if group is None:
            return self
        return replace(self, rank=(group.rank, group.size), gather=group.gather, meet=group.meet)


def propose_run(settings: Settings, platform: Platform, context: RunContext) -> ProposedRun:
    """Return the run that this process would write for: the one to continue, that of its launch, or a new one."""
    continued = context.checkpoint.run_id if context.checkpoint else settings.run_id
    if continued is not None:
        return ProposedRun(continued, True)
    rank, size = context.rank or rank_from(platform.variables)
    together = context.gather is not None or size < 2
    attempt = restarts(platform.variables)
    if together and attempt is None:
        return ProposedRun(new_id())
    from eco2ai_callbacks.session.launch import Launch  # where a launcher has started several ranks

    # Numbers of their own, so that an evaluation of one rank does not shift the numbers of its fits.
    number = -1 - platform.evaluations() if context.alone else platform.number()
    log = None if settings.log_file is None else settings.log_file.absolute()
    launch = Launch(platform.variables, platform.host().hash, number, rank, log, platform.registry)
    if together:
        return launch.of_job() or ProposedRun(new_id())
    proposed = launch.of_rank()
    if context.store is not None:
        # A store outlives the ranks that torchrun starts again, with what those before have agreed on.
        agreed = context.store.agree(f"run/{attempt or 0}/{number}", new_id() if proposed is None else proposed.run)
        return ProposedRun(agreed, proposed is not None and proposed == ProposedRun(agreed, True))
    return proposed or ProposedRun(new_id())
