"""Whether all ranks of a group come to the same point."""

from __future__ import annotations

import types
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from fake_torch import Store, Torch

from eco2ai_callbacks.distributed.meeting import Meeting
from eco2ai_callbacks.distributed.process_group import Group, torch_group

# No test that passes waits so long.
LONG_S = 120.0


@pytest.fixture
def store() -> Store:
    return Store()


def group(store: Store, size: int) -> list[Meeting]:
    return [Meeting(lambda: store, rank, size) for rank in range(size)]


def together(*calls: Callable[[], object]) -> list[object]:
    with ThreadPoolExecutor(len(calls)) as pool:
        return [found.result() for found in [pool.submit(call) for call in calls]]


def asked(ranks: list[Meeting], wait_s: float = LONG_S) -> list[object]:
    return together(*(lambda rank=rank: rank.all_ask(wait_s) for rank in ranks))  # type: ignore[misc]


def test_all_ranks_find_each_other_at_the_start_and_at_the_end(store: Store) -> None:
    ranks = group(store, 3)
    assert asked(ranks) == [True] * 3
    assert asked(ranks) == [True] * 3


@pytest.mark.parametrize("present", [(0,), (1,), (0, 1), (1, 2)], ids=["first", "other", "two", "without the first"])
def test_where_some_do_not_ask_those_that_do_know_it_alike(store: Store, present: tuple[int, ...]) -> None:
    ranks = group(store, 3)
    assert asked([ranks[rank] for rank in present], wait_s=0.1) == [False] * len(present)
    assert asked(group(store, 3)) == [True] * 3, "they have left nothing that counts"


def test_one_that_comes_after_the_first_has_given_up_waits_no_longer(store: Store) -> None:
    first, late, _ = group(store, 3)
    assert together(lambda: first.all_ask(0.5), lambda: late.all_ask(LONG_S)) == [False, False]


def test_nobody_waits_for_a_rank_that_has_left(store: Store) -> None:
    ranks = group(store, 3)
    assert asked(ranks) == [True] * 3
    ranks[2].leave()
    assert asked(ranks[:2]) == [False] * 2


@pytest.mark.parametrize("size", [1, 2, 3, 4], ids=["alone", "two", "three", "four"])
def test_a_group_that_is_made_again_in_the_same_store_meets_in_full(store: Store, size: int) -> None:
    """As under torchrun, which keeps the store of ranks that it starts again, in any number."""
    before = group(store, 3)
    assert asked(before) == [True] * 3
    before[1].leave()  # by SIGTERM, and another was killed while it asked
    together(lambda: Meeting(lambda: store, 1, 3).all_ask(0.05), lambda: Meeting(lambda: store, 0, 3).all_ask(0.05))
    ranks = group(store, size)
    assert asked(ranks) == [True] * size
    assert asked(ranks) == [True] * size
    ranks[0].leave()
    assert asked(group(store, size)) == [True] * size


def test_the_word_of_a_first_rank_that_is_no_more_is_not_taken(store: Store) -> None:
    assert asked(group(store, 2)) == [True] * 2
    assert Meeting(lambda: store, 1, 2).all_ask(0.05) is False


def test_ranks_of_torch_that_were_started_again_exchange() -> None:
    store = Store()

    class Ranked(Torch):
        def __init__(self, rank: int) -> None:
            super().__init__(2, store=store)
            self.rank = rank

        def get_rank(self) -> int:
            return self.rank

    def started() -> list[Group]:
        found = together(*(lambda rank=rank: torch_group({"torch": Ranked(rank)}, LONG_S) for rank in range(2)))  # type: ignore[misc]
        return [each for each in found if isinstance(each, Group)]

    killed = started()
    assert len(killed) == 2
    assert killed[1].meet(False) is False  # interrupted
    again = started()
    assert [each.rank for each in again] == [0, 1]
    assert together(*(lambda each=each: each.meet(True) for each in again)) == [True, True]  # type: ignore[misc]


# In a job of 4,096, together no more often than in one of 100. The first rank asks for the answer and for ranks that
# have left; another one for the first one's word.
@pytest.mark.parametrize(("rank", "asks"), [(0, 2), (1, 1)], ids=["first", "other"])
@pytest.mark.parametrize(("size", "each_per_s"), [(2, 100.0), (64, 100.0), (4096, 10_000 / 4096)])
def test_the_ranks_of_a_large_job_look_less_often_each(
    size: int, each_per_s: float, rank: int, asks: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, looks = [0.0], [0]

    class Counted(Store):
        def check(self, keys: list[str]) -> bool:
            looks[0] += 1
            return super().check(keys)

    def sleep(seconds: float) -> None:
        now[0] += seconds

    clock = types.SimpleNamespace(monotonic=lambda: now[0], sleep=sleep)
    monkeypatch.setattr("eco2ai_callbacks.distributed.meeting.time", clock)
    counted = Counted()
    assert Meeting(lambda: counted, rank, size).all_ask(30.0) is False
    assert 30.0 < now[0] < 32.0
    assert looks[0] / asks / now[0] == pytest.approx(each_per_s, rel=0.05)
