"""The clock of phases: what counts for which, in one thread and in several, and what a change costs."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest

from eco2ai_callbacks.phases import clock as module
from eco2ai_callbacks.phases.clock import LONGEST_NAME, MOST_NAMES, PhaseClock, Spent
from eco2ai_callbacks.phases.times import OTHER


class Times:
    """Clocks that a test moves, and how often each was read."""

    def __init__(self) -> None:
        self.wall = self.cpu = 0
        self.threads: dict[int, int] = {}
        self.reads = 0

    def spend(self, wall: int, cpu: int = 0) -> None:
        """Let time pass, in which the calling thread uses the CPU."""
        self.wall += wall
        self.cpu += cpu
        me = threading.get_ident()
        self.threads[me] = self.threads.get(me, 0) + cpu

    def clock(self, report: Callable[[str], object] = str) -> PhaseClock:
        """Return a clock by these times, which has begun."""

        def read(value: Callable[[], int]) -> Callable[[], int]:
            def now() -> int:
                self.reads += 1
                return value()

            return now

        made = PhaseClock(
            report,
            read(lambda: self.wall),
            read(lambda: self.cpu),
            read(lambda: self.threads.get(threading.get_ident(), 0)),
        )
        made.begin()
        return made


@pytest.fixture
def times(monkeypatch: pytest.MonkeyPatch) -> Times:
    monkeypatch.setattr(module, "on_cpu_ns", lambda thread: made.threads.get(thread.ident))
    made = Times()
    return made


def in_a_thread(work: Callable[[], object]) -> None:
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()


def test_time_in_an_inner_block_counts_for_that_alone(times: Times) -> None:
    clock = times.clock()
    times.spend(1)
    with clock("outer"):
        times.spend(10, 5)
        with clock("inner"):
            times.spend(100, 50)
        times.spend(1000, 500)
    times.spend(2)
    assert clock.spent() == Spent({OTHER: (3, 0), "outer": (1010, 505), "inner": (100, 50)}, {})


def test_what_lies_outside_of_all_blocks_counts_for_the_phase_that_was_switched_to(times: Times) -> None:
    clock = times.clock()
    clock.switch("data")
    times.spend(10)
    with clock("augment"):
        times.spend(100)
        clock.switch("train")  # a hook that is called inside of a program's own block
        times.spend(1000)
    times.spend(10000)
    assert clock.base == "train"
    assert clock.spent().own == {OTHER: (0, 0), "data": (10, 0), "augment": (1100, 0), "train": (10000, 0)}


def test_the_current_phase_counts_until_now_and_goes_on(times: Times) -> None:
    clock = times.clock()
    clock.switch("train")
    times.spend(3, 2)
    first = clock.spent()
    times.spend(4, 1)
    assert first.own["train"] == (3, 2)
    assert clock.spent().since(first).own == {OTHER: (0, 0), "train": (4, 1)}


def test_tasks_of_one_thread_may_leave_their_blocks_in_any_order(times: Times) -> None:
    clock = times.clock()
    one, other = clock("one"), clock("other one")
    one.__enter__()
    times.spend(1)
    other.__enter__()
    times.spend(10)
    one.__exit__(None)
    times.spend(100)
    other.__exit__(None)
    times.spend(1000)
    assert clock.spent().own == {OTHER: (1000, 0), "one": (1, 0), "other one": (110, 0)}


def test_one_block_may_be_entered_again_and_by_other_threads(times: Times) -> None:
    clock = times.clock()
    block = clock("again")
    with block:
        times.spend(1)
        with block:
            times.spend(10)
            in_a_thread(lambda: block.__enter__())  # and it is left by nobody there
        times.spend(100)
    times.spend(1000)
    block.__exit__(None)  # the other thread's
    block.__exit__(None)  # no more is open
    assert clock.spent().own == {OTHER: (1000, 0), "again": (111, 0)}


def test_a_phase_of_another_thread_counts_beside_the_training_s(times: Times) -> None:
    clock = times.clock()
    clock.switch("train")

    def work() -> None:
        times.spend(5, 4)  # in no phase
        with clock("augment"):
            times.spend(10, 8)
            clock.switch("data")  # only the training's thread can

    in_a_thread(work)
    found = clock.spent()
    assert found.own == {OTHER: (0, 0), "train": (15, 12)}
    assert found.beside == {("augment", "train"): (10, 8)}
    assert clock.base == "train"
    assert clock.spent() == found  # the thread has ended, its sums are kept


def test_a_phase_that_runs_on_in_another_thread_counts_until_now(times: Times) -> None:
    clock = times.clock()
    inside, ends = threading.Event(), threading.Event()

    def work() -> None:
        with clock("load"):
            times.spend(10, 8)
            inside.set()
            ends.wait()

    thread = threading.Thread(target=work)
    thread.start()
    inside.wait()
    running = clock.spent()
    times.threads.clear()  # a thread whose CPU time nothing tells
    untold = clock.spent()
    ends.set()
    thread.join()
    assert running.beside == {("load", OTHER): (10, 8)}
    assert untold.beside == {}


def test_a_block_that_another_thread_leaves_ends_at_its_own_thread_s_next_change(times: Times) -> None:
    clock = times.clock()
    block = clock("generator")
    block.__enter__()
    times.spend(1)
    in_a_thread(lambda: block.__exit__(None))
    times.spend(10)
    with clock("next"):
        times.spend(100)
    times.spend(1000)
    assert clock.spent().own == {OTHER: (1000, 0), "generator": (11, 0), "next": (100, 0)}


def test_a_block_that_was_entered_before_the_beginning_counts_from_it_on(times: Times) -> None:
    clock = PhaseClock(str, lambda: times.wall, lambda: times.cpu, lambda: 0)
    with clock("early"):
        times.spend(1)
        clock.begin()
        times.spend(10, 5)
    times.spend(100)
    assert clock.spent() == Spent({OTHER: (100, 0), "early": (10, 5)}, {})


def test_blocks_before_the_beginning_change_nothing_without_one() -> None:
    clock = PhaseClock()
    clock.switch("train")
    with clock("early"):
        assert clock.spent() == Spent()
        assert clock.base == OTHER
    clock.begin()
    clock.begin()
    assert clock.used
    assert set(clock.spent().own) == {OTHER}


@pytest.mark.parametrize("name", ["", "x" * (LONGEST_NAME + 1), "two\nlines", 3], ids=["empty", "long", "lines", "int"])
def test_what_is_no_name_counts_as_other_and_is_named_once(times: Times, name: Any) -> None:
    said: list[str] = []
    clock = times.clock(said.append)
    for _ in range(3):
        with clock(name):
            times.spend(1)
    assert clock.spent().own == {OTHER: (3, 0)}
    assert not clock.used
    assert len(said) == 1
    assert f"{name!r:.60}" in said[0]


def test_more_names_than_a_record_should_hold_count_as_other(times: Times) -> None:
    said: list[str] = []
    clock = times.clock(said.append)
    for number in range(MOST_NAMES + 5):
        with clock(f"phase {number}"):
            times.spend(1)
    assert clock.spent().own[OTHER] == (5, 0)
    assert len(said) == 1
    assert f"'phase {MOST_NAMES}'" in said[0]


def test_a_change_looks_at_two_clocks_and_calls_a_bounded_number_of_functions(times: Times) -> None:
    clock = times.clock()
    clock.switch("data")
    clock.switch("train")
    times.reads, calls = 0, []

    def follow(frame: Any, event: str, arg: Any) -> None:
        calls.append(event) if event in ("call", "c_call") else None

    sys.setprofile(follow)
    try:
        for _ in range(100):
            clock.switch("data")
            clock.switch("train")
    finally:
        sys.setprofile(None)
    assert times.reads == 200 * 2
    # The functions of this test's clocks are a part of them.
    assert len(calls) <= 200 * 12 + 1


def test_a_step_of_the_real_clocks_makes_no_lock_and_no_file() -> None:
    clock = PhaseClock()
    clock.begin()
    called: set[str] = set()

    def follow(frame: Any, event: str, arg: Any) -> None:
        called.add(arg.__name__) if event == "c_call" else None

    sys.setprofile(follow)
    try:
        for _ in range(100):
            clock.switch("data")
            with clock("train"):
                pass
    finally:
        sys.setprofile(None)
    assert "perf_counter_ns" in called
    assert called.isdisjoint({"open", "socket", "read", "write", "acquire", "allocate_lock"})
    own = clock.spent().own
    assert own.keys() == {OTHER, "data", "train"}
    assert all(wall >= 0 and cpu >= 0 for wall, cpu in own.values())
