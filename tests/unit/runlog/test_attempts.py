"""How often each epoch was begun, as ranges."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from eco2ai_callbacks.runlog.attempts import MOST, Attempts, latest_attempts


def test_epochs_in_a_row_are_one_range() -> None:
    attempts = Attempts()
    for epoch in range(1000):
        for _ in range(3):
            attempts.add(epoch, 1)
    assert attempts.ranges == ((0, 999, 1),)


def test_epochs_that_are_done_again_begin_a_range() -> None:
    attempts = Attempts({0: 1, 1: 1, 2: 1})
    attempts.add(1, 2)
    attempts.add(2, 2)
    attempts.add(3, 1)
    assert attempts.ranges == ((0, 2, 1), (1, 2, 2), (3, 3, 1))
    assert latest_attempts(attempts.ranges) == {0: 1, 1: 2, 2: 2, 3: 1}


def test_the_number_of_ranges_is_bounded_and_the_latest_stay() -> None:
    attempts = Attempts()
    for epoch in range(0, 1000, 2):
        attempts.add(epoch, 1)
    assert len(attempts.ranges) == MOST
    assert attempts.ranges[-1] == (998, 998, 1)


@given(st.dictionaries(st.integers(0, 9), st.integers(1, 3)))
def test_what_was_known_is_what_is_read(before: dict[int, int]) -> None:
    assert latest_attempts(Attempts(before).ranges) == before


@given(st.lists(st.integers(0, 6), max_size=30), st.dictionaries(st.integers(0, 6), st.integers(1, 3)))
def test_epochs_are_counted_each_time_that_they_begin(epochs: list[int], known: dict[int, int]) -> None:
    attempts, counted = Attempts(known), dict(known)
    for epoch in epochs:
        attempts.begin(epoch)
        counted[epoch] = counted.get(epoch, 0) + 1
        assert [attempts.of(each) for each in range(8)] == [counted.get(each, 0) for each in range(8)]
