"""The check of a board's energy counter against its power."""

from __future__ import annotations

import pytest

from eco2ai_callbacks.meters.gpu.cross_check import compare
from eco2ai_callbacks.testing import Clock, FakeGpu, FakeNvml

A = "GPU-8932f937-d72c-4106-c12f-20bd9faed9f6"


@pytest.fixture
def clock() -> Clock:
    return Clock(1000.0)


@pytest.mark.parametrize(
    ("factor", "difference", "verdict"),
    [
        (1.15, 0.15, "sampled power gives 15% more than the energy counter"),
        (0.85, -0.15, "sampled power gives 15% less than the energy counter"),
        (1.05, 0.05, "the energy counter and sampled power agree within 10%"),
    ],
)
def test_counter_and_power_are_compared(clock: Clock, factor: float, difference: float, verdict: str) -> None:
    class Disagreeing(FakeNvml):
        def nvmlDeviceGetPowerUsage(self, handle: str) -> int:
            return round(super().nvmlDeviceGetPowerUsage(handle) * factor)

    nvml = Disagreeing(clock, FakeGpu(A, watts=200.0))
    (row,) = compare(30.0, nvml, clock, clock.advance)
    assert (row.index, row.name, row.uuid) == (0, "NVIDIA A100-SXM4-80GB", A)
    assert row.seconds == pytest.approx(30.0)
    assert row.counter_j == pytest.approx(6000.0)
    assert row.sampled_j == pytest.approx(6000.0 * factor)
    assert row.difference == pytest.approx(difference)
    assert row.verdict == verdict
    assert not nvml.initialised


@pytest.mark.parametrize(
    ("gpu", "verdict"),
    [
        (FakeGpu(A, counter=False), "no energy counter: power is sampled, ±15 %"),
        (FakeGpu(A, power=False), "the power cannot be read, so that there is nothing to hold the energy counter"),
        (FakeGpu(A, counter=False, power=False), "neither the energy counter nor the power can be read"),
        (FakeGpu(A, watts=0.0), "the energy counter stood still"),
    ],
    ids=["power only", "counter only", "neither", "still"],
)
def test_what_cannot_be_compared_says_so(clock: Clock, gpu: FakeGpu, verdict: str) -> None:
    (row,) = compare(1.0, FakeNvml(clock, gpu), clock, clock.advance)
    assert row.difference is None
    assert row.verdict.startswith(verdict)
