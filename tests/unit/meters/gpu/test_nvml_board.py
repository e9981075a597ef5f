"""One board: its energy by its counter or its power, and what is said where it cannot be read."""

from __future__ import annotations

import pytest
from nvml_meters import ENERGY, POWER, A, B, opened

from eco2ai_callbacks.errors import Eco2AIError, MeterUnavailable
from eco2ai_callbacks.testing import Clock, FakeGpu, FakeNvml


@pytest.fixture
def clock() -> Clock:
    return Clock(1000.0)


def test_power_is_integrated_by_trapezoids(clock: Clock) -> None:
    gpu = FakeGpu(A, watts=100.0, counter=False)
    nvml = FakeNvml(clock, gpu)
    meter = opened(nvml, clock, sample_s=0.5)
    assert meter.max_gap_s == 0.5
    clock.advance(0.5)
    gpu.watts = 300.0
    assert meter.read()[f"gpu:{A}"] == pytest.approx((100 + 300) / 2 * 0.5)
    clock.advance(0.25)
    assert meter.read()[f"gpu:{A}"] == pytest.approx(100.0 + 300 * 0.25)
    assert meter.failures == ()


def test_power_that_was_hardly_sampled_is_counted_and_said(clock: Clock) -> None:
    meter = opened(FakeNvml(clock, FakeGpu(A, watts=100.0, counter=False)), clock, sample_s=0.5)
    clock.advance(20.0)
    assert meter.read()[f"gpu:{A}"] == pytest.approx(2000.0)
    assert meter.failures == ("NVML: GPU 0 (NVIDIA A100-SXM4-80GB): at times its power was read less than every 5 s",)


def test_an_edge_is_a_step_of_the_counter_at_the_power_last_seen(clock: Clock) -> None:
    gpu = FakeGpu(A, watts=60.0)
    meter = opened(FakeNvml(clock, gpu), clock)
    assert meter.methods[f"gpu:{A}"].edge_j == pytest.approx(6.0)
    meter.read()
    gpu.watts = 400.0
    for _ in range(4):  # shorter than a mean needs, one by one
        clock.advance(0.3)
        meter.read()
    assert meter.methods[f"gpu:{A}"].edge_j == pytest.approx(40.0)


def test_a_driver_without_power_readings_has_no_edge_yet(clock: Clock) -> None:
    meter = opened(FakeNvml(clock, FakeGpu(A, power=False)), clock)
    assert meter.methods[f"gpu:{A}"].edge_j == 0.0


@pytest.mark.parametrize(
    ("energy", "power", "reason"),
    [
        (3, 3, "it tells neither its energy nor its power"),
        (13, 4, "insufficient permissions"),
        (4, 3, "insufficient permissions"),
    ],
)
def test_a_board_that_tells_nothing_says_why(clock: Clock, energy: int, power: int, reason: str) -> None:
    nvml = FakeNvml(clock, FakeGpu(A, "NVIDIA T4"), FakeGpu(B))
    nvml.fail(ENERGY, energy, uuid=A)
    nvml.fail(POWER, power, uuid=A)
    with pytest.raises(MeterUnavailable) as refused:
        opened(nvml, clock, [0])
    assert refused.value.reason == f"GPU 0 (NVIDIA T4): {reason}"
    both = opened(nvml, clock, [0, 1])
    assert list(both.read()) == [f"gpu:{B}"]
    assert both.failures == (f"NVML: GPU 0 (NVIDIA T4): {reason}",)


@pytest.mark.parametrize("code", [3, 4, 13])
def test_without_the_counter_power_is_the_next_method(clock: Clock, code: int) -> None:
    nvml = FakeNvml(clock, FakeGpu(A))
    nvml.fail(ENERGY, code)
    assert opened(nvml, clock).methods[f"gpu:{A}"].name == "nvml-power"


# What can fail while running


@pytest.mark.parametrize(
    ("code", "why"), [(15, "the GPU is lost"), (16, "the GPU needs a reset"), (4, "insufficient permissions")]
)
def test_a_board_that_goes_is_left_out_and_the_others_go_on(clock: Clock, code: int, why: str) -> None:
    nvml = FakeNvml(clock, FakeGpu(A, watts=100.0), FakeGpu(B, watts=10.0))
    nvml.fail(ENERGY, code, after=2, uuid=A)
    meter = opened(nvml, clock)
    clock.advance(1.0)
    assert meter.read() == pytest.approx({f"gpu:{A}": 100.0, f"gpu:{B}": 10.0})
    clock.advance(1.0)
    assert meter.read() == pytest.approx({f"gpu:{B}": 20.0})
    assert meter.failures == (f"NVML: GPU 0 (NVIDIA A100-SXM4-80GB): {why}; its energy is missing from here on",)
    nvml.calls.clear()
    meter.read()
    assert nvml.calls == {ENERGY: 1}


def test_a_lost_grace_hopper_takes_its_processor_s_energy_with_it(clock: Clock) -> None:
    nvml = FakeNvml(clock, FakeGpu(A, "NVIDIA GH200 480GB"))
    meter = opened(nvml, clock)
    nvml.fail(ENERGY, 15)
    with pytest.raises(Eco2AIError):
        meter.read()
    assert "its energy, with that of its processor and memory, is missing" in meter.failures[0]


