"""Open the sources of the processor's energy, its counters and the model, with what each reads in one clause."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from eco2ai_callbacks.calibration.places import default_files
from eco2ai_callbacks.errors import MeterUnavailable
from eco2ai_callbacks.host.machine import Host
from eco2ai_callbacks.meters.cpu.attribution import CpuShare
from eco2ai_callbacks.meters.cpu.busy import BusyTime, JobBusy, MachineBusy
from eco2ai_callbacks.meters.cpu.floor import IdleFloor
from eco2ai_callbacks.meters.cpu.guest import shown_threads_per_core
from eco2ai_callbacks.meters.cpu.model import model_for
from eco2ai_callbacks.meters.cpu.powercap import Zone, locate
from eco2ai_callbacks.meters.meter import MachineCpu, Meter
from eco2ai_callbacks.settings import Settings

if TYPE_CHECKING:
    from eco2ai_callbacks.meters.cpu.calibrated import CalibratedModel


@dataclass(frozen=True, slots=True)
class CpuSources:
    """The sources of the processor's energy on a machine.

    Args:
        settings: The settings in force.
        host: The machine.
        job: Busy time of the job; ``None`` where all of the machine is measured.
        proc: Where procfs is mounted.
        clock: Monotonic seconds.
        root: The root of the file system, below which sysfs is mounted.
    """

    settings: Settings
    host: Host
    job: JobBusy | None
    proc: Path = Path("/proc")
    clock: Callable[[], float] = time.monotonic
    root: Path = Path("/")

    def counters(self) -> Iterator[tuple[Meter, str]]:
        """Open the energy counters; raises ``MeterUnavailable`` where there are none or a job's part is unknown."""
        root = self.settings.powercap_root
        yield from self.counted(lambda: locate(root, self.host), "RAPL", "rapl", f"in {root}")

    def counted(
        self, zones: Callable[[], Sequence[Zone]], name: str, method: str, where: str
    ) -> Iterator[tuple[Meter, str]]:
        """Open counters of all packages and their memory; raises as :meth:`counters` does.

        Args:
            zones: Finds the counters, readable or not.
            name: The source, as failures begin with it.
            method: The method's name.
            where: Where the counters are, after the words for what they are.
        """
        self._usable()
        host, floor = self.host, IdleFloor(self.host.threads)
        found = zones()
        from eco2ai_callbacks.meters.cpu.rapl import of_zones  # most virtual machines have no counters

        cpu, dram = of_zones(found, host, self.clock, floor=floor, model=self._whole_model(), name=name, method=method)
        share = CpuShare(cpu, self._machine_busy(), host.threads, self.job, self.clock, floor)
        yield share, f"energy counters {where}" + (f"; {cpu.left_out} not used" if cpu.left_out else "")
        if dram is not None:
            yield dram, f"memory counters {where}"

    def sensed(self, open_cpu: Callable[[IdleFloor], MachineCpu], detail: str) -> Iterator[tuple[Meter, str]]:
        """Open a sensor of the power of all packages; raises as :meth:`counters` does.

        Args:
            open_cpu: Opens it, with what splits off the idle energy.
            detail: What it reads.
        """
        self._usable()
        floor = IdleFloor(self.host.threads)
        cpu = open_cpu(floor)
        yield CpuShare(cpu, self._machine_busy(), self.host.threads, self.job, self.clock, floor), detail

    def _usable(self) -> None:
        """Raise where a setting asks for another source, or a job's part of a counter is not known."""
        settings, host = self.settings, self.host
        if settings.cpu_model == "paper":
            raise MeterUnavailable("not used: the setting cpu_model='paper' asks for eco2AI's formula", wanted=False)
        # Where /proc shows less than the counter counts, the machine's busy time is not known.
        view = host.sandbox or ("lxcfs" if host.lxcfs else "")
        if self.job is not None and view:
            raise MeterUnavailable(
                f"not used: under {view} the load is the container's and the counter is the machine's", wanted=False
            )

    def _whole_model(self) -> MachineCpu:
        """Return the model that takes a lost counter's place."""
        # Of the whole machine, as the counters are: the job's part is computed from either in the same way.
        calibrated, _ = self._calibrated()
        settings = self.settings
        return calibrated or model_for(
            self.host, scope="machine", cpu_tdp_w=settings.cpu_tdp_w, cpu_threads=settings.cpu_threads
        )

    def model(self) -> Iterator[tuple[Meter, str]]:
        """Open the model, which works on any machine."""
        settings = self.settings
        calibrated, stale = self._calibrated()
        model = calibrated or model_for(
            self.host,
            scope=settings.scope,
            cpu_model=settings.cpu_model,
            cpu_tdp_w=settings.cpu_tdp_w,
            cpu_threads=settings.cpu_threads,
            threads_per_core=shown_threads_per_core(self.root / "sys"),
        )
        part: BusyTime | None = None
        if model.partial:
            from eco2ai_callbacks.meters.cpu.part import part_busy

            # Without the load of a container's part of the machine, the job is the only one in it that can be counted.
            part = part_busy(self.host, self.proc) or self.job
        machine = part or self._machine_busy()
        yield CpuShare(model, machine, model.threads, self.job, self.clock), model.detail + stale

    def _calibrated(self) -> tuple[CalibratedModel | None, str]:
        """Return the machine's own calibration, and what is to be said of one that is not used."""
        settings = self.settings
        # The user's own figures come before what was measured earlier.
        if settings.cpu_model == "paper" or settings.cpu_tdp_w is not None or settings.cpu_threads is not None:
            return None, ""
        if not any(map(os.path.lexists, default_files())):
            return None, ""
        from eco2ai_callbacks.meters.cpu.calibrated import CalibratedModel, choice_for  # few machines have one

        choice = choice_for(self.host, self.root)
        if choice.entry is not None:
            return CalibratedModel(choice.entry), ""
        return None, f"; its calibration is not used: {', '.join(choice.why)}" if choice.why else ""

    def _machine_busy(self) -> BusyTime:
        """Return the machine's busy time, or what a sandbox shows of it.

        A sandbox has no busy time of the machine: of that, its own processes are all that can be counted.
        """
        if not self.host.sandbox:
            return MachineBusy(self.proc)
        return JobBusy(topmost(os.getpid(), self.proc), self.proc, clock=self.clock)


def unseen(host: Host, scope: str) -> tuple[str, ...]:
    """Return what of the processor's energy no source can count here, although the scope asks for it.

    Args:
        host: The machine.
        scope: ``process`` or ``machine``.

    Example:
        >>> from eco2ai_callbacks.host.machine import read_host
        >>> unseen(read_host(), "process")
        ()
    """
    return (f"CPU load outside of this {host.sandbox} sandbox",) if host.sandbox and scope == "machine" else ()


def topmost(pid: int, proc: Path) -> int:
    """Return the highest ancestor of a process that procfs shows.

    Args:
        pid: The process.
        proc: Where procfs is mounted.
    """
    seen: set[int] = set()
    while pid not in seen:
        seen.add(pid)
        try:
            # The name may hold spaces and brackets: fields count from the last bracket (proc_pid_stat(5)).
            parent = int((proc / str(pid) / "stat").read_text(errors="replace").rpartition(")")[2].split()[1])
        except (OSError, IndexError, ValueError):
            break
        if parent and (proc / str(parent) / "stat").exists():
            pid = parent
    return pid
