"""Compute the job's part of the machine's CPU energy: no other module attributes energy to the job."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from eco2ai_callbacks.meters.cpu.busy import BusyTime
from eco2ai_callbacks.meters.cpu.floor import IdleFloor
from eco2ai_callbacks.meters.cpu.processes import TICK_S
from eco2ai_callbacks.meters.meter import Device, LoadCurve, MachineCpu
from eco2ai_callbacks.usage import Method

# Twenty ticks of one busy thread.
WINDOW_S = 0.2
# The thread reads once in a curve's window; where it was late before, its next read is early by a part of one.
_EARLY = 0.02


class CpuShare:
    """A meter of the job's part of the machine's CPU energy, or of all of it.

    The job is charged active x (its busy time / all busy time) + idle x (its busy time / time of all threads). The idle
    energy of unused threads belongs to no job.

    Where a counter's idle energy is not read but split off, the band holds the doubt. Its upper end charges the idle
    energy as the active: all of it to a job that is alone on the machine. Its lower end charges none of it, or counts
    as idle what may be idle, if that is less.

    The kernel counts the machine's time in ticks of 10 ms and a process's in nanoseconds. So the energy of reads in
    quick succession is attributed by the busy time since the first of them, and the machine counts as at least as busy
    as the job.

    A curve of the load is computed for windows of its own, each by its mean load. The figure of a window that has just
    begun is provisional: the joules hold until later ones exceed them, and are exact at the end of each window.

    Args:
        cpu: The energy of the whole machine.
        machine: Busy core-seconds of the machine.
        threads: Hardware threads of the machine.
        job: Busy core-seconds of the job; ``None`` counts the whole machine.
        clock: Monotonic seconds.
        floor: What splits off the idle energy of a counter, where ``cpu`` is one.
    """

    devices: tuple[Device, ...] = ()

    def __init__(
        self,
        cpu: MachineCpu,
        machine: BusyTime,
        threads: float,
        job: BusyTime | None = None,
        clock: Callable[[], float] = time.monotonic,
        floor: IdleFloor | None = None,
    ) -> None:
        self._cpu = cpu
        self._machine = machine
        self._threads = threads
        self._job = job
        self._clock = clock
        self._floor = floor
        self._joules = 0.0
        self._settled = self._shares = _Shares()
        self._t = clock()
        self._window = _Window(self._t, machine.read(), job.read() if job else 0.0)
        self._curve = isinstance(cpu, LoadCurve)
        self._window_s = cpu.window_s if isinstance(cpu, LoadCurve) else WINDOW_S
        self._due = self._t + self._window_s
        # The method as it was given last, and for which method of the machine's meter and which doubt.
        self._banded_for: tuple[Method, float, float] | None = None
        self._banded = cpu.method
        self.name: str = cpu.name
        self.covers: frozenset[str] = cpu.covers

    @property
    def refresh_s(self) -> float:
        """How often the figures change, in seconds: busy times are counted in ticks."""
        return TICK_S

    @property
    def max_gap_s(self) -> float:
        """The longest that the machine's meter may go unread now, in seconds."""
        return self._cpu.max_gap_s

    @property
    def methods(self) -> Mapping[str, Method]:
        """The method of the machine's meter now; its band widened by the doubt about the job's part so far."""
        method, shares = self._cpu.method, self._shares
        if self._job is None:
            return {"cpu": method}
        low, high = (shares.low_j / shares.joules, shares.high_j / shares.joules) if shares.joules else (1.0, 1.0)
        if (method, low, high) != self._banded_for:
            self._banded_for = method, low, high
            self._banded = dataclasses.replace(method, scope="job", low=method.low * low, high=method.high * high)
        return {"cpu": self._banded}

    @property
    def model_check(self) -> Mapping[str, Any] | None:
        """The whole machine's joules by its counters and by the model; ``None`` where only one of them is there."""
        found: Mapping[str, Any] | None = getattr(self._cpu, "model_check", None)
        return None if found is None else {**found, "threads": self._threads}

    @property
    def failures(self) -> tuple[str, ...]:
        """What failed in the machine's meter."""
        return self._cpu.failures

    def read(self) -> Mapping[str, float]:
        """Return the joules of the job (or of the machine) since this meter was opened."""
        now, window = self._clock(), self._window
        seconds, span = now - self._t, now - window.t
        if seconds <= 0:
            return {"cpu": self._joules}
        machine_s = self._machine.read()
        job_s = self._job.read() if self._job else 0.0
        job = job_s - window.job_s
        busy = max(machine_s - window.machine_s, job)
        if self._curve:
            window.active_j, window.idle_j = self._cpu.interval(busy, span)
        else:
            active_j, idle_j = self._cpu.interval(busy - window.busy, seconds)
            window.active_j += active_j
            window.idle_j += idle_j
        window.unsure_j += self._floor.unsure_j if self._floor else 0.0
        self._t, window.busy = now, busy
        self._shares = self._settled.plus(self._part(window, job, span))
        self._joules = max(self._joules, self._shares.joules)
        if now >= self._due - (_EARLY * self._window_s if self._curve else 0.0):
            self._due = max(self._due, now) + self._window_s
            self._settled = self._shares
            self._window = _Window(now, machine_s, job_s)
        return {"cpu": self._joules}

    def _part(self, window: _Window, job: float, span: float) -> _Shares:
        """Return the part of a window's energy, for a job's busy time in it."""
        active_j, idle_j = window.active_j, window.idle_j
        if self._job is None:
            return _Shares(active_j + idle_j, active_j + idle_j, active_j + idle_j)
        if job <= 0:
            return _Shares()
        by_load, by_time = job / window.busy, min(1.0, job / (self._threads * span))
        joules = active_j * by_load + idle_j * by_time
        if self._floor is None:
            return _Shares(joules, joules, joules)
        least_j = (active_j - window.unsure_j) * by_load + (idle_j + window.unsure_j) * by_time
        return _Shares(joules, min(active_j * by_load, least_j), max(joules, (active_j + idle_j) * by_load))

    def close(self) -> None:
        """Close the machine's meter."""
        self._cpu.close()


@dataclass(slots=True)
class _Window:
    """Reads whose energy is attributed together: their beginning, and the sums since then."""

    t: float
    machine_s: float
    job_s: float
    busy: float = 0.0
    active_j: float = 0.0
    idle_j: float = 0.0
    unsure_j: float = 0.0


class _Shares(NamedTuple):
    """The job's joules, and the least and the most that they may be."""

    joules: float = 0.0
    low_j: float = 0.0
    high_j: float = 0.0

    def plus(self, other: _Shares) -> _Shares:
        return _Shares(self.joules + other.joules, self.low_j + other.low_j, self.high_j + other.high_j)
