"""Runs as plain objects."""

from __future__ import annotations

import pytest

from eco2ai_callbacks.report.runs import Portion, Run, Runs, Writer, of_portions
from eco2ai_callbacks.report.sums import Sum
from eco2ai_callbacks.usage import Usage


def portion(joules: float, rank: int = 0, parent: str | None = None, seconds: float = 2.0) -> Portion:
    return Portion(rank, "host", parent, Sum(Usage(seconds, {"cpu": joules})), {}, {}, ())


def test_ranks_ran_side_by_side_and_a_ranks_own_portions_followed_each_other() -> None:
    found = of_portions([portion(1.0), portion(2.0, parent="p", seconds=3.0), portion(4.0, rank=1, seconds=9.0)])
    assert (found.seconds, found.joules) == (5.0, {"cpu": 7.0})
    assert of_portions(()).energy_kwh is None


def test_a_portion_inside_another_run_of_the_selection_does_not_count() -> None:
    mixed = Run("r", portions=(portion(1.0), portion(2.0, parent="p")), within=frozenset({"p"}))
    assert mixed.sum.joules == {"cpu": 3.0}
    assert [each.sum.joules["cpu"] for each in mixed.counted] == [1.0]
    assert mixed.counts
    inner = Run("i", portions=(portion(2.0, parent="p"),), within=frozenset({"p"}))
    assert not inner.counts
    outer = Run("p", portions=(portion(10.0),))
    assert Runs((outer, mixed, inner)).sum.joules == {"cpu": 11.0}


def test_a_run_is_found_by_the_beginning_of_its_id() -> None:
    runs = Runs((Run("abc"), Run("abd"), Run("x"), Run("xy")))
    assert runs["abc"].id == "abc"
    assert runs["x"].id == "x"
    assert runs[1].id == "abd"
    assert [run.id for run in runs] == ["abc", "abd", "x", "xy"]
    assert len(runs) == 4
    with pytest.raises(KeyError, match="2 runs"):
        runs["ab"]


def test_a_session_that_another_continues_is_no_end() -> None:
    writers = (
        Writer("a", 0, "h", None, None, None, True, 1),
        Writer("b", 0, "h", None, None, "finished", False, 1),
        Writer("c", 1, "g", None, None, None, False, 1),
    )
    run = Run("r", writers=writers, world_size=3)
    assert run.states == ("finished", "unfinished")
    assert (run.ranks, run.hosts, run.said) == ((0, 1), ("h", "g"), "2 of 3 ranks")
    assert (run.started, run.ended) == (None, None)
