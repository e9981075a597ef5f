"""A board's energy divided among its parts: worked by hand, with the band and the words for it."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any

import pytest
from nvml_meters import A, B, opened
from nvml_shapes import Shape, ShapedNvml

from eco2ai_callbacks.testing import Clock, FakeGpu

# On the host: process ids are the driver's.
HOST = Path("no-procfs-here")
OTHER = os.getppid()


@pytest.fixture
def clock() -> Clock:
    return Clock(1000.0)


def sliced(clock: Clock, **shape: Any) -> ShapedNvml:
    slices = {"MIG-1": (1, 0, 3), "MIG-2": (2, 0, 4)}
    return ShapedNvml(clock, (FakeGpu(A, "NVIDIA H100", watts=70.0, mig_slices=7, mig=slices), Shape(**shape)))


def test_a_slice_that_works_while_the_others_rest_has_more_than_its_size(clock: Clock) -> None:
    """700 J, of which by size 300 J are the first slice's and by activity all: 500 J, and 200 J less or more."""
    nvml = sliced(clock, busy={1: 90.0, 2: 0.0})
    meter = opened(nvml, clock, ["MIG-1", "MIG-2"])
    assert meter.read() == {"gpu:MIG-1": 0.0, "gpu:MIG-2": 0.0}
    nvml.work(10.0)
    assert meter.read() == pytest.approx({"gpu:MIG-1": 500.0, "gpu:MIG-2": 200.0})
    method = meter.methods["gpu:MIG-1"]
    assert (method.name, method.measured, method.scope) == ("nvml-energy:gpm", False, "device")
    assert method.attribution == "MIG 3/7 of device, estimated by activity"
    assert method.gap_j == pytest.approx((200.0, 200.0))
    assert method.band(500.0) == pytest.approx((500 * 0.95 - 200 - 6, 500 * 1.05 + 200 + 6))
    assert meter.methods["gpu:MIG-2"].gap_j == pytest.approx((200.0, 200.0))
    # Then the other way round: 500 J each in all, and what is unknown adds up.
    nvml.shapes[A].busy = {1: 0.0, 2: 90.0}
    nvml.work(10.0)
    assert meter.read() == pytest.approx({"gpu:MIG-1": 650.0, "gpu:MIG-2": 750.0})
    assert meter.methods["gpu:MIG-1"].gap_j == pytest.approx((350.0, 350.0))
    assert (meter.failures, meter.max_gap_s) == ((), math.inf)
    assert "MIG 3/7 of device, estimated by activity" in meter.detail


def test_reads_in_between_change_nothing_where_the_load_is_steady(clock: Clock) -> None:
    nvml = sliced(clock, busy={1: 90.0, 2: 30.0})
    rarely, often = opened(nvml, clock, ["MIG-1"]), opened(nvml, clock, ["MIG-1"])
    for _ in range(40):
        nvml.work(0.25)
        often.read()
    assert rarely.read() == pytest.approx(often.read())


def test_without_profiling_counters_sizes_count_as_before(clock: Clock) -> None:
    nvml = sliced(clock)
    meter = opened(nvml, clock, ["MIG-1"])
    nvml.work(10.0)
    assert meter.read() == pytest.approx({"gpu:MIG-1": 300.0})
    method = meter.methods["gpu:MIG-1"]
    assert (method.name, method.attribution, method.gap_j) == ("nvml-energy", "MIG 3/7 of device", (0.0, 0.0))


def test_where_the_activity_is_lost_the_last_known_share_counts_and_that_is_named(clock: Clock) -> None:
    nvml = sliced(clock, busy={1: 90.0, 2: 0.0})
    meter = opened(nvml, clock, ["MIG-1"])
    nvml.work(10.0)
    meter.read()
    nvml.fail("nvmlGpmMigSampleGet", 4)
    nvml.work(10.0)
    assert meter.read() == pytest.approx({"gpu:MIG-1": 1000.0})
    assert meter.failures == (
        "NVML: GPU 0 (NVIDIA H100): who keeps it busy is not known (insufficient permissions), "
        "the last known share counts",
    )


def test_where_it_is_lost_before_the_first_answer_sizes_count(clock: Clock) -> None:
    nvml = sliced(clock, busy={1: 90.0, 2: 0.0})
    meter = opened(nvml, clock, ["MIG-1"])
    nvml.fail("nvmlGpmMetricsGet", 4)
    nvml.work(10.0)
    assert meter.read() == pytest.approx({"gpu:MIG-1": 300.0})


def test_within_the_first_tenth_of_a_second_sizes_count_and_then_the_last_share(clock: Clock) -> None:
    nvml = sliced(clock, busy={1: 90.0, 2: 0.0})
    meter = opened(nvml, clock, ["MIG-1"])
    nvml.work(0.0625)
    assert meter.read() == pytest.approx({"gpu:MIG-1": 70.0 * 0.0625 * 3 / 7})
    nvml.work(10.0)
    before_j = meter.read()["gpu:MIG-1"]
    nvml.work(0.0625)
    assert meter.read() == pytest.approx({"gpu:MIG-1": before_j + 70.0 * 0.0625 * 5 / 7})


