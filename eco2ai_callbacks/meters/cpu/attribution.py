"""Compute the job's part of the machine's CPU energy: no other module attributes energy to the job."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from eco2ai_callbacks.meters.cpu.busy import BusyTime
from eco2ai_callbacks.meters.meter import Device, MachineCpu
from eco2ai_callbacks.usage import Method

# Twenty ticks of one busy thread.
WINDOW_S = 0.2


class CpuShare:
    """A meter of the job's part of the machine's CPU energy, or of all of it.

    The job is charged active x (its busy time / all busy time) + idle x (its busy time / time of all threads). The idle
    energy of unused threads belongs to no job.

    The kernel counts the machine's time in ticks of 10 ms and a process's in nanoseconds. So the energy of reads in
    quick succession is attributed by the busy time since the first of them, and the machine counts as at least as busy
    as the job.

    Args:
        cpu: The energy of the whole machine.
        machine: Busy core-seconds of the machine.
        threads: Hardware threads of the machine.
        job: Busy core-seconds of the job; ``None`` counts the whole machine.
        clock: Monotonic seconds.
    """

    devices: tuple[Device, ...] = ()

    def __init__(
        self,
        cpu: MachineCpu,
        machine: BusyTime,
        threads: float,
        job: BusyTime | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._cpu = cpu
        self._machine = machine
        self._threads = threads
        self._job = job
        self._clock = clock
        self._joules = self._settled_j = 0.0
        self._t = clock()
        self._window = _Window(self._t, machine.read(), job.read() if job else 0.0)
        self.name = cpu.name
        self.covers = cpu.covers
        self.max_gap_s = cpu.max_gap_s
        method = dataclasses.replace(cpu.method, scope="job") if job else cpu.method
        self.methods: Mapping[str, Method] = {"cpu": method}

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
        active_j, idle_j = self._cpu.interval(busy - window.busy, seconds)
        window.active_j += active_j
        window.idle_j += idle_j
        self._t, window.busy = now, busy
        if self._job is None:
            part_j = window.active_j + window.idle_j
        elif job > 0:
            idle_part = min(1.0, job / (self._threads * span))
            part_j = window.active_j * job / busy + window.idle_j * idle_part
        else:
            part_j = 0.0
        self._joules = max(self._joules, self._settled_j + part_j)
        if span >= WINDOW_S:
            self._settled_j += part_j
            self._window = _Window(now, machine_s, job_s)
        return {"cpu": self._joules}

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
