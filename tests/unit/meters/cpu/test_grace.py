"""The power sensors of Grace processors."""

from __future__ import annotations

from pathlib import Path

from eco2ai_callbacks.meters.cpu.grace import COVERS, locate, source
from eco2ai_callbacks.testing import HwmonTree


def test_one_sensor_of_each_socket_is_taken_and_the_others_are_inside_or_around_it(tmp_path: Path) -> None:
    tree = HwmonTree(tmp_path)
    for socket in (1, 0):
        for name, watts in (("Module", 600), ("Grace", 250 + socket), ("CPU", 180), ("SysIO", 40)):
            tree.add_chip(
                "power_meter", power1_average=watts * 1_000_000, power1_oem_info=f"{name} Power Socket {socket}"
            )
    sensors = locate(tmp_path)
    assert [sensor.label for sensor in sensors] == ["Grace Power Socket 0", "Grace Power Socket 1"]
    assert [source(sensor).value() for sensor in sensors] == [250.0, 251.0]
    assert {"cpu", "ram"} == COVERS


def test_another_machine_s_power_meter_is_none(tmp_path: Path) -> None:
    HwmonTree(tmp_path).add_chip("power_meter", power1_average=400_000_000, power1_oem_info="Chassis")
    assert locate(tmp_path) == ()
