"""Open the sources that some machines have, each with a quick look at whether this one does.

Their modules are imported where their hardware is.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from eco2ai_callbacks.errors import MeterUnavailable, SettingsError
from eco2ai_callbacks.meters import hwmon
from eco2ai_callbacks.meters.candidate import MeterContext, Opened
from eco2ai_callbacks.meters.openers import cpu_sources
from eco2ai_callbacks.settings import Settings


def has_amd(context: MeterContext) -> bool:
    """Return whether the driver of AMD's GPUs shows a chip."""
    return bool(hwmon.chip_folders(context.root, "amdgpu"))


def has_amdsmi(context: MeterContext) -> bool:
    """Return whether there is such a chip, and AMD's library for it."""
    if context.amdsmi is not None or not has_amd(context):
        return has_amd(context)
    import importlib.util

    return importlib.util.find_spec("amdsmi") is not None


def open_amdsmi(settings: Settings, context: MeterContext) -> Iterator[Opened]:
    """Open AMD's GPUs through its library."""
    from eco2ai_callbacks.meters.gpu import amdsmi

    sources = amdsmi.load(context.amdsmi)
    yield from open_amd(settings, context, name=amdsmi.NAME, sources=sources)


def open_amd(settings: Settings, context: MeterContext, **how: Any) -> Iterator[Opened]:
    """Open AMD's GPUs by the kernel's files."""
    from eco2ai_callbacks.meters.gpu.amd import open_amd as open_gpus

    how |= {"used_by_framework": context.gpu_uuids, "alone": not _nvidia(context)}
    meter = _chosen(settings, context, open_gpus, **how)
    yield meter, meter.detail


def has_intel(context: MeterContext) -> bool:
    """Return whether a driver of Intel's GPUs shows a chip."""
    return any(hwmon.chip_folders(context.root, name) for name in ("i915", "xe"))


def open_intel(settings: Settings, context: MeterContext) -> Iterator[Opened]:
    """Open Intel's cards by the kernel's counters."""
    from eco2ai_callbacks.meters.gpu.intel import open_intel as open_gpus

    meter = _chosen(settings, context, open_gpus, alone=not (_nvidia(context) or has_amd(context)))
    yield meter, meter.detail


def has_jetson(context: MeterContext) -> bool:
    """Return whether there are sensors on the supplies of a Jetson module."""
    if not hwmon.chip_folders(context.root, "ina3221"):
        return False
    from eco2ai_callbacks.meters.jetson import locate

    return bool(locate(context.root))


def open_jetson(settings: Settings, context: MeterContext) -> Iterator[Opened]:
    """Open the supply of a Jetson module's GPU."""
    from eco2ai_callbacks.meters.gpu.pci_selection import GpuPart, PciGpu, choose
    from eco2ai_callbacks.meters.gpu.selection import hides_all
    from eco2ai_callbacks.meters.jetson import identity, locate, open_gpu

    def open_module(gpus: Any, **_: Any) -> Any:
        gpu = PciGpu(0, "", context.root, *identity(context.root))
        shown: tuple[GpuPart, ...] = () if hides_all(_environ(context)) else (GpuPart(gpu),)
        rule = choose(gpus, (gpu,), lambda: (shown, "CUDA_VISIBLE_DEVICES"))[1]
        return open_gpu(context.root, locate(context.root), settings.sample_s, context.clock, rule)

    meter = _chosen(settings, context, open_module)
    yield meter, meter.detail


def open_jetson_cpu(settings: Settings, context: MeterContext) -> Iterator[Opened]:
    """Open the supply of a Jetson module's processor."""
    from eco2ai_callbacks.meters.jetson import NAME, locate

    rails = [(one.label, one.source) for one in locate(context.root) if one.rail == "cpu"]
    if not rails:
        raise MeterUnavailable("no supply of the processor alone has a sensor", wanted=False)
    yield from _power(settings, context, NAME, rails)


