"""Find the accelerators of the machine that no meter reads, so that records name what a total does not include."""

from __future__ import annotations

import os
import sys
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from eco2ai_callbacks.meters.gpu.framework_devices import framework_devices

# PCI vendor ids (pci.ids); AMD's GPUs have another one than its processors, with the NPUs inside them.
_INTEL, _AMD_CPU, _HABANA, _GOOGLE, _NVIDIA, _AMD = "0x8086", "0x1022", "0x1da3", "0x1ae0", "0x10de", "0x1002"
# Every Intel processor with graphics has them in this slot; GPUs for training are elsewhere on the bus.
_INTEGRATED_SLOT = "0000:00:02.0"
# PCI device ids of TPUs, v2 to v8 (jax: _src/hardware_utils.py); Google's network cards have the same vendor id.
_TPUS = frozenset({"0x0027", "0x0056", "0x005e", "0x0062", "0x0063", "0x006f", "0x0076", "0x007c", "0x0083"})
# Accelerators with a driver of their own: domain, name, vendor, and the device files of the driver, which a container
# that may use them has too. Sources: the makers' container and device-plugin documents.
_DRIVERS = (
    ("npu:huawei", "Huawei Ascend NPU", "0x19e5", ("dev/davinci[0-9]*",)),
    ("mlu:cambricon", "Cambricon MLU", "0xcabc", ("dev/cambricon_dev[0-9]*",)),
    ("gpu:moorethreads", "Moore Threads GPU", "0x1ed5", ("dev/mtgpu[0-9]*", "dev/mtgpu.[0-9]*")),
    ("npu:tenstorrent", "Tenstorrent accelerator", "0x1e52", ("dev/tenstorrent/[0-9]*",)),
)
# The GPU inside NVIDIA's Jetson modules, which is on no PCI bus (driver nvgpu).
_JETSON = ("dev/nvhost-gpu", "dev/nvgpu/igpu0")
# PCI classes: processing accelerators; 3D controllers, which are GPUs without a display; and the other display
# controllers (pci.ids).
_ACCELERATOR, _GPU_ONLY, _DISPLAY = "0x1200", "0x0302", "0x03"
# Makers whose devices have rules of their own above; what those rules overlook is named by its class: domain and name.
_KNOWN = {
    _HABANA: ("hpu:intel", "Intel Gaudi (HPU)"),
    _GOOGLE: ("tpu:google", "Google TPU"),
    _NVIDIA: ("gpu:nvidia", "NVIDIA GPU"),
    _AMD: ("gpu:amd", "AMD GPU"),
}
# Where NVIDIA's driver is loaded, its library tells what it cannot read; a container sees this too.
_NVIDIA_DRIVER = ("dev/nvidiactl", "proc/driver/nvidia")
_DIGITS = frozenset("0123456789")
# The bus of the processor itself: the energy of an NPU there is the processor's.
_PROCESSOR_BUS = "0000:00:"
# Display adapters of hypervisors (virtio, QXL, Bochs, Cirrus, VMware, VirtualBox, Hyper-V, Xen, Parallels) and of
# servers' management controllers (ASPEED, Matrox, Silicon Motion, XGI), by vendor (pci.ids).
_DISPLAY_ONLY = frozenset(
    [
        *("0x1af4", "0x1b36", "0x1234", "0x1013", "0x15ad", "0x80ee", "0x1414", "0x5853", "0x1ab8"),
        *("0x1a03", "0x102b", "0x126f", "0x18ca"),
    ]
)


def unsupported(
    root: Path = Path("/"),
    modules: Mapping[str, Any] = sys.modules,
    *,
    covered: Collection[str] = frozenset(),
    system: str | None = None,
    machine: str | None = None,
) -> tuple[str, ...]:
    """Return the names of the accelerators that are in the machine and that no meter reads.

    Device files, loaded modules and the classes of PCI devices are the evidence; nothing is imported and no device is
    opened. An accelerator of a maker that is not known here is named by its vendor and device ids.

    Args:
        root: The root of the file system.
        modules: The loaded modules.
        covered: The domains that meters read, which are left out: ``gpu:amd``, ``tpu:google``, ...
        system: The operating system's name; Python's by default.
        machine: The processor's architecture; Python's by default.

    Example:
        >>> unsupported(Path("machine"), {}, system="Linux", machine="x86_64")
        ()
    """
    found: dict[str, tuple[str, bool]] = {
        "gpu:amd": ("AMD GPU (ROCm)", _amd(root)),
        "gpu:intel": ("Intel GPU (XPU)", _intel(root)),
        "gpu:apple": ("Apple GPU (MPS)", _apple(system, machine)),
        "tpu:google": ("Google TPU", _tpu(root)),
        "hpu:intel": ("Intel Gaudi (HPU)", any(_matching(root, "dev/hl[0-9]*")) or _HABANA in _vendors(root, "accel")),
        "neuron:aws": ("AWS Neuron", any(_matching(root, "dev/neuron[0-9]*"))),
        "gpu:nvidia": ("NVIDIA Jetson GPU", any((root / path).exists() for path in _JETSON)),
    }
    for domain, name, _, files in _DRIVERS:
        found[domain] = name, any(path for pattern in files for path in _matching(root, pattern))
    present = {domain for domain, (_, there) in found.items() if there}
    for domain, name in (*_on_the_bus(root), *_off_the_bus(root), *framework_devices(modules)):
        if domain not in present:
            found[domain] = name, True
    return tuple(name for domain, (name, present) in found.items() if present and domain not in covered)


