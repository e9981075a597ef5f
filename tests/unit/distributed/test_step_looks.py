"""What all ranks have used, at steps of an epoch on which they agree."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest
from fake_torch import Store, Torch
from hypothesis import given, settings
from hypothesis import strategies as st

from eco2ai_callbacks.distributed.messages import SharedStore
from eco2ai_callbacks.distributed.process_group import torch_store
from eco2ai_callbacks.distributed.step_looks import StepLooks
from eco2ai_callbacks.usage import Usage

PERIOD_S = 5.0


class Job:
    """Ranks whose steps take ``pace_s`` seconds, and use 1 J and 0.5 g a second each."""

    def __init__(self, ranks: int, pace_s: float = 1.0, store: Store | None = None) -> None:
        self.store = Store() if store is None else store
        shared = torch_store({"torch": Torch(2, store=self.store)})
        assert shared is not None
        self.pace_s = pace_s
        self.looks = [StepLooks(shared, "look/fit", ranks, PERIOD_S) for _ in range(ranks)]
        self.done = [0] * ranks
        self.since = 0
        self.epoch = 0
        self.reads = [0] * ranks
        self.found: list[list[tuple[int, Usage]]] = [[] for _ in range(ranks)]

    def step(self, rank: int) -> None:
        self.done[rank] += 1

        def used() -> Usage:
            self.reads[rank] += 1
            seconds = (self.done[rank] - self.since) * self.pace_s
            return Usage(seconds, {"cpu": seconds}, 0.5 * seconds)

        found = self.looks[rank].step(lambda: self.done[rank] * self.pace_s, used, self.epoch)
        if found is not None:
            self.found[rank].append((self.done[rank], found))

    def together(self, steps: int) -> None:
        for _ in range(steps):
            for rank in range(len(self.looks)):
                self.step(rank)

    def exchange(self) -> None:
        """What the ranks have used so far is summed up, as at an epoch's end."""
        self.since, self.epoch = self.done[0], self.epoch + 1

    @property
    def steps(self) -> list[int]:
        """The steps at which all ranks have looked; the same on all, with the same figures."""
        assert all(found == self.found[0] for found in self.found)
        return [step for step, _ in self.found[0]]


def test_all_ranks_get_the_same_sum_at_the_same_steps() -> None:
    job = Job(3)
    job.together(40)
    assert job.steps == [2, 4, 10, 16, 22, 28, 34, 40], "a look every five seconds or so, once the pace is known"
    # What was used up to the step before, by three ranks.
    assert job.found[0][3][1] == Usage(0.0, {"ranks": 45.0}, 22.5)
    assert job.reads == [8, 8, 8], "the meters are read once for each look"


def test_short_steps_are_looked_at_every_few_seconds_too() -> None:
    job = Job(2, pace_s=0.001)
    job.together(30_000)
    assert job.steps[-1] - job.steps[-2] == 5000
    assert len(job.store.held) < 60


def test_a_long_fit_looks_less_often() -> None:
    job = Job(2, pace_s=60.0)
    job.together(40_000)
    apart = [later - one for one, later in zip(job.steps, job.steps[1:], strict=False)]
    assert apart[0] == 2
    assert 150 < apart[-1] < 210, "half a percent of the time before"
    assert len(job.steps) < 1200


def test_one_rank_that_tells_nothing_stops_the_looks_and_delays_nobody() -> None:
    job = Job(3)
    for _ in range(3000):
        job.step(0)
        job.step(1)
    assert job.found == [[], [], []]
    assert job.reads[0] < 10


def test_what_was_told_before_an_exchange_is_not_added_to_what_that_has_summed_up() -> None:
    job = Job(2)
    job.together(9)  # told at the ninth step, to be summed up at the tenth
    job.exchange()
    job.together(7)
    assert job.steps == [2, 4, 16]
    assert job.found[0][-1][1].joules == {"ranks": 12.0}


def test_a_rank_on_which_co2_is_unknown_leaves_it_unknown() -> None:
    shared = torch_store({"torch": Torch(2, store=Store())})
    assert shared is not None
    looks = [StepLooks(shared, "look/fit", 2, PERIOD_S) for _ in range(2)]
    known = [Usage(1.0, {"cpu": 2.0}, 3.0), Usage(1.0, {"cpu": 2.0})]
    for look, usage in zip(looks, known, strict=True):
        assert look.step(lambda: 0.0, lambda usage=usage: usage, 0) is None  # type: ignore[misc]
    assert [look.step(lambda: 0.0, Usage, 0) for look in looks] == [Usage(0.0, {"ranks": 4.0})] * 2


def test_a_store_that_fails_is_asked_again_at_the_next_step() -> None:
    class Failing(Store):
        fails = False

        def compare_set(self, key: str, expected: str, value: str) -> bytes:
            if self.fails:
                raise ConnectionError("the store has gone")
            return super().compare_set(key, expected, value)

    store = Failing()
    job = Job(2, store=store)
    job.together(9)
    store.fails = True
    with pytest.raises(ConnectionError):
        job.step(0)
    store.fails = False
    job.step(1)
    job.step(0)  # a step late, the figures of the others
    assert [found[-1] for found in job.found] == [(11, job.found[1][-1][1]), (10, Usage(0.0, {"ranks": 18.0}, 9.0))]


def interleaved(ranks: int, steps: int, lead: int, seed: int) -> Iterator[int]:
    """Ranks in an order in which none is more than ``lead`` steps before another."""
    chance, done = random.Random(seed), [0] * ranks
    while min(done) < steps:
        ready = [rank for rank in range(ranks) if done[rank] < min(steps, min(done) + lead)]
        rank = chance.choice(ready)
        done[rank] += 1
        yield rank


@given(st.integers(2, 5), st.integers(1, 40), st.integers(0, 2**32))
@settings(max_examples=60, deadline=None)
def test_in_any_order_of_the_ranks_all_look_at_the_same_steps(ranks: int, lead: int, seed: int) -> None:
    job = Job(ranks)
    for rank in interleaved(ranks, 300, lead, seed):
        job.step(rank)
    assert job.steps
    for step, usage in job.found[0]:
        assert usage.total_j is not None
        assert 0 < usage.total_j <= ranks * step


def test_the_store_holds_text_and_whole_numbers_alone() -> None:
    told: list[object] = []
    held: dict[str, str] = {}
    counts: dict[str, int] = {}

    def add(key: str, number: int) -> int:
        told.append(number)
        counts[key] = counts.get(key, 0) + number
        return counts[key]

    def agree(key: str, value: str) -> str:
        held[key] = held.get(key) or value
        return held[key]

    look = StepLooks(SharedStore(agree, add), "look/fit", 1, PERIOD_S)
    for _ in range(2):
        look.step(lambda: 0.0, lambda: Usage(1.0, {"cpu": 0.1 + 0.2}, 0.1), 0)
    assert all(type(each) is int for each in told)
    assert list(held.values()) == ["[300, 100000, 3]"]
