from __future__ import annotations

import pytest

from eco2ai_callbacks.testing.clock import Clock
from eco2ai_callbacks.testing.nvml import FakeGpu, FakeNvml


def test_a_board_uses_its_power_from_the_counter_s_beginning_on() -> None:
    clock = Clock()
    nvml = FakeNvml(clock, FakeGpu("GPU-a", watts=250.0, base_j=5.0))
    nvml.nvmlInit()
    assert nvml.nvmlDeviceGetCount() == 1
    handle = nvml.nvmlDeviceGetHandleByIndex(0)
    assert nvml.nvmlDeviceGetUUID(handle) == "GPU-a"
    assert nvml.nvmlDeviceGetTotalEnergyConsumption(handle) == 5000
    clock.advance(2.0)
    assert nvml.nvmlDeviceGetTotalEnergyConsumption(handle) == 505_000
    assert nvml.nvmlDeviceGetPowerUsage(handle) == 250_000
    assert nvml.calls["nvmlDeviceGetTotalEnergyConsumption"] == 2


def test_what_is_not_initialised_or_not_supported_is_an_error_of_the_library() -> None:
    nvml = FakeNvml(Clock(), FakeGpu("GPU-a", counter=False))
    with pytest.raises(nvml.NVMLError) as uninitialised:
        nvml.nvmlDeviceGetCount()
    assert uninitialised.value.value == 1
    nvml.nvmlInit()
    with pytest.raises(nvml.NVMLError) as unsupported:
        nvml.nvmlDeviceGetTotalEnergyConsumption("GPU-a")
    assert unsupported.value.value == 3
    nvml.nvmlShutdown()
    assert not nvml.initialised


def test_a_fault_comes_after_so_many_calls_and_goes_after_so_many() -> None:
    nvml = FakeNvml(Clock(), FakeGpu("GPU-a"))
    nvml.nvmlInit()
    nvml.fail("nvmlDeviceGetPowerUsage", 15, after=1, times=1)
    assert nvml.nvmlDeviceGetPowerUsage("GPU-a") == 100_000
    with pytest.raises(nvml.NVMLError):
        nvml.nvmlDeviceGetPowerUsage("GPU-a")
    assert nvml.nvmlDeviceGetPowerUsage("GPU-a") == 100_000
