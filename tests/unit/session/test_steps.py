"""Windows of training steps: what they hold, and that they add up to the epoch."""

from __future__ import annotations

from typing import Any

import pytest
from logcheck import rows

from eco2ai_callbacks import Tracker
from eco2ai_callbacks.errors import Eco2AIError
from eco2ai_callbacks.record import Record
from eco2ai_callbacks.testing import Clock, FakeMeter, fake_platform


def tracker(clock: Clock, meter: Any, **settings: Any) -> Tracker:
    return Tracker(platform=fake_platform(clock, meter), region="FR", console=False, heartbeat_s=0, **settings)


def log() -> list[Record]:
    return [Record.from_dict(row) for row in rows()]


def test_windows_and_the_rest_add_up_to_the_epoch() -> None:
    clock = Clock()
    found = []
    with tracker(clock, FakeMeter(clock, {"cpu": 10.0}), every_n_steps=3) as run:
        run.enter("train", 0)
        for number in range(1, 9):
            clock.advance(number)
            found.append(run.step(samples=4, tokens=100))
        run.end_epoch(0, samples=32)
    assert [bool(row) for row in found] == [False, False, True, False, False, True, False, False]
    assert found[2] == {
        "eco2ai/step_energy_kwh": 60.0 / 3.6e6,
        "eco2ai/step_power_w": 10.0,
        "eco2ai/step_j_per_step": 20.0,
        "eco2ai/step_j_per_sample": 5.0,
        "eco2ai/step_j_per_token": 0.2,
    }
    marks = [record for record in log() if record.steps is not None]
    assert [record.steps for record in marks] == [(3, 3, 12, 300), (6, 3, 12, 300), (8, 2, 8, 200)]
    assert [record.event for record in marks] == ["stage", "stage", "epoch"]
    assert sum(record.joules["cpu"] for record in marks) == 360.0
    assert marks[-1].epoch_total is not None
    assert marks[-1].epoch_total["seconds"] == 36.0
    assert marks[-1].samples == 32


def test_without_the_setting_a_step_reads_nothing_and_says_nothing() -> None:
    clock = Clock()
    meter = FakeMeter(clock, {"cpu": 10.0})
    with tracker(clock, meter) as run:
        reads = meter.reads
        assert [run.step(samples=1) for _ in range(100)] == [{}] * 100
        assert meter.reads == reads
        assert not run.step.wanted
        run.end_epoch(0)
    assert [record.steps for record in log()] == [None] * 3


def test_a_window_shorter_than_the_sensor_s_refresh_gives_no_figure_and_its_steps_go_to_the_next() -> None:
    clock = Clock()
    meter = FakeMeter(clock, {"gpu:GPU-a": 100.0})
    meter.refresh_s = 0.1  # type: ignore[attr-defined]
    found = []
    with tracker(clock, meter, every_n_steps=2) as run:
        reads = meter.reads
        for _ in range(10):
            clock.advance(0.02)
            found.append(run.step())
            assert meter.reads == reads or any(found)
    assert [len(row) for row in found] == [0] * 5 + [3] + [0] * 4
    assert found[5]["eco2ai/step_j_per_step"] == pytest.approx(2.0)
    assert [record.steps for record in log() if record.steps] == [(6, 6, None, None)]


def test_an_evaluation_in_a_window_is_not_its_steps_energy() -> None:
    clock = Clock()
    with tracker(clock, FakeMeter(clock, {"cpu": 10.0}), every_n_steps=2, units="Wh") as run:
        run.enter("train", 0)
        clock.advance(1.0)
        assert run.step() == {}
        run.enter("validate")
        clock.advance(100.0)
        run.leave()
        clock.advance(2.0)
        found = run.step()
    assert found["eco2ai/step_j_per_step"] == 15.0
    assert found["eco2ai/step_energy_wh"] == 30.0 / 3600
    assert sum(record.joules["cpu"] for record in log() if record.adds) == 1030.0


def test_batches_without_a_step_and_the_framework_s_own_count() -> None:
    clock = Clock()
    found = []
    with tracker(clock, FakeMeter(clock, {"cpu": 10.0}), every_n_steps=2) as run:
        for batch in range(1, 9):
            clock.advance(1.0)
            found.append(run.step(2, number=100 + batch // 2, steps=1 if batch % 2 == 0 else 0))
    assert [bool(row) for row in found] == [False] * 3 + [True] + [False] * 3 + [True]
    assert [record.steps for record in log() if record.steps] == [(102, 2, 8, None), (104, 2, 8, None)]


def test_samples_that_are_not_known_of_all_steps_are_left_out_and_bad_ones_are_named() -> None:
    clock = Clock()
    with tracker(clock, FakeMeter(clock, {"cpu": 10.0}), every_n_steps=2) as run:
        clock.advance(1.0)
        run.step(samples=4)
        found = run.step(samples="many", tokens=None)  # type: ignore[arg-type]
        assert "eco2ai/step_j_per_sample" not in found
    assert any("samples='many'" in failure for failure in log()[-1].failures)


def test_where_nothing_is_measured_a_window_has_no_figures() -> None:
    clock = Clock()
    with tracker(clock, FakeMeter(clock, {}), every_n_steps=1) as run:
        clock.advance(1.0)
        assert run.step() == {}
    assert [record.steps for record in log() if record.steps] == [(1, 1, None, None)]


def test_a_step_before_the_start_is_an_error() -> None:
    clock = Clock()
    with pytest.raises(Eco2AIError, match="start"):
        tracker(clock, FakeMeter(clock, {}), every_n_steps=1).step()
