"""Processors and GPUs, as eco2AI prints them."""

from __future__ import annotations

import dataclasses

import pytest

from eco2ai_callbacks.eco2ai_compat.devices import all_available_cpu, all_available_gpu, available_devices
from eco2ai_callbacks.meters.meter import Device
from eco2ai_callbacks.testing import CLOUD_VM, Clock, FakeMeter, fake_platform


def test_all_devices_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    gpus = FakeMeter(clock, {"gpu:a": 1.0}, devices=(
        Device("nvidia", 0, "MIG-a", "A100"), Device("nvidia", 0, "MIG-b", "A100"), Device("nvidia", 1, "c", "A100"),
    ))  # fmt: skip
    host = dataclasses.replace(CLOUD_VM, cpu_name="AMD EPYC 7763", sockets=2)
    available_devices(platform=fake_platform(clock, gpus, host=host))
    assert capsys.readouterr().out == (
        "Seeable cpu device(s):\n        AMD EPYC 7763: 2 device(s)\n"
        "Seeable gpu device(s):\n        A100: 2 device(s)\n"
    )
    assert gpus.closed


def test_none_are_said_to_be_there(capsys: pytest.CaptureFixture[str]) -> None:
    platform = fake_platform(Clock(), host=dataclasses.replace(CLOUD_VM, cpu_name=""))
    all_available_cpu(platform=platform)
    all_available_gpu(platform=platform)
    assert capsys.readouterr().out == (
        "There is no any available cpu device(s)\nThere is no any available gpu device(s)\n"
    )
