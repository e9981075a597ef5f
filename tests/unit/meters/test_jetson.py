"""A Jetson module's supplies, with joules worked by hand."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from eco2ai_callbacks.errors import MeterUnavailable
from eco2ai_callbacks.meters.jetson import locate, open_gpu
from eco2ai_callbacks.testing import Clock, HwmonTree


def module(base: Path, *labels: str, milliamperes: int = 2000) -> tuple[HwmonTree, Path]:
    tree = HwmonTree(base)
    tree.write(base / "proc/device-tree/model", "NVIDIA Jetson AGX Orin Developer Kit\0")
    tree.write(base / "proc/device-tree/serial-number", "1421022105432\0")
    files: dict[str, int | str] = {}
    for number, label in enumerate(labels, 1):
        files |= {f"in{number}_label": label, f"in{number}_input": 19000, f"curr{number}_input": milliamperes}
    return tree, tree.add_chip("ina3221", **files)


def test_the_gpu_s_supply_is_integrated(tmp_path: Path) -> None:
    """19 V x 2 A = 38 W; then 19 V x 3 A = 57 W: 95 J in 2 s."""
    clock = Clock()
    tree, chip = module(tmp_path, "VDD_GPU_SOC", "VDD_CPU_CV", "VIN_SYS_5V0")
    meter = open_gpu(tmp_path, locate(tmp_path), 0.5, clock)
    clock.advance(2.0)
    tree.write(chip / "curr1_input", "3000")
    assert meter.read() == {"gpu:GPU-jetson-1421022105432": 95.0}
    assert meter.covers == {"gpu"}
    assert meter.devices[0].name == "NVIDIA Jetson AGX Orin Developer Kit"
    assert meter.methods["gpu:GPU-jetson-1421022105432"].attribution == "the GPU and the rest of its chip"


def test_one_supply_for_both_is_one_figure_for_both(tmp_path: Path) -> None:
    module(tmp_path, "VDD_IN", "VDD_CPU_GPU_CV", "VDD_SOC")
    sensors = locate(tmp_path)
    assert [(one.label, one.rail) for one in sensors] == [("VDD_CPU_GPU_CV", "both")]
    assert open_gpu(tmp_path, sensors, 0.5, Clock()).covers == {"gpu", "cpu"}


def test_the_processor_s_supply_is_apart(tmp_path: Path) -> None:
    module(tmp_path, "VDD_GPU_SOC", "VDD_CPU_CV", "VIN_SYS_5V0")
    assert [one.source.value() for one in locate(tmp_path) if one.rail == "cpu"] == [38.0]


def test_sensors_of_other_boards_are_none(tmp_path: Path) -> None:
    module(tmp_path, "5V_RAIL", "3V3", "VDD_IN")
    assert locate(tmp_path) == ()
    with pytest.raises(MeterUnavailable, match="no supply of the GPU has a sensor"):
        open_gpu(tmp_path, (), 0.5, Clock())


def test_a_supply_that_cannot_be_read_says_so(tmp_path: Path) -> None:
    tree, chip = module(tmp_path, "VDD_GPU_SOC")
    tree.break_(chip / "curr1_input", error=errno.EACCES)
    with pytest.raises(MeterUnavailable, match="unreadable: VDD_GPU_SOC: "):
        open_gpu(tmp_path, locate(tmp_path), 0.5, Clock())
    tree.break_(chip / "curr1_input", "-30")
    with pytest.raises(MeterUnavailable, match="unreadable: VDD_GPU_SOC: not a number"):
        open_gpu(tmp_path, locate(tmp_path), 0.5, Clock())


def test_a_chip_that_vanishes_leaves_its_channel_behind(tmp_path: Path) -> None:
    clock = Clock()
    tree, chip = module(tmp_path, "GPU", "CPU", "SOC")
    meter = open_gpu(tmp_path, locate(tmp_path), 0.5, clock)
    tree.unload(chip)
    clock.advance(0.5)
    meter.read()
    assert meter.behind == {"gpu:GPU-jetson-1421022105432"}
    assert meter.failures[0].startswith("Jetson: GPU: a read failed (No such file or directory)")
