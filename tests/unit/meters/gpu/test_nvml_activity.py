"""Who has kept a shared board busy: worked by hand."""

from __future__ import annotations

import math
from typing import Any

import pytest
from nvml_meters import A
from nvml_shapes import Shape, ShapedNvml

from eco2ai_callbacks.meters.gpu import nvml_driver as driver
from eco2ai_callbacks.meters.gpu.nvml_activity import MigActivity, ProcessActivity, Share
from eco2ai_callbacks.meters.gpu.selection import Gpu, MigDevice
from eco2ai_callbacks.testing import Clock, FakeGpu


@pytest.fixture
def clock() -> Clock:
    return Clock(1000.0)


def mig(number: int, slices: int | None, instance: int | None = None) -> MigDevice:
    return MigDevice(f"MIG-{number}", number if instance is None else instance, 0, slices)


def instances(clock: Clock, busy: dict[int, float], *devices: MigDevice) -> tuple[MigActivity, ShapedNvml]:
    nvml = ShapedNvml(clock, (FakeGpu(A, mig_slices=7), Shape(busy=busy)))
    nvml.nvmlInit()
    activity = MigActivity(nvml, Gpu(0, A, "NVIDIA H100", 7, devices), clock)
    assert activity.open(A)
    return activity, nvml


@pytest.mark.parametrize(
    ("busy", "devices", "expected"),
    [
        # By size 3/7 and 4/7; by activity all is the first one's.
        ({1: 80.0, 2: 0.0}, (mig(1, 3), mig(2, 4)), {"MIG-1": (3 / 7, 1.0), "MIG-2": (0.0, 4 / 7)}),
        # By activity 3 x 100 % of 3 x 100 % + 4 x 25 %: 3/4.
        ({1: 100.0, 2: 25.0}, (mig(1, 3), mig(2, 4)), {"MIG-1": (3 / 7, 3 / 4), "MIG-2": (1 / 4, 4 / 7)}),
        # Where nobody works, sizes count.
        ({1: 0.0, 2: 0.0}, (mig(1, 3), mig(2, 4)), {"MIG-1": (3 / 7, 3 / 7), "MIG-2": (4 / 7, 4 / 7)}),
        # Six slices are not shown: they may all have been idle, or busy.
        ({1: 50.0}, (mig(1, 1),), {"MIG-1": (0.5 / 6.5, 1.0)}),
        ({1: 0.0}, (mig(1, 1),), {"MIG-1": (0.0, 1 / 7)}),
        # Two compute instances of one GPU instance: which of them was busy is not known.
        (
            {1: 100.0, 2: 0.0},
            (mig(1, 1, 1), mig(2, 2, 1), mig(3, 4, 2)),
            {"MIG-1": (0.0, 1.0), "MIG-2": (0.0, 1.0), "MIG-3": (0.0, 4 / 7)},
        ),
        # One that is the whole board is all of it, whatever it does.
        ({1: 10.0}, (mig(1, 7),), {"MIG-1": (1.0, 1.0)}),
    ],
    ids=["one works", "both work", "none works", "others are hidden", "hidden and idle", "two in one", "whole"],
)
def test_slices_share_between_their_sizes_and_their_activity(
    clock: Clock, busy: dict[int, float], devices: tuple[MigDevice, ...], expected: dict[str, tuple[float, float]]
) -> None:
    activity, nvml = instances(clock, busy, *devices)
    nvml.work(5.0)
    shares = activity.shares(A)
    assert isinstance(shares, dict)
    found = {uuid: (share.low, share.high) for uuid, share in shares.items()}
    assert found == {uuid: pytest.approx(ends) for uuid, ends in expected.items()}


def test_each_interval_has_its_own_activity(clock: Clock) -> None:
    activity, nvml = instances(clock, {1: 100.0, 2: 0.0}, mig(1, 3), mig(2, 4))
    nvml.work(1.0)
    assert activity.shares(A) == {"MIG-1": Share(3 / 7, 1.0), "MIG-2": Share(0.0, 4 / 7)}
    nvml.shapes[A].busy = {1: 0.0, 2: 100.0}
    nvml.work(1.0)
    assert activity.shares(A) == {"MIG-1": Share(0.0, 3 / 7), "MIG-2": Share(4 / 7, 1.0)}


def test_samples_that_are_too_close_are_not_taken(clock: Clock) -> None:
    activity, nvml = instances(clock, {1: 100.0}, mig(1, 3))
    nvml.work(0.0625)
    nvml.calls.clear()
    assert activity.shares(A) is None
    assert not nvml.calls
    nvml.work(0.0625)
    assert activity.shares(A) is not None
    assert nvml.calls == {"nvmlGpmMigSampleGet": 1, "nvmlGpmMetricsGet": 1}


@pytest.mark.parametrize("function", ["nvmlGpmMigSampleGet", "nvmlGpmMetricsGet"])
def test_a_failure_is_told_and_its_time_is_in_the_next_answer(clock: Clock, function: str) -> None:
    activity, nvml = instances(clock, {1: 100.0, 2: 0.0}, mig(1, 3), mig(2, 4))
    nvml.fail(function, 4, times=1)
    nvml.work(1.0)
    assert activity.shares(A) == 4
    nvml.shapes[A].busy = {1: 0.0, 2: 75.0}
    nvml.work(1.0)
    # Of two seconds 3 x 50 % and 4 x 37.5 %: half each.
    assert activity.shares(A) == {"MIG-1": Share(3 / 7, 0.5), "MIG-2": Share(0.5, 4 / 7)}


