"""What a run has used before: nothing, until a log says otherwise."""

from __future__ import annotations

from eco2ai_callbacks.runlog.prior import PriorUsage, inheriting_rank
from eco2ai_callbacks.usage import Usage


def test_a_new_run_has_used_nothing() -> None:
    prior = PriorUsage()
    assert (prior.usage, prior.job, prior.attempts, prior.continues, prior.note) == (Usage(), Usage(), {}, None, None)


def test_a_rank_that_is_no_longer_there_is_continued_by_the_first() -> None:
    assert [inheriting_rank(rank, 2) for rank in range(4)] == [0, 1, 0, 0]
