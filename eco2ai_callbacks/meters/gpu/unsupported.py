"""Find the accelerators of the machine that no meter reads, so that records name what a total does not include."""

from __future__ import annotations

import platform
import sys
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

# PCI vendor ids (pci.ids).
_INTEL, _HABANA, _GOOGLE = "0x8086", "0x1da3", "0x1ae0"
# Every Intel processor with graphics has them in this slot; GPUs for training are elsewhere on the bus.
_INTEGRATED_SLOT = "0000:00:02.0"
# PCI device ids of TPUs, v2 to v7 (jax: _src/hardware_utils.py); Google's network cards have the same vendor id.
_TPUS = frozenset({"0x0027", "0x0056", "0x005e", "0x0062", "0x0063", "0x006f", "0x0076"})


def unsupported(
    root: Path = Path("/"),
    modules: Mapping[str, Any] = sys.modules,
    *,
    covered: Collection[str] = frozenset(),
    system: str | None = None,
    machine: str | None = None,
) -> tuple[str, ...]:
    """Return the names of the accelerators that are in the machine and that no meter reads.

    Device files and loaded modules are the evidence; nothing is imported and no device is opened.

    Args:
        root: The root of the file system.
        modules: The loaded modules.
        covered: The domains that meters read, which are left out: ``gpu:amd``, ``tpu:google``, ...
        system: The operating system's name; Python's by default.
        machine: The processor's architecture; Python's by default.

    Example:
        >>> unsupported()  # doctest: +SKIP
        ('AMD GPU (ROCm)',)
    """
    system, machine = system or platform.system(), machine or platform.machine()
    found: dict[str, tuple[str, bool]] = {
        "gpu:amd": ("AMD GPU (ROCm)", _amd(root)),
        "gpu:intel": ("Intel GPU (XPU)", _intel(root) or _torch_uses(modules, "xpu")),
        "gpu:apple": ("Apple GPU (MPS)", system == "Darwin" and machine == "arm64"),
        "tpu:google": ("Google TPU", _tpu(root)),
        "hpu:intel": ("Intel Gaudi (HPU)", any(_matching(root, "dev/hl[0-9]*")) or _HABANA in _vendors(root, "accel")),
        "neuron:aws": ("AWS Neuron", any(_matching(root, "dev/neuron[0-9]*"))),
    }
    return tuple(name for domain, (name, present) in found.items() if present and domain not in covered)


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


def _vendors(root: Path, kind: str) -> frozenset[str]:
    return frozenset(_text(path) for path in _matching(root, f"sys/class/{kind}/*/device/vendor"))


def _torch_uses(modules: Mapping[str, Any], backend: str) -> bool:
    """Return whether torch is loaded and has initialised a backend."""
    part = getattr(modules.get("torch"), backend, None)
    is_initialised = getattr(part, "is_initialized", None)
    return bool(is_initialised is not None and is_initialised())


def _matching(root: Path, pattern: str) -> list[Path]:
    return sorted(root.glob(pattern))


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
