"""NVIDIA's library: what its codes mean, and which boards and slices it lists."""

from __future__ import annotations

import sys
from typing import Any

import pytest
from nvml_meters import ENERGY, POWER, A, B, opened

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


BROKEN = {
    "text": UnicodeDecodeError("utf-8", b"NVIDIA \xe9", 7, 8, "invalid continuation byte"),
    "type": TypeError("bytes or integer address expected instead of str instance"),
    "function": AttributeError("module 'pynvml' has no attribute"),
    "driver": FakeNvml.NVMLError(999),
    "library": OSError("undefined symbol"),
    "any": RuntimeError("of the binding"),
}


def broken(nvml: FakeNvml, monkeypatch: pytest.MonkeyPatch, function: str, error: Exception, uuid: str = A) -> None:
    """A function raises an exception for one board."""
    works = getattr(nvml, function)

    def fail(handle: str, *arguments: Any) -> Any:
        if handle == uuid:
            raise error
        return works(handle, *arguments)

    monkeypatch.setattr(nvml, function, fail)


@pytest.mark.parametrize("error", BROKEN.values(), ids=BROKEN)
@pytest.mark.parametrize(
    ("function", "uuid", "name"),
    [
        ("nvmlDeviceGetName", A, "NVIDIA GPU"),
        ("nvmlDeviceGetUUID", "index-0", "NVIDIA A100-SXM4-80GB"),
        ("nvmlDeviceGetMigMode", A, "NVIDIA A100-SXM4-80GB"),
        ("nvmlDeviceGetComputeRunningProcesses", A, "NVIDIA A100-SXM4-80GB"),
    ],
)
def test_an_answer_that_is_not_needed_costs_no_board(
    clock: Clock, monkeypatch: pytest.MonkeyPatch, function: str, uuid: str, name: str, error: Exception
) -> None:
    nvml = FakeNvml(clock, FakeGpu(A, watts=100.0), FakeGpu(B, watts=10.0))
    broken(nvml, monkeypatch, function, error)
    meter = opened(nvml, clock)
    clock.advance(1.0)
    assert meter.read() == pytest.approx({f"gpu:{uuid}": 100.0, f"gpu:{B}": 10.0})
    assert [(device.index, device.name) for device in meter.devices] == [(0, name), (1, "NVIDIA A100-SXM4-80GB")]
    assert meter.failures == ()


