"""The job's part of a machine-wide CPU meter: attribution lives here and nowhere else."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping

from eco2ai_callbacks.meters.busy import BusyTime
from eco2ai_callbacks.meters.meter import MachineCpu
from eco2ai_callbacks.usage import Method

# What a machine's meter says of itself, and what its joules are once the job's part is taken.
WHOLE, PART = "whole machine", "job's process tree"


class CpuShare:
    """A meter that counts the job's part of the machine's CPU energy, or all of it.

    The job gets active x (its busy time / all busy time) + idle x (its busy time / time of all threads). The idle
    energy of threads that nobody uses belongs to no job.

    Args:
        cpu: What knows the energy of the whole machine.
        machine: Busy core-seconds of the machine.
        threads: Hardware threads of the machine.
        job: Busy core-seconds of the job; ``None`` counts the whole machine.
        clock: Monotonic seconds.
    """

    max_gap_s: float

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
        self._joules = 0.0
        self._t = clock()
        self._busy_s = machine.read()
        self._job_s = job.read() if job else 0.0
        self.name = cpu.name
        self.covers = cpu.covers
        self.max_gap_s = cpu.max_gap_s
        whose = cpu.method.attribution.replace(WHOLE, PART, 1) if job else cpu.method.attribution
        self.methods: Mapping[str, Method] = {"cpu": dataclasses.replace(cpu.method, attribution=whose)}

    @property
    def failures(self) -> tuple[str, ...]:
        """What went wrong in the machine's meter."""
        return self._cpu.failures

    def read(self) -> Mapping[str, float]:
        """Joules of the job (or of the machine) since this meter was opened."""
        now = self._clock()
        seconds = now - self._t
        if seconds <= 0:
            return {"cpu": self._joules}
        machine_s = self._machine.read()
        job_s = self._job.read() if self._job else 0.0
        job = job_s - self._job_s
        # The kernel counts the machine's time in ticks and a process's in nanoseconds: the machine is at least as busy
        # as the job.
        busy = max(machine_s - self._busy_s, job)
        self._t, self._busy_s, self._job_s = now, machine_s, job_s
        active, idle = self._cpu.interval(busy, seconds)
        if self._job is None:
            self._joules += active + idle
        elif job > 0:
            self._joules += active * job / busy + idle * min(1.0, job / (self._threads * seconds))
        return {"cpu": self._joules}

    def close(self) -> None:
        """Close the machine's meter."""
        self._cpu.close()
