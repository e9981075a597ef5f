"""GPU energy: exact where the counter exists, honest where it does not."""

from __future__ import annotations

import itertools
import json
import math
import os
import sys
from typing import Any

import psutil
import pytest
from nvml_stub import NvmlStub

from eco2ai_callbacks.errors import Eco2AIError, MeterUnavailable, SettingsError
from eco2ai_callbacks.meters.gpu import nvml_driver
from eco2ai_callbacks.meters.gpu.cross_check import compare
from eco2ai_callbacks.meters.gpu.nvml import NvmlMeter, open_nvml, own_processes
from eco2ai_callbacks.meters.meter import Device
from eco2ai_callbacks.testing import Clock, FakeGpu, FakeNvml

A, B = "GPU-8932f937-d72c-4106-c12f-20bd9faed9f6", "GPU-e429a63e-c61c-4795-b757-5132caeb8e70"
ENERGY, POWER = "nvmlDeviceGetTotalEnergyConsumption", "nvmlDeviceGetPowerUsage"


def opened(nvml: FakeNvml, clock: Clock, gpus: Any = "all", **options: Any) -> NvmlMeter:
    options = {"environ": {}, "job_pids": lambda: (os.getpid(),), **options}
    return open_nvml(gpus, clock=clock, library=nvml, **options)


@pytest.fixture
def clock() -> Clock:
    return Clock(1000.0)


# What is counted


def test_the_counter_gives_joules_since_opening(clock: Clock) -> None:
    nvml = FakeNvml(clock, FakeGpu(A, watts=250.0), FakeGpu(B, watts=40.0))
    meter = opened(nvml, clock)
    assert meter.read() == {f"gpu:{A}": 0.0, f"gpu:{B}": 0.0}
    clock.advance(10.0)
    assert meter.read() == pytest.approx({f"gpu:{A}": 2500.0, f"gpu:{B}": 400.0})
    assert meter.max_gap_s == math.inf
    assert meter.covers == {"gpu"}
    assert meter.failures == ()


def test_a_read_is_one_call_for_each_board_and_initialises_nothing(clock: Clock) -> None:
    nvml = FakeNvml(clock, FakeGpu(A), FakeGpu(B, counter=False))
    meter = opened(nvml, clock)
    nvml.calls.clear()
    for _ in range(5):
        meter.read()
    assert nvml.calls == {ENERGY: 5, POWER: 5}


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


def test_methods_say_how_each_board_is_known(clock: Clock) -> None:
    nvml = FakeNvml(clock, FakeGpu(A, watts=200.0), FakeGpu(B, "NVIDIA P100", watts=50.0, counter=False))
    meter = opened(nvml, clock)
    energy, power = meter.methods[f"gpu:{A}"], meter.methods[f"gpu:{B}"]
    assert (energy.name, energy.low, energy.high, energy.counter) == ("nvml-energy", 0.95, 1.05, True)
    assert (power.name, power.low, power.high, power.counter) == ("nvml-power", 0.85, 1.15, False)
    assert energy.attribution == power.attribution == "whole device"
    assert (energy.sensor, power.sensor, energy.measured, power.measured) == (False, True, True, True)
    assert energy.scope == power.scope == "device"
    assert meter.devices == (
        Device("nvidia", 0, A, "NVIDIA A100-SXM4-80GB"),
        Device("nvidia", 1, B, "NVIDIA P100"),
    )
    assert meter.detail == (
        "0: NVIDIA A100-SXM4-80GB (energy counter, whole device), "
        "1: NVIDIA P100 (power every 0.5 s, whole device); chosen by all"
    )


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


def test_slices_share_their_board_by_compute_slices_with_one_call(clock: Clock) -> None:
    slices = {"MIG-1": (1, 0, 3), "MIG-2": (2, 0, 2)}
    nvml = FakeNvml(clock, FakeGpu(A, watts=70.0, mig_slices=7, mig=slices))
    meter = opened(nvml, clock, ["MIG-1", "MIG-2"])
    clock.advance(10.0)
    nvml.calls.clear()
    assert meter.read() == pytest.approx({"gpu:MIG-1": 300.0, "gpu:MIG-2": 200.0})
    assert nvml.calls == {ENERGY: 1}
    assert meter.methods["gpu:MIG-1"].attribution == "MIG 3/7 of device"
    assert meter.methods["gpu:MIG-2"].edge_j == pytest.approx(70.0 * 0.1 * 2 / 7)


