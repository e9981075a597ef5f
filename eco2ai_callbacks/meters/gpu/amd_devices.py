"""List the AMD GPUs that the kernel's driver runs, and in which order the ROCm runtime numbers them."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

from eco2ai_callbacks.meters.gpu.pci_selection import GpuPart, PciGpu, usable
from eco2ai_callbacks.meters.hwmon import text

_VENDOR = "0x1002"
# PCI classes of GPUs: displays, and processing accelerators (pci.ids).
_CLASSES = ("0x03", "0x1200")
_NODES = "sys/class/kfd/kfd/topology/nodes"
# PCI device id of the MI300A, whose power is that of its processor and memory too (pci.ids).
_MODULES = frozenset({"0x74a0"})
# gfx 9.4.x: the MI300 and its successors, whose driver shows voltages that else only processors with graphics have.
_INSTINCT = range(90400, 90600)


def find(root: Path) -> tuple[tuple[PciGpu, ...], tuple[GpuPart, ...]]:
    """Return the GPUs in the order of the PCI bus, and the devices of the ROCm runtime in its order.

    The runtime numbers devices as the kernel's topology does. Without that tree, the order of the bus is taken.

    Args:
        root: The root of the file system.
    """
    nodes = _nodes(root)
    counts: dict[str, int] = {}
    for slot, _, _ in nodes:
        counts[slot] = counts.get(slot, 0) + 1
    targets = {slot: target for slot, _, target in nodes}
    gpus = tuple(
        _gpu(index, slot, counts.get(slot.name, 1), targets.get(slot.name, 0))
        for index, slot in enumerate(_slots(root, targets))
    )
    by_slot = {gpu.slot: gpu for gpu in gpus if usable(root, gpu.folder)}
    devices = [
        GpuPart(by_slot[slot], partition if counts[slot] > 1 else None)
        for slot, partition, _ in nodes
        if slot in by_slot
    ]
    return gpus, tuple(devices or (GpuPart(gpu) for gpu in by_slot.values()))


def _slots(root: Path, targets: Mapping[str, int]) -> list[Path]:
    """Return the folders of the GPUs that the driver runs and that are no part of a processor."""
    bus = root / "sys/bus/pci/devices"
    try:
        names = sorted(os.listdir(bus))  # noqa: PTH208 - names are enough
    except OSError:
        return []
    found = [bus / name for name in names]
    return [
        slot
        for slot in found
        if text(slot / "vendor") == _VENDOR
        and text(slot / "class").startswith(_CLASSES)
        and (slot / "hwmon").is_dir()
        and not _integrated(slot, targets.get(slot.name, 0))
    ]


def _integrated(slot: Path, target: int) -> bool:
    """Return whether a GPU is inside a processor, whose counter then has its energy.

    Those alone have a voltage of the north bridge. (Linux: Documentation/gpu/amdgpu/thermal.rst)
    """
    chips = (slot / "hwmon").iterdir()
    return target not in _INSTINCT and any(text(chip / "in1_label") == "vddnb" for chip in chips)


def _gpu(index: int, slot: Path, partitions: int, target: int) -> PciGpu:
    device = text(slot / "device")
    unique = text(slot / "unique_id").lower().removeprefix("0x")
    unique = unique if re.fullmatch(r"[0-9a-f]{1,16}", unique) and int(unique, 16) else ""
    return PciGpu(
        index,
        slot.name,
        slot,
        f"GPU-{unique.zfill(16)}" if unique else f"GPU-pci-{slot.name}",
        text(slot / "product_name") or f"AMD GPU (PCI 1002:{device.removeprefix('0x')})",
        target,
        text(slot / "serial_number"),
        partitions,
        device in _MODULES,
    )


def _nodes(root: Path) -> list[tuple[str, int, int]]:
    """Return slot, partition and instruction set of the nodes of the kernel's topology that compute, in its order.

    A node that this process may not use cannot be read, and the runtime leaves it out as well.
    """
    try:
        numbers = sorted(int(node.name) for node in (root / _NODES).iterdir() if node.name.isdigit())
    except OSError:
        return []
    found: list[tuple[str, int, int]] = []
    for number in numbers:
        pairs = (line.split() for line in text(root / _NODES / str(number) / "properties").splitlines())
        fields = {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2 and pair[1].isdigit()}
        if fields.get("simd_count", 0) and "location_id" in fields:
            # Bus, device and function; the highest bits are the partition's number (Linux: kfd_topology.c).
            place = fields["location_id"]
            slot = f"{fields.get('domain', 0):04x}:{place >> 8 & 0xFF:02x}:{place >> 3 & 0x1F:02x}.{place & 7}"
            found.append((slot, place >> 28, fields.get("gfx_target_version", 0)))
    return found
