"""The health of GPUs over segments: sums, means, and what a record may hold of it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from eco2ai_callbacks.host.gpu_health import GpuHealth, joined, mean_over, plain, stated

BUSY = GpuHealth(
    index=0,
    seconds=30.0,
    busy=1.0,
    memory_busy=0.5,
    clock_mhz=1800.0,
    max_clock_mhz=1980.0,
    temperature_c=70.0,
    hottest_c=75.0,
    power_limit_w=400.0,
    throttled=0.6,
    throttle={"power cap": 0.6},
    idle=0.0,
    idle_j=0.0,
)
IDLE = GpuHealth(
    index=0, seconds=10.0, busy=0.0, clock_mhz=600.0, temperature_c=50.0, hottest_c=60.0, idle=1.0, idle_j=500.0
)


def test_two_segments_have_the_means_of_both_by_their_time() -> None:
    both = BUSY + IDLE
    assert both.seconds == 40.0
    assert (both.busy, both.clock_mhz, both.temperature_c) == (0.75, 1500.0, 65.0)
    assert (both.hottest_c, both.idle, both.idle_j) == (75.0, 0.25, 500.0)
    assert (both.max_clock_mhz, both.power_limit_w) == (1980.0, 400.0)


def test_a_value_that_one_segment_lacks_is_that_of_the_other_and_never_counts_as_0() -> None:
    for both in (BUSY + IDLE, IDLE + BUSY):
        assert (both.memory_busy, both.throttled, both.throttle) == (0.5, 0.6, {"power cap": 0.6})
    bare = GpuHealth(index=1, seconds=1.0)
    assert bare + bare == GpuHealth(index=1, seconds=2.0)


def test_a_record_holds_what_is_known_and_gives_it_back() -> None:
    assert IDLE.to_dict() == {
        **{"index": 0, "seconds": 10.0, "busy": 0.0, "clock_mhz": 600.0, "temperature_c": 50.0, "hottest_c": 60.0},
        **{"idle": 1.0, "idle_j": 500.0},
    }
    for each in (BUSY, IDLE):
        assert GpuHealth.from_dict(json.loads(json.dumps(each.to_dict()))) == each
    assert plain({}) is None
    assert stated(plain({"GPU-a": BUSY})) == {"GPU-a": BUSY}


@pytest.mark.parametrize(
    "values",
    [
        None,
        [],
        {"GPU-a": None},
        {"GPU-a": {}},
        {"GPU-a": {"index": -1, "seconds": 1.0}},
        {"GPU-a": {"index": True, "seconds": 1.0}},
        {"GPU-a": {"index": 0, "seconds": 0.0}},
        {"GPU-a": {"index": 0, "seconds": "1"}},
        {"GPU-a": {"index": 0, "seconds": 1e999}},
        {"GPU-a": {"index": 10**5000, "seconds": 1.0}},
    ],
    ids=["null", "list", "no GPU", "empty", "index", "flag", "no time", "text", "infinite", "huge"],
)
def test_what_is_none_is_left_out(values: Any) -> None:
    assert stated(values) == {}


def test_a_single_value_that_is_none_costs_no_other() -> None:
    values = {"index": 0, "seconds": 2.0, "busy": "x", "idle": 0.5, "throttle": {"heat": None, "cap": 0.1}}
    found = stated({"a": values})
    assert found == {"a": GpuHealth(index=0, seconds=2.0, idle=0.5, throttle={"cap": 0.1})}
    assert stated({"a": {"index": 0, "seconds": 2.0, "throttle": 3}}) == {"a": GpuHealth(index=0, seconds=2.0)}


def test_segments_are_joined_gpu_by_gpu() -> None:
    found = joined({"GPU-a": BUSY}, {"GPU-a": IDLE, "GPU-b": IDLE})
    assert found == {"GPU-a": BUSY + IDLE, "GPU-b": IDLE}
    assert mean_over(found.values(), "idle") == 0.625
    assert mean_over(found.values(), "power_limit_w") == 400.0
    assert mean_over([], "idle") is None