def test_a_slice_of_unknown_size_is_not_guessed(clock: Clock) -> None:
    nvml = FakeNvml(clock, FakeGpu(A, mig_slices=7, mig={"MIG-1": (1, 0, 3)}))
    nvml.fail("nvmlDeviceGetAttributes", 3)
    with pytest.raises(MeterUnavailable, match="slices of the board are not known"):
        opened(nvml, clock, ["MIG-1"])
    assert not nvml.initialised


def test_a_slice_that_does_not_say_which_it_is_is_left_out(clock: Clock) -> None:
    nvml = FakeNvml(clock, FakeGpu(A, mig_slices=7, mig={"MIG-1": (1, 0, 3), "MIG-2": (2, 0, 3)}))
    nvml.fail("nvmlDeviceGetGpuInstanceId", 999, uuid="MIG-1")
    assert list(opened(nvml, clock, "visible").methods) == ["gpu:MIG-2"]


def test_a_grace_hopper_module_holds_its_processor(clock: Clock) -> None:
    meter = opened(FakeNvml(clock, FakeGpu(A, "NVIDIA GH200 480GB")), clock)
    assert meter.covers == {"gpu", "cpu", "ram"}
    assert meter.methods[f"gpu:{A}"].attribution == "whole module (GPU, CPU and memory)"
    by_power = opened(FakeNvml(clock, FakeGpu(A, "NVIDIA GH200 480GB", counter=False)), clock)
    assert by_power.covers == {"gpu"}


# Whose they are


@pytest.mark.parametrize(
    ("pids", "attribution"),
    [
        ((), "whole device"),
        ((os.getpid(),), "whole device"),
        ((os.getpid(), 2**22 + 1), "whole device, shared with other processes"),
        ((os.getppid(),), "whole device, shared with other processes"),  # not ours, and of this system
        ((2**22 + 1,), "whole device"),  # a container's view: it may be this very job
        ((2**22 + 1, 2**22 + 2), "whole device, shared with other processes"),
    ],
    ids=["none", "own", "own and another", "another", "one unknown", "two unknown"],
)
def test_other_processes_on_a_device_are_said(clock: Clock, pids: tuple[int, ...], attribution: str) -> None:
    meter = opened(FakeNvml(clock, FakeGpu(A, pids=pids)), clock)
    assert meter.methods[f"gpu:{A}"].attribution == attribution


def test_nobody_is_another_where_the_whole_machine_is_measured(clock: Clock) -> None:
    meter = opened(FakeNvml(clock, FakeGpu(A, pids=(os.getppid(),))), clock, job_pids=tuple)
    assert meter.methods[f"gpu:{A}"].attribution == "whole device"


def test_auto_follows_the_framework_then_the_processes_then_the_environment(clock: Clock) -> None:
    nvml = FakeNvml(clock, FakeGpu(A), FakeGpu(B, pids=(os.getpid(),)))
    by_framework = opened(nvml, clock, "auto", used_by_framework=[A])
    assert (by_framework.rule, list(by_framework.methods)) == ("auto: framework", [f"gpu:{A}"])
    by_process = opened(nvml, clock, "auto")
    assert (by_process.rule, list(by_process.methods)) == ("auto: processes", [f"gpu:{B}"])
    by_environment = opened(nvml, clock, "auto", job_pids=tuple, environ={"CUDA_VISIBLE_DEVICES": "0"})
    assert (by_environment.rule, list(by_environment.methods)) == ("auto: visible", [f"gpu:{A}"])


def test_the_job_is_this_process_and_its_children() -> None:
    assert os.getpid() in own_processes()
    assert os.getppid() not in own_processes()


def test_where_children_cannot_be_listed_the_job_is_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise psutil.AccessDenied

    monkeypatch.setattr(psutil.Process, "children", refuse)
    assert own_processes() == {os.getpid()}


