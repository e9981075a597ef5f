"""Measure who has kept a shared NVIDIA board busy: its multi-instance slices, or the job's processes among others."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from eco2ai_callbacks.meters.gpu import nvml_driver as driver
from eco2ai_callbacks.meters.gpu.nvml_driver import Nvml
from eco2ai_callbacks.meters.gpu.selection import Gpu, MigDevice
from eco2ai_callbacks.usage import Scope

# Of all multiprocessors of an instance, the part that was busy, in percent. (nvml.h: NVML_GPM_METRIC_SM_UTIL)
_BUSY_METRIC = 2
# Two samples must be further apart: the driver renews its figures that often. (NVML API reference, nvmlGpmMetricsGet)
APART_S = 0.1
# No process was busy since the last question. (nvml.h: NVML_ERROR_NOT_FOUND)
_NOT_FOUND = 6


@dataclass(frozen=True, slots=True)
class Share:
    """A part of a board's energy, between two ways of dividing it.

    Idle power belongs to all alike, the rest to those that work. Which part of a board's power is idle power is not
    known, so that the truth is between dividing all by size and all by activity; the middle is what counts.

    Args:
        low: The lower of the two.
        high: The higher of the two.
    """

    low: float
    high: float

    @property
    def middle(self) -> float:
        """What counts."""
        return (self.low + self.high) / 2


class Activity(Protocol):
    """Who has kept a board busy."""

    @property
    def name(self) -> str:
        """How it is known, as the end of a method's name."""

    @property
    def scope(self) -> Scope:
        """Whose energy the parts are."""

    @property
    def sampled(self) -> bool:
        """Whether an answer is of the last moments alone, so that it must be asked for in short periods."""

    def shares(self, handle: Any) -> Mapping[str, Share] | int | None:
        """Return the share of each part since the last call, or the code that the driver failed with.

        ``None`` where the time since then is too short.

        Args:
            handle: The board's handle now.
        """

    def close(self) -> None:
        """Release what is held; never raises."""


class MigActivity:
    """The activity of a board's GPU instances by the driver's profiling counters (GPM), on Hopper and later.

    Args:
        nvml: The initialised library.
        gpu: The board in multi-instance mode.
        clock: Monotonic seconds.
    """

    name: str = "gpm"
    sampled: bool = False
    scope: Scope = "device"

    def __init__(self, nvml: Nvml, gpu: Gpu, clock: Callable[[], float]) -> None:
        self._nvml = nvml
        self._gpu = gpu
        self._clock = clock
        self._slices: dict[int, int] = {}
        for mig in gpu.mig:
            self._slices[mig.gpu_instance] = self._slices.get(mig.gpu_instance, 0) + (mig.slices or 0)
        # The samples of each instance: the last one, and the one that the next call fills.
        self._samples: dict[int, list[Any]] = {}
        self._taken_s = 0.0

    def open(self, handle: Any) -> bool:
        """Take the first samples, and return whether the driver has any for this process."""
        support, code = driver.ask(self._nvml, "nvmlGpmQueryDeviceSupport", handle)
        if code is not None or not driver.whole(getattr(support, "isSupportedDevice", None)):
            return False
        if not hasattr(self._nvml, "c_nvmlGpmMetricsGet_t"):
            return False
        for instance in self._slices:
            pair: list[Any] = []
            self._samples[instance] = pair
            for _ in range(2):
                sample, code = driver.ask(self._nvml, "nvmlGpmSampleAlloc")
                if code is not None:
                    self.close()
                    return False
                pair.append(sample)
        if self._take(handle, 0) is not None:
            self.close()
            return False
        return True

    def shares(self, handle: Any) -> Mapping[str, Share] | int | None:
        """Return the share of each slice since the last call, as :class:`Activity` says."""
        if self._clock() - self._taken_s <= APART_S:
            return None
        code = self._take(handle, 1)
        if code is not None:
            return code
        busy: dict[int, float] = {}
        for instance, (before, now) in self._samples.items():
            value = self._busy(before, now)
            if isinstance(value, int):
                return value
            busy[instance] = value * self._slices[instance]
        for pair in self._samples.values():
            pair.reverse()
        return {mig.uuid: self._share(mig, busy) for mig in self._gpu.mig}

    def close(self) -> None:
        """Free the samples."""
        for pair in self._samples.values():
            for sample in pair:
                driver.ask(self._nvml, "nvmlGpmSampleFree", sample)
        self._samples = {}

    def _take(self, handle: Any, which: int) -> int | None:
        """Fill one sample of each instance, and return the code where the driver refuses one."""
        for instance, pair in self._samples.items():
            code = driver.ask(self._nvml, "nvmlGpmMigSampleGet", handle, instance, pair[which])[1]
            if code is not None:
                return code
        self._taken_s = self._clock()
        return None

    def _busy(self, before: Any, now: Any) -> float | int:
        """Return the busy part of an instance between two samples, from 0.0 to 1.0, or the code of a failure."""
        question = self._nvml.c_nvmlGpmMetricsGet_t()  # type: ignore[attr-defined]
        question.version, question.numMetrics = 1, 1
        question.sample1, question.sample2 = before, now
        question.metrics[0].metricId = _BUSY_METRIC
        code = driver.ask(self._nvml, "nvmlGpmMetricsGet", question)[1]
        if code is not None:
            return code
        own_code, percent = int(question.metrics[0].nvmlReturn), float(question.metrics[0].value)
        if own_code:
            return own_code
        return min(1.0, percent / 100.0) if math.isfinite(percent) and percent >= 0 else driver.NO_ANSWER

    def _share(self, mig: MigDevice, busy: Mapping[int, float]) -> Share:
        own, everyone = busy[mig.gpu_instance], sum(busy.values())
        # Slices of others, which a container does not see, may have been busy or not.
        unseen = max(0, self._gpu.mig_slices - sum(self._slices.values()))
        by_size = (mig.slices or 0) / self._gpu.mig_slices
        ways = [by_size, own / everyone if everyone else by_size]
        if everyone + unseen:
            ways.append(own / (everyone + unseen))
        if (mig.slices or 0) < self._slices[mig.gpu_instance]:
            ways.append(0.0)  # which of the compute instances was busy is not known
        return Share(min(ways), max(ways))


