"""On a real NVIDIA card: the counter against integrated power, and what a read costs.

Run with ``pytest tests/gpu -m gpu -s``; the figures are printed.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from typing import Any

import pytest

from eco2ai_callbacks.errors import MeterUnavailable
from eco2ai_callbacks.meters.cuda import synchronize, used_devices
from eco2ai_callbacks.meters.nvml import NvmlMeter, open_nvml

pytestmark = pytest.mark.gpu

SECONDS = 30.0
PERIOD_S = 0.1


@pytest.fixture
def torch() -> Any:
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        pytest.skip("torch finds no CUDA device")
    return torch


@pytest.fixture
def meter(torch: Any) -> Iterator[NvmlMeter]:
    torch.ones(1, device="cuda:0")
    try:
        meter = open_nvml(used_by_framework=used_devices())
    except MeterUnavailable as why:
        pytest.skip(f"no card to read: {why.reason}")
    yield meter
    meter.close()


def test_the_counter_agrees_with_integrated_power_under_load(torch: Any, meter: NvmlMeter) -> None:
    import pynvml

    (device, *_) = meter.devices
    channel = f"gpu:{device.uuid}"
    if not meter.methods[channel].counter:
        pytest.skip(f"{device.name} has no energy counter")
    handle = pynvml.nvmlDeviceGetHandleByIndex(device.number)
    left = torch.randn(8192, 8192, device="cuda:0", dtype=torch.float16)
    right = torch.randn(8192, 8192, device="cuda:0", dtype=torch.float16)

    def work(seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for _ in range(10):
                torch.matmul(left, right)
            synchronize()

    work(5.0)  # power is averaged over up to a second, and clocks and heat settle
    first_j, then, before_w = meter.read()[channel], time.monotonic(), pynvml.nvmlDeviceGetPowerUsage(handle) / 1000
    began, sampled_j = then, 0.0
    while then - began < SECONDS:
        work(PERIOD_S)
        now, power_w = time.monotonic(), pynvml.nvmlDeviceGetPowerUsage(handle) / 1000
        sampled_j += (before_w + power_w) / 2 * (now - then)
        then, before_w = now, power_w
    counted_j = meter.read()[channel] - first_j
    print(f"\n{device.name}: counter {counted_j:.1f} J, integrated power {sampled_j:.1f} J over {then - began:.1f} s")
    assert counted_j == pytest.approx(sampled_j, rel=0.05)


def test_what_one_read_costs(meter: NvmlMeter) -> None:
    times_us = []
    for _ in range(1000):
        began = time.perf_counter()
        meter.read()
        times_us.append((time.perf_counter() - began) * 1e6)
    cuts = statistics.quantiles(times_us, n=100)
    print(f"\none read of {len(meter.devices)} GPU: median {cuts[49]:.1f} µs, 99th percentile {cuts[98]:.1f} µs")
    assert meter.failures == ()


def test_the_framework_s_device_is_the_one_that_is_measured(torch: Any, meter: NvmlMeter) -> None:
    uuid = getattr(torch.cuda.get_device_properties(0), "uuid", None)
    if uuid is None:
        pytest.skip("this torch does not know the UUIDs of its devices")
    assert meter.rule == "auto: framework"
    assert [device.uuid for device in meter.devices] == [f"GPU-{uuid}"]
