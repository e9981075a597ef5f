"""Read the energy of Intel GPUs by the kernel's counters: those of the drivers i915 and xe."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from eco2ai_callbacks.errors import MeterUnavailable
from eco2ai_callbacks.meters.gpu.pci_opening import Opening, Sources
from eco2ai_callbacks.meters.gpu.pci_selection import GpuPart, PciGpu, choose, usable
from eco2ai_callbacks.meters.hwmon import Sensor, below, is_off, text
from eco2ai_callbacks.meters.sensor_meter import SensorMeter
from eco2ai_callbacks.meters.tally import Source

NAME = "Intel GPU"
MASK, HIERARCHY = "ZE_AFFINITY_MASK", "ZE_FLAT_DEVICE_HIERARCHY"
_VENDOR, _CLASSES = "0x8086", ("0x03", "0x1200")
# The driver's chip, with the energy of the card or of its package. Cards alone have one: the energy of graphics inside
# a processor is the processor's. (Linux: i915_hwmon.c and xe_hwmon.c, IS_DGFX)
_CHIPS = frozenset({"i915", "xe"})
# No card draws more (Max 1550: 600 W).
_MOST_W = 1500.0
# No independent check of these counters is published: this project's figure.
_BAND = (0.90, 1.10)
# The driver adds up a counter of 32 bits of 2^-14 J whenever it is read: at 1500 W that wraps after 175 s. It must be
# read twice in that time. (Linux: i915_hwmon.c, hwm_energy)
GAP_S = 60.0
# The card's own counter includes its memory and its losses, the package's does not (sysfs-driver-intel-xe-hwmon).
_PACKAGE = "the GPU's package, without the rest of its card"
_HINT = "boot a kernel that shows it: energy1_input is there since Linux 6.2 (i915) and 6.8 (xe)"


def open_intel(
    gpus: str | Sequence[int | str] = "auto",
    *,
    root: Path = Path("/"),
    sample_s: float = 0.5,
    environ: Mapping[str, str] = os.environ,
    clock: Callable[[], float] = time.monotonic,
    alone: bool = True,
) -> SensorMeter:
    """Open the Intel GPUs that the setting ``gpus`` asks for.

    Args:
        gpus: ``auto`` and ``visible`` by ``ZE_AFFINITY_MASK``, ``all``, indices in the order of the PCI bus, or UUIDs.
        root: The root of the file system.
        sample_s: Seconds between two reads where power is sampled.
        environ: The environment.
        clock: Monotonic seconds.
        alone: Whether the machine has no other maker's GPUs.

    Raises:
        MeterUnavailable: Where there is no such GPU, nothing is selected, or nothing can be read.
        SettingsError: Where an index or UUID is named that does not exist.
    """
    everything = find(root)
    if not everything:
        raise MeterUnavailable("the drivers i915 and xe run no card", wanted=False)
    here = [gpu for gpu in everything if usable(root, gpu.folder)]
    variables = MASK if environ.get(MASK) else ""
    parts, rule = choose(gpus, everything, lambda: (visible(here, environ), variables), alone=alone)
    opening = Opening("intel", NAME, everything, _sources, clock)
    sensed = opening.open(parts)
    if not sensed:
        raise MeterUnavailable(opening.refused[0], _HINT)
    failures = [f"{NAME}: {reason}" for reason in opening.refused]
    return SensorMeter(NAME, sensed, rule, failures, sample_s=sample_s, gap_s=GAP_S)


def find(root: Path) -> tuple[PciGpu, ...]:
    """Return the cards that the kernel's drivers run, in the order of the PCI bus.

    Args:
        root: The root of the file system.
    """
    bus = root / "sys/bus/pci/devices"
    try:
        names = sorted(os.listdir(bus))  # noqa: PTH208 - names are enough
    except OSError:
        return ()
    cards = [
        slot
        for name in names
        if text((slot := bus / name) / "vendor") == _VENDOR
        and text(slot / "class").startswith(_CLASSES)
        and _is_card(slot)
    ]
    return tuple(
        PciGpu(index, slot.name, slot, f"GPU-pci-{slot.name}", _name(slot), partitions=_tiles(slot))
        for index, slot in enumerate(cards)
    )


def visible(gpus: Sequence[PciGpu], environ: Mapping[str, str]) -> tuple[GpuPart, ...]:
    """Return the devices that Level Zero shows to a process with this environment.

    An entry of the mask is a device or, as ``device.tile``, a part of one. Where the hierarchy is flat, as it is
    unless the environment has another one, each tile is a device of its own. (Level Zero specification, affinity mask
    and device hierarchy)

    Args:
        gpus: The GPUs, in the order of the PCI bus, which is the runtime's for cards.
        environ: ``ZE_AFFINITY_MASK`` and ``ZE_FLAT_DEVICE_HIERARCHY`` are read.
    """
    whole = [GpuPart(gpu) for gpu in gpus]
    if not (mask := environ.get(MASK, "")).strip():
        return tuple(whole)
    tiles = [GpuPart(gpu, tile if gpu.partitions > 1 else None) for gpu in gpus for tile in range(gpu.partitions)]
    flat = environ.get(HIERARCHY, "FLAT").upper() != "COMPOSITE"
    shown = tiles if flat else whole
    found: dict[GpuPart, None] = {}
    for word in (word.strip() for word in mask.split(",")):
        match = re.fullmatch(r"(\d+)(?:\.(\d+))?", word)
        if match is None or int(match[1]) >= len(shown):
            continue
        part = shown[int(match[1])]
        if match[2] is not None and not flat and part.gpu.partitions > 1:
            part = next((one for one in tiles if (one.gpu, one.partition) == (part.gpu, int(match[2]))), part)
        found[part] = None
    covered = {part.gpu for part in found if part.partition is None}
    return tuple(part for part in found if part.partition is None or part.gpu not in covered)


def _is_card(slot: Path) -> bool:
    return any(sensor.chip in _CHIPS for sensor in below(slot)) or any(
        text(chip / "name") in _CHIPS for chip in (slot / "hwmon").glob("hwmon*")
    )


def _tiles(slot: Path) -> int:
    """Return how many tiles a card has: xe has a folder for each, and i915 a chip."""
    folders = len([path for path in slot.glob("tile[0-9]*") if path.is_dir()])
    chips = sum(text(chip / "name").startswith("i915_gt") for chip in (slot / "hwmon").glob("hwmon*"))
    return max(1, folders, chips)


def _name(slot: Path) -> str:
    return f"Intel GPU (PCI 8086:{text(slot / 'device').removeprefix('0x')})"


def _sources(gpu: PciGpu) -> Sources:
    sensors = [sensor for sensor in below(gpu.folder) if sensor.chip in _CHIPS]
    energies = [sensor for sensor in sensors if sensor.energy]
    card = next((sensor for sensor in energies if sensor.label != "pkg"), None)
    power = next((sensor for sensor in sensors if not sensor.energy), None)
    chosen = card or next(iter(energies), None)
    return Sources(
        None if chosen is None else _source("intel-gpu-energy", chosen, counter=True),
        None if power is None else _source("intel-gpu-power", power, counter=False),
        _PACKAGE if chosen is not None and card is None else "",
    )


def _source(method: str, sensor: Sensor, *, counter: bool) -> Source:
    off = partial(is_off, sensor.device)
    return Source(method, sensor.read, counter, _BAND if counter else (0.85, 1.15), _MOST_W, sensor.limit_w, off=off)
