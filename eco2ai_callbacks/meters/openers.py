"""Open the sources that any machine may have: NVIDIA's GPUs, the processor's counters, and the models."""

from __future__ import annotations

import os
from collections.abc import Iterator

from eco2ai_callbacks.errors import SettingsError
from eco2ai_callbacks.meters.candidate import MeterContext, Opened
from eco2ai_callbacks.meters.cpu.sources import CpuSources
from eco2ai_callbacks.meters.gpu.nvml_library import require
from eco2ai_callbacks.settings import Settings


def open_nvml(settings: Settings, context: MeterContext) -> Iterator[Opened]:
    """Open the NVIDIA GPUs that the setting ``gpus`` asks for."""
    job = context.job
    environ = os.environ if context.environ is None else context.environ
    require(settings.gpus, environ, context.gpu_uuids, context.nvml)
    from eco2ai_callbacks.meters.gpu.nvml import open_nvml  # where the driver is

    try:
        meter = open_nvml(
            settings.gpus,
            sample_s=settings.sample_s,
            environ=environ,
            job_pids=(lambda: job.pids) if job else tuple,
            used_by_framework=context.gpu_uuids,
            clock=context.clock,
            library=context.nvml,
            alone=context.world_size == 1,
        )
    except SettingsError as error:
        raise SettingsError(
            f"gpus={settings.gpus!r} (from {settings.origin.get('gpus', 'argument')}): {error}"
        ) from None
    yield meter, meter.detail


def open_rapl(settings: Settings, context: MeterContext) -> Iterator[Opened]:
    """Open the processor's energy counters, and those of its memory."""
    yield from cpu_sources(settings, context).counters()


def open_cpu_model(settings: Settings, context: MeterContext) -> Iterator[Opened]:
    """Open the model of the processor."""
    yield from cpu_sources(settings, context).model()


def cpu_sources(settings: Settings, context: MeterContext) -> CpuSources:
    """Return the sources of the processor's energy."""
    return CpuSources(settings, context.host, context.job, context.proc, context.clock, context.root)


def open_ram_model(settings: Settings, context: MeterContext) -> Iterator[Opened]:
    """Open the model of the memory."""
    from eco2ai_callbacks.meters.ram import RamModel  # where no counter measures the memory

    pids = (lambda job=context.job: job.pids) if context.job else None
    model = RamModel(settings.ram_w_per_gib, pids, context.proc, context.clock)
    yield model, model.detail
