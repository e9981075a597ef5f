"""A job whose ranks are threads of one process, on one clock that the test moves."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable, Mapping
from typing import Any

from logcheck import rows

from eco2ai_callbacks import Tracker
from eco2ai_callbacks.session.context import RunContext
from eco2ai_callbacks.testing import BARE_METAL, Clock, FakeMeter, fake_platform
from eco2ai_callbacks.usage import Method

JOB, MACHINE, DEVICE = "job", "machine", "device"


def draws(clock: Clock, channels: Mapping[str, tuple[float, str]], name: str = "constant") -> FakeMeter:
    """Return a meter of constant powers: watts and their scope, by channel."""
    methods = {
        channel: Method("constant", 0.9, 1.1, counter=True, scope=whose) for channel, (_, whose) in channels.items()
    }
    return FakeMeter(clock, {channel: watts for channel, (watts, _) in channels.items()}, method=methods, name=name)


class Job:
    """A job of ranks in threads that exchange messages at a barrier; all on one clock that the test moves."""

    def __init__(
        self,
        size: int,
        meters: Callable[[int, Clock], list[FakeMeter]],
        hosts: int = 1,
        own: Mapping[int, dict[str, Any]] | None = None,
        **settings: Any,
    ) -> None:
        self.size = size
        self.own = own or {}
        self.clock = Clock(100.0)
        self.hosts = hosts
        self.told: list[Any] = [None] * size
        self.barrier = threading.Barrier(size, timeout=30)
        self.meters = meters
        self.settings = {"region": "FR", "heartbeat_s": 0.0, "console": False, **settings}
        self.trackers = [self.tracker(rank) for rank in range(size)]

    def tracker(self, rank: int) -> Tracker:
        host = dataclasses.replace(BARE_METAL, boot_id=f"host {rank * self.hosts // self.size}")

        def find(*around: Any) -> Any:
            return fake_platform(self.clock, *self.meters(rank, self.clock)).discover(*around)

        platform = fake_platform(self.clock, host=host, discover=find)
        return Tracker(platform=platform, **self.settings | self.own.get(rank, {}))

    def gather(self, rank: int) -> Callable[[Any], list[Any]]:
        def gather(told: Any) -> list[Any]:
            self.told[rank] = told
            self.barrier.wait()
            heard = list(self.told)
            self.barrier.wait()
            return heard

        return gather

    def all(self, call: Callable[[Tracker, int], Any]) -> list[Any]:
        """Call a function for all ranks at once, and return each result."""
        found: list[Any] = [None] * self.size

        def run(rank: int) -> None:
            found[rank] = call(self.trackers[rank], rank)

        threads = [threading.Thread(target=run, args=(rank,)) for rank in range(self.size)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(timeout=60)
        return found

    def start(self, checkpoint: Any = None) -> Job:
        self.all(
            lambda tracker, rank: tracker.start(
                RunContext(rank=(rank, self.size), gather=self.gather(rank), checkpoint=checkpoint, base="other")
            )
        )
        return self

    def epoch(self, epoch: int, seconds: float) -> list[dict[str, float]]:
        self.all(lambda tracker, rank: tracker.enter("train", epoch))
        self.clock.advance(seconds)

        def end(tracker: Tracker, rank: int) -> dict[str, float]:
            return tracker.end_epoch(epoch).scalars

        return self.all(end)

    def stop(self) -> None:
        self.all(lambda tracker, rank: tracker.stop())


def cpu(rank: int, clock: Clock) -> list[FakeMeter]:
    return [draws(clock, {"cpu": (10.0 * (rank + 1), JOB)})]


def joules(kwh: float) -> float:
    return kwh * 3.6e6


def by_rank(channel: str) -> dict[int, float]:
    """Return the joules of a channel in each rank's records; ranks whose records never name it are absent."""
    found: dict[int, float] = {}
    for row in rows():
        if row["event"] in ("epoch", "stage", "stop") and channel in row["joules"]:
            found[row["rank"]] = found.get(row["rank"], 0.0) + row["joules"][channel]
    return found
