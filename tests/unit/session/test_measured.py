"""Blocks and functions with a run of their own; :mod:`tests.unit.test_tracker` measures real ones."""

from __future__ import annotations

from typing import Self

import pytest

from eco2ai_callbacks.session.measured import Measured


class Run:
    """What measures, and how it ended."""

    def __init__(self) -> None:
        self.ended: str | None = None

    def start(self) -> Self:
        return self

    def stop(self, ended: str | None = None) -> None:
        self.ended = ended or "finished"

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.stop(None if kind is None else "interrupted")


class Failing(Run):
    def start(self) -> Self:
        raise KeyboardInterrupt


def test_each_block_has_a_run_of_its_own() -> None:
    measured = Measured(Run)
    with measured as outer, measured as inner:
        assert outer is not inner
    assert (outer.ended, inner.ended) == ("finished", "finished")
    with pytest.raises(ValueError, match="mine"), measured as failed:
        raise ValueError("mine")
    assert failed.ended == "interrupted"


def test_a_start_that_is_interrupted_ends_its_run() -> None:
    made: list[Failing] = []

    def run() -> Failing:
        made.append(Failing())
        return made[-1]

    with pytest.raises(KeyboardInterrupt), Measured(run):
        pytest.fail("the block is not entered")
    assert made[0].ended == "interrupted"


def test_leaving_what_was_not_entered_ends_nothing() -> None:
    Measured(Run).__exit__(None, None, None)


def test_a_function_has_a_run_at_each_call() -> None:
    runs: list[Run] = []

    def run() -> Run:
        runs.append(Run())
        return runs[-1]

    @Measured(run)
    def double(value: int) -> int:
        return 2 * value

    assert (double(2), double(3)) == (4, 6)
    assert [each.ended for each in runs] == ["finished", "finished"]
