"""How energy is split over phases, and that the parts add up to the whole."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eco2ai_callbacks.phases.clock import Spent
from eco2ai_callbacks.phases.shares import Split, added, together
from eco2ai_callbacks.phases.times import OTHER

amounts = st.floats(0.0, 1e9)
times = st.tuples(st.integers(0, 10**15), st.integers(0, 10**15))
names = st.sampled_from(["data", "train", "validation", OTHER])


def split(joules: dict[str, float], spent: Spent, seconds: float = 10.0) -> dict[str, tuple[float, float]]:
    found = Split()
    found.add(joules, spent)
    return found.closed(seconds, joules)


def test_processors_follow_cpu_time_and_all_else_wall_time() -> None:
    spent = Spent({"data": (8, 0), "train": (2, 30)})
    found = split({"cpu": 100.0, "ram": 10.0, "gpu:GPU-a": 1000.0}, spent)
    assert found == {"data": (8.0, 808.0), "train": (2.0, 302.0)}


def test_without_any_cpu_time_all_follows_wall_time() -> None:
    assert split({"cpu": 100.0}, Spent({"data": (8, 0), "train": (2, 0)})) == {
        "data": (8.0, 80.0),
        "train": (2.0, 20.0),
    }


def test_intervals_between_two_marks_make_the_split_finer() -> None:
    # A GPU that draws 10 W for 5 s of waiting, then 200 W for 5 s of training.
    found = Split()
    found.add({"gpu:a": 50.0}, Spent({"data": (5, 0)}))
    found.add({"gpu:a": 1000.0}, Spent({"train": (5, 0)}))
    assert found.closed(10.0, {"gpu:a": 1050.0}) == {"data": (5.0, 50.0), "train": (5.0, 1000.0)}


def test_energy_that_no_interval_saw_follows_the_wall_time() -> None:
    found = Split()
    found.add({}, Spent({"data": (5, 0), "train": (5, 0)}))
    assert found.closed(10.0, {"gpu:a": 1050.0}) == {"data": (5.0, 525.0), "train": (5.0, 525.0)}


def test_energy_of_no_known_time_is_other() -> None:
    assert Split().closed(2.0, {"cpu": 5.0}) == {OTHER: (2.0, 5.0)}
    assert Split().closed(0.0, {}) == {}


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(names, times), st.dictionaries(st.sampled_from(["cpu", "ram", "gpu:a"]), amounts), amounts)
def test_the_parts_add_up_to_the_whole(
    own: dict[str, tuple[int, int]], joules: dict[str, float], seconds: float
) -> None:
    found = split(joules, Spent(own), seconds)
    whole = math.fsum(joules.values())
    assert math.fsum(used for _, used in found.values()) == pytest.approx(whole, rel=1e-5, abs=1e-6)
    assert math.fsum(lasted for lasted, _ in found.values()) == pytest.approx(seconds, rel=1e-5, abs=1e-6)
    assert all(lasted >= 0 and used >= 0 for lasted, used in found.values())


def test_cpu_time_of_another_thread_s_phase_is_taken_from_the_phase_beside_it() -> None:
    spent = Spent({"train": (10, 100), "validation": (10, 40)}, {("augment", "train"): (10, 60)})
    assert together(spent) == {"train": (10.0, 40.0), "validation": (10.0, 40.0), "augment": (0.0, 60.0)}


def test_what_is_lacking_there_is_taken_from_all_phases() -> None:
    # Most of the block lay in the training, but it ended while data was awaited.
    spent = Spent({"train": (10, 90), "data": (10, 10)}, {("augment", "data"): (10, 55)})
    assert together(spent) == {"train": (10.0, 45.0), "data": (10.0, 0.0), "augment": (0.0, 55.0)}
    nothing = Spent({"train": (10, 0)}, {("augment", "train"): (10, 55)})
    assert together(nothing)["train"] == (10.0, 0.0)


def test_threads_share_the_wall_time_of_a_training_thread_that_is_in_no_phase() -> None:
    # The main thread waits for 4 threads that work side by side for 10.
    beside = {("decode", OTHER): (30, 30), ("resize", OTHER): (10, 10)}
    assert together(Spent({OTHER: (20, 40)}, beside)) == {
        OTHER: (0.0, 0.0),
        "decode": (15.0, 30.0),
        "resize": (5.0, 10.0),
    }


def test_splits_add_up_by_name() -> None:
    assert added({"data": (1.0, 2.0)}, {"data": (3.0, 4.0), "train": (5.0, 6.0)}) == {
        "data": (4.0, 6.0),
        "train": (5.0, 6.0),
    }
