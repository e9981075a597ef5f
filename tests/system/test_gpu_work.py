"""Queued GPU work, and which GPUs are measured, in whole runs with a stand-in for torch."""

from __future__ import annotations

import math
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from gpu_logs import A100, ENERGY, POWER, A, B, C, adding, source
from logcheck import rows

from eco2ai_callbacks import Tracker
from eco2ai_callbacks.guard import Guard
from eco2ai_callbacks.meters.discovery import Discovery, MeterContext, discover
from eco2ai_callbacks.session.context import Platform
from eco2ai_callbacks.settings import Settings
from eco2ai_callbacks.testing import CLOUD_VM, Clock, FakeGpu, FakeNvml


class Cuda:
    """``torch.cuda`` with three devices; finishing a device's work takes a second of the clock."""

    def __init__(self, clock: Clock, used: set[int], initialised: bool = True) -> None:
        self.clock = clock
        self.used = used
        self.initialised = initialised
        self.synchronised: list[tuple[int, str]] = []
        self.broken: str | None = None

    def is_initialized(self) -> bool:
        return self.initialised

    def is_current_stream_capturing(self) -> bool:
        return False

    def device_count(self) -> int:
        return 3

    def max_memory_reserved(self, index: int) -> int:
        return 2**20 if index in self.used else 0

    def get_device_properties(self, index: int) -> Any:
        if self.broken is not None:
            raise RuntimeError(self.broken)
        return SimpleNamespace(uuid=(A, B, C)[index].removeprefix("GPU-"))

    def synchronize(self, index: int) -> None:
        self.clock.advance(1.0)
        self.synchronised.append((index, threading.current_thread().name))
        if self.broken is not None:
            raise RuntimeError(self.broken)

    def finished(self) -> list[int]:
        """The devices whose work was finished since the last call, in order."""
        found, self.synchronised = [index for index, _ in self.synchronised], []
        return found


