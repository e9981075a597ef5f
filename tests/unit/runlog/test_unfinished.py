"""The runs that a fit may continue, from the end of the log."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from long_logs import count_blocks, fill
from sessions import Written

from eco2ai_callbacks.runlog import unfinished as module
from eco2ai_callbacks.runlog.unfinished import unfinished


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "eco2ai.jsonl"


def own(log: Path, digit: str) -> Path:
    """A writer's own file beside the log."""
    return log.with_name(f"eco2ai.{digit * 16}.jsonl")


class TestUnfinished:
    def find(self, log: Path, living: tuple[str, ...] = ()) -> list[str]:
        return unfinished(log, "demo", "host", living)

    def test_a_run_that_was_interrupted_without_a_word_is(self, log: Path):
        Written(log, run="killed").mark()
        Written(log, run="whole").stop()
        assert self.find(log) == ["killed"]

    def test_the_oldest_comes_first(self, log: Path):
        for run in ("b", "a", "c"):
            Written(log, run=run)
        assert self.find(log) == ["b", "a", "c"]

    def test_one_that_somebody_writes_is_not(self, log: Path):
        session = Written(log)
        assert self.find(log, (session.writer,)) == []

    def test_one_of_another_project_or_host_is_not(self, log: Path):
        Written(log, run="a", project="other")
        Written(log, run="b", host="other")
        assert self.find(log) == []

    def test_one_that_was_resumed_and_ended_is_not(self, log: Path):
        Written(log).mark()
        Written(log, host="another").stop()
        assert self.find(log) == []

    def test_one_that_was_resumed_and_killed_again_is(self, log: Path):
        Written(log).stop()
        assert self.find(log) == []
        Written(log).mark()
        assert self.find(log) == ["run"]

    @pytest.mark.parametrize("names", ["01", "10"])
    def test_the_order_of_files_does_not_matter(self, log: Path, names: str):
        Written(log).mark()
        log.rename(own(log, names[0]))
        Written(log).stop()
        log.rename(own(log, names[1]))
        assert self.find(log) == []


class TestInterrupted:
    """The run that a fit continues, where no checkpoint names it."""

    def runs(self, log: Path, **args: Any) -> list[str]:
        return unfinished(log, "demo", "host", [], **args)

    def test_a_run_that_was_interrupted_is_one_to_continue(self, log: Path):
        Written(log, "done").stop()
        Written(log, "budget").stop(ended="budget: the budget of 1 kWh is used up")
        Written(log, "interrupted").stop(ended="interrupted")
        assert self.runs(log) == ["interrupted"]

    def test_of_several_it_is_the_only_killed_one(self, log: Path):
        Written(log, "given up").stop(ended="interrupted")
        assert self.runs(log) == ["given up"]
        Written(log, "killed").mark()
        assert self.runs(log) == ["killed"]
        Written(log, "killed too").mark()
        assert self.runs(log) == ["given up", "killed", "killed too"]

    def test_it_has_reached_the_epoch_before_the_first(self, log: Path):
        Written(log, "at once").stop(ended="interrupted")
        later = Written(log, "later")
        later.mark(epoch=3)
        later.stop(ended="interrupted")
        assert self.runs(log, first_epoch=4) == ["later"]
        assert self.runs(log, first_epoch=5) == []
        assert self.runs(log) == ["at once", "later"]

    def test_it_is_no_longer_interrupted_once_it_was_continued_to_its_end(self, log: Path):
        Written(log, "run").stop(ended="interrupted")
        Written(log, "run").stop()
        assert self.runs(log) == []


class TestFromTheEnd:
    @pytest.fixture
    def read(self, monkeypatch: pytest.MonkeyPatch) -> list[int]:
        """The bytes of each block that is read from the end."""
        return count_blocks(monkeypatch)

    def test_a_run_without_an_end_is_looked_for_in_a_bounded_part(
        self, log: Path, read: list[int], monkeypatch: pytest.MonkeyPatch
    ):
        monkeypatch.setattr(module, "UNFINISHED_BYTES", 2**20)
        fill(log, 4 * 2**20)
        Written(log, run="killed").mark()
        read.clear()
        assert unfinished(log, "demo", "host", ()) == ["killed"]
        assert sum(read) < 2.5 * 2**20

    def test_of_many_files_those_that_were_written_last_are_looked_at(
        self, log: Path, read: list[int], monkeypatch: pytest.MonkeyPatch
    ):
        monkeypatch.setattr(module, "UNFINISHED_BYTES", 2**20)
        for digit in "0123":
            fill(own(log, digit), 2**20)
            os.utime(own(log, digit), (1, 1))
        Written(log, run="killed").mark()
        read.clear()
        assert unfinished(log, "demo", "host", ()) == ["killed"]
        assert sum(read) < 2.5 * 2**20
