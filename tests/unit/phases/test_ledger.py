"""The split of a session's usage: mark by mark, by segment, and in all."""

from __future__ import annotations

import math

from eco2ai_callbacks.phases.clock import PhaseClock
from eco2ai_callbacks.phases.ledger import LOOK_S, PhaseLedger
from eco2ai_callbacks.phases.times import OTHER
from eco2ai_callbacks.testing import Clock
from eco2ai_callbacks.usage import Reading, Usage


def ledger(clock: Clock) -> tuple[PhaseClock, PhaseLedger]:
    phases = PhaseClock(wall_ns=lambda: round(clock() * 1e9), cpu_ns=lambda: 0)
    phases.begin()
    return phases, PhaseLedger(phases, Reading(clock(), {"ram": 0.0}))


def at(clock: Clock, watts: float = 2.0) -> Reading:
    return Reading(clock(), {"ram": watts * clock()})


def test_where_no_phase_is_named_there_is_nothing_to_tell() -> None:
    clock = Clock()
    _, found = ledger(clock)
    clock.advance(5.0)
    assert found.mark(at(clock), Usage(5.0, {"ram": 10.0})) is None
    assert found.recent() == {}
    assert found.whole is None


def test_a_mark_closes_the_split_and_sums_it_up() -> None:
    clock = Clock()
    phases, found = ledger(clock)
    for _ in range(2):
        phases.switch("data")
        clock.advance(1.0)
        found.take(at(clock))
        phases.switch("train")
        clock.advance(4.0)
        assert found.so_far(at(clock), Usage(5.0, {"ram": 10.0})) == {"train": (4.0, 8.0), "data": (1.0, 2.0)}
        assert found.mark(at(clock), Usage(5.0, {"ram": 10.0})) == {"train": (4.0, 8.0), "data": (1.0, 2.0)}
    phases.switch(OTHER)
    clock.advance(3.0)
    assert found.mark(at(clock), Usage(3.0, {"ram": 6.0})) is None
    assert found.whole == {"train": (8.0, 16.0), "data": (2.0, 4.0), OTHER: (3.0, 6.0)}


def test_an_epoch_has_all_phases_that_are_known_since_the_one_before() -> None:
    clock = Clock()
    phases, found = ledger(clock)
    phases.expect("train", "validation")
    phases.switch("train")
    clock.advance(1.0)
    found.mark(at(clock), Usage(1.0, {"ram": 2.0}))
    found.mark(at(clock), Usage(0.0, {"ram": 0.0}))
    assert found.recent() == {OTHER: (0.0, 0.0), "train": (1.0, 2.0), "validation": (0.0, 0.0)}
    assert found.recent() == {OTHER: (0.0, 0.0), "train": (0.0, 0.0), "validation": (0.0, 0.0)}


def test_a_gpu_is_looked_at_between_two_marks_where_phases_are_named() -> None:
    clock = Clock()
    phases, found = ledger(clock)
    phases.switch("train")
    assert found.period_s == math.inf  # CPU time and wall time need no look
    clock.advance(1.0)
    found.take(Reading(clock(), {"ram": 2.0, "gpu:GPU-a": 5.0}))
    assert found.period_s == LOOK_S
    _, plain = ledger(clock)
    plain.take(Reading(clock(), {"gpu:GPU-a": 5.0}))
    assert plain.period_s == math.inf


def test_what_came_before_the_first_phase_is_other() -> None:
    clock = Clock()
    phases, found = ledger(clock)
    clock.advance(2.0)
    assert found.mark(at(clock), Usage(2.0, {"ram": 4.0})) is None
    clock.advance(3.0)
    found.take(at(clock))
    phases.switch("train")
    clock.advance(1.0)
    assert found.mark(at(clock), Usage(4.0, {"ram": 8.0})) == {OTHER: (3.0, 6.0), "train": (1.0, 2.0)}
    assert found.whole == {OTHER: (5.0, 10.0), "train": (1.0, 2.0)}
