"""The times of one thread, read while it changes them."""

from __future__ import annotations

import sys
import threading

import pytest

from eco2ai_callbacks.phases.times import OTHER, ThreadTimes, on_cpu_ns, plus


def test_sums_that_their_thread_is_changing_are_read_again_and_at_last_without_the_open_part() -> None:
    wall = [0]
    thread = ThreadTimes(lambda: wall[0], lambda: 0, None)
    thread.turn("train")
    wall[0] += 5
    thread.turn("data")
    thread._since = None  # as in the middle of a change
    assert thread.sums(0) == {(OTHER, ""): (0, 0), ("train", ""): (5, 0)}
    thread.turn("train")  # as a signal handler would
    wall[0] += 7
    assert thread.sums(0)["train", ""] == (12, 0)
    assert thread.sums(None)["train", ""] == (5, 0)


def test_times_add_up_by_name() -> None:
    sums = {"data": (1, 2)}
    plus(sums, {"data": (3, 4), "train": (5, 6)})
    assert sums == {"data": (4, 6), "train": (5, 6)}


@pytest.mark.skipif(sys.platform != "linux", reason="needs Linux's /proc")
def test_linux_tells_the_cpu_time_of_a_running_thread() -> None:
    found = on_cpu_ns(threading.main_thread())
    assert found is None or found > 0
    ended = threading.Thread(target=bool)
    assert on_cpu_ns(ended) is None  # it has not begun
