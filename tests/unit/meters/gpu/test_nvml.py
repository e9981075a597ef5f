"""GPU energy: exact where the counter exists, honest where it does not."""

from __future__ import annotations

import math
import os
from typing import Any

import pytest
from nvml_meters import ENERGY, POWER, A, B, opened

from eco2ai_callbacks.errors import Eco2AIError, MeterUnavailable, SettingsError
from eco2ai_callbacks.meters.gpu.nvml_board import COUNTER_STEP_S
from eco2ai_callbacks.meters.meter import Device
from eco2ai_callbacks.testing import Clock, FakeGpu, FakeNvml


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


def test_figures_change_as_often_as_the_slowest_board_s(clock: Clock) -> None:
    counters = opened(FakeNvml(clock, FakeGpu(A), FakeGpu(B)), clock)
    assert counters.refresh_s == COUNTER_STEP_S
    assert opened(FakeNvml(clock, FakeGpu(A), FakeGpu(B, counter=False)), clock).refresh_s == 0.5


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
    with pytest.raises(SettingsError, match="3 is no GPU of this machine"):
        opened(nvml, clock, [3])
    assert not nvml.initialised


# What can fail


@pytest.mark.parametrize("function", ["nvmlDeviceGetHandleByIndex", "nvmlDeviceGetUUID"])
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


def test_when_the_last_board_goes_the_meter_says_so(clock: Clock) -> None:
    nvml = FakeNvml(clock, FakeGpu(A, counter=False))
    meter = opened(nvml, clock)
    nvml.fail(POWER, 15)
    with pytest.raises(Eco2AIError, match="no GPU is left that can be read"):
        meter.read()
    assert meter.max_gap_s == math.inf
    assert "the GPU is lost" in meter.failures[0]


@pytest.mark.parametrize("counter", [True, False])
def test_a_library_that_others_shut_down_is_initialised_again_each_time(clock: Clock, counter: bool) -> None:
    nvml = FakeNvml(clock, FakeGpu(A, watts=100.0, counter=counter), FakeGpu(B, watts=10.0, counter=counter))
    meter = opened(nvml, clock)
    for times in range(1, 6):
        clock.advance(1.0)
        nvml.nvmlShutdown()
        assert meter.read() == pytest.approx({f"gpu:{A}": 100.0 * times, f"gpu:{B}": 10.0 * times})
        assert meter.behind == frozenset()
        assert nvml.calls["nvmlInit"] == 1 + times
    meter.close()
    assert not nvml.initialised
    assert meter.failures == ()


def test_a_library_that_does_not_come_back_is_tried_once_a_read_and_given_up(clock: Clock) -> None:
    nvml = FakeNvml(clock, FakeGpu(A, watts=100.0))
    meter = opened(nvml, clock)
    nvml.nvmlShutdown()
    nvml.fail("nvmlInit", 9, times=5)
    nvml.calls.clear()
    for _ in range(5):
        clock.advance(1.0)
        assert meter.read() == {f"gpu:{A}": 0.0}
        assert meter.behind == {f"gpu:{A}"}
    assert nvml.calls["nvmlInit"] == 5
    clock.advance(1.0)
    assert meter.read() == pytest.approx({f"gpu:{A}": 600.0})
    assert meter.behind == frozenset()
    nvml.nvmlShutdown()
    nvml.fail("nvmlInit", 9)
    for _ in range(9):
        clock.advance(10.0)
        meter.read()
    clock.advance(10.0)
    with pytest.raises(Eco2AIError, match="no GPU is left"):
        meter.read()
    assert "the library was shut down, 10 times in a row" in meter.failures[-1]


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
