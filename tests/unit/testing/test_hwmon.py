"""The fake of the hwmon tree."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from eco2ai_callbacks.testing import HwmonTree


def test_a_chip_is_below_its_device_and_in_the_class_folder(tmp_path: Path) -> None:
    tree = HwmonTree(tmp_path)
    device = tree.add_pci("0000:03:00.0", "0x1002", "0x740f")
    tree.add_drm(device, 0)
    chip = tree.add_chip("amdgpu", device, power1_average=1)
    assert (tmp_path / "sys/class/hwmon/hwmon0/name").read_text() == "amdgpu\n"
    assert (tmp_path / "sys/bus/pci/devices/0000:03:00.0/hwmon/hwmon0").samefile(chip)
    assert (tmp_path / "sys/class/drm/renderD128/device/vendor").read_text() == "0x1002\n"


def test_a_sensor_can_be_set_broken_unloaded_and_loaded(tmp_path: Path) -> None:
    tree = HwmonTree(tmp_path)
    chip = tree.add_chip("amdgpu", power1_average=1)
    tree.set(chip, "power1_average", 1.5)
    assert (chip / "power1_average").read_text() == "1500000\n"
    tree.break_(chip / "power1_average", error=errno.EACCES)
    with pytest.raises(PermissionError):
        (chip / "power1_average").read_text()
    tree.unload(chip)
    assert not (tmp_path / "sys/class/hwmon/hwmon0").exists()
    tree.load(chip)
    tree.set(chip, "power1_average", 2.0)
    assert (tmp_path / "sys/class/hwmon/hwmon0/power1_average").read_text() == "2000000\n"