def has_apple(context: MeterContext) -> bool:
    """Return whether this is a Mac with a chip of Apple's own."""
    return context.host.system == "Darwin" and context.host.cpu_name.startswith("Apple")


def open_apple(settings: Settings, context: MeterContext) -> Iterator[Opened]:
    """Open the GPU, the processor and the memory of a chip of Apple's."""
    from eco2ai_callbacks.meters import apple
    from eco2ai_callbacks.meters.cpu.sensor_cpu import SensorCpu, SensorRam

    energy, clock = apple.AppleEnergy(context.apple), context.clock
    if settings.gpus:
        meter = energy.gpu(context.host.cpu_name, settings.sample_s, clock)
        yield meter, meter.detail
    detail = "the chip's own estimate"
    yield from cpu_sources(settings, context).sensed(
        lambda floor: SensorCpu(apple.NAME, [energy.cpu(clock)], math.inf, floor), detail
    )
    yield SensorRam(apple.NAME, energy.ram(clock), math.inf), detail


def has_perf(context: MeterContext) -> bool:
    """Return whether the kernel has the processor's energy as events."""
    return (context.root / "sys/bus/event_source/devices/power/events").is_dir()


def open_perf(settings: Settings, context: MeterContext) -> Iterator[Opened]:
    """Open the processor's counters as performance events."""
    from eco2ai_callbacks.meters.cpu import perf

    yield from cpu_sources(settings, context).counted(
        lambda: perf.locate(context.root, context.events), perf.NAME, "rapl-perf", f"in {context.root / perf.PMU}"
    )


def has_amd_energy(context: MeterContext) -> bool:
    """Return whether there is the chip with the counters of AMD's processors."""
    return bool(hwmon.chip_folders(context.root, "amd_energy"))


def open_amd_energy(settings: Settings, context: MeterContext) -> Iterator[Opened]:
    """Open the counters of AMD's processors in their hwmon chip."""
    from eco2ai_callbacks.meters.cpu import amd_energy

    zones = amd_energy.locate(context.root)
    if not zones:
        raise MeterUnavailable("absent: the chip amd_energy shows no socket")
    yield from cpu_sources(settings, context).counted(lambda: zones, amd_energy.NAME, "amd-energy", "in hwmon")


def has_zeusd(context: MeterContext) -> bool:
    """Return whether the socket of the daemon is there."""
    return _zeusd_socket(context).exists()


def open_zeusd(settings: Settings, context: MeterContext) -> Iterator[Opened]:
    """Open the processor's counters as the daemon shows them."""
    from eco2ai_callbacks.meters.cpu import zeusd

    path = _zeusd_socket(context)
    yield from cpu_sources(settings, context).counted(
        lambda: zeusd.locate(path), zeusd.NAME, "rapl-zeusd", f"of the daemon at {path}"
    )


def has_emi(context: MeterContext) -> bool:
    """Return whether this is Windows, which has an interface for energy meters."""
    return context.host.system == "Windows"


def open_emi(settings: Settings, context: MeterContext) -> Iterator[Opened]:
    """Open the processor's counters as Windows shows them."""
    from eco2ai_callbacks.meters.cpu import emi

    yield from cpu_sources(settings, context).counted(
        lambda: emi.locate(context.emi or emi.WindowsDevices()), emi.NAME, "emi", "of Windows"
    )


def has_grace(context: MeterContext) -> bool:
    """Return whether there are the sensors of Grace processors."""
    if not any(hwmon.chip_folders(context.root, name) for name in ("power_meter", "acpi_power_meter")):
        return False
    from eco2ai_callbacks.meters.cpu.grace import locate

    return bool(locate(context.root))


def open_grace(settings: Settings, context: MeterContext) -> Iterator[Opened]:
    """Open the power sensors of Grace processors, which include their memory."""
    from eco2ai_callbacks.meters.cpu import grace

    sensors = grace.locate(context.root)
    yield from _power(
        settings,
        context,
        grace.NAME,
        [(sensor.label, grace.source(sensor)) for sensor in sensors],
        grace.HINT,
        covers=grace.COVERS,
    )


