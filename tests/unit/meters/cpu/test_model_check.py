"""The model beside the counters: the same times, whole windows, and nothing where a counter is lost."""

from __future__ import annotations

from pathlib import Path

import pytest

from eco2ai_callbacks.meters.cpu.attribution import CpuShare
from eco2ai_callbacks.meters.cpu.model import CurveModel, PaperModel
from eco2ai_callbacks.meters.cpu.model_check import ModelCheck
from eco2ai_callbacks.meters.cpu.rapl import open_rapl
from eco2ai_callbacks.meters.exclusive import ExclusiveMeter
from eco2ai_callbacks.meters.meter import model_check_of
from eco2ai_callbacks.testing import BARE_METAL, Clock, PowercapTree

CURVE = CurveModel(100.0, 10, "test", "bare")


def test_the_curve_is_asked_for_the_mean_load_of_whole_windows() -> None:
    check = ModelCheck(CURVE)
    for busy_s in (1.0, 9.0, 5.0, 5.0):
        check.add(20.0, busy_s, 1.0, whole=True, lost=False)
    assert check.facts is None
    check.add(20.0, 5.0, 1.0, whole=True, lost=False)
    # At half load the curve is 100 W x (0.10 + 0.64 x 0.5^0.55).
    expected = 5 * 100.0 * (0.10 + 0.64 * 0.5**0.55)
    assert check.facts == {
        "method": "cpu-model:bare",
        "counter_j": 100.0,
        "model_j": pytest.approx(expected),
        "seconds": 5.0,
        "busy_s": 25.0,
    }


def test_a_model_that_is_linear_needs_no_window() -> None:
    check = ModelCheck(PaperModel(100.0, 10, "test"))
    check.add(20.0, 5.0, 1.0, whole=True, lost=False)
    assert check.facts is not None
    assert check.facts["model_j"] == 50.0


def test_a_counter_that_moves_later_is_waited_for_and_a_lost_one_is_left_out() -> None:
    check = ModelCheck(CURVE)
    check.add(0.0, 5.0, 5.0, whole=False, lost=False)
    assert check.facts is None
    check.add(200.0, 5.0, 5.0, whole=True, lost=False)
    assert check.facts is not None
    assert (check.facts["counter_j"], check.facts["seconds"]) == (200.0, 10.0)
    check.add(70.0, 5.0, 3.0, whole=True, lost=False)
    check.add(0.0, 5.0, 5.0, whole=False, lost=True)
    check.add(1000.0, 5.0, 5.0, whole=True, lost=False)
    assert (check.facts["counter_j"], check.facts["seconds"]) == (1200.0, 15.0)


class Busy:
    seconds = 0.0

    def read(self) -> float:
        return self.seconds


def test_a_job_s_meter_tells_of_the_whole_machine(tmp_path: Path) -> None:
    tree, clock, machine, job = PowercapTree(tmp_path), Clock(1000.0), Busy(), Busy()
    zone = tree.add_package(0, max_power_w=65)
    model = CurveModel(65.0, 12, "test", "bare")
    cpu, _ = open_rapl(tree.root, BARE_METAL, clock, model=model)
    meter = CpuShare(cpu, machine, 12, job, clock)
    assert model_check_of(meter) is None
    for _ in range(12):
        tree.advance(zone, 30.0)
        clock.advance(1.0)
        machine.seconds += 6.0
        job.seconds += 3.0
        meter.read()
    found = model_check_of(meter)
    assert found is not None
    assert found["counter_j"] == pytest.approx(300.0)
    assert found["model_j"] == pytest.approx(sum(model.interval(60.0, 10.0)))
    assert (found["seconds"], found["busy_s"], found["threads"]) == (pytest.approx(10.0), pytest.approx(60.0), 12)
    # Another process may have counted part of the time.
    assert model_check_of(ExclusiveMeter(meter, lambda _: None, clock)) is None


def test_without_a_model_there_is_nothing_to_tell(tmp_path: Path) -> None:
    tree, clock = PowercapTree(tmp_path), Clock(1000.0)
    zone = tree.add_package(0)
    cpu, _ = open_rapl(tree.root, BARE_METAL, clock)
    tree.advance(zone, 30.0)
    clock.advance(10.0)
    cpu.interval(1.0, 10.0)
    assert cpu.model_check is None