@pytest.mark.parametrize("code", [10, 999])
def test_a_passing_fault_is_tried_once_more(clock: Clock, code: int) -> None:
    nvml = FakeNvml(clock, FakeGpu(A, watts=100.0))
    meter = opened(nvml, clock)
    clock.advance(2.0)
    nvml.fail(ENERGY, code, times=1)
    assert meter.read() == pytest.approx({f"gpu:{A}": 200.0})
    assert meter.failures == ()


@pytest.mark.parametrize("counter", [True, False])
def test_what_a_failed_read_missed_is_in_the_next(clock: Clock, counter: bool) -> None:
    nvml = FakeNvml(clock, FakeGpu(A, watts=100.0, counter=counter))
    meter = opened(nvml, clock)
    nvml.fail(ENERGY if counter else POWER, 10, times=2)
    clock.advance(2.0)
    assert meter.read() == {f"gpu:{A}": 0.0}
    clock.advance(1.0)
    assert meter.read() == pytest.approx({f"gpu:{A}": 300.0})
    assert meter.failures == (
        "NVML: GPU 0 (NVIDIA A100-SXM4-80GB): a read failed twice (no answer in time), "
        "what was used then is in a later read",
    )


def test_a_board_that_fails_three_reads_in_a_row_is_given_up(clock: Clock) -> None:
    nvml = FakeNvml(clock, FakeGpu(A), FakeGpu(B))
    meter = opened(nvml, clock)
    nvml.fail(ENERGY, 999, uuid=A, times=4)
    for _ in range(2):
        assert f"gpu:{A}" in meter.read()
    assert f"gpu:{A}" in meter.read()  # an answer: the count begins anew
    nvml.fail(ENERGY, 999, uuid=A)
    reads = [f"gpu:{A}" in meter.read() for _ in range(4)]
    assert reads == [True, True, False, False]
    assert meter.failures[-1].endswith("an unknown error, 3 times in a row; its energy is missing from here on")


def test_a_counter_that_steps_back_loses_that_stretch_only(clock: Clock) -> None:
    gpu = FakeGpu(A, watts=100.0)
    meter = opened(FakeNvml(clock, gpu), clock)
    clock.advance(1.0)
    meter.read()
    gpu.base_j = 0.0  # the driver was loaded anew
    clock.advance(5.0)
    assert meter.read() == pytest.approx({f"gpu:{A}": 100.0})
    clock.advance(2.0)
    assert meter.read() == pytest.approx({f"gpu:{A}": 300.0})
    assert meter.failures == (
        "NVML: GPU 0 (NVIDIA A100-SXM4-80GB): its energy counter was reset, "
        "what it used since the read before is not counted",
    )


def test_a_counter_that_jumps_is_not_believed(clock: Clock) -> None:
    gpu = FakeGpu(A, watts=100.0)
    meter = opened(FakeNvml(clock, gpu), clock)
    gpu.base_j += 1e6
    clock.advance(1.0)
    assert meter.read() == {f"gpu:{A}": 0.0}
    clock.advance(1.0)
    assert meter.read() == pytest.approx({f"gpu:{A}": 100.0})
    assert "its energy counter jumped" in meter.failures[0]


class Hanging(FakeNvml):
    """Its energy calls take ``hang_s``, and then answer or fail."""

    hang_s = 0.0

    def nvmlDeviceGetTotalEnergyConsumption(self, handle: str) -> int:
        if handle == A:
            self._clock.advance(self.hang_s)
        return super().nvmlDeviceGetTotalEnergyConsumption(handle)


@pytest.mark.parametrize("fails", [False, True])
def test_a_call_of_more_than_a_second_is_the_last_to_its_board(clock: Clock, fails: bool) -> None:
    nvml = Hanging(clock, FakeGpu(A, watts=100.0), FakeGpu(B, watts=10.0))
    meter = opened(nvml, clock)
    nvml.hang_s = 1.2
    if fails:
        nvml.fail(ENERGY, 10, uuid=A)
    assert (f"gpu:{A}" in meter.read()) is not fails  # an answer that came late is an answer
    nvml.calls.clear()
    assert list(meter.read()) == [f"gpu:{B}"]
    assert nvml.calls == {ENERGY: 1}
    assert meter.failures == (
        "NVML: GPU 0 (NVIDIA A100-SXM4-80GB): a call took over a second, so that it is not read any more; "
        "its energy is missing from here on",
    )


def test_a_reading_belongs_to_the_middle_of_its_call(clock: Clock) -> None:
    class Slow(FakeNvml):
        def nvmlDeviceGetPowerUsage(self, handle: str) -> int:
            clock.advance(slow_s)
            return super().nvmlDeviceGetPowerUsage(handle)

    slow_s = 0.0
    meter = opened(Slow(clock, FakeGpu(A, watts=100.0, counter=False)), clock)
    slow_s = 0.8
    assert meter.read() == pytest.approx({f"gpu:{A}": 40.0})