def _apple(system: str | None, machine: str | None) -> bool:
    if (system or sys.platform).lower() != "darwin":
        return False
    import platform  # takes long to import

    return (machine or platform.machine()) == "arm64"


def _amd(root: Path) -> bool:
    """Return whether the kernel's driver for computing on AMD GPUs is loaded and has a node with vector units."""
    if not (root / "dev/kfd").exists():
        return False
    nodes = [_text(path) for path in _matching(root, "sys/class/kfd/kfd/topology/nodes/*/properties")]
    units = [line.split()[1] for node in nodes for line in node.splitlines() if line.startswith("simd_count ")]
    # Processors are nodes too, without vector units. A container without the tree was given the device to use it.
    return not units or any(count != "0" for count in units)


def _intel(root: Path) -> bool:
    for node in _matching(root, "sys/class/drm/renderD*"):
        if _text(node / "device/vendor") == _INTEL and (node / "device").resolve().name != _INTEGRATED_SLOT:
            return True
    return False


def _tpu(root: Path) -> bool:
    if any(_matching(root, "dev/accel[0-9]*")):
        return True
    return any(
        _text(path) == _GOOGLE and _text(path.with_name("device")) in _TPUS
        for path in _matching(root, "sys/bus/pci/devices/*/vendor")
    )


def _on_the_bus(root: Path) -> Iterator[tuple[str, str]]:
    """Yield domain and name of the PCI devices that compute, of makers that have no rule of their own."""
    drivers = {vendor: (domain, name) for domain, name, vendor, _ in _DRIVERS}
    for slot in _matching(root, "sys/bus/pci/devices/*"):
        kind, vendor = _text(slot / "class")[:6], _text(slot / "vendor")
        if not vendor or not _computes(slot, kind, vendor):
            continue
        if vendor == _NVIDIA and any((root / path).exists() for path in _NVIDIA_DRIVER):
            continue
        ids = f"{vendor.removeprefix('0x')}:{_text(slot / 'device').removeprefix('0x')}"
        what = "processing accelerator" if kind == _ACCELERATOR else "GPU"
        if vendor in _KNOWN:
            domain, name = _KNOWN[vendor]
            yield domain, f"{name} (PCI {ids})"
        else:
            yield drivers.get(vendor, (f"pci:{ids}", f"{what} (PCI {ids})"))


def _off_the_bus(root: Path) -> Iterator[tuple[str, str]]:
    """Yield domain and name of the accelerators that the kernel runs and that are on no PCI bus."""
    for device in _matching(root, "sys/class/accel/accel*/device"):
        if not _text(device / "vendor"):
            driver = (device / "driver").resolve().name if (device / "driver").exists() else device.parent.name
            yield f"accel:{driver}", f"accelerator (driver {driver})"


def _computes(slot: Path, kind: str, vendor: str) -> bool:
    """Return whether a PCI device is there to compute, and not only to show a picture.

    Args:
        slot: Its folder in sysfs.
        kind: Class and subclass, as in ``0x1200``.
        vendor: Vendor id.
    """
    if kind == _ACCELERATOR:
        return vendor != _AMD_CPU and not (vendor == _INTEL and slot.name.startswith(_PROCESSOR_BUS))
    if not kind.startswith(_DISPLAY) or vendor in _DISPLAY_ONLY or vendor == _INTEL:
        return False
    if vendor in _KNOWN:
        return kind == _GPU_ONLY  # with a display it is a part of the processor, or there for pictures
    # Drivers that can render or compute without a display offer a render node (Linux: drm-uapi).
    return kind == _GPU_ONLY or any(_matching(slot, "drm/renderD*"))


def _vendors(root: Path, kind: str) -> frozenset[str]:
    return frozenset(_text(path) for path in _matching(root, f"sys/class/{kind}/*/device/vendor"))


def _matching(root: Path, pattern: str) -> list[Path]:
    """Return the paths below a folder that match a pattern, whose parts are names, ``*``, ``name*`` or ``name[0-9]*``.

    Compiling the patterns of ``Path.glob`` takes most of the time of a start, and paths as objects much of the rest.
    """
    found = [str(root)]
    for part in pattern.split("/"):
        if "*" not in part:
            found = [f"{folder}/{part}" for folder in found]
            continue
        begin, digit, _ = part.partition("[0-9]*")
        begin = begin.removesuffix("*")
        found = [
            f"{folder}/{name}"
            for folder in found
            for name in _names(folder)
            if name.startswith(begin) and (not digit or name[len(begin) : len(begin) + 1] in _DIGITS)
        ]
    return sorted(Path(path) for path in found if os.path.exists(path))  # noqa: PTH110


def _names(folder: str) -> list[str]:
    try:
        return os.listdir(folder)  # noqa: PTH208 - names are enough
    except OSError:
        return []


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