class Lab:
    """A machine with three boards of 100 W, and a torch that uses some of them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, used: set[int], **kwargs: Any) -> None:
        self.clock = Clock(1000.0)
        self.cuda = Cuda(self.clock, used, **kwargs)
        self.nvml = FakeNvml(self.clock, *(FakeGpu(uuid, watts=100.0) for uuid in (A, B, C)))
        torch = SimpleNamespace(cuda=self.cuda, version=SimpleNamespace(hip=None))
        monkeypatch.setitem(sys.modules, "torch", torch)

    def tracker(self, **settings: Any) -> Tracker:
        def find(settings: Settings, around: MeterContext, guard: Guard) -> Discovery:
            return discover(settings, replace(around, nvml=self.nvml), guard)

        platform = Platform(clock=self.clock, host=lambda: CLOUD_VM, discover=find, environ={})
        return Tracker(platform=platform, **{"region": "FR", "console": False, "heartbeat_s": 0.0, **settings})


@pytest.fixture
def lab(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Lab]]:
    def make(used: set[int], **kwargs: Any) -> Lab:
        return Lab(monkeypatch, used, **kwargs)

    return make


def test_cuda_s_work_is_finished_once_before_each_mark_and_not_for_a_look(lab: Callable[..., Lab]) -> None:
    here = lab({0, 2})
    run = here.tracker()
    run.start()
    assert here.cuda.finished() == [0, 2]
    for mark in (
        lambda: run.mark(epoch=0),
        lambda: run.end_epoch(1),
        lambda: run.enter("validate"),
        lambda: run.leave(),
        lambda: run.mark("stage", stage="test"),
    ):
        mark()
        assert here.cuda.finished() == [0, 2]
    for look in (
        run.read,
        run.figures.totals,
        lambda: run.write("metrics", {"loss": 1.0}),
        lambda: run.total,
        lambda: run.checkpoint,
    ):
        look()
        assert here.cuda.finished() == []
    run.stop()
    assert here.cuda.finished() == [0, 2]
    run.stop()
    assert here.cuda.finished() == []


def test_the_energy_of_unfinished_work_falls_before_the_mark(lab: Callable[..., Lab]) -> None:
    here = lab({1})
    run = here.tracker().start()
    here.clock.advance(5.0)
    first, second = run.mark(epoch=0), run.mark(epoch=1)
    assert first.seconds == pytest.approx(6.0)
    assert first.joules[f"gpu:{B}"] == pytest.approx(600.0)
    assert second.joules[f"gpu:{B}"] == pytest.approx(100.0)
    assert run.stop().joules[f"gpu:{B}"] == pytest.approx(800.0)


def test_sync_gpu_false_waits_for_nothing(lab: Callable[..., Lab]) -> None:
    here = lab({0, 2})
    with here.tracker(sync_gpu=False) as run:
        run.mark(epoch=0)
        run.enter("validate")
    assert here.cuda.finished() == []
    assert source(rows())["methods"].keys() == {f"gpu:{A}", f"gpu:{C}"}


def test_an_interrupted_run_waits_for_no_gpu(lab: Callable[..., Lab]) -> None:
    here = lab({0})
    run = here.tracker().start()
    here.cuda.finished()
    run.stop("interrupted")
    assert here.cuda.finished() == []
    assert rows()[-1]["ended"] == "interrupted"


def test_the_thread_never_waits_for_a_gpu(lab: Callable[..., Lab]) -> None:
    here = lab({0})
    for gpu in here.nvml.gpus:
        gpu.counter = False
    with here.tracker(sample_s=0.05, heartbeat_s=1.0):
        here.cuda.finished()
        before, deadline = here.nvml.calls[POWER], time.monotonic() + 30
        while here.nvml.calls[POWER] < before + 3 and time.monotonic() < deadline:
            time.sleep(0.01)
        assert here.nvml.calls[POWER] >= before + 3
        assert here.cuda.synchronised == []
    assert {thread for _, thread in here.cuda.synchronised} == {threading.current_thread().name}


def test_an_error_of_cuda_s_work_is_named_and_nothing_is_raised(lab: Callable[..., Lab]) -> None:
    here = lab({0})
    run = here.tracker().start()
    here.cuda.broken = "CUDA error: device-side assert triggered"
    here.clock.advance(1.0)
    assert run.mark(epoch=0).joules[f"gpu:{A}"] > 0
    run.stop()
    assert rows()[0]["failures"] == []
    assert rows()[1]["failures"] == ["CUDA: CUDA error: device-side assert triggered (RuntimeError)"]


def test_a_torch_that_cannot_tell_its_devices_leaves_the_other_rules(lab: Callable[..., Lab]) -> None:
    here = lab({0})
    here.cuda.broken = "CUDA driver error"
    with here.tracker(sync_gpu=False):
        pass
    assert source(rows())["reason"].endswith("chosen by auto: visible")
    assert rows()[0]["failures"] == ["CUDA: CUDA driver error (RuntimeError)"]


def test_the_gpus_that_torch_trains_on_are_measured(lab: Callable[..., Lab]) -> None:
    with lab({1}).tracker() as run:
        run.mark(epoch=0)
    assert source(rows())["methods"] == {f"gpu:{B}": "nvml-energy"}
    assert source(rows())["reason"] == f"1: {A100} (energy counter, whole device); chosen by auto: framework"
    assert rows()[-1]["failures"] == []


def test_where_torch_uses_none_yet_the_visible_ones_are_measured(lab: Callable[..., Lab]) -> None:
    here = lab({1}, initialised=False)
    with here.tracker() as run:
        assert here.cuda.finished() == []  # no context is made
        here.cuda.initialised = True
        run.mark(epoch=0)
        assert here.cuda.finished() == [1]
    assert source(rows())["reason"].endswith("chosen by auto: visible")
    assert source(rows())["methods"].keys() == {f"gpu:{A}", f"gpu:{B}", f"gpu:{C}"}
    assert rows()[-1]["failures"] == []


def test_a_gpu_that_comes_into_use_later_is_named_as_missing(lab: Callable[..., Lab]) -> None:
    here = lab({1})
    with here.tracker() as run:
        run.mark(epoch=0)
        here.cuda.used.add(2)
        run.mark(epoch=1)
    missing = [f"NVML: {C} came into use after the start; its energy is missing"]
    assert [row["failures"] for row in rows()] == [[], [], missing, missing]


@pytest.mark.parametrize("gpus", [[1], "all", ()], ids=["named", "all", "none"])
def test_gpus_that_were_not_asked_for_are_not_missed(lab: Callable[..., Lab], gpus: Any) -> None:
    here = lab({1})
    with here.tracker(gpus=gpus) as run:
        here.cuda.used.add(2)
        run.mark(epoch=0)
    assert Counter(failure for row in rows() for failure in row["failures"]) == {}


def test_a_gap_in_the_samples_widens_the_band_of_its_mark_and_of_the_total(lab: Callable[..., Lab]) -> None:
    here = lab({0})
    here.nvml.gpus[0].counter = False
    here.nvml.gpus[0].limit_w = 300.0
    channel = f"gpu:{A}"
    with here.tracker(sample_s=0.5, sync_gpu=False) as run:
        for epoch, seconds in enumerate((0.5, 12.0, 0.5)):
            here.clock.advance(seconds)
            run.mark(epoch=epoch)
    edge_j = 2 * 100.0 * 0.1
    found = [row for row in rows() if row["event"] == "epoch"]
    assert [row["joules"][channel] for row in found] == pytest.approx([50.0, 1200.0, 50.0])
    assert [row["band"][channel][1] for row in found] == pytest.approx(
        [50.0 * 1.15 + edge_j, 300.0 * 12.0 + edge_j, 50.0 * 1.15 + edge_j]
    )
    assert [row["band"][channel][0] for row in found] == pytest.approx(
        [50.0 * 0.85 - edge_j, 0.0, 50.0 * 0.85 - edge_j]
    )
    high = [
        row["total"]["energy_band_kwh"][1] - row["total"]["energy_kwh"] for row in rows() if row["event"] == "epoch"
    ]
    assert high[0] * 3.6e6 < 100.0
    assert high[1] * 3.6e6 == pytest.approx(2400.0, rel=0.05)
    assert high[2] * 3.6e6 == pytest.approx(2400.0, rel=0.05)
    said = [failure for row in found for failure in row["failures"]]
    assert len(said) == 2
    assert f"NVML: GPU 0 ({A100}): its power was not sampled for 12.0 s in all" in said[0]


def test_a_read_that_failed_leaves_the_board_out_and_its_power_is_over_both_marks(lab: Callable[..., Lab]) -> None:
    here = lab({0})
    channel = f"gpu:{A}"
    with here.tracker(gpus=[0], sync_gpu=False) as run:
        here.clock.advance(10.0)
        others_w = run.mark(epoch=0).power_w
        assert others_w is not None
        others_w -= 100.0
        here.nvml.fail(ENERGY, 10, times=2)
        here.clock.advance(10.0)
        missed = run.mark(epoch=1)
        here.clock.advance(10.0)
        caught_up = run.mark(epoch=2)
        both = missed + caught_up
    assert channel not in missed.joules
    assert missed.power_w == pytest.approx(others_w, abs=0.5)
    assert caught_up.joules[channel] == pytest.approx(2000.0)
    assert caught_up.power_w == pytest.approx(100.0 + others_w, abs=0.5)
    assert both.power_w == pytest.approx(100.0 + others_w, abs=0.5)
    assert math.fsum(row["joules"].get(channel, 0.0) for row in adding(rows())) == pytest.approx(3000.0)