class ProcessActivity:
    """The activity of a job's processes on a board that other processes use too: in turns (time slices) or by MPS.

    Args:
        nvml: The initialised library.
        uuid: The board's UUID.
        pids: Returns the job's processes, whose ids must be the driver's.
    """

    name: str = "processes"
    sampled: bool = True
    scope: Scope = "job"

    def __init__(self, nvml: Nvml, uuid: str, pids: Callable[[], Collection[int]]) -> None:
        self._nvml = nvml
        self._uuid = uuid
        self._pids = pids
        self._seen_us = 0

    def open(self, handle: Any) -> bool:
        """Skip what was before, and return whether the driver tells the processes' activity."""
        return self._rows(handle)[1] is None

    def shares(self, handle: Any) -> Mapping[str, Share] | int | None:
        """Return the job's share since the last call, as :class:`Activity` says."""
        rows, code = self._rows(handle)
        if code is not None:
            return code
        own, present = frozenset(self._pids()), driver.processes(self._nvml, handle)
        busy = {pid: busy for pid, busy in rows.items() if busy}
        # By size: each process alike. Where none is left, no other is.
        by_size = len(present & own) / len(present) if present else 1.0
        ways = [by_size]
        if busy:
            ways.append(sum(share for pid, share in busy.items() if pid in own) / sum(busy.values()))
        return {self._uuid: Share(min(ways), max(ways))}

    def close(self) -> None:
        """Do nothing: nothing is held between calls."""

    def _rows(self, handle: Any) -> tuple[dict[int, int], None] | tuple[dict[int, int], int]:
        """Return how busy each process was since the last call, in percent, or the code of a failure."""
        rows, code = driver.ask(self._nvml, "nvmlDeviceGetProcessUtilization", handle, self._seen_us)
        if code == _NOT_FOUND:
            return {}, None
        if code is not None:
            return {}, code
        found: dict[int, int] = {}
        for row in rows or ():
            pid, busy = driver.whole(getattr(row, "pid", None)), driver.whole(getattr(row, "smUtil", None))
            self._seen_us = max(self._seen_us, driver.whole(getattr(row, "timeStamp", None)) or 0)
            # Before the first sample of a buffer is taken, its row has no process; and no share exceeds 100 %.
            if pid and busy is not None and busy <= 100:
                found[pid] = found.get(pid, 0) + busy
        return found, None
