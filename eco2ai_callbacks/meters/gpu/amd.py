"""Read the energy of AMD GPUs by the kernel's own files: their accumulator where its unit is known, or their power."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from eco2ai_callbacks.errors import MeterUnavailable
from eco2ai_callbacks.meters.gpu.amd_devices import find
from eco2ai_callbacks.meters.gpu.amd_metrics import energy_j
from eco2ai_callbacks.meters.gpu.amd_selection import trained_on, visible
from eco2ai_callbacks.meters.gpu.pci_opening import Opening, Sources
from eco2ai_callbacks.meters.gpu.pci_selection import PciGpu, choose
from eco2ai_callbacks.meters.hwmon import below, is_off
from eco2ai_callbacks.meters.sensor_meter import SensorMeter
from eco2ai_callbacks.meters.tally import Source

NAME = "amdgpu"
# No GPU draws more (MI355X: 1400 W): a figure above is an error.
MOST_W = 3000.0
# No independent check of these sensors is published. The figures are this project's: as wide as NVIDIA's for sampled
# power, and twice as wide as NVIDIA's for a counter.
COUNTER_BAND, POWER_BAND = (0.90, 1.10), (0.85, 1.15)
# gfx 9.0.10: an MI250 has two dies, each of which is a GPU; the first one shows the power of both, the second none.
_TWO_DIES = 90010
_HINT = "measure on the host: the driver amdgpu of a guest shows no power"


def open_amd(
    gpus: str | Sequence[int | str] = "auto",
    *,
    root: Path = Path("/"),
    sample_s: float = 0.5,
    environ: Mapping[str, str] = os.environ,
    used_by_framework: Sequence[str] | None = None,
    clock: Callable[[], float] = time.monotonic,
    alone: bool = True,
    name: str = NAME,
    sources: Callable[[PciGpu], Sources] | None = None,
) -> SensorMeter:
    """Open the AMD GPUs that the setting ``gpus`` asks for.

    Args:
        gpus: ``auto`` (those that the framework trains on, else the visible ones), ``visible`` by
            ``ROCR_VISIBLE_DEVICES`` and ``HIP_VISIBLE_DEVICES``, ``all``, indices in the PCI bus's order, or UUIDs.
        root: The root of the file system.
        sample_s: Seconds between two reads where power is sampled.
        environ: The environment.
        used_by_framework: UUIDs of the devices that the framework trains on, where it reports them.
        clock: Monotonic seconds.
        alone: Whether the machine has no other maker's GPUs.
        name: The source's name.
        sources: Returns what a GPU is read by; the kernel's files by default.

    Raises:
        MeterUnavailable: Where there is no such GPU, nothing is selected, or nothing can be read.
        SettingsError: Where an index or UUID is named that does not exist.
    """
    everything, devices = find(root)
    if not everything:
        raise MeterUnavailable(
            "the driver amdgpu runs no card; graphics inside a processor are in the processor's energy", wanted=False
        )
    parts, rule = choose(
        gpus,
        everything,
        lambda: visible(devices, environ),
        trained_on=lambda: trained_on(devices, used_by_framework),
        alone=alone,
    )

    def leading(gpu: PciGpu) -> PciGpu:
        if gpu.target != _TWO_DIES or not gpu.serial:
            return gpu
        return next(other for other in everything if (other.target, other.serial) == (gpu.target, gpu.serial))

    opening = Opening("amd", name, everything, sources or kernel_sources, clock, leading)
    sensed = opening.open(parts)
    if not sensed:
        raise MeterUnavailable(opening.refused[0], _HINT)
    return SensorMeter(name, sensed, rule, [f"{name}: {reason}" for reason in opening.refused], sample_s=sample_s)


def kernel_sources(gpu: PciGpu) -> Sources:
    """Return what the kernel's files tell of a GPU: the firmware's accumulator, and the first power of its chip."""
    sensor = next((one for one in below(gpu.folder) if not one.energy and one.number == 1), None)
    table = gpu.folder / "gpu_metrics"
    read, off = partial(energy_j, table, gpu.target), partial(is_off, gpu.folder)
    counter = Source("amdgpu-energy", read, True, COUNTER_BAND, MOST_W, off=off) if table.exists() else None
    if sensor is None:
        return Sources(counter, None)
    return Sources(counter, Source("amdgpu-power", sensor.read, False, POWER_BAND, MOST_W, sensor.limit_w, off=off))
