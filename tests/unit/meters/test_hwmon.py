"""Which sensors there are, what they cover, and what they show."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from eco2ai_callbacks.meters.hwmon import CHIPS, below, beside, chip_folders, is_off, of_chip, sensors
from eco2ai_callbacks.testing import HwmonTree


def test_a_machine_without_the_tree_has_no_sensors(tmp_path: Path) -> None:
    assert sensors(tmp_path) == ()
    assert beside(tmp_path) == ""


def test_a_chip_s_sensors_are_those_of_energy_and_power_by_their_labels(tmp_path: Path) -> None:
    tree = HwmonTree(tmp_path)
    tree.add_chip("coretemp", temp1_input=42000)
    tree.add_chip(
        "xe", energy1_input=5_000_000, energy1_label="card", energy2_input=3_000_000, energy2_label="pkg", in0_input=800
    )
    tree.add_chip("amdgpu", power1_average=150_000_000, power1_input=140_000_000, power1_label="PPT")
    found = [(one.chip, one.label, one.energy, one.read(), one.cover) for one in sensors(tmp_path)]
    assert found == [
        ("xe", "card", True, 5.0, "gpu"),
        ("xe", "pkg", True, 3.0, "gpu"),
        ("amdgpu", "PPT", False, 150.0, "gpu"),
    ]


def test_the_order_is_that_of_the_chips_numbers(tmp_path: Path) -> None:
    tree = HwmonTree(tmp_path)
    for number in range(12):
        tree.add_chip("power_meter", power1_average=number * 1_000_000)
    assert [one.read() for one in sensors(tmp_path)] == list(range(12))


@pytest.mark.parametrize("content", ["", "-1", "12.5", "\0\0", "0x10", "unknown"], ids=range(6))
def test_what_is_no_number_is_refused(tmp_path: Path, content: str) -> None:
    tree = HwmonTree(tmp_path)
    chip = tree.add_chip("amdgpu", power1_average=150_000_000)
    tree.break_(chip / "power1_average", content)
    with pytest.raises(ValueError, match="not a number"):
        sensors(tmp_path)[0].read()


def test_a_file_that_cannot_be_read_says_why(tmp_path: Path) -> None:
    tree = HwmonTree(tmp_path)
    chip = tree.add_chip("amdgpu", power1_average=150_000_000)
    tree.break_(chip / "power1_average", error=errno.EACCES)
    with pytest.raises(PermissionError):
        sensors(tmp_path)[0].read()


def test_a_limit_is_the_sensor_s_own_or_none(tmp_path: Path) -> None:
    tree = HwmonTree(tmp_path)
    tree.add_chip("amdgpu", power1_average=1, power1_cap=300_000_000)
    tree.add_chip("xe", energy2_input=1, power1_cap="", power2_max=0, power1_max=190_000_000)
    tree.add_chip("amdgpu", power1_average=1)
    assert [one.limit_w() for one in sensors(tmp_path)] == [300.0, 190.0, None]


def test_a_chip_that_nobody_knows_covers_the_node_and_is_named_beside(tmp_path: Path) -> None:
    tree = HwmonTree(tmp_path)
    tree.add_chip("strange", power1_input=120_000_000)
    meter = tree.add_chip("power_meter", power1_average=412_000_000, power1_oem_info="Chassis")
    tree.add_chip("amdgpu", power1_average=150_000_000)
    tree.add_chip("power_meter", power1_average=250_000_000, power1_oem_info="Grace Power Socket 0")
    tree.add_chip("ina226", power1_input=5_000_000, power1_label="VCCINT")
    assert beside(tmp_path) == "strange power1 120 W, power_meter Chassis 412 W, ina226 VCCINT 5 W"
    tree.break_(meter / "power1_average", error=errno.EACCES)
    assert "power_meter Chassis unreadable" in beside(tmp_path)


def test_chips_are_found_by_name_and_by_device(tmp_path: Path) -> None:
    tree = HwmonTree(tmp_path)
    device = tree.add_pci("0000:03:00.0", "0x1002", "0x740f")
    chip = tree.add_chip("amdgpu", device, power1_average=150_000_000)
    tree.add_chip("i915", energy1_input=1)
    assert [one.chip for one in below(device)] == ["amdgpu"]
    assert [path.resolve() for path in chip_folders(tmp_path, "amdgpu")] == [chip]
    assert [one.chip for one in of_chip(tmp_path, lambda name: name.startswith("i915"))] == ["i915"]


def test_the_table_knows_the_kernel_s_meters_of_power() -> None:
    assert CHIPS["amd_energy"] == "cpu"
    assert CHIPS["amdgpu"] == CHIPS["i915"] == CHIPS["xe"] == "gpu"
    assert CHIPS["power_meter"] == "node"


def test_a_device_is_off_where_its_driver_says_so(tmp_path: Path) -> None:
    tree = HwmonTree(tmp_path)
    device = tree.add_pci("0000:03:00.0", "0x1002", "0x740f")
    assert not is_off(device)
    for status, off in (("suspended", True), ("active", False), ("unsupported", False)):
        tree.write(device / "power/runtime_status", status)
        assert is_off(device) is off
