"""The baseline of a run: what its meters count while the machine waits, and the energy of a segment above it."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeVar

from eco2ai_callbacks.guard import Guard
from eco2ai_callbacks.host.gpu_health import GpuLook
from eco2ai_callbacks.usage import Reading, Usage

R = TypeVar("R")
# Seconds between two looks at whether the machine is idle.
_LOOK_S = 1.0
# A process that uses more cores than this computes, and so does a GPU that is busy for a larger share of the time.
_BUSY_CORES, _BUSY_SHARE = 0.5, 0.05
_NS_PER_S = 1e9


class Reader(Protocol):
    """What reads the meters."""

    def period_s(self, heartbeat_s: float = ..., /) -> float:
        """Return how often the meters must be read, in seconds, and no more seldom than this."""
        ...

    def read(self) -> Reading:
        """Return all counters now."""
        ...

    def look(self) -> Sequence[GpuLook]:
        """Return the state of the GPUs now."""
        ...


class Thread(Protocol):
    """The thread that runs the calls of others."""

    def run(self, fn: Callable[[], R], default: R, /) -> R:
        """Run a call, wait for it, and return what it returns; the default where it does not return in time."""
        ...

    def retire(self) -> None:
        """End the thread after the calls that wait."""
        ...

    def join(self) -> None:
        """Wait until it has ended."""
        ...


@dataclass(frozen=True, slots=True)
class Baseline:
    """What channels use while the machine waits.

    Args:
        seconds: How long they were measured.
        watts: The mean power of each channel.

    Example:
        >>> Baseline(5.0, {"gpu:a": 50.0}).above_j(Usage(10.0, {"gpu:a": 2000.0}))
        1500.0
    """

    seconds: float
    watts: Mapping[str, float]

    def of(self, channels: Collection[str]) -> Baseline:
        """Return the baseline of some channels."""
        return replace(self, watts={channel: watts for channel, watts in self.watts.items() if channel in channels})

    def above_j(self, usage: Usage) -> float | None:
        """Return the joules that were used above the baseline, below 0 where fewer were used.

        ``None`` where nothing was measured, or a channel has no baseline.

        Args:
            usage: The usage of a segment.
        """
        if not usage.joules or not usage.joules.keys() <= self.watts.keys():
            return None
        return math.fsum(
            joules - self.watts[channel] * (usage.seconds + usage.beyond_s.get(channel, 0.0))
            for channel, joules in usage.joules.items()
        )

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for records."""
        return {"seconds": self.seconds, "watts": dict(self.watts)}


def measure_baseline(
    seconds: float,
    reader: Reader,
    thread: Thread,
    guard: Guard,
    *,
    sleep: Callable[[float], None],
    cpu_ns: Callable[[], int],
    others: Sequence[str] = (),
) -> Baseline | None:
    """Measure the baseline, and return it; ``None``, with the reason recorded, where the machine is not idle.

    The caller waits meanwhile, so that a Ctrl-C ends the wait; the thread ends then too.

    Args:
        seconds: How long to measure.
        reader: Reads the meters.
        thread: The thread that reads.
        guard: Records the reason.
        sleep: Waits for some seconds.
        cpu_ns: Returns the CPU time of this process, in nanoseconds.
        others: Other runs that use the same devices.
    """
    why = f"run {others[0]} uses the same devices" if others else ""
    if not why:
        with ExitStack() as interrupted:
            interrupted.callback(thread.join)
            interrupted.callback(thread.run, thread.retire, None)
            found, why = _measured(seconds, reader, thread, sleep, cpu_ns)
            interrupted.pop_all()
        if found is not None:
            return found
    guard.record(f"baseline: {why}, so energy above idle is not known")
    return None


def _measured(
    seconds: float, reader: Reader, thread: Thread, sleep: Callable[[float], None], cpu_ns: Callable[[], int]
) -> tuple[Baseline | None, str]:
    """Return the baseline, or why there is none."""
    nothing: list[GpuLook] = []
    first = last = thread.run(reader.read, None)
    began_ns, busy = cpu_ns(), _Busy()
    waits = max(1, math.ceil(seconds / reader.period_s(_LOOK_S)))
    for _ in range(waits):
        sleep(seconds / waits)
        last = thread.run(reader.read, None)
        busy.add(thread.run(reader.look, nothing))
    if first is None or last is None or last.t <= first.t:
        return None, "the meters did not answer while it was measured"
    passed = last.t - first.t
    cores = (cpu_ns() - began_ns) / _NS_PER_S / passed
    if cores > _BUSY_CORES:
        return None, f"this process used {cores:.1f} cores while it was measured"
    if busy.why:
        return None, f"{busy.why} while it was measured"
    return Baseline(passed, {channel: joules / passed for channel, joules in last.since(first).items()}), ""


class _Busy:
    """How busy GPUs were over some looks."""

    def __init__(self) -> None:
        self._shares: dict[int, list[float]] = {}

    def add(self, looks: Sequence[GpuLook]) -> None:
        """Add a look."""
        for look in looks:
            if look.busy is not None:
                self._shares.setdefault(look.index, []).append(look.busy)

    @property
    def why(self) -> str:
        """Which GPU was not idle, in words; empty where all were."""
        means = {index: sum(shares) / len(shares) for index, shares in self._shares.items()}
        busy = {index: share for index, share in means.items() if share > _BUSY_SHARE}
        return next((f"GPU {index} was busy for {share:.0%} of the time" for index, share in busy.items()), "")
