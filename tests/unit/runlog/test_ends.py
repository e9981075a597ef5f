"""The last records of a run in one file."""

from __future__ import annotations

from pathlib import Path

import pytest
from sessions import Written

from eco2ai_callbacks.runlog import anchors, ends
from eco2ai_callbacks.runlog.ends import ends_in, usage_of
from eco2ai_callbacks.runlog.resume import load_prior
from eco2ai_callbacks.usage import Usage

EARLY = Path(__file__).parent / "schema1" / "finished.jsonl"


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "eco2ai.jsonl"


def test_each_rank_has_its_last_session(log: Path) -> None:
    sessions = [Written(log, rank=rank, world_size=3) for rank in (0, 2, 1, 0)]
    for session in sessions[1:]:
        session.mark()
    found = ends_in(log, "run")
    assert {rank: end.writer for rank, end in found.by_rank.items()} == {
        0: sessions[3].writer,
        1: sessions[2].writer,
        2: sessions[1].writer,
    }
    assert all(end.world_size == 3 for end in found.by_rank.values())
    assert (found.unclear, found.note) == (False, None)


def test_the_last_line_is_found_behind_the_last_anchor_of_its_session(
    log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("eco2ai_callbacks.runlog.write.SPACING", 5000)
    monkeypatch.setattr(anchors, "SPACING", 5000)
    session = Written(log)
    for number in range(30):
        session.mark(epoch=number)
        Written(log, run=f"other{number}").mark()
    for number in range(30):
        Written(log, run=f"later{number}").mark()
    assert load_prior(log, "run").usage.seconds == 60.0
    assert log.read_text().count('"anchor"') > 65


def test_sessions_that_overlap_are_unclear(log: Path) -> None:
    one, two = Written(log), Written(log)
    two.mark()
    assert not ends_in(log, "run").unclear
    one.mark()
    assert ends_in(log, "run").unclear


def test_a_run_that_schema_1_began_goes_on(log: Path) -> None:
    log.write_bytes(EARLY.read_bytes())
    assert load_prior(log, "killed").usage.seconds == 14.0
    assert load_prior(log, "ranks", 0, 1).usage.seconds == 8.0
    session = Written(log, run="killed")
    session.mark(epoch=2)
    assert load_prior(log, "killed").usage.seconds == 16.0
    assert load_prior(log, "ranks", 0, 1).usage.seconds == 8.0


def test_where_anchors_do_not_reach_the_end_is_looked_through_and_a_note_says_so(
    log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (anchors, ends):
        monkeypatch.setattr(module, "MOST_BYTES", 2**17)
    monkeypatch.setattr(ends, "_OVERLAP", 2**16)
    monkeypatch.setattr("eco2ai_callbacks.runlog.resume.MOST_BYTES", 2**17)
    log.write_bytes(EARLY.read_bytes())
    with log.open("ab") as file:
        file.write(b'{"schema":1,"run":"filler"}\n' * 20_000)
    prior = load_prior(log, "killed")
    assert prior.usage == Usage()
    assert prior.note == "run killed was looked for in the last 0 MiB of eco2ai.jsonl alone"
    with log.open("ab") as file:
        file.write(EARLY.read_bytes())
    assert load_prior(log, "killed").usage.seconds == 14.0
    assert load_prior(log, "killed").note is None


def test_an_offset_that_leads_nowhere_is_a_hint_that_failed(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Written(log).mark()
    for number in range(30):
        Written(log, run=f"other{number}").mark()
    # A line that was cut out moves all that follow it.
    lines = log.read_bytes().splitlines(keepends=True)
    log.write_bytes(b"".join([*lines[:2], *lines[3:]]))
    monkeypatch.setattr("eco2ai_callbacks.runlog.tail._FIRST", 2**10)
    assert load_prior(log, "run").usage.seconds == 2.0


def test_a_totals_joules_may_be_those_of_the_lines_channels() -> None:
    assert usage_of({"seconds": 2.0, "joules": [1.0], "co2_kg": 1.0}, {"cpu": 0.5}) == Usage(2.0, {"cpu": 1.0}, 1000.0)
    assert usage_of({"seconds": 2.0, "energy_kwh": 1.0}) == Usage(2.0, {"carried": 3.6e6})
