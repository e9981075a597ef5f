"""This tracker among the others of the host: processes that measure themselves, and runs that share a device."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Sequence

from eco2ai_callbacks.guard import Guard
from eco2ai_callbacks.host.machine import process_identity, process_started
from eco2ai_callbacks.host.registry import Entry, Registry, ancestry, around_process, lineage
from eco2ai_callbacks.session.context import Platform
from eco2ai_callbacks.session.identity import SessionIdentity
from eco2ai_callbacks.session.siblings import Member, Named
from eco2ai_callbacks.settings import Settings

# Whether the processes that share a device still live is looked up at most once in so many seconds: each costs a read.
_LOOK_S = 1.0


class Presence:
    """A tracker's entry in the host's registry, and the lookup of others there.

    Args:
        registry: The running trackers of this host.
        identity: Identity of the writer.
        since: Monotonic seconds at which the tracker began.
        guard: Records failures of the registry.
        member: This tracker among those of its process.
        clock: Monotonic seconds of the processes on this host.
    """

    def __init__(
        self,
        registry: Registry,
        identity: SessionIdentity,
        since: float,
        guard: Guard,
        member: Member,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._registry = registry
        self.member = member
        # The runs that the energy since the last mark was divided with.
        self.divided_with: Named = member.named
        self._clock = clock
        # The runs that share a device: of which entries, inside which runs, until when, and which.
        self._shared: tuple[object, tuple[str, ...], float, tuple[str, ...]] = ((), (), -math.inf, ())
        self._guard = guard
        self._ranks: tuple[Entry, ...] = ()
        self._around = identity.around
        started, image = process_identity()
        self.entry: Entry = Entry(
            identity.writer,
            identity.id,
            identity.host,
            identity.pid,
            started or 0.0,
            since,
            identity.rank,
            self.parent(),
            image=image,
        )

    def measures(self, devices: Sequence[str], channels: Sequence[str]) -> None:
        """Set the devices and channels that the opened meters read.

        Args:
            devices: UUIDs of the devices.
            channels: The channels that other processes of the host can read too.
        """
        self.entry = dataclasses.replace(self.entry, devices=tuple(devices), channels=tuple(channels))

    def joins(self, ranks: Sequence[Entry]) -> None:
        """Set the trackers of the job, where its ranks have exchanged them."""
        self._ranks = tuple(ranks)

    def announce(self, since: float) -> None:
        """Add the tracker to the registry.

        Args:
            since: Monotonic seconds of the first reading.
        """
        self.entry = dataclasses.replace(self.entry, since=since)
        self._guard.call("registry", lambda: self._registry.enter(self.entry), None)

    def withdraw(self) -> None:
        """Remove the tracker from the registry."""
        self._guard.call("registry", lambda: self._registry.leave(self.entry.writer), None)

    def parent(self) -> str | None:
        """Return the run inside which this one is measured."""
        return self._around[0] if self._around else None

    def parent_has_ended(self) -> bool:
        """Return whether the run around this one is no longer measured."""
        return self._around != self._still_around()

    def leave_ended_parents(self) -> None:
        """Take the nearest run around this one that is still measured as the parent."""
        if self._around:
            self._around = self._still_around()

    def _still_around(self) -> tuple[str, ...]:
        if not self._around:
            return ()
        known: list[Entry] | None = None
        found = self._guard.call("registry", lambda: self._registry.living(lambda e: e.run in self._around), known)
        runs = self._around if found is None else {entry.run for entry in found} | self.member.siblings.runs()
        return tuple(run for run in self._around if run in runs)

    def siblings(self) -> list[int]:
        """Return the ids of other processes of this host that measure themselves for the same run."""
        mine = self.entry
        if not self._ranks:
            return [other.pid for other in self.same_run() if other.pid != mine.pid]
        here = [other for other in self._ranks if other.host == mine.host and other.pid != mine.pid]
        return [other.pid for other in here if process_started(other.pid) == other.started]

    def same_run(self) -> list[Entry]:
        """Return the other trackers of this host that write for the same run."""
        mine = self.entry
        return living(self._registry, self._guard, lambda other: other.run == mine.run and other.writer != mine.writer)

    def shared_with(self) -> tuple[str, ...]:
        """Return other runs that measure one of our devices now or a moment ago, apart from those around and inside.

        With those of this process the energy is divided: they are named as ``siblings``.
        """
        if not self.entry.devices:
            return ()
        nobody: tuple[Entry, ...] = ()
        entries, now = self._guard.call("registry", self._registry.entries, nobody), self._clock()
        known, around, until, found = self._shared
        if entries is not known or around != self._around or now >= until:
            found = self._look_for_sharers(entries)
            self._shared = entries, self._around, now + _LOOK_S, found
        return found

    def _look_for_sharers(self, entries: Sequence[Entry]) -> tuple[str, ...]:
        mine = self.entry
        found = living(
            self._registry,
            self._guard,
            lambda other: (
                other.run != mine.run and other.pid != mine.pid and not {*mine.devices}.isdisjoint(other.devices)
            ),
        )
        others = {other.run for other in found} - {*self._around, *ancestry(entries, mine.parent)}
        return tuple(sorted(run for run in others if mine.run not in ancestry(entries, run)))


def living(registry: Registry, guard: Guard, keep: Callable[[Entry], bool] | None = None) -> list[Entry]:
    """Return the trackers that run on this host; none where the registry cannot be read.

    Args:
        registry: The running trackers of this host.
        guard: Records failures.
        keep: Selects the entries whose process is looked up; all by default.
    """
    nobody: list[Entry] = []
    return guard.call("registry", lambda: registry.living(keep), nobody)


def runs_around(registry: Registry, run: str, guard: Guard, within: Sequence[str] = ()) -> tuple[str, ...]:
    """Return the runs of other processes inside which a new session of a run is measured, the nearest first.

    Args:
        registry: The running trackers of this host.
        run: The session's run.
        guard: Records failures.
        within: The runs that were open where this process was forked, as far as they are known.
    """

    def find() -> tuple[str, ...]:
        return tuple(around_process(registry.living(), lineage()[1:], run, within))

    return guard.call("registry", find, ())


def unfinished_runs(settings: Settings, platform: Platform, first_epoch: int = 0) -> list[str]:
    """Return the runs of this project and host in the log that a fit may continue: killed or interrupted ones.

    Args:
        settings: The settings in force.
        platform: The outside world.
        first_epoch: The first epoch of the fit.
    """
    if settings.log_file is None:
        return []
    from eco2ai_callbacks.runlog.unfinished import unfinished  # at the start of a fit that may continue a run

    host = platform.host().hash
    writers = {entry.writer for entry in Registry(host, platform.registry).living()}
    return unfinished(settings.log_file.absolute(), settings.project, host, writers, first_epoch)
