"""The fake meter is a meter, and fails in all the ways that a test asks for."""

from __future__ import annotations

import math
from typing import Any

import pytest

from eco2ai_callbacks.testing import Clock, FakeMeter
from eco2ai_callbacks.usage import Method


@pytest.fixture
def clock() -> Clock:
    return Clock(50.0)


def test_it_counts_from_zero_by_the_clock(clock: Clock) -> None:
    meter = FakeMeter(clock, {"cpu": 10.0, "gpu:a": 100.0})
    assert meter.read() == {"cpu": 0.0, "gpu:a": 0.0}
    clock.advance(3)
    assert meter.read() == meter.joules == {"cpu": 30.0, "gpu:a": 300.0}
    assert meter.reads == 2


def test_what_it_covers_follows_from_its_channels_or_is_named(clock: Clock) -> None:
    assert FakeMeter(clock, {"cpu": 1.0, "gpu:a": 1.0, "gpu:b": 1.0}).covers == {"cpu", "gpu"}
    assert FakeMeter(clock, {"cpu": 1.0}, covers=frozenset({"cpu", "ram"})).covers == {"cpu", "ram"}


def test_its_channels_share_a_method_or_have_their_own(clock: Clock) -> None:
    one, other = Method("one", 0.5, 2.0), Method("other", 0.9, 1.1)
    assert FakeMeter(clock, {"cpu": 1.0, "ram": 1.0}, method=one).methods == {"cpu": one, "ram": one}
    own = {"cpu": one, "ram": other}
    assert FakeMeter(clock, {"cpu": 1.0, "ram": 1.0}, method=own).methods == own


def test_the_defaults_are_those_of_a_meter_that_needs_no_thread(clock: Clock) -> None:
    meter = FakeMeter(clock, {"cpu": 1.0})
    assert (meter.name, meter.max_gap_s, meter.failures, meter.closed) == ("constant", math.inf, (), False)
    meter.close()
    assert meter.closed


def test_a_fault_is_raised_until_it_is_taken_away(clock: Clock) -> None:
    meter = FakeMeter(clock, {"cpu": 1.0}, fault=OSError("gone"))
    with pytest.raises(OSError, match="gone"):
        meter.read()
    meter.fault = None
    assert meter.read() == {"cpu": 0.0}
    assert meter.reads == 2


@pytest.mark.parametrize("answer", [None, {"cpu": math.nan}, 12.5])
def test_a_hook_has_the_last_word(clock: Clock, answer: Any) -> None:
    seen: list[Any] = []
    meter = FakeMeter(clock, {"cpu": 2.0}, on_read=lambda joules: seen.append(joules) or answer)
    clock.advance(1)
    assert meter.read() is answer
    assert seen == [{"cpu": 2.0}]


def test_a_hook_that_moves_the_clock_makes_it_slow(clock: Clock) -> None:
    def slow(joules: dict[str, float]) -> dict[str, float]:
        clock.advance(5)
        return joules

    meter = FakeMeter(clock, {"cpu": 2.0}, on_read=slow)
    assert meter.read() == {"cpu": 0.0}
    assert meter.read() == {"cpu": 10.0}
    assert clock() == 60.0
