"""What the ranks of a job exchange, and what it adds up to."""

from __future__ import annotations

import os
from typing import Any

import pytest

from eco2ai_callbacks.distributed.job import JobTotals
from eco2ai_callbacks.distributed.messages import RankStart, RankUsage
from eco2ai_callbacks.guard import Guard
from eco2ai_callbacks.usage import Usage

MINE = RankUsage(total=Usage(2.0, {"cpu": 10.0}, 1.0), samples=3)
OTHER = RankUsage(total=Usage(2.5, {"cpu": 32.0}, 4.0), samples=4)


def joined(*others: Any, rank: int = 0) -> tuple[JobTotals, Guard, list[Any]]:
    """A job whose other ranks always send the same."""
    guard, sent = Guard(), []
    job = JobTotals(guard)

    def gather(message: Any) -> list[Any]:
        sent.append(message)
        return [*others[:rank], message, *others[rank:]]

    job.join(gather, (rank, 2))
    return job, guard, sent


def test_alone_a_process_is_the_job() -> None:
    job = JobTotals(Guard())
    assert job.synchronized
    assert job.add(MINE) is MINE
    assert (job.total, job.ranks, job.others) == (None, None, Usage())
    assert job.exchange("a message") == ["a message"]


def test_before_the_first_exchange_ranks_may_hold_different_totals() -> None:
    job, _, _ = joined(OTHER)
    assert not job.synchronized
    job.add(MINE)
    assert job.synchronized


def test_one_addition_is_one_exchange_and_the_sum_of_all_ranks() -> None:
    job, _, sent = joined(OTHER)
    total = job.add(MINE)
    assert sent == [MINE]
    assert total.total == job.total == Usage(2.0, {"cpu": 42.0}, 5.0)
    assert total.samples == 7
    assert job.others == Usage(0.0, {"cpu": 32.0}, 4.0)
    assert job.ranks == 2


def test_a_rank_that_measures_nothing_adds_nothing_and_is_not_counted() -> None:
    job, guard, _ = joined(RankUsage(failures=("no meter",)))
    assert job.add(MINE).total.joules == {"cpu": 10.0}
    assert job.ranks == 1
    assert guard.failures == ("rank 1: no meter",)
    assert guard.local_failures == ()


def test_a_rank_that_misses_something_sends_why() -> None:
    job, guard, sent = joined(OTHER)
    job.add(RankUsage())
    assert sent[-1].failures == ("nothing can be measured",)
    guard.record("NVML: gone")
    job.add(RankUsage())
    assert sent[-1].failures == ("NVML: gone",)
    job.add(MINE)
    assert sent[-1].failures == ()


def test_a_rank_that_could_not_start_takes_part_all_the_same() -> None:
    job, guard, sent = joined(RankStart())
    guard.record("tracker: no host")
    assert job.exchange_starts(None) == [RankStart(failures=("tracker: no host",)), RankStart()]
    assert len(sent) == 1


def ending(answer: bool) -> tuple[JobTotals, list[Any], list[bool]]:
    """A job whose ranks are to meet at its end, and whether they do."""
    job, _, sent = joined(OTHER)
    asked: list[bool] = []

    def meet(able: bool) -> bool:
        asked.append(able)
        return able and answer

    assert job._gather is not None
    job.join(job._gather, (0, 2), meet)
    return job, sent, asked


def test_the_end_is_exchanged_once_where_all_ranks_come_to_it() -> None:
    job, sent, asked = ending(answer=True)
    job.finish(MINE.total)
    job.finish(MINE.total)
    assert (sent, asked) == ([RankUsage(total=MINE.total)], [True])


@pytest.mark.parametrize(("answer", "interrupted"), [(False, False), (True, True)], ids=["other", "this one"])
def test_nothing_is_exchanged_at_the_end_where_a_rank_was_interrupted(answer: bool, interrupted: bool) -> None:
    job, sent, asked = ending(answer)
    job.finish(MINE.total, interrupted=interrupted)
    assert (sent, asked) == ([], [not interrupted])


def test_ranks_that_are_to_meet_only_where_their_framework_synchronises_them_exchange_nothing_at_the_end() -> None:
    job, _, sent = joined(OTHER)
    job.add(MINE)
    job.finish(MINE.total)
    assert sent == [MINE]


def test_what_the_framework_s_collective_raises_is_raised() -> None:
    job = JobTotals(Guard())

    def gather(message: object) -> list[object]:
        raise ConnectionError("a rank is gone")

    job.join(gather, (0, 2))
    with pytest.raises(ConnectionError):
        job.add(MINE)


def test_a_forked_child_is_no_rank(monkeypatch: pytest.MonkeyPatch) -> None:
    job, _, sent = joined(OTHER)
    pid = os.getpid() + 1
    monkeypatch.setattr("os.getpid", lambda: pid)
    assert job.exchange("a message") == ["a message"]
    assert sent == []
