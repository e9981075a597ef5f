"""Apple's chips by their own reckoning, with joules worked by hand."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest

from eco2ai_callbacks.errors import MeterUnavailable
from eco2ai_callbacks.meters.apple import AppleEnergy
from eco2ai_callbacks.testing import Clock, FakeApple


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_each_counter_counts_what_it_moves_and_is_called_an_estimate(clock: Clock) -> None:
    """CPU from 100 J to 130 J, memory to 104 J, GPU from 100 J + 10 J to 150 J + 12 J: 30 J, 4 J and 52 J."""
    chip = FakeApple(gpu_sram=10.0)
    energy = AppleEnergy(chip)
    cpu, ram, gpu = energy.cpu(clock), energy.ram(clock), energy.gpu("Apple M3 Max", 0.5, clock)
    clock.advance(1.0)
    chip.cpu, chip.dram, chip.gpu, chip.gpu_sram = 130.0, 104.0, 150.0, 12.0
    assert gpu.read() == {"gpu:GPU-apple": 52.0}
    assert cpu.update(0.5)
    assert ram.update(0.5)
    assert (cpu.joules, ram.joules) == (30.0, 4.0)
    method = gpu.methods["gpu:GPU-apple"]
    assert (method.name, method.measured, method.low, method.high) == ("ioreport", False, 0.8, 1.2)
    assert gpu.devices[0].vendor == "apple"
    assert gpu.max_gap_s == float("inf")


def test_a_gpu_that_rests_has_used_nothing(clock: Clock) -> None:
    chip = FakeApple(gpu=0.0)
    meter = AppleEnergy(chip).gpu("Apple M3", 0.5, clock)
    for _ in range(5):
        clock.advance(10.0)
        assert meter.read() == {"gpu:GPU-apple": 0.0}
    assert meter.behind == frozenset()
    assert meter.failures == ()


def test_a_library_that_fails_leaves_the_channel_behind(clock: Clock) -> None:
    chip = FakeApple()
    meter = AppleEnergy(chip).gpu("Apple M3", 0.5, clock)
    chip.error = "IOReportCreateSamples failed"
    clock.advance(1.0)
    meter.read()
    assert meter.behind == {"gpu:GPU-apple"}
    chip.error, chip.gpu = "", 180.0
    clock.advance(1.0)
    assert meter.read() == {"gpu:GPU-apple": 80.0}


def test_a_chip_without_a_counter_says_so(clock: Clock) -> None:
    energy = AppleEnergy(FakeApple(dram=None))
    with pytest.raises(MeterUnavailable, match="unreadable: memory: the chip has no counter of it"):
        energy.ram(clock)
    with pytest.raises(MeterUnavailable, match="unreadable: CPU: broken"):
        AppleEnergy(FakeApple(error="broken")).cpu(clock)


def test_without_the_library_there_is_a_fix(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [])
    monkeypatch.delitem(sys.modules, "zeus_apple_silicon", raising=False)
    with pytest.raises(MeterUnavailable, match="is not installed") as caught:
        AppleEnergy()
    assert caught.value.hint == "pip install zeus-apple-silicon"
    with pytest.raises(MeterUnavailable, match="does not work here"):
        AppleEnergy(SimpleNamespace())
