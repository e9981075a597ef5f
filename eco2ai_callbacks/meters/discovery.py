"""The ways of knowing energy on this machine: which are used, and why the others are not."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from eco2ai_callbacks.errors import MeterUnavailable
from eco2ai_callbacks.guard import Guard
from eco2ai_callbacks.host.machine import Host
from eco2ai_callbacks.meters.cpu.attribution import CpuShare
from eco2ai_callbacks.meters.cpu.busy import JobBusy, MachineBusy
from eco2ai_callbacks.meters.cpu.model import model_for
from eco2ai_callbacks.meters.cpu.rapl import open_rapl
from eco2ai_callbacks.meters.gpu.nvml import open_nvml
from eco2ai_callbacks.meters.gpu.nvml_driver import Nvml
from eco2ai_callbacks.meters.gpu.unsupported import unreadable
from eco2ai_callbacks.meters.meter import Meter
from eco2ai_callbacks.meters.ram import RamModel
from eco2ai_callbacks.settings import Settings


@dataclass(frozen=True, slots=True)
class Source:
    """One way of knowing energy, as ``doctor`` and the ``start`` record show it.

    Args:
        name: ``RAPL``, ``NVML``, ``CPU model``, ``RAM model``.
        used: Whether its figures count.
        reason: What it reads, or why it does not count.
        hint: What would enable it.
        methods: The method of each channel, where it is used.
        covers: The components that its figures include.
    """

    name: str
    used: bool
    reason: str
    hint: str | None = None
    methods: Mapping[str, str] | None = None
    covers: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for a record."""
        return {
            "name": self.name,
            "used": self.used,
            "reason": self.reason,
            "methods": self.methods and dict(self.methods),
            "covers": list(self.covers),
        }


@dataclass(frozen=True, slots=True)
class Discovery:
    """What was found: meters to read, all sources with their reasons, and hardware that nothing here can read."""

    meters: tuple[Meter, ...]
    sources: tuple[Source, ...]
    not_covered: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class MeterContext:
    """What meters are opened with.

    Args:
        host: The machine.
        job: Busy time and members of the job's process tree; ``None`` where all of the machine is measured.
        proc: Where procfs is mounted.
        root: The root of the file system, below which devices are looked for.
        environ: The environment, for the variables that hide GPUs.
        clock: Monotonic seconds.
        gpu_uuids: UUIDs of the GPUs that the framework trains on, where it says so.
        nvml: What stands for ``pynvml``, in tests.
    """

    host: Host
    job: JobBusy | None
    proc: Path = Path("/proc")
    root: Path = Path("/")
    environ: Mapping[str, str] | None = None
    clock: Callable[[], float] = time.monotonic
    gpu_uuids: tuple[str, ...] | None = None
    nvml: Nvml | None = None


Opened = tuple[Meter, str]
_Open = Callable[[Settings, MeterContext], Iterator[Opened]]


def discover(settings: Settings, around: MeterContext, guard: Guard | None = None) -> Discovery:
    """Open the best source of each component; what it covers, no other source counts again.

    A source that fails in a way of its own is named, and stands in nobody's way.

    Args:
        settings: The settings in force.
        around: The machine and the job.
        guard: Records failures.
    """
    guard = guard or Guard()
    meters: list[Meter] = []
    sources: list[Source] = []
    taken: dict[str, str] = {}

    def use(name: str, open_source: _Open) -> bool:
        try:
            for meter, detail in open_source(settings, around):
                if already := meter.covers & taken.keys():
                    meter.close()
                    sources.append(Source(name, False, f"not needed: {taken[min(already)]} covers {min(already)}"))
                    continue
                taken.update(dict.fromkeys(meter.covers, name))
                meters.append(meter)
                methods = {channel: method.name for channel, method in meter.methods.items()}
                sources.append(Source(name, True, detail, None, methods, tuple(sorted(meter.covers))))
        except MeterUnavailable as why:
            sources.append(Source(name, False, why.reason, why.hint))
        return True

    for name, covers, open_source in _CANDIDATES:
        displacing = sorted({taken[component] for component in covers & taken.keys()})
        if displacing:
            sources.append(Source(name, False, f"not needed: {' and '.join(displacing)} covers it"))
        elif not guard.call(name, partial(use, name, open_source), False):
            said = [failure for failure in guard.failures if failure.startswith(f"{name}: ")]
            why = [f"{name}: failed while it was opened", *said][-1]
            sources.append(Source(name, False, why.removeprefix(f"{name}: ")))
    nothing: tuple[str, ...] = ()
    not_covered = guard.call("accelerators", lambda: unreadable(around.root), nothing)
    return Discovery(tuple(meters), tuple(sources), not_covered)


def _rapl(settings: Settings, around: MeterContext) -> Iterator[Opened]:
    if settings.cpu_model == "paper":
        raise MeterUnavailable("not used: the setting cpu_model='paper' asks for eco2AI's formula")
    if around.job is not None and around.host.lxcfs:
        raise MeterUnavailable("not used: under lxcfs the load is the container's and the counter is the machine's")
    cpu, dram = open_rapl(settings.powercap_root, around.host, around.clock)
    yield (
        CpuShare(cpu, MachineBusy(around.proc), around.host.threads, around.job, around.clock),
        f"energy counters in {settings.powercap_root}",
    )
    if dram is not None:
        yield dram, f"memory counters in {settings.powercap_root}"


def _nvml(settings: Settings, around: MeterContext) -> Iterator[Opened]:
    job = around.job
    meter = open_nvml(
        settings.gpus,
        sample_s=settings.sample_s,
        environ=os.environ if around.environ is None else around.environ,
        job_pids=(lambda: job.pids) if job else tuple,
        used_by_framework=around.gpu_uuids,
        clock=around.clock,
        library=around.nvml,
    )
    shown = ", ".join(f"{index}: {name} ({how})" for index, name, _, how in meter.devices)
    yield meter, f"{shown}; chosen by {meter.rule}"


def _cpu_model(settings: Settings, around: MeterContext) -> Iterator[Opened]:
    model = model_for(
        around.host,
        scope=settings.scope,
        cpu_model=settings.cpu_model,
        cpu_tdp_w=settings.cpu_tdp_w,
        cpu_threads=settings.cpu_threads,
    )
    # In a container's part of a machine the load is the job's own: the host's says nothing about it.
    own = around.job if model.method.name == "cpu-model:cgroup" else None
    machine = own or MachineBusy(around.proc)
    yield CpuShare(model, machine, model.threads, around.job, around.clock), model.detail


def _ram_model(settings: Settings, around: MeterContext) -> Iterator[Opened]:
    pids = (lambda job=around.job: job.pids) if around.job else None
    model = RamModel(settings.ram_w_per_gib, pids, around.proc, around.clock)
    yield model, model.detail


# The best source of a component first; a new meter is one more line.
_CANDIDATES: tuple[tuple[str, frozenset[str], _Open], ...] = (
    ("NVML", frozenset({"gpu"}), _nvml),
    ("RAPL", frozenset({"cpu"}), _rapl),
    ("CPU model", frozenset({"cpu"}), _cpu_model),
    ("RAM model", frozenset({"ram"}), _ram_model),
)