@pytest.mark.parametrize("error", BROKEN.values(), ids=BROKEN)
def test_a_board_whose_energy_cannot_be_asked_for_takes_no_other_along(
    clock: Clock, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    nvml = FakeNvml(clock, FakeGpu(A, watts=100.0), FakeGpu(B, watts=10.0))
    broken(nvml, monkeypatch, ENERGY, error)
    broken(nvml, monkeypatch, POWER, error)
    meter = opened(nvml, clock)
    clock.advance(1.0)
    assert meter.read() == pytest.approx({f"gpu:{B}": 10.0})
    assert len(meter.failures) == 1
    assert meter.failures[0].startswith("NVML: GPU 0 (NVIDIA A100-SXM4-80GB): ")


@pytest.mark.parametrize(
    ("answer", "name"),
    [
        (b"Tesla V100-PCIE-16GB", "Tesla V100-PCIE-16GB"),
        (b"NVIDIA \xf8\x95\xa0", "NVIDIA GPU"),
        (b"", "NVIDIA GPU"),
        (None, "NVIDIA GPU"),
        (7, "NVIDIA GPU"),
        ("NVIDIA L4\0rest", "NVIDIA L4"),
        ("NVIDIA\x1b[31m", "NVIDIA GPU"),
    ],
    ids=["bytes", "not utf-8", "empty", "none", "number", "padded", "control"],
)
def test_a_name_of_any_form_is_a_name_or_replaced(
    clock: Clock, monkeypatch: pytest.MonkeyPatch, answer: Any, name: str
) -> None:
    nvml = FakeNvml(clock, FakeGpu(A))
    monkeypatch.setattr(nvml, "nvmlDeviceGetName", lambda handle: answer)
    assert [device.name for device in opened(nvml, clock).devices] == [name]


@pytest.mark.parametrize(
    ("answers", "uuids"),
    [
        ([A.encode(), B.encode()], [A, B]),
        ([A, A], [A, "index-1"]),
        ([b"\xff", None], ["index-0", "index-1"]),
        ([1, 1], ["index-0", "index-1"]),
    ],
    ids=["bytes", "twice", "unreadable", "numbers"],
)
def test_every_board_has_a_channel_of_its_own(
    clock: Clock, monkeypatch: pytest.MonkeyPatch, answers: list[Any], uuids: list[str]
) -> None:
    nvml = FakeNvml(clock, FakeGpu(A, watts=100.0), FakeGpu(B, watts=10.0))
    monkeypatch.setattr(nvml, "nvmlDeviceGetUUID", lambda handle: answers[0 if handle == A else 1])
    meter = opened(nvml, clock)
    clock.advance(1.0)
    assert meter.read() == pytest.approx({f"gpu:{uuids[0]}": 100.0, f"gpu:{uuids[1]}": 10.0})


@pytest.mark.parametrize("mode", [None, 1, [], ["on"], [None, 0]], ids=["none", "number", "empty", "text", "unknown"])
def test_a_multi_instance_mode_of_another_form_is_off(clock: Clock, monkeypatch: pytest.MonkeyPatch, mode: Any) -> None:
    nvml = FakeNvml(clock, FakeGpu(A, mig_slices=7, mig={"MIG-1": (1, 0, 3)}))
    monkeypatch.setattr(nvml, "nvmlDeviceGetMigMode", lambda handle: mode)
    assert opened(nvml, clock).methods[f"gpu:{A}"].attribution == "whole device"


@pytest.mark.parametrize(
    "rows", [None, 7, [None], [type("Row", (), {"pid": None})]], ids=["none", "number", "row", "pid"]
)
def test_a_list_of_processes_of_another_form_is_empty(clock: Clock, monkeypatch: pytest.MonkeyPatch, rows: Any) -> None:
    nvml = FakeNvml(clock, FakeGpu(A))
    monkeypatch.setattr(nvml, "nvmlDeviceGetComputeRunningProcesses", lambda handle: rows)
    assert nvml_driver.processes(nvml, A) == frozenset()


@pytest.mark.parametrize("count", [None, "2", -1])
def test_a_count_that_is_none_is_an_absence(clock: Clock, monkeypatch: pytest.MonkeyPatch, count: Any) -> None:
    nvml = FakeNvml(clock, FakeGpu(A))
    monkeypatch.setattr(nvml, "nvmlDeviceGetCount", lambda: count)
    with pytest.raises(MeterUnavailable, match="gives no answer that can be used"):
        opened(nvml, clock)


def test_boards_without_names_may_be_of_different_models(clock: Clock) -> None:
    nvml = FakeNvml(clock, FakeGpu(A), FakeGpu(B))
    nvml.fail("nvmlDeviceGetName", 999)
    with pytest.raises(MeterUnavailable, match="in an order that only CUDA knows"):
        opened(nvml, clock, "visible", environ={"CUDA_VISIBLE_DEVICES": "0"})
    ordered = opened(nvml, clock, "visible", environ={"CUDA_VISIBLE_DEVICES": "0", "CUDA_DEVICE_ORDER": "PCI_BUS_ID"})
    assert list(ordered.methods) == [f"gpu:{A}"]


def test_a_board_is_found_again_by_its_id_as_text_or_bytes_or_by_its_number(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    nvml = FakeNvml(clock, FakeGpu(A))
    nvml.nvmlInit()
    (gpu,) = nvml_driver.list_gpus(nvml).gpus

    def by_bytes(uuid: Any) -> str:
        if not isinstance(uuid, bytes):
            raise TypeError("bytes or integer address expected instead of str instance")
        return f"found {uuid.decode()}"

    assert nvml_driver.handle_of(nvml, gpu) == A
    monkeypatch.setattr(nvml, "nvmlDeviceGetHandleByUUID", by_bytes)
    assert nvml_driver.handle_of(nvml, gpu) == f"found {A}"
    nvml.nvmlDeviceGetHandleByUUID = None  # type: ignore[method-assign,assignment]
    assert nvml_driver.handle_of(nvml, gpu) == A


def test_a_code_that_is_not_known_is_named_by_its_number() -> None:
    assert (nvml_driver.reason(77), nvml_driver.hint(77)) == ("NVML error 77", None)
    assert nvml_driver.error_code(RuntimeError("of no code")) == nvml_driver.UNKNOWN


@pytest.mark.parametrize(("code", "asked"), [(10, 2), (999, 2), (3, 1), (15, 1)])
def test_only_a_passing_failure_is_tried_once_more(clock: Clock, code: int, asked: int) -> None:
    nvml = FakeNvml(clock, FakeGpu(A))
    nvml.nvmlInit()
    nvml.fail("nvmlDeviceGetCount", code)
    assert nvml_driver.ask(nvml, "nvmlDeviceGetCount") == (None, code)
    assert nvml.calls["nvmlDeviceGetCount"] == asked


def test_a_listing_holds_boards_and_slices_by_uuid_and_why_others_may_not_be_used(clock: Clock) -> None:
    nvml = FakeNvml(clock, FakeGpu(A, mig_slices=7, mig={"MIG-1": (1, 0, 3)}), FakeGpu(B))
    nvml.nvmlInit()
    nvml.fail("nvmlDeviceGetUUID", 4, uuid=B)
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
