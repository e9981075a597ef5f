"""Machines with AMD GPUs, as folder trees."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

from eco2ai_callbacks.testing import HwmonTree

MI200, MI300, NAVI = 90010, 90402, 110000


def metrics(joules: float, *, minor: int = 3, major: int = 1, steps: int | None = None) -> bytes:
    """A table of the firmware, with its accumulator."""
    offset, size = {5: (88, 288), 6: (16, 184)}.get(minor, (24, 120))
    table = bytearray(b"\xff" * size)
    struct.pack_into("<HBB", table, 0, size, major, minor)
    struct.pack_into("<Q", table, offset, round(joules * 2**16) if steps is None else steps)
    return bytes(table)


def listed(steps: int, *, without: bool = False) -> bytes:
    """A table of revision 1.9: a list of entries, as of an MI300."""
    temperature, busy, accumulator, clocks = (2, 2, 0, 1), (10, 4, 40, 8), (0, 6, 7, 1), (1, 2, 33, 8)
    values = {temperature: [60], busy: [9] * 8, accumulator: [steps], clocks: [2100] * 8}
    if without:
        del values[accumulator]
    table = b""
    for (unit, type_, what, number), shown in values.items():
        table += struct.pack("<Q", unit << 24 | type_ << 20 | what << 10 | number)
        table += struct.pack(f"<{number}{'BbHhIiQq'[type_]}", *shown)
    return struct.pack("<HBBi", 8 + len(table), 1, 9, len(values)) + table


class AmdMachine:
    """A machine whose AMD GPUs can be told what they show."""

    def __init__(self, base: Path) -> None:
        self.tree = HwmonTree(base)
        self.root = base
        self._nodes = 1
        self._node(0, simd_count=0, cpu_cores_count=64)

    def add(
        self,
        bus: int,
        *,
        unique: str = "",
        watts: float | None = 150.0,
        joules: float | None = None,
        minor: int = 3,
        target: int = MI200,
        device: str = "0x740f",
        name: str = "AMD INSTINCT MI210",
        partitions: int = 1,
        kfd: bool = True,
        serial: str = "",
        power: str = "power1_average",
        **files: Any,
    ) -> tuple[Path, Path]:
        """Add a GPU on a bus; return the folders of its device and of its chip."""
        slot = f"0000:{bus:02x}:00.0"
        more = {key: value for key, value in {"unique_id": unique, "serial_number": serial}.items() if value}
        folder = self.tree.add_pci(slot, "0x1002", device, "0x038000", product_name=name, **more)
        self.tree.add_drm(folder, bus)
        shown = {} if watts is None else {power: round(watts * 1e6)}
        chip = self.tree.add_chip("amdgpu", folder, **shown, **files)
        if joules is not None:
            self.tree.write(folder / "gpu_metrics", metrics(joules, minor=minor))
        if kfd:
            self.tree.write(self.root / "dev/kfd", "")
            for partition in range(partitions):
                place = bus << 8 | (partition << 28 if partitions > 1 else 0)
                self._node(self._nodes, simd_count=416, location_id=place, domain=0, gfx_target_version=target)
                self._nodes += 1
        return folder, chip

    def _node(self, number: int, **fields: int) -> None:
        lines = "\n".join(f"{key} {value}" for key, value in fields.items())
        self.tree.write(self.root / f"sys/class/kfd/kfd/topology/nodes/{number}/properties", lines)