@pytest.mark.parametrize(
    ("gpus", "environ"),
    [((), {}), ("auto", {"CUDA_VISIBLE_DEVICES": ""}), ("visible", {"CUDA_VISIBLE_DEVICES": "-1"})],
)
def test_where_nothing_is_selected_the_driver_is_not_touched(clock: Clock, gpus: Any, environ: dict[str, str]) -> None:
    nvml = FakeNvml(clock, FakeGpu(A))
    with pytest.raises(MeterUnavailable, match="no GPU is selected"):
        opened(nvml, clock, gpus, environ=environ)
    assert not nvml.calls


def test_the_framework_knows_better_than_the_variable(clock: Clock) -> None:
    environ = {"CUDA_VISIBLE_DEVICES": ""}  # set after torch had begun
    assert opened(FakeNvml(clock, FakeGpu(A)), clock, "auto", environ=environ, used_by_framework=[A]).read()


def test_a_wrong_index_raises_and_leaves_nothing_open(clock: Clock) -> None:
    nvml = FakeNvml(clock, FakeGpu(A))
    with pytest.raises(SettingsError, match="gpus: 3 is no GPU of this machine"):
        opened(nvml, clock, [3])
    assert not nvml.initialised


# What can fail at opening


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


@pytest.mark.parametrize("function", ["nvmlDeviceGetHandleByIndex", "nvmlDeviceGetUUID", "nvmlDeviceGetName"])
def test_boards_that_may_not_be_used_are_left_to_others_unless_asked_for(clock: Clock, function: str) -> None:
    nvml = FakeNvml(clock, FakeGpu(A), FakeGpu(B))
    nvml.fail(function, 4, uuid=A)
    assert opened(nvml, clock, "visible").failures == ()
    assert opened(nvml, clock, "all").failures == ("NVML: GPU 0: insufficient permissions",)
    named = opened(nvml, clock, [0, 1])
    assert list(named.read()) == [f"gpu:{B}"]
    assert named.failures == ("NVML: GPU 0: insufficient permissions",)
    with pytest.raises(MeterUnavailable, match="GPU 0: insufficient permissions") as refused:
        opened(nvml, clock, [0])
    assert refused.value.hint is not None


def test_where_no_board_may_be_used_the_reason_is_the_driver_s(clock: Clock) -> None:
    nvml = FakeNvml(clock, FakeGpu(A))
    nvml.fail("nvmlDeviceGetHandleByIndex", 15)
    with pytest.raises(MeterUnavailable, match="GPU 0: the GPU is lost"):
        opened(nvml, clock)


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


def test_when_the_last_board_goes_the_meter_says_so(clock: Clock) -> None:
    nvml = FakeNvml(clock, FakeGpu(A, counter=False))
    meter = opened(nvml, clock)
    nvml.fail(POWER, 15)
    with pytest.raises(Eco2AIError, match="no GPU is left that can be read"):
        meter.read()
    assert meter.max_gap_s == math.inf
    assert "the GPU is lost" in meter.failures[0]


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


def test_a_library_that_others_shut_down_is_initialised_again_once(clock: Clock) -> None:
    nvml = FakeNvml(clock, FakeGpu(A, watts=100.0), FakeGpu(B, watts=10.0))
    meter = opened(nvml, clock)
    clock.advance(1.0)
    nvml.nvmlShutdown()
    assert meter.read() == pytest.approx({f"gpu:{A}": 100.0, f"gpu:{B}": 10.0})
    assert nvml.calls["nvmlInit"] == 2
    nvml.nvmlShutdown()
    with pytest.raises(Eco2AIError, match="no GPU is left"):
        meter.read()
    assert nvml.calls["nvmlInit"] == 2


def test_a_library_that_does_not_come_back_is_given_up(clock: Clock) -> None:
    nvml = FakeNvml(clock, FakeGpu(A))
    meter = opened(nvml, clock)
    nvml.nvmlShutdown()
    nvml.fail("nvmlInit", 9)
    with pytest.raises(Eco2AIError, match="no GPU is left"):
        meter.read()
    assert "the library was shut down" in meter.failures[0]


def test_a_board_that_is_not_found_again_keeps_its_handle(clock: Clock) -> None:
    nvml = FakeNvml(clock, FakeGpu(A))
    meter = opened(nvml, clock)
    nvml.nvmlShutdown()
    nvml.fail("nvmlDeviceGetHandleByUUID", 6)
    assert f"gpu:{A}" in meter.read()


