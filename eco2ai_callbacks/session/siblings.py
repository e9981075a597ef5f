"""The trackers that are measuring in one process at the same time, which divide its energy."""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Iterable, Mapping
from itertools import pairwise
from types import MappingProxyType
from typing import Protocol

from eco2ai_callbacks.session.division import Division, Node
from eco2ai_callbacks.session.of_process import OfProcess
from eco2ai_callbacks.session.place import Place, ThreadClock
from eco2ai_callbacks.usage import Reading

# A reading that nobody waits for is left out where another tracker has taken one within this part of the period: the
# meters may go unread for so much longer then, and are asked n times as often at most where all n begin at once.
FRESH = 0.25


class Meters(Protocol):
    """The meters of one tracker."""

    # Returns the tracker's part of what they read; none where all of it is its own.
    share: Member | None

    def own(self, waited: bool, /) -> Reading:
        """Read every meter, undivided."""
        ...

    def now(self) -> float:
        """Return monotonic seconds."""
        ...

    def period_s(self) -> float:
        """Return how often the meters must be read, in seconds."""
        ...


class Named:
    """The runs that a tracker's energy since its last mark was divided with."""

    __slots__ = ("_now", "runs")

    def __init__(self) -> None:
        self._now: tuple[str, ...] = ()
        self.runs: tuple[str, ...] = ()

    def set(self, now: tuple[str, ...]) -> None:
        """Set the runs that it is divided with from now on."""
        self._now, self.runs = now, tuple(sorted({*self.runs, *now}))

    def marked(self) -> None:
        """Forget the runs that had ended at the mark."""
        self.runs = self._now


class Member:
    """A tracker among those of its process.

    Args:
        node: What is known of it.
        place: Where it was started.
        siblings: The trackers of the process.
    """

    def __init__(self, node: Node, place: Place, siblings: Siblings) -> None:
        self.node = node
        self.place = place
        self.named: Named = Named()
        self.meters: Meters
        # The last reading of its meters, and the joules in it that are the tracker's own; replaced as a whole.
        self.state: tuple[Reading, Mapping[str, float]] | None = None
        self.leaves: bool = False
        self._cpu_s: float | None = None
        self.siblings = siblings

    @property
    def around(self) -> tuple[str, ...]:
        """The runs of this process inside which it begins, the nearest first."""
        return tuple(each.run for each in self.node.around)

    @property
    def within(self) -> tuple[str, ...]:
        """The runs that were open in the thread or task that started it; in a forked child, of its parent."""
        return tuple(each.run for each in self.place.within)

    def begin(self, meters: Meters) -> Reading:
        """Begin to measure, and return the first reading.

        Args:
            meters: The tracker's meters.
        """
        self.meters = meters
        return self.siblings.begin(self, meters)

    def __call__(self, waited: bool) -> Reading:
        """Read the meters of all who share, and return this tracker's part.

        Args:
            waited: Whether a program waits for the answer.
        """
        return self.siblings.read(self, waited)

    def leave(self) -> None:
        """Leave with the next reading, which is the last."""
        self.leaves = True
        if self.meters.share is None:
            self.remove()

    def remove(self) -> None:
        """Leave without a reading."""
        self.siblings.remove(self)

    def busy_s(self) -> float | None:
        """Return the CPU time of its thread since the last call; ``None`` where it is not known."""
        before = self._cpu_s
        self._cpu_s = None if self.place.clock is None else self.place.clock()
        return None if before is None or self._cpu_s is None else max(0.0, self._cpu_s - before)

    def take(self, reading: Reading, parts: Mapping[str, float]) -> None:
        """Add what the meters have counted since their last reading.

        Args:
            reading: Their reading.
            parts: The part of it that is the tracker's own, by channel; all of it by default.
        """
        if self.state is None:  # it was alone until now
            self.state = reading, reading.joules
            return
        before, joules = self.state
        if reading.t >= before.t:  # else another thread has read them since
            self.state = (
                reading,
                {
                    channel: joules.get(channel, 0.0)
                    + max(0.0, value - before.joules.get(channel, 0.0)) * parts.get(channel, 1.0)
                    for channel, value in reading.joules.items()
                },
            )

    def part(self) -> Reading | None:
        """Return the last reading, with the tracker's own part of the joules."""
        if self.state is None:
            return None
        reading, joules = self.state
        return Reading(reading.t, MappingProxyType(dict(joules)), reading.retired, reading.last_read)