def test_a_read_that_gives_no_figure_asks_for_no_activity(clock: Clock) -> None:
    nvml = sliced(clock, busy={1: 90.0, 2: 0.0})
    meter = opened(nvml, clock, ["MIG-1"])
    nvml.work(5.0)
    nvml.fail("nvmlDeviceGetTotalEnergyConsumption", 999, times=2)
    nvml.calls.clear()
    assert meter.read() == {"gpu:MIG-1": 0.0}
    assert not any("Gpm" in function for function in nvml.calls)
    nvml.work(5.0)
    assert meter.read() == pytest.approx({"gpu:MIG-1": 500.0})


def test_a_driver_that_hung_is_not_asked_for_the_activity(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    nvml = sliced(clock, busy={1: 90.0, 2: 0.0})
    meter = opened(nvml, clock, ["MIG-1"])
    counter = nvml.nvmlDeviceGetTotalEnergyConsumption

    def slow(handle: str) -> int:
        clock.advance(30.0)
        return counter(handle)

    monkeypatch.setattr(nvml, "nvmlDeviceGetTotalEnergyConsumption", slow)
    nvml.calls.clear()
    meter.read()
    assert not any("Gpm" in function for function in nvml.calls)
    assert any("who keeps it busy is not known (no answer in time)" in failure for failure in meter.failures)


def test_closing_frees_what_the_driver_holds_before_it_is_shut_down(clock: Clock) -> None:
    nvml = sliced(clock, busy={1: 90.0, 2: 0.0})
    meter = opened(nvml, clock, ["MIG-1"])
    assert nvml.samples == 4
    meter.close()
    meter.close()
    assert nvml.samples == 0
    assert not nvml.initialised


def shared(clock: Clock, busy: dict[int, int] | None, **gpu: Any) -> ShapedNvml:
    board = FakeGpu(A, "NVIDIA L4", watts=50.0, pids=(os.getpid(), OTHER), **gpu)
    return ShapedNvml(clock, (board, Shape(processes=busy)), (FakeGpu(B, watts=10.0), Shape(processes={})))


def test_of_a_board_that_others_use_too_the_job_s_part_counts(clock: Clock) -> None:
    """500 J: alike 250 J, by activity 400 J: 325 J, and 75 J less or more. The other board is the job's alone."""
    nvml = shared(clock, {os.getpid(): 60, OTHER: 15})
    meter = opened(nvml, clock, proc=HOST)
    nvml.work(10.0)
    assert meter.read() == pytest.approx({f"gpu:{A}": 325.0, f"gpu:{B}": 100.0})
    method, whole = meter.methods[f"gpu:{A}"], meter.methods[f"gpu:{B}"]
    assert (method.name, method.measured, method.scope) == ("nvml-energy:processes", False, "job")
    assert method.attribution == "job's process tree, shared with other processes, estimated by activity"
    assert method.gap_j == pytest.approx((75.0, 75.0))
    assert meter.max_gap_s == 0.5  # what the driver tells of processes is of the last moments
    assert (whole.name, whole.scope, whole.attribution) == ("nvml-energy", "device", "whole device")


def test_sampled_power_is_divided_too(clock: Clock) -> None:
    nvml = shared(clock, {os.getpid(): 60, OTHER: 15}, counter=False)
    meter = opened(nvml, clock, [0], proc=HOST, sample_s=0.5)
    for _ in range(20):
        nvml.work(0.5)
        meter.read()
    assert meter.read() == pytest.approx({f"gpu:{A}": 325.0})
    assert meter.methods[f"gpu:{A}"].name == "nvml-power:processes"


@pytest.mark.parametrize(
    "options",
    [{"alone": False}, {"job_pids": tuple}, {"proc": Path("procfs-of-a-container")}],
    ids=["other ranks", "whole machine", "container"],
)
def test_where_the_job_s_processes_are_not_known_the_board_counts_whole(
    clock: Clock, tmp_path: Path, options: dict[str, Any]
) -> None:
    if "proc" in options:
        options = {"proc": tmp_path}
        (tmp_path / "self/ns").mkdir(parents=True)
        (tmp_path / "stat").touch()
        (tmp_path / "self/ns/pid").symlink_to("pid:[4026532000]")
    nvml = shared(clock, {os.getpid(): 60, OTHER: 15})
    meter = opened(nvml, clock, [0], **{"proc": HOST, **options})
    nvml.work(10.0)
    assert meter.read() == pytest.approx({f"gpu:{A}": 500.0})
    assert meter.methods[f"gpu:{A}"].scope == "device"
    assert nvml.calls["nvmlDeviceGetProcessUtilization"] == 0


def test_where_the_driver_does_not_tell_processes_the_board_counts_whole(clock: Clock) -> None:
    nvml = shared(clock, None)
    meter = opened(nvml, clock, [0], proc=HOST)
    nvml.work(10.0)
    assert meter.read() == pytest.approx({f"gpu:{A}": 500.0})
    assert meter.methods[f"gpu:{A}"].attribution == "whole device, shared with other processes"


@pytest.mark.parametrize(
    ("mode", "attribution"),
    [
        (0, "whole device"),
        (1, "whole device"),
        (2, "whole device, as the hypervisor shows it (vGPU)"),
        (3, "whole device, with the guests that it is shared to (vGPU)"),
    ],
    ids=["bare", "passed through", "guest", "host"],
)
def test_a_hypervisor_between_is_named(clock: Clock, mode: int, attribution: str) -> None:
    meter = opened(ShapedNvml(clock, (FakeGpu(A), Shape(mode=mode))), clock)
    assert meter.methods[f"gpu:{A}"].attribution == attribution