def test_closing_shuts_the_library_down_once(clock: Clock) -> None:
    nvml = FakeNvml(clock, FakeGpu(A))
    nvml.fail("nvmlShutdown", 999, times=0)
    meter = opened(nvml, clock)
    meter.close()
    meter.close()
    assert nvml.calls["nvmlShutdown"] == 1
    assert not nvml.initialised
    with pytest.raises(Eco2AIError, match="closed"):
        meter.read()


def test_closing_never_raises(clock: Clock) -> None:
    nvml = FakeNvml(clock, FakeGpu(A))
    meter = opened(nvml, clock)
    nvml.fail("nvmlShutdown", 999)
    meter.close()


def test_a_forked_child_neither_reads_nor_shuts_down(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    nvml = FakeNvml(clock, FakeGpu(A))
    meter = opened(nvml, clock)
    parent = os.getpid()
    monkeypatch.setattr(os, "getpid", lambda: parent + 1)
    nvml.calls.clear()
    with pytest.raises(Eco2AIError, match="forked child"):
        meter.read()
    meter.close()
    assert not nvml.calls


# The check of the counter against power


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


# The real binding, on a library that the tests compile


# Each read lies between two looks at the clock, so that a machine that is busy makes the truth wide and not wrong.
TIMED = """
import json, time
from eco2ai_callbacks.meters.gpu.nvml import open_nvml

def timed(function):
    before = time.monotonic()
    value = function()
    return value, before, time.monotonic()

def stretch(first, last):
    used = {channel: last[0][channel] - first[0][channel] for channel in last[0]}
    return {"joules": used, "shortest": last[1] - first[2], "longest": last[2] - first[1]}
"""
SAMPLED = (
    TIMED
    + """
meter = open_nvml("all", sample_s=0.1)
first = last = timed(meter.read)
while last[1] - first[1] < 2.0:
    time.sleep(0.1)
    last = timed(meter.read)
meter.close()
print(json.dumps(stretch(first, last) | {"failures": meter.failures, "gap": meter.max_gap_s}))
"""
)


def assert_drawn(found: dict[str, Any], channel: str, watts: float) -> None:
    """The joules are those of a constant power, within a percent."""
    assert watts * found["shortest"] * 0.99 <= found["joules"][channel] <= watts * found["longest"] * 1.01


def test_energy_is_within_a_percent_of_the_truth_by_counter_and_by_power(stub: NvmlStub) -> None:
    stub.gpu(A, 250.0)
    stub.gpu(B, 70.0, "NVIDIA Tesla P100", counter=False)
    found = stub.run(SAMPLED)
    assert found["shortest"] >= 1.9
    assert_drawn(found, f"gpu:{A}", 250.0)
    assert_drawn(found, f"gpu:{B}", 70.0)
    assert (found["failures"], found["gap"]) == ([], 0.1)
    assert stub.calls()["nvmlInitWithFlags"] == stub.calls()["nvmlShutdown"] == 1


def test_the_real_binding_is_called_once_for_each_board_and_read(stub: NvmlStub) -> None:
    stub.gpu(A, 250.0)
    stub.gpu(B, 70.0)
    script = """
import json
from eco2ai_callbacks.meters.gpu.nvml import open_nvml
meter = open_nvml("all")
for _ in range({reads}):
    meter.read()
meter.close()
print(json.dumps(meter.rule))
"""
    stub.run(script.format(reads=0))
    opening = stub.calls()
    stub.run(script.format(reads=7))
    assert stub.calls() - opening == opening + type(opening)({ENERGY: 14})


def test_a_window_below_the_counter_s_step_is_not_lost(stub: NvmlStub) -> None:
    stub.gpu(A, 300.0, step_ms=500)
    script = """
meter, before, after = timed(lambda: open_nvml("all"))
windows = [(0.0, before, after)]
while windows[-1][1] - before < 2.0:
    time.sleep(0.1)
    windows.append(timed(lambda: sum(meter.read().values())))
print(json.dumps([[value for value, _, _ in windows], windows[-1][1] - after, windows[-1][2] - before]))
"""
    values, shortest, longest = stub.run(TIMED + script)
    steps = [after - before for before, after in itertools.pairwise(values)]
    assert steps.count(0.0) > len(steps) / 2  # most windows show nothing
    assert all(step == pytest.approx(150.0 * round(step / 150.0), abs=0.01) for step in steps)
    assert 300.0 * shortest - 150.1 <= sum(steps) <= 300.0 * longest + 150.1


def test_slices_and_processes_come_through_the_real_binding(stub: NvmlStub) -> None:
    stub.gpu(A, 140.0, mig_slices=7)
    stub.mig(0, "MIG-one", 1, 0, 3)
    stub.mig(0, "MIG-two", 2, 0, 2)
    stub.process("MIG-two", 4242)
    stub.process("MIG-two", 1)
    script = """
meter = open_nvml("auto", job_pids=lambda: [4242])
first = timed(meter.read)
time.sleep(0.5)
found = stretch(first, timed(meter.read))
print(json.dumps([meter.rule, meter.methods["gpu:MIG-two"].attribution, found]))
"""
    rule, attribution, found = stub.run(TIMED + script)
    assert (rule, attribution) == ("auto: processes", "MIG 2/7 of device, shared with other processes")
    assert list(found["joules"]) == ["gpu:MIG-two"]
    assert_drawn(found, "gpu:MIG-two", 140.0 * 2 / 7)


READS = """
import json, time
from eco2ai_callbacks.meters.gpu.nvml import open_nvml
meter = open_nvml("all")
reads = [meter.read() for _ in range(4)]
print(json.dumps([[sorted(read) for read in reads], meter.failures]))
"""


@pytest.mark.parametrize(
    ("fault", "why"),
    [
        ({"code": 15, "after": 2}, "the GPU is lost"),
        ({"code": 16, "after": 2}, "the GPU needs a reset"),
        ({"code": 4, "after": 2}, "insufficient permissions"),
    ],
)
def test_a_board_that_goes_is_seen_through_the_real_binding(stub: NvmlStub, fault: dict[str, int], why: str) -> None:
    stub.gpu(A, 250.0)
    stub.gpu(B, 70.0)
    stub.fault(ENERGY, uuid=A, **fault)
    reads, failures = stub.run(READS)
    assert reads == [[f"gpu:{A}", f"gpu:{B}"]] + [[f"gpu:{B}"]] * 3
    assert failures == [f"NVML: GPU 0 (NVIDIA A100-SXM4-80GB): {why}; its energy is missing from here on"]
    assert stub.calls_of(A)[ENERGY] == 3


@pytest.mark.parametrize("code", [10, 999])
def test_a_passing_fault_of_the_real_binding_is_tried_again(stub: NvmlStub, code: int) -> None:
    stub.gpu(A, 250.0)
    stub.fault(ENERGY, after=2, times=1, code=code)
    reads, failures = stub.run(READS)
    assert (reads, failures) == ([[f"gpu:{A}"]] * 4, [])
    assert stub.calls()[ENERGY] == 6


def test_a_hanging_call_of_the_real_binding_is_the_last(stub: NvmlStub) -> None:
    stub.gpu(A, 250.0)
    stub.gpu(B, 70.0)
    stub.fault(ENERGY, uuid=A, after=2, times=1, hang_ms=1200)
    reads, failures = stub.run(READS)
    assert [f"gpu:{A}" in read for read in reads] == [True, True, False, False]
    assert "a call took over a second" in failures[0]
    assert stub.calls_of(A)[ENERGY] == 3


def test_a_counter_reset_is_seen_through_the_real_binding(stub: NvmlStub) -> None:
    stub.gpu(A, 250.0)
    stub.fault(ENERGY, after=2, times=1, value_mj=5)
    reads, failures = stub.run(READS)
    assert reads == [[f"gpu:{A}"]] * 4
    assert "its energy counter was reset" in failures[0]
    assert "its energy counter jumped" in failures[1]  # back from the bogus value


def test_a_library_shut_down_by_others_is_found_again(stub: NvmlStub) -> None:
    stub.gpu(A, 250.0)
    found = stub.run("""
import json, pynvml
from eco2ai_callbacks.meters.gpu.nvml import open_nvml
meter = open_nvml("all")
pynvml.nvmlShutdown()
print(json.dumps([list(meter.read()), meter.failures]))
meter.close()
print(json.dumps([list(meter.methods), meter.failures]))
""")
    assert found == [[f"gpu:{A}"], []]
    assert stub.calls()["nvmlInitWithFlags"] == stub.calls()["nvmlShutdown"] == 2


def test_a_real_fork_is_refused(stub: NvmlStub) -> None:
    stub.gpu(A, 250.0)
    found = stub.run("""
import json, os
from eco2ai_callbacks.errors import Eco2AIError
from eco2ai_callbacks.meters.gpu.nvml import open_nvml
meter = open_nvml("all")
child = os.fork()
if child == 0:
    try:
        meter.read()
        os._exit(1)
    except Eco2AIError:
        meter.close()
        os._exit(0)
status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
print(json.dumps([status, list(meter.read())]))
meter.close()
print(json.dumps([status, list(meter.methods)]))
""")
    assert found == [0, [f"gpu:{A}"]]
    assert stub.calls()["nvmlShutdown"] == 1


UNAVAILABLE = """
import json
from eco2ai_callbacks.errors import MeterUnavailable
from eco2ai_callbacks.meters.gpu.nvml import open_nvml
try:
    open_nvml()
except MeterUnavailable as why:
    print(json.dumps([why.reason, why.hint is not None]))
"""


@pytest.mark.parametrize(
    ("code", "reason", "has_hint"),
    [
        (9, "no NVIDIA driver", False),
        (18, "driver and library versions differ", True),
        (4, "insufficient permissions", True),
    ],
)
def test_a_driver_that_cannot_be_used_says_why_through_the_real_binding(
    stub: NvmlStub, code: int, reason: str, has_hint: bool
) -> None:
    stub.gpu(A, 250.0)
    stub.init(code)
    assert stub.run(UNAVAILABLE) == [reason, has_hint]
    assert stub.calls() == {"nvmlInitWithFlags": 1}


def test_without_a_driver_nothing_is_called_and_nothing_said(stub: NvmlStub) -> None:
    assert stub.run(UNAVAILABLE, **stub.without_driver()) == ["no NVIDIA driver", False]
    assert not stub.calls()


def test_where_the_variable_hides_all_the_library_is_not_even_loaded(stub: NvmlStub) -> None:
    stub.gpu(A, 250.0)
    reason, _ = stub.run(UNAVAILABLE + 'import sys\nassert "pynvml" not in sys.modules', CUDA_VISIBLE_DEVICES="")
    assert reason == "no GPU is selected: CUDA_VISIBLE_DEVICES hides them all"
    assert not stub.calls()


def test_the_variable_chooses_through_the_real_binding(stub: NvmlStub) -> None:
    stub.gpu(A, 250.0)
    stub.gpu(B, 70.0)
    script = """
import json
from eco2ai_callbacks.meters.gpu.nvml import open_nvml
meter = open_nvml()
print(json.dumps([[device.to_dict() for device in meter.devices], meter.detail]))
"""
    (device,), detail = stub.run(script, CUDA_VISIBLE_DEVICES="1")
    assert device == {"vendor": "nvidia", "index": 1, "uuid": B, "name": "NVIDIA A100-SXM4-80GB"}
    assert detail == "1: NVIDIA A100-SXM4-80GB (energy counter, whole device); chosen by auto: visible"


@pytest.mark.parametrize(("factor", "agree"), [(1.15, False), (1.05, True)])
def test_the_check_names_a_difference_above_a_tenth(stub: NvmlStub, factor: float, agree: bool) -> None:
    stub.gpu(A, 200.0, power_factor=factor)
    script = """
import dataclasses, json
from eco2ai_callbacks.meters.gpu.cross_check import compare
print(json.dumps(list(map(dataclasses.asdict, compare(2.0)))))
"""
    (row,) = stub.run(script)
    assert row["difference"] == pytest.approx(factor - 1, abs=0.04)
    assert ("agree" in row["verdict"]) is agree


def test_importing_the_meter_loads_no_binding(stub: NvmlStub) -> None:
    script = 'import json, sys\nimport eco2ai_callbacks.meters.gpu.nvml\nprint(json.dumps("pynvml" in sys.modules))'
    assert stub.run(script) is False
    assert json.dumps(stub.calls()) == "{}"
