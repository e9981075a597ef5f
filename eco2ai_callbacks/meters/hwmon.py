"""Find the sensors of power and energy in Linux's hwmon tree, and what of the machine each of them covers."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

# Where Linux has the tree, below the root.
CLASS = "sys/class/hwmon"

# cpu, gpu: the energy of such a component alone. module: a GPU with the processor and the memory beside it. rail: one
# supply of a board, whose label says what hangs on it. node: all of the machine, or more of it than one component.
Cover = Literal["cpu", "gpu", "module", "rail", "node"]

# What the chips with sensors of power or energy cover, by the name that their drivers give. A chip that is not here
# covers the node: it is reported, and added to nothing.
# Source: Linux, Documentation/hwmon/<driver>.rst; Documentation/gpu/amdgpu/thermal.rst; Documentation/ABI/testing/
# sysfs-driver-intel-i915-hwmon and sysfs-driver-intel-xe-hwmon.
CHIPS: dict[str, Cover] = {
    "amd_energy": "cpu",
    "fam15h_power": "cpu",
    "peci_cpupower": "cpu",
    "amdgpu": "gpu",
    "i915": "gpu",
    "xe": "gpu",
    "ina3221": "rail",
    "ina2xx": "rail",
    "ina209": "rail",
    "ina219": "rail",
    "ina220": "rail",
    "ina226": "rail",
    "ina230": "rail",
    "ina231": "rail",
    "ina238": "rail",
    "ina260": "rail",
    "power_meter": "node",
    "acpi_power_meter": "node",
    "ibmpowernv": "node",
    "scmi_sensors": "node",
    "pmbus": "node",
    "corsairpsu": "node",
}

# A sensor's files: its energy in µJ, or its power in µW, as a mean of the chip's or of one moment. The mean comes
# first: of two power files of one sensor it misses nothing between two reads. (Linux: hwmon/sysfs-interface.rst)
_KINDS = (("energy", "input"), ("power", "average"), ("power", "input"))
_FILE = re.compile(r"(energy|power)(\d+)_(input|average)")
_MICRO = 1e6
# A socket of NVIDIA's Grace and its parts, which the source of that name reads.
_GRACE = re.compile(r"(Grace|CPU|SysIO) Power Socket \d+")


@dataclass(frozen=True, slots=True)
class Sensor:
    """One sensor of a chip.

    Args:
        chip: The chip's name.
        number: The sensor's number in the chip.
        label: What the driver calls it; its kind and number where it has no label.
        energy: Whether it counts energy; else it shows power.
        path: The file with its value.
        device: The folder of the device that the chip belongs to; the chip's own where it has none.
    """

    chip: str
    number: int
    label: str
    energy: bool
    path: Path
    device: Path

    @property
    def cover(self) -> Cover:
        """What it covers, by its chip."""
        return CHIPS.get(self.chip, "node")

    def read(self) -> float:
        """Return joules or watts; raises ``OSError`` or ``ValueError`` where there is no valid value."""
        return micro(self.path)

    def limit_w(self) -> float | None:
        """Return the most that the chip lets its device draw, in watts; ``None`` where it does not say."""
        for name in (f"power{self.number}_cap", f"power{self.number}_max", "power1_cap", "power1_max"):
            try:
                limit_w = micro(self.path.with_name(name))
            except (OSError, ValueError):
                continue
            if limit_w > 0:
                return limit_w
        return None


def micro(path: Path) -> float:
    """Return the value of a file in millionths, as a whole: microjoules as joules.

    Args:
        path: The file. It is opened at each call: a chip is found again after its driver was loaded anew.
    """
    text = path.read_bytes().strip()
    if not text.isdigit():
        raise ValueError("not a number")
    return int(text) / _MICRO


def sensors(root: Path = Path("/")) -> tuple[Sensor, ...]:
    """Return the sensors of power and energy, in the order of the chips; one for each number and kind of a chip.

    Args:
        root: The root of the file system.

    Example:
        >>> sensors(Path("/a/machine/without/sensors"))
        ()
    """
    return tuple(sensor for chip in _chips(root) for sensor in _of_chip(chip))


def of_chip(root: Path, wanted: Callable[[str], bool]) -> tuple[Sensor, ...]:
    """Return the sensors of the chips whose names are wanted."""
    return tuple(sensor for chip in _chips(root) if wanted(text(chip / "name")) for sensor in _of_chip(chip))


def below(device: Path) -> tuple[Sensor, ...]:
    """Return the sensors of a device's own chips.

    Args:
        device: The device's folder, with a folder ``hwmon``.
    """
    return tuple(sensor for chip in _folders(device / "hwmon") for sensor in _of_chip(chip))


def chip_folders(root: Path, name: str) -> tuple[Path, ...]:
    """Return the folders of the chips of a name."""
    return tuple(chip for chip in _chips(root) if text(chip / "name") == name)


def beside(root: Path) -> str:
    """Return the power sensors that no source reads, with what they show now, as one clause; empty where none are.

    They are those of the whole node, which contain the components, and those of supplies whose labels are the board
    maker's own. So they are reported beside the figures, and never added to them.

    Args:
        root: The root of the file system.
    """
    shown: list[str] = []
    for sensor in sensors(root):
        if sensor.energy or sensor.cover == "gpu" or _GRACE.fullmatch(sensor.label):
            continue
        try:
            shown.append(f"{sensor.chip} {sensor.label} {sensor.read():.0f} W")
        except (OSError, ValueError):
            shown.append(f"{sensor.chip} {sensor.label} unreadable")
    return ", ".join(shown)


def is_off(device: Path) -> bool:
    """Return whether a driver has switched its device off to save power, so that reading its sensors would wake it up.

    Args:
        device: The device's folder. (Linux: Documentation/ABI/testing/sysfs-devices-power)
    """
    return text(device / "power/runtime_status") == "suspended"


def text(path: Path) -> str:
    """Return the content of a small file; empty where it cannot be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


def _chips(root: Path) -> list[Path]:
    return _folders(root / CLASS)


def _folders(folder: Path) -> list[Path]:
    try:
        names = [name for name in os.listdir(folder) if name.startswith("hwmon")]  # noqa: PTH208 - names are enough
    except OSError:
        return []
    return [folder / name for name in sorted(names, key=lambda name: (len(name), name))]


def _of_chip(chip: Path) -> Iterator[Sensor]:
    try:
        names = os.listdir(chip)  # noqa: PTH208 - names are enough
    except OSError:
        return
    found: dict[tuple[str, int], str] = {}
    for kind, suffix in _KINDS:
        for name in names:
            match = _FILE.fullmatch(name)
            if match and (match[1], match[3]) == (kind, suffix):
                found.setdefault((kind, int(match[2])), name)
    device = chip / "device"
    for (kind, number), name in sorted(found.items()):
        # ACPI power meters have no label: what they measure is in power1_oem_info (Linux: acpi_power_meter.rst).
        label = text(chip / f"{kind}{number}_label") or text(chip / f"{kind}{number}_oem_info") or f"{kind}{number}"
        yield Sensor(
            text(chip / "name"), number, label, kind == "energy", chip / name, device if device.exists() else chip
        )
