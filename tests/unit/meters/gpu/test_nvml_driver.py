"""NVIDIA's library: what its codes mean, and which boards and slices it lists."""

from __future__ import annotations

import sys
from typing import Any

import pytest
from nvml_meters import ENERGY, A, B, opened

from eco2ai_callbacks.errors import MeterUnavailable
from eco2ai_callbacks.meters.gpu import nvml_driver
from eco2ai_callbacks.meters.gpu.nvml import open_nvml
from eco2ai_callbacks.testing import Clock, FakeGpu, FakeNvml


@pytest.fixture
def clock() -> Clock:
    return Clock(1000.0)


def test_a_slice_that_does_not_say_which_it_is_is_left_out(clock: Clock) -> None:
    nvml = FakeNvml(clock, FakeGpu(A, mig_slices=7, mig={"MIG-1": (1, 0, 3), "MIG-2": (2, 0, 3)}))
    nvml.fail("nvmlDeviceGetGpuInstanceId", 999, uuid="MIG-1")
    assert list(opened(nvml, clock, "visible").methods) == ["gpu:MIG-2"]


@pytest.mark.parametrize(
    ("code", "reason", "hint"),
    [
        (9, "no NVIDIA driver", None),
        (12, "no NVIDIA driver", None),
        (18, "driver and library versions differ", "reboot"),
        (4, "insufficient permissions", "group of /dev/nvidia"),
        (17, "blocked by the operating system", "docker run --gpus all"),
        (77, "NVML error 77", None),
    ],
)
def test_a_driver_that_cannot_be_used_says_why(clock: Clock, code: int, reason: str, hint: str | None) -> None:
    nvml = FakeNvml(clock, FakeGpu(A))
    nvml.fail("nvmlInit", code)
    with pytest.raises(MeterUnavailable) as refused:
        opened(nvml, clock)
    assert refused.value.reason == reason
    assert (refused.value.hint is None) == (hint is None)
    assert hint is None or hint in str(refused.value.hint)
    assert nvml.calls == {"nvmlInit": 1}


def test_a_binding_that_is_not_installed_is_an_absence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)
    with pytest.raises(MeterUnavailable, match="nvidia-ml-py") as refused:
        open_nvml("all")
    assert refused.value.hint == "pip install nvidia-ml-py"


def test_a_passing_fault_at_opening_is_tried_once_more(clock: Clock) -> None:
    nvml = FakeNvml(clock, FakeGpu(A))
    nvml.fail("nvmlDeviceGetCount", 999, times=1)
    nvml.fail(ENERGY, 10, times=1)
    assert opened(nvml, clock).methods[f"gpu:{A}"].name == "nvml-energy"


def test_no_boards_are_an_absence(clock: Clock) -> None:
    nvml = FakeNvml(clock)
    with pytest.raises(MeterUnavailable, match="the driver lists no GPU"):
        opened(nvml, clock)
    nvml.fail("nvmlDeviceGetCount", 999)
    with pytest.raises(MeterUnavailable, match="an unknown error"):
        opened(nvml, clock)
    assert not nvml.initialised


def test_where_no_board_may_be_used_the_reason_is_the_driver_s(clock: Clock) -> None:
    nvml = FakeNvml(clock, FakeGpu(A))
    nvml.fail("nvmlDeviceGetHandleByIndex", 15)
    with pytest.raises(MeterUnavailable, match="GPU 0: the GPU is lost"):
        opened(nvml, clock)


def test_a_driver_without_multi_instance_functions_has_whole_boards(clock: Clock) -> None:
    nvml = FakeNvml(clock, FakeGpu(A))
    nvml.fail("nvmlDeviceGetMigMode", 13)
    nvml.fail("nvmlDeviceGetComputeRunningProcesses", 13)
    assert opened(nvml, clock).methods[f"gpu:{A}"].attribution == "whole device"


def test_an_older_driver_lists_processes_by_the_function_before(clock: Clock) -> None:
    class Older(FakeNvml):
        def nvmlDeviceGetComputeRunningProcesses_v2(self, handle: str) -> list[Any]:
            return [type("Row", (), {"pid": 7})]

    nvml = Older(clock, FakeGpu(A))
    nvml.nvmlInit()
    nvml.fail("nvmlDeviceGetComputeRunningProcesses", 13)
    assert nvml_driver.processes(nvml, A) == {7}


def test_a_code_that_is_not_known_is_named_by_its_number() -> None:
    assert (nvml_driver.reason(77), nvml_driver.hint(77)) == ("NVML error 77", None)
    assert nvml_driver.error_code(RuntimeError("of no code")) == nvml_driver.UNKNOWN


@pytest.mark.parametrize(("code", "asked"), [(10, 2), (999, 2), (3, 1), (15, 1)])
def test_only_a_passing_failure_is_tried_once_more(clock: Clock, code: int, asked: int) -> None:
    nvml = FakeNvml(clock, FakeGpu(A))
    nvml.nvmlInit()
    nvml.fail("nvmlDeviceGetCount", code)
    assert nvml_driver.ask(nvml, nvml.nvmlDeviceGetCount) == (None, code)
    assert nvml.calls["nvmlDeviceGetCount"] == asked


def test_a_listing_holds_boards_and_slices_by_uuid_and_why_others_may_not_be_used(clock: Clock) -> None:
    nvml = FakeNvml(clock, FakeGpu(A, mig_slices=7, mig={"MIG-1": (1, 0, 3)}), FakeGpu(B))
    nvml.nvmlInit()
    nvml.fail("nvmlDeviceGetName", 4, uuid=B)
    listing = nvml_driver.list_gpus(nvml)
    (board,) = listing.gpus
    assert (board.index, board.uuid, board.mig_slices) == (0, A, 7)
    assert [(each.uuid, each.gpu_instance, each.slices) for each in board.mig] == [("MIG-1", 1, 3)]
    assert set(listing.handles) == {A, "MIG-1"}
    assert listing.unreadable == {1: 4}


def test_the_parts_in_use_are_those_on_which_the_job_computes(clock: Clock) -> None:
    nvml = FakeNvml(clock, FakeGpu(A, pids=(7,)), FakeGpu(B, pids=(8, 9)))
    nvml.nvmlInit()
    listing = nvml_driver.list_gpus(nvml)
    assert [part.uuid for part in nvml_driver.parts_in_use(nvml, listing, {9, 10})] == [B]
    assert nvml_driver.parts_in_use(nvml, listing, set()) == ()