def has_pmic(context: MeterContext) -> bool:
    """Return whether this is a Raspberry Pi 5."""
    if not (context.root / "proc/device-tree/model").exists():
        return False
    from eco2ai_callbacks.meters.cpu import pmic  # on boards alone

    return pmic.exists(context.root)


def open_pmic(settings: Settings, context: MeterContext) -> Iterator[Opened]:
    """Open the supplies of a Raspberry Pi's processor and memory."""
    from eco2ai_callbacks.meters.cpu import pmic
    from eco2ai_callbacks.meters.cpu.sensor_cpu import SensorRam, opened

    ask = context.pmic or pmic.asker(context.root / pmic.MAILBOX)
    yield from _power(settings, context, pmic.NAME, [("VDD_CORE", pmic.source(pmic.CPU_RAILS, ask))], pmic.HINT)
    label = " and ".join(sorted(pmic.RAM_RAILS))
    memory = opened(pmic.NAME, label, pmic.source(pmic.RAM_RAILS, ask), context.clock, pmic.HINT)
    yield SensorRam(pmic.NAME, memory, settings.sample_s), f"{label}, power every {settings.sample_s:g} s"


def has_node_sensors(context: MeterContext) -> bool:
    """Return whether there are sensors of the node, or of a board's supplies, that no source reads."""
    return bool(hwmon.beside(context.root))


def name_node_sensors(settings: Settings, context: MeterContext) -> Iterator[Opened]:  # noqa: ARG001 - as the others
    """Name the sensors that no source reads: they are reported beside the figures, and never added."""
    raise MeterUnavailable(f"beside the figures, not added to them: {hwmon.beside(context.root)} (now)", wanted=False)
    yield  # a generator, as the others


def _power(
    settings: Settings,
    context: MeterContext,
    name: str,
    sensors: Sequence[tuple[str, Any]],
    hint: str | None = None,
    *,
    covers: frozenset[str] = frozenset({"cpu"}),
) -> Iterator[Opened]:
    """Open power sensors of all processors."""
    from eco2ai_callbacks.meters.cpu.sensor_cpu import SensorCpu, opened

    def open_cpu(floor: Any) -> SensorCpu:
        tallies = [opened(name, label, source, context.clock, hint) for label, source in sensors]
        return SensorCpu(name, tallies, settings.sample_s, floor, covers=covers)

    labels = ", ".join(label for label, _ in sensors)
    detail = f"{labels}, power every {settings.sample_s:g} s"
    yield from cpu_sources(settings, context).sensed(open_cpu, detail)


def _chosen(settings: Settings, context: MeterContext, open_gpus: Callable[..., Any], **how: Any) -> Any:
    """Open GPUs by the setting ``gpus``, which a refusal names with where it came from."""
    try:
        return open_gpus(
            settings.gpus,
            root=context.root,
            sample_s=settings.sample_s,
            environ=_environ(context),
            clock=context.clock,
            **how,
        )
    except SettingsError as error:
        raise SettingsError(
            f"gpus={settings.gpus!r} (from {settings.origin.get('gpus', 'argument')}): {error}"
        ) from None


def _nvidia(context: MeterContext) -> bool:
    """Return whether NVIDIA's driver runs GPUs here, whose numbers and UUIDs the setting ``gpus`` holds then."""
    return context.nvml is not None or (context.root / "dev/nvidiactl").exists()


def _zeusd_socket(context: MeterContext) -> Path:
    """Return where the daemon's socket is, by the variable that Zeus reads too. (Zeus: zeusd/src/config.rs)"""
    named = _environ(context).get("ZEUSD_SOCK_PATH")
    return Path(named) if named else context.root / "var/run/zeusd.sock"


def _environ(context: MeterContext) -> Mapping[str, str]:
    return os.environ if context.environ is None else context.environ