class Siblings(OfProcess):
    """The trackers of this process that are measuring.

    Each has meters that count the whole process. Those that were started around each other contain each other. The
    others are siblings, and divide what the process uses while they run. For that the meters of all of them are read
    whenever one's are, and each is given its part of what its own have counted since. The parts of a moment add up to
    the whole, and nobody's depends on when the others look.
    """

    def __init__(self) -> None:
        self._pid = os.getpid()
        # Both are replaced as a whole: readers take no lock.
        self._members: Mapping[Node, Member] = {}
        self._division = Division()
        self._lock = threading.RLock()
        self._at = -math.inf

    def enter(self, run: str, measures: tuple[str, int | None], clock: ThreadClock | None = None) -> Member:
        """Return a tracker that is about to begin, with those around it; called by the thread that starts it.

        Args:
            run: Id of its run.
            measures: What it measures: the host, and the root of the process tree.
            clock: Clock of the thread's CPU time.
        """
        self._forget_before_fork()
        place = Place(run, clock)
        others = [
            each
            for each in self._members.values()
            if each.node.measures == measures and each.node.run != run and each.place.open
        ]
        around = [each.node for each in others if each.place.encloses(place)]
        if not around:
            began = [each.node for each in others if each.place.began(place)]
            # Of trackers that run beside each other nobody knows which one is around it.
            nested = all(one in two.around for one, two in pairwise(began))
            around = began if nested else []
        found = (around[-1], *around[-1].around) if around else ()
        return Member(Node(run, measures, place.thread, found), place, self)

    def runs(self) -> set[str]:
        """Return the runs that are measured in this process."""
        return {node.run for node in self._members} if os.getpid() == self._pid else set()

    def begin(self, member: Member, meters: Meters) -> Reading:
        """Add a tracker, and return its first reading; :class:`Member` calls it.

        Args:
            member: The tracker.
            meters: Its meters.
        """
        self._change({member.node: member}, None)
        member.place.open = True
        return member.part() or meters.own(True)

    def read(self, member: Member, waited: bool) -> Reading:
        """Read the meters of all who share with a tracker, and return its part; :class:`Member` calls it.

        Args:
            member: The tracker.
            waited: Whether a program waits for the answer.
        """
        node, last = member.node, member.part()
        if last is not None and (node not in self._members or self._is_fresh(member, waited)):
            return last
        if member.leaves:
            self._change({}, node)
        else:
            sharing = self._division.sharing
            self._credit(self._read(sharing if node in sharing else {node}, waited))
        return member.part() or member.meters.own(waited)

    def remove(self, member: Member) -> None:
        """Let a tracker leave without a reading; :class:`Member` calls it."""
        member.place.open = False
        with self._lock:
            if member.node in self._members:
                self._set({node: each for node, each in self._members.items() if each is not member})

    # --- inside ----------------------------------------------------------------------------------------------------

    def _is_fresh(self, member: Member, waited: bool) -> bool:
        """Return whether nobody waits for the reading, and another tracker has just taken one."""
        period_s = member.meters.period_s()
        due = waited or member.leaves or period_s == math.inf or member.node not in self._division.sharing
        return not due and member.meters.now() - self._at < FRESH * period_s

    def _change(self, come: Mapping[Node, Member], gone: Node | None) -> None:
        """Read all whose part changes as a tracker comes or goes, and let it come or go at that moment."""
        with self._lock:
            members = {**self._members, **come}
            after = Division(node for node in members if node is not gone)
            affected = self._division.sharing | after.sharing | ({gone} if gone in members else set())
            for node in affected:
                members[node].meters.share = members[node]
        # Without the lock: a driver may be stuck. What follows may be done beside the same of another thread.
        readings = {members[node]: members[node].meters.own(True) for node in affected}
        with self._lock:
            self._credit(readings)
            self._set({node: each for node, each in {**self._members, **come}.items() if node is not gone})
            late = {node for node in self._division.sharing if self._members[node].state is None}
        if gone is not None and gone in members:
            members[gone].place.open = False
        if late:  # others came at the same time
            self._credit(self._read(late, True))

    def _read(self, nodes: Iterable[Node], waited: bool) -> dict[Member, Reading]:
        members = self._members
        return {members[node]: members[node].meters.own(waited) for node in nodes if node in members}

    def _credit(self, readings: Mapping[Member, Reading]) -> None:
        """Give each tracker its part of what its meters have counted since they were last read."""
        with self._lock:
            parts: Mapping[Node, Mapping[str, float]] = {}
            sharing = self._division.sharing
            if any(member.node in sharing for member in readings):
                busy_s = {node: self._members[node].busy_s() for node in sharing}
                now = max(reading.t for reading in readings.values())
                seconds, self._at = max(0.0, now - self._at), max(now, self._at)
                counted = {node: each[0].joules.keys() for node in sharing if (each := self._members[node].state)}
                counted |= {
                    member.node: reading.joules.keys() for member, reading in readings.items() if member.node in sharing
                }
                parts = self._division.parts(counted, busy_s, seconds)
            for member, reading in readings.items():
                if member.state is None or member.node in self._members:  # else it has had its last reading
                    member.take(reading, parts.get(member.node, {}))

    def _set(self, members: Mapping[Node, Member]) -> None:
        """Set the trackers that are measuring; called with the lock."""
        shared = self._division.sharing
        self._members, self._division = members, Division(members)
        for node, member in members.items():
            member.named.set(self._division.siblings(node))
            if node in self._division.sharing - shared:
                member.meters.share = member
                member.busy_s()
                self._at = max(self._at, member.meters.now())

    def _forget_before_fork(self) -> None:
        """Forget the trackers of the process that this one was forked from, another thread of which held the lock."""
        if os.getpid() != self._pid:
            self._pid, self._lock, self._at = os.getpid(), threading.RLock(), -math.inf
            self._members, self._division = {}, Division()
