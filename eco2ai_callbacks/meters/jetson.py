"""Read the power of NVIDIA's Jetson modules from the sensors on their supplies (INA3221)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from eco2ai_callbacks.errors import MeterUnavailable
from eco2ai_callbacks.meters.hwmon import chip_folders, text
from eco2ai_callbacks.meters.meter import Device
from eco2ai_callbacks.meters.sensor_meter import GPU, SensedDevice, SensorMeter
from eco2ai_callbacks.meters.tally import Source, Tally

NAME = "Jetson"
_CHIP = "ina3221"
# What hangs on a supply, by its label (NVIDIA Jetson Linux Developer Guide, "Jetson Module Power Rails"; Linux:
# arch/arm64/boot/dts/nvidia/tegra*). The whole module, which contains the others: VDD_IN, VIN_SYS_5V0.
Rail = Literal["gpu", "cpu", "both"]
RAILS: dict[str, Rail] = {
    "VDD_GPU_SOC": "gpu",  # AGX Orin: with the rest of the chip
    "VDD_GPU": "gpu",  # Thor
    "GPU": "gpu",  # Xavier
    "VDD_CPU_CV": "cpu",  # AGX Orin: with the vision accelerators
    "VDD_CPU_SOC_MSS": "cpu",  # Thor
    "CPU": "cpu",  # Xavier
    "VDD_CPU_GPU_CV": "both",  # Orin NX and Nano: one supply for all
    "CPU_GPU_CV": "both",
}
_INCLUDED = {
    "VDD_GPU_SOC": "the GPU and the rest of its chip",
    "VDD_CPU_GPU_CV": "CPU, GPU and vision accelerators",
    "CPU_GPU_CV": "CPU, GPU and vision accelerators",
}
_BOTH = frozenset({"gpu", "cpu"})
# A module is limited to 130 W (Jetson Thor).
_MOST_W = 400.0
# The chip itself is good for 1 %, its shunt and what the board draws beside it are not stated: this project's figure.
_BAND = (0.9, 1.1)


@dataclass(frozen=True, slots=True)
class RailSensor:
    """One supply: its label, and the files with its volts and amperes in thousandths."""

    label: str
    rail: Rail
    volts: Path
    amperes: Path

    def read(self) -> float:
        """Return the watts; raises ``OSError`` or ``ValueError`` where there are none."""
        return _milli(self.volts) * _milli(self.amperes)

    @property
    def source(self) -> Source:
        """The supply as a source."""
        return Source("jetson-power", partial(RailSensor.read, self), False, _BAND, _MOST_W, lambda: None)


def locate(root: Path) -> tuple[RailSensor, ...]:
    """Return the supplies of the processor and the GPU; none where this is no such module.

    Args:
        root: The root of the file system.
    """
    return tuple(sensor for chip in chip_folders(root, _CHIP) for sensor in _rails(chip))


def open_gpu(
    root: Path, sensors: tuple[RailSensor, ...], sample_s: float, clock: Callable[[], float], rule: str = "all"
) -> SensorMeter:
    """Open the supply of the GPU; raises ``MeterUnavailable`` where it cannot be read.

    Args:
        root: The root of the file system.
        sensors: The supplies.
        sample_s: Seconds between two reads.
        clock: Monotonic seconds.
        rule: How it was chosen.
    """
    sensor = next((one for one in sensors if one.rail != "cpu"), None)
    if sensor is None:
        raise MeterUnavailable("no supply of the GPU has a sensor")
    try:
        tally = Tally(NAME, sensor.label, sensor.source, clock).open()
    except (OSError, ValueError) as error:
        why = (isinstance(error, OSError) and error.strerror) or str(error)
        raise MeterUnavailable(f"unreadable: {sensor.label}: {why}") from None
    uuid, name = identity(root)
    covers = _BOTH if sensor.rail == "both" else GPU
    device = Device("nvidia", 0, uuid, name)
    sensed = SensedDevice(device, tally, part=_INCLUDED.get(sensor.label, ""), covers=covers)
    return SensorMeter(NAME, [sensed], rule, sample_s=sample_s)


def identity(root: Path) -> tuple[str, str]:
    """Return the id and the name of the module's GPU.

    Args:
        root: The root of the file system.
    """
    tree = root / "proc/device-tree"
    serial, model = (text(tree / file).strip("\0") for file in ("serial-number", "model"))
    return f"GPU-jetson-{serial or 0}", model or "NVIDIA Jetson"


def _rails(chip: Path) -> Iterator[RailSensor]:
    for number in (1, 2, 3):
        label = text(chip / f"in{number}_label")
        rail = RAILS.get(label)
        if rail is not None:
            yield RailSensor(label, rail, chip / f"in{number}_input", chip / f"curr{number}_input")


def _milli(path: Path) -> float:
    content = path.read_bytes().strip()
    if not content.isdigit():
        raise ValueError("not a number")
    return int(content) / 1000.0
