"""What NVML shows beside a board's figure."""

from __future__ import annotations

import pytest
from nvml_meters import A, B, opened
from nvml_shapes import Shape, ShapedNvml

from eco2ai_callbacks.errors import MeterUnavailable
from eco2ai_callbacks.meters.gpu.nvml_domains import domains, is_guest, virtual_note
from eco2ai_callbacks.testing import Clock, FakeGpu


def shaped(**shape: object) -> ShapedNvml:
    nvml = ShapedNvml(Clock(), (FakeGpu(A, "NVIDIA GB200"), Shape(**shape)), (FakeGpu(B), Shape()))  # type: ignore[arg-type]
    nvml.nvmlInit()
    return nvml


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        ({2: 45.0, 1: 912.5}, (("memory", 45.0), ("module", 912.5))),
        ({2: 45.0}, (("memory", 45.0),)),
        ({2: 0.0, 1: 0.0}, ()),
        ({2: 4_294_967.295}, ()),
        ({}, ()),
    ],
    ids=["both", "memory", "zeros", "not available", "none"],
)
def test_the_power_of_memory_and_module_is_read(
    shown: dict[int, float], expected: tuple[tuple[str, float], ...]
) -> None:
    assert domains(shaped(domains=shown), A) == expected


def test_a_driver_without_them_shows_none() -> None:
    nvml = shaped(domains={2: 45.0})
    nvml.fail("nvmlDeviceGetFieldValues", 13)
    assert domains(nvml, A) == ()


def test_they_are_shown_beside_the_figures_and_never_added() -> None:
    clock = Clock()
    nvml = ShapedNvml(clock, (FakeGpu(A, "NVIDIA GB200", watts=700.0), Shape(domains={2: 45.0, 1: 912.5})))
    meter = opened(nvml, clock)
    assert meter.detail == (
        "0: NVIDIA GB200 (energy counter, whole device); chosen by all; "
        "beside the figures, not added to them: GPU 0 memory 45 W, GPU 0 module 912 W (at the start)"
    )
    nvml.calls.clear()
    clock.advance(1.0)
    assert meter.read() == pytest.approx({f"gpu:{A}": 700.0})
    assert meter.covers == {"gpu"}
    assert nvml.calls["nvmlDeviceGetFieldValues"] == 0


def test_a_guest_s_board_that_shows_nothing_says_that_it_is_one() -> None:
    clock = Clock()
    nvml = ShapedNvml(clock, (FakeGpu(A, "GRID A100-10C", counter=False, power=False), Shape(mode=2)))
    with pytest.raises(MeterUnavailable) as why:
        opened(nvml, clock)
    assert why.value.reason == "GPU 0 (GRID A100-10C): it is a vGPU, and it tells neither its energy nor its power"
    assert why.value.hint == "measure on the host: the driver of a guest with a vGPU tells no power"


def test_a_driver_that_does_not_tell_the_mode_is_taken_for_none() -> None:
    nvml = shaped(mode=2)
    assert is_guest(nvml, A)
    assert not is_guest(nvml, B)
    nvml.fail("nvmlDeviceGetVirtualizationMode", 3)
    assert not is_guest(nvml, A)
    assert virtual_note(nvml, A) == ""
