from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
from long_logs import count_blocks, fill
from report_logs import later
from sessions import Written

from eco2ai_callbacks.runlog import resume
from eco2ai_callbacks.runlog.anchors import MOST_BYTES
from eco2ai_callbacks.runlog.hashing import LINK_DIGITS, canonical
from eco2ai_callbacks.runlog.prior import PriorUsage
from eco2ai_callbacks.runlog.read import lines, records, total
from eco2ai_callbacks.runlog.resume import load_prior
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
        assert known.continues == {"writer": first.writer, "hash": end.hash[:LINK_DIGITS]}

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
        link = f'"continues":{{"writer":"{session.writer}","hash":"x"}},"attempts":'
        log.write_text(log.read_text().replace('"attempts":', link, 1))
        assert records(log)[0].continues is not None
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


class TestFromTheEnd:
    """What is read, in bytes, and that it is the same as a sum over all lines."""

    @pytest.fixture
    def read(self, monkeypatch: pytest.MonkeyPatch) -> list[int]:
        """The bytes of each block that is read from the end."""
        return count_blocks(monkeypatch)

    def test_a_run_at_the_end_of_a_long_log_costs_its_last_mebibytes(self, log: Path, read: list[int]):
        fill(log, 6 * 2**20)
        mine = Written(log)
        mine.mark(epoch=0)
        read.clear()
        assert load_prior(log, "run").usage.seconds == 2.0
        assert sum(read) < 2.5 * 2**20

    def test_a_long_run_costs_its_last_mebibytes_and_knows_every_epoch(self, log: Path, read: list[int]):
        mine = Written(log)
        for epoch in range(600):
            mine.mark(epoch=epoch, metrics={"x": "x" * 5000})
        read.clear()
        known = load_prior(log, "run")
        assert sum(read) < 2.5 * 2**20 < log.stat().st_size
        assert known.usage.seconds == 1200.0
        assert len(known.attempts) == 600

    def test_a_run_far_back_and_one_that_is_not_there_cost_no_more_in_a_longer_log(self, log: Path, read: list[int]):
        Written(log).mark(epoch=0)
        costs = []
        for size in (2**21, 2**24):
            fill(log, size)
            # Another session, whose first line leads to those before.
            Written(log, run="new").mark()
            for run, seconds in (("run", 2.0), ("none", 0.0)):
                read.clear()
                prior = load_prior(log, run)
                assert prior.usage.seconds == seconds
                assert prior.note is None
                costs.append(sum(read))
        assert max(costs) < 2.5 * 2**20
        assert log.stat().st_size > MOST_BYTES

    @pytest.mark.parametrize("seed", range(6))
    def test_it_is_the_sum_of_all_records(self, log: Path, seed: int):
        chance = random.Random(seed)
        for _ in range(4):
            session = Written(log)
            for _ in range(chance.randrange(6)):
                act = chance.choice([session.mark, session.heartbeat, session.note])
                act()
            if chance.random() < 0.5:
                session.stop("interrupted")
            Written(log, run="other").mark()
            with log.open("a") as file:
                file.write(chance.choice(["", "foreign\n", '{"schema":1,"run":"run","writer":"x","to\n']))
        known, exact = load_prior(log, "run"), resume._summed(log, "run", 0, 1)
        assert known.usage.seconds == exact.usage.seconds
        assert known.usage.joules == exact.usage.joules
        assert known.usage.grams == pytest.approx(exact.usage.grams)
        assert known.continues == exact.continues
        assert known.attempts == exact.attempts

    def test_sessions_that_overlap_are_summed_line_by_line(self, log: Path):
        one = Written(log)
        one.mark()
        two = Written(log)
        one.mark()
        two.mark()
        assert load_prior(log, "run").usage.seconds == 6.0

    def test_records_without_totals_are_summed_line_by_line(self, log: Path):
        Written(log).mark()
        rows = [json.loads(line) | {"attempts": None} for line in log.read_text().splitlines()]
        log.write_text("".join(f"{canonical(row)}\n" for row in rows))
        assert load_prior(log, "run").usage == total(records(log))

    def test_a_note_behind_a_heartbeat_hides_nothing(self, log: Path):
        session = Written(log)
        session.mark()
        session.heartbeat()
        session.note(loss=0.5)
        known = load_prior(log, "run")
        assert known.usage.seconds == 4.0
        assert known.continues == {"writer": session.writer, "hash": [*lines(log)][-1].hash[:LINK_DIGITS]}

    def test_writers_of_many_ranks_in_files_of_their_own(self, log: Path):
        for rank in range(10):
            Written(log, rank=rank, world_size=10).mark(epoch=rank)
            log.rename(own(log, str(rank)))
        assert [load_prior(log, "run", rank, 10).usage.seconds for rank in range(10)] == [2.0] * 10
        assert load_prior(log, "run", 0, 4).usage.seconds == 2.0 + 6 * 2.0

    def test_ranks_that_the_first_one_took_over_are_counted_once(self, log: Path):
        for rank in range(3):
            Written(log, rank=rank, world_size=3).mark()
        Written(log, rank=0, world_size=1).mark()
        assert load_prior(log, "run", 0, 1).usage.seconds == 8.0
        Written(log, rank=0, world_size=1).mark()
        assert load_prior(log, "run", 0, 1).usage.seconds == 10.0


class TestAfterALaterVersion:
    def test_a_run_that_it_went_on_with_says_what_is_not_known(self, log: Path):
        first = Written(log)
        first.mark()
        later(log, run="run")
        known = load_prior(log, "run")
        assert known.usage.seconds == 2.0
        assert known.continues["writer"] == first.writer
        assert known.note == "run run has lines of schema 9 in eco2ai.jsonl, which this version does not know"

    def test_a_run_of_which_nothing_else_is_known_says_so(self, log: Path):
        later(log, run="run")
        assert load_prior(log, "run").note is not None

    def test_another_run_is_not_concerned(self, log: Path):
        Written(log).mark()
        later(log, run="other")
        assert load_prior(log, "run").note is None
