from __future__ import annotations

from pathlib import Path

import pytest
from sessions import Written

from eco2ai_callbacks.runlog.read import lines, records, total
from eco2ai_callbacks.runlog.resume import (
    PriorUsage,
    inheriting_rank,
    load_prior,
    unfinished,
)
from eco2ai_callbacks.usage import Usage


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "eco2ai.jsonl"


def own(log: Path, digit: str) -> Path:
    """A writer's own file beside the log."""
    return log.with_name(f"eco2ai.{digit * 16}.jsonl")


class TestBefore:
    def test_of_an_unknown_run_nothing_is_known(self, log: Path):
        assert load_prior(log, "run") == PriorUsage()
        Written(log).stop()
        assert load_prior(log, "other") == PriorUsage()

    def test_it_is_the_sum_the_attempts_and_the_end(self, log: Path):
        first = Written(log)
        first.mark(epoch=0)
        first.mark(epoch=1, event="stage")
        first.heartbeat(epoch=1)
        Written(log, run="other").mark(epoch=7)
        known = load_prior(log, "run")
        assert known.usage == total(record for record in records(log) if record.run == "run")
        assert known.usage.seconds == 6.0
        assert known.attempts == {0: 1, 1: 1}
        end = [line for line in lines(log) if line.record.writer == first.writer][-1]
        assert known.continues == {"writer": first.writer, "hash": end.hash}

    def test_an_epoch_that_was_done_again_has_its_latest_attempt(self, log: Path):
        session = Written(log)
        session.mark(epoch=0, attempt=2)
        session.mark(epoch=0, attempt=1)
        session.mark(epoch=1, attempt=None)
        session.mark(epoch=2, stage="validate", event="stage", attempt=5)
        assert load_prior(log, "run").attempts == {0: 2, 1: 1}

    def test_each_part_continues_the_one_before_it(self, log: Path):
        writers = []
        for _ in range(3):
            session = Written(log)
            session.mark()
            writers.append(session.writer)
        continued = [r.continues and r.continues["writer"] for r in records(log) if r.event == "start"]
        assert continued == [None, *writers[:2]]
        assert load_prior(log, "run").usage.seconds == 6.0

    @pytest.mark.parametrize("names", ["012", "210", "102"])
    def test_in_files_of_their_own_the_end_is_the_part_that_nobody_continues(self, log: Path, names: str):
        for digit in names:
            last = Written(log)
            last.stop()
            log.rename(own(log, digit))
        known = load_prior(log, "run")
        assert known.continues is not None
        assert known.continues["writer"] == last.writer
        assert known.usage.seconds == 6.0

    def test_a_log_that_goes_in_circles_has_an_end_too(self, log: Path):
        session = Written(log)
        text = log.read_text().replace('"continues":null', f'"continues":{{"writer":"{session.writer}","hash":"x"}}')
        log.write_text(text)
        known = load_prior(log, "run").continues
        assert known is not None
        assert known["writer"] == session.writer

    def test_each_rank_goes_on_with_its_own_part_and_the_first_with_those_that_are_no_more(self, log: Path):
        for rank in range(3):
            Written(log, rank=rank, world_size=3).mark(epoch=rank)
        alone = [load_prior(log, "run", rank, 3) for rank in range(3)]
        assert [known.usage.seconds for known in alone] == [2.0, 2.0, 2.0]
        assert alone[0].attempts == alone[2].attempts == {0: 1, 1: 1, 2: 1}
        assert load_prior(log, "run", 0, 1).usage.seconds == 6.0
        new = load_prior(log, "run", 3, 4)
        assert (new.usage, new.continues) == (Usage(), None)
        assert new.attempts == {0: 1, 1: 1, 2: 1}
        # Of the job every rank knows the same: energies add up, the time is the first rank's.
        assert {known.job for known in (*alone, new)} == {Usage(2.0, {"cpu": 108.0}, new.job.grams)}
        assert [inheriting_rank(rank, 2) for rank in range(4)] == [0, 1, 0, 0]


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
        Written(log).stop("interrupted")
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