@pytest.mark.parametrize(
    ("answer", "code"),
    [({"value": math.nan}, driver.NO_ANSWER), ({"value": -1.0}, driver.NO_ANSWER)],
    ids=["nan", "-1"],
)
def test_an_activity_that_is_none_is_told(
    clock: Clock, monkeypatch: pytest.MonkeyPatch, answer: dict[str, float], code: int
) -> None:
    activity, nvml = instances(clock, {1: 100.0}, mig(1, 3))

    def get(question: Any) -> Any:
        vars(question.metrics[0]).update(answer)
        return question

    monkeypatch.setattr(nvml, "nvmlGpmMetricsGet", get)
    nvml.work(1.0)
    assert activity.shares(A) == code


def test_the_code_of_the_one_metric_is_told(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    activity, nvml = instances(clock, {1: 100.0}, mig(1, 3))

    def get(question: Any) -> Any:
        question.metrics[0].nvmlReturn = driver.NOT_SUPPORTED
        return question

    monkeypatch.setattr(nvml, "nvmlGpmMetricsGet", get)
    nvml.work(1.0)
    assert activity.shares(A) == driver.NOT_SUPPORTED


@pytest.mark.parametrize(
    "function", ["nvmlGpmQueryDeviceSupport", "nvmlGpmSampleAlloc", "nvmlGpmMigSampleGet"], ids=lambda name: name
)
def test_a_driver_that_refuses_at_the_beginning_is_not_used_and_keeps_nothing(clock: Clock, function: str) -> None:
    nvml = ShapedNvml(clock, (FakeGpu(A, mig_slices=7), Shape(busy={1: 50.0})))
    nvml.nvmlInit()
    nvml.fail(function, 3, after=1 if function == "nvmlGpmSampleAlloc" else 0)
    assert not MigActivity(nvml, Gpu(0, A, "NVIDIA H100", 7, (mig(1, 3),)), clock).open(A)
    assert nvml.samples == 0


def test_a_board_or_a_binding_without_profiling_counters_is_not_asked_again(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    nvml = ShapedNvml(clock, (FakeGpu(A, mig_slices=7), Shape()))
    nvml.nvmlInit()
    gpu = Gpu(0, A, "NVIDIA A100", 7, (mig(1, 3),))
    assert not MigActivity(nvml, gpu, clock).open(A)
    nvml.shapes[A].busy = {1: 50.0}
    monkeypatch.delattr(ShapedNvml, "c_nvmlGpmMetricsGet_t")
    assert not MigActivity(nvml, gpu, clock).open(A)
    assert nvml.calls["nvmlGpmSampleAlloc"] == 0


def test_closing_frees_the_samples_once(clock: Clock) -> None:
    activity, nvml = instances(clock, {1: 100.0, 2: 0.0}, mig(1, 3), mig(2, 4))
    assert nvml.samples == 4
    activity.close()
    activity.close()
    assert nvml.samples == 0


def processes(
    clock: Clock, busy: dict[int, int] | None, present: tuple[int, ...]
) -> tuple[ProcessActivity, ShapedNvml]:
    nvml = ShapedNvml(clock, (FakeGpu(A, pids=present), Shape(processes=busy)))
    nvml.nvmlInit()
    return ProcessActivity(nvml, A, lambda: {10, 11}), nvml


@pytest.mark.parametrize(
    ("busy", "present", "low", "high"),
    [
        ({10: 60, 20: 20}, (10, 20), 1 / 2, 3 / 4),
        ({10: 30, 11: 30, 20: 20}, (10, 11, 20), 2 / 3, 3 / 4),
        ({20: 90}, (10, 20), 0.0, 1 / 2),
        ({10: 90}, (10, 20), 1 / 2, 1.0),
        ({}, (10, 20, 30, 40), 1 / 4, 1 / 4),
        ({10: 0, 20: 0}, (10, 20), 1 / 2, 1 / 2),
        ({20: 50}, (20, 30), 0.0, 0.0),
        ({}, (), 1.0, 1.0),
        # Rows that are none: without a process, or of more than there is.
        ({0: 100, 10: 50, 20: 4_294_967_295}, (10, 20), 1 / 2, 1.0),
    ],
    ids=["own and another", "two own", "another", "own", "none", "zeros", "not there", "alone", "odd rows"],
)
def test_processes_share_between_alike_and_by_activity(
    clock: Clock, busy: dict[int, int], present: tuple[int, ...], low: float, high: float
) -> None:
    activity, _ = processes(clock, busy, present)
    assert activity.open(A)
    shares = activity.shares(A)
    assert isinstance(shares, dict)
    assert (shares[A].low, shares[A].high, shares[A].middle) == pytest.approx((low, high, (low + high) / 2))


def test_only_what_is_newer_is_asked_for(clock: Clock) -> None:
    activity, nvml = processes(clock, {10: 50}, (10, 20))
    assert activity.open(A)
    clock.advance(2.0)
    activity.shares(A)
    activity.shares(A)
    assert nvml.asked_since == [0, 1_000_000_000, 1_002_000_000]


def test_a_driver_that_does_not_tell_processes_is_not_used(clock: Clock) -> None:
    assert not processes(clock, None, (10, 20))[0].open(A)
    activity, nvml = processes(clock, {10: 50}, (10, 20))
    assert activity.open(A)
    nvml.fail("nvmlDeviceGetProcessUtilization", 4)
    assert activity.shares(A) == 4
    activity.close()
