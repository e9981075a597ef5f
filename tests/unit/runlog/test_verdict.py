from __future__ import annotations

from pathlib import Path

import pytest

from eco2ai_callbacks.runlog.chain_check import Fault
from eco2ai_callbacks.runlog.run_check import RunCheck
from eco2ai_callbacks.runlog.verdict import Verdict, checked_run, first_of_each_line

A, B = Path("a.jsonl"), Path("b.jsonl")


def test_of_each_line_the_first_fault_is_kept_in_the_order_of_the_files():
    one, other = Fault("changed", A, 3, "first"), Fault("changed", A, 3, "second")
    later, earlier = Fault("removed", B, 1, "in b"), Fault("removed", A, 2, "in a")
    assert first_of_each_line([later, one, other, earlier], [A, B]) == [earlier, one, later]


@pytest.mark.parametrize(("faults", "elsewhere", "first"), [((), (), None), ((), ("e",), "e"), (("f",), ("e",), "f")])
def test_an_alteration_comes_before_lines_that_are_elsewhere(
    faults: tuple[str, ...], elsewhere: tuple[str, ...], first: str | None
):
    def named(whys: tuple[str, ...]) -> tuple[Fault, ...]:
        return tuple(Fault("changed", A, 1, why) for why in whys)

    verdict = Verdict((A,), 1, False, named(faults), (), (), named(elsewhere))
    assert verdict.whole is (first is None)
    assert (verdict.first.why if verdict.first else None) == first


def test_a_run_without_a_stop_is_unfinished():
    assert checked_run("run", RunCheck(), set(), partial=False).state == "unfinished"
