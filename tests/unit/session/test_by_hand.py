"""Trackers that a program has started and forgotten, as a cell that is run again does."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Any

import pytest
from logcheck import by_run, rows

from eco2ai_callbacks import Tracker, track
from eco2ai_callbacks.session.by_hand import StartedByHand
from eco2ai_callbacks.session.context import RunContext
from eco2ai_callbacks.settings import resolve
from eco2ai_callbacks.testing import Clock, FakeMeter, fake_platform


class Lifetime:
    """A session that notes its end."""

    def __init__(self) -> None:
        self.running = True

    def interrupt(self) -> None:
        self.running = False

    def post(self, fn: Callable[[Any], object]) -> None:
        fn(None)


class Held:
    """What a program holds."""


def begun(started: StartedByHand, held: object, **settings: Any) -> Lifetime:
    lifetime = Lifetime()
    started.begin(held, resolve({"region": "FR", **settings}), lifetime)
    return lifetime


def test_one_that_is_forgotten_runs_until_the_next_one_with_equal_settings() -> None:
    started = StartedByHand()
    first = begun(started, Held())
    assert first.running, "a program may start one and never look at it again"
    other = begun(started, Held(), project="another")
    assert first.running
    second = begun(started, Held())
    assert (first.running, other.running, second.running) == (False, True, True)


def test_one_that_is_held_runs_on_until_it_is_not() -> None:
    started, cell = StartedByHand(), [Held()]
    first = begun(started, cell[0])
    held = Held()
    second = begun(started, held)
    assert first.running
    cell[0] = Held()
    assert not first.running
    assert second.running


def test_one_that_a_framework_or_a_block_starts_ends_nobody() -> None:
    started = StartedByHand()
    first = begun(started, Held())
    begun(started, None)
    assert first.running
    assert begun(started, None).running


def test_ended_ones_are_forgotten() -> None:
    started = StartedByHand()
    for _ in range(50):
        begun(started, Held()).interrupt()
    assert len(started._started) == 1


@pytest.fixture
def platform() -> Any:
    clock = Clock()
    return fake_platform(clock, FakeMeter(clock, {"cpu": 10.0}), by_hand=StartedByHand()), clock


def test_a_cell_that_is_run_again_is_a_run_each_time(platform: Any) -> None:
    machine, clock = platform
    lifetimes = []
    for _ in range(5):
        run = Tracker(platform=machine, region="FR", console=False).start()
        lifetimes.append(run._lifetime)
        clock.advance(1.0)
        run.end_epoch(0)
    run.stop()
    for lifetime in lifetimes:
        lifetime.end("too late")  # has its turn behind what was posted
    found = by_run(rows())
    assert len(found) == 5
    assert [run[-1]["ended"] for run in found.values()] == ["interrupted"] * 4 + ["finished"]
    assert sum(sum(row["joules"].values()) for row in rows() if row["event"] == "epoch") == pytest.approx(50.0)


@pytest.mark.parametrize(
    "begin",
    [
        lambda machine: Tracker(platform=machine, region="FR", console=False).start(RunContext()),
        lambda machine: Tracker(platform=machine, region="FR", console=False).__enter__(),
    ],
    ids=["an adapter", "a block"],
)
def test_what_others_start_and_end_does_not_end_what_a_program_has_started(platform: Any, begin: Any) -> None:
    machine, _ = platform
    outer = Tracker(platform=machine, region="FR", console=False).start()
    lifetime = outer._lifetime
    del outer
    gc.collect()
    inner = begin(machine)
    assert lifetime.running
    inner.stop()
    lifetime.end("finished")


def test_a_tracker_is_freed_where_nobody_holds_it(platform: Any) -> None:
    machine, _ = platform
    gc.collect()
    gc.disable()
    try:
        run = Tracker(platform=machine, region="FR", console=False).start()
        lifetime = run._lifetime
        del run
        Tracker(platform=machine, region="FR", console=False).start().stop()
        assert not lifetime.running
    finally:
        gc.enable()


def test_blocks_of_track_are_runs_of_their_own() -> None:
    for _ in range(2):
        with track(region="FR", console=False):
            pass
    assert [run[-1]["ended"] for run in by_run(rows()).values()] == ["finished"] * 2
