"""Accelerators that are in the machine and that nothing here can read: named, so that no total claims to hold them."""

from __future__ import annotations

import platform
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

# PCI vendor ids (pci.ids).
_INTEL, _HABANA, _GOOGLE = "0x8086", "0x1da3", "0x1ae0"
# Every Intel processor with graphics has them at this place; what trains is elsewhere on the bus.
_INTEGRATED_SLOT = "0000:00:02.0"
# PCI device ids of TPUs, v2 to v7 (jax: _src/hardware_utils.py); Google's network cards have the same vendor id.
_TPUS = frozenset({"0x0027", "0x0056", "0x005e", "0x0062", "0x0063", "0x006f", "0x0076"})


def unreadable(
    root: Path = Path("/"),
    modules: Mapping[str, Any] = sys.modules,
    *,
    system: str | None = None,
    machine: str | None = None,
) -> tuple[str, ...]:
    """The accelerators that are there and that no meter can read, by name.

    Looks at device files and at modules that are loaded already; imports nothing and opens no device.

    Args:
        root: The root of the file system.
        modules: The loaded modules.
        system: The operating system's name, in place of what Python says.
        machine: The processor's kind, in place of what Python says.

    Example:
        >>> unreadable()  # doctest: +SKIP
        ('AMD GPU (ROCm)',)
    """
    system, machine = system or platform.system(), machine or platform.machine()
    found = {
        "AMD GPU (ROCm)": _amd(root),
        "Intel GPU (XPU)": _intel(root) or _torch_uses(modules, "xpu"),
        "Apple GPU (MPS)": system == "Darwin" and machine == "arm64",
        "Google TPU": _tpu(root),
        "Intel Gaudi (HPU)": any(_matching(root, "dev/hl[0-9]*")) or _HABANA in _vendors(root, "accel"),
        "AWS Neuron": any(_matching(root, "dev/neuron[0-9]*")),
    }
    return tuple(name for name, present in found.items() if present)


def _amd(root: Path) -> bool:
    """Whether the kernel driver for computing on AMD GPUs is there, and a node of it that has vector units."""
    if not (root / "dev/kfd").exists():
        return False
    nodes = [_text(path) for path in _matching(root, "sys/class/kfd/kfd/topology/nodes/*/properties")]
    units = [line.split()[1] for node in nodes for line in node.splitlines() if line.startswith("simd_count ")]
    # Processors are nodes too, with no vector units. A container without the tree was given the device to use it.
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


def _vendors(root: Path, kind: str) -> frozenset[str]:
    return frozenset(_text(path) for path in _matching(root, f"sys/class/{kind}/*/device/vendor"))


def _torch_uses(modules: Mapping[str, Any], backend: str) -> bool:
    """Whether torch, if it is loaded, has begun to use a backend of its own."""
    part = getattr(modules.get("torch"), backend, None)
    begun = getattr(part, "is_initialized", None)
    return bool(begun is not None and begun())


def _matching(root: Path, pattern: str) -> list[Path]:
    return sorted(root.glob(pattern))


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
