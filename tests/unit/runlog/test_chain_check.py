"""Lines of a session that were removed, moved or added."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from altered import LINES, first, found, rechained, texts, whole, write
from sessions import Written

from eco2ai_callbacks.runlog.hashing import canonical, line_hash
from eco2ai_callbacks.runlog.verify import verify


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "eco2ai.jsonl"


class TestRemovedLines:
    @pytest.mark.parametrize("place", range(1, LINES - 1))
    def test_a_line_that_was_dropped_is_named_where_it_stood(self, log: Path, place: int):
        session = whole(log)
        lines = texts(log)
        del lines[place]
        write(log, lines)
        assert found(verify(log)) == ("removed", place + 1, place)
        assert first(verify(log)).writer == session.writer
        assert len(verify(log).faults) == 1

    def test_several_are_named_by_the_first(self, log: Path):
        whole(log)
        lines = texts(log)
        del lines[2:5]
        write(log, lines)
        assert found(verify(log)) == ("removed", 3, 2)
        assert first(verify(log)).why == "records 2 to 4 of its session missing before it"

    def test_a_mark_and_the_lines_before_a_heartbeat_that_stays_cause_no_other_fault(self, log: Path):
        whole(log)
        lines = texts(log)
        del lines[2]
        write(log, lines)
        assert len(verify(log).faults) == 1

    def test_a_torn_line_of_another_session_is_not_taken_for_the_one_that_is_missing(self, log: Path):
        whole(log)
        lines = texts(log)
        lines[2] = '{"schema":1,"run":"x","writer":"y"'
        write(log, lines)
        assert found(verify(log)) == ("removed", 4, 2)

    def test_the_end_of_a_session_is_held_by_the_one_that_continues_it(self, log: Path):
        first_part = whole(log, stop=False)
        second = Written(log)
        second.stop()
        lines = texts(log)
        del lines[LINES - 2]
        write(log, lines)
        fault = first(verify(log))
        assert (fault.kind, fault.line, fault.writer) == ("removed", LINES - 1, second.writer)
        assert first_part.writer in fault.why

    def test_a_whole_session_is_held_by_the_one_that_continues_it(self, log: Path):
        first_part = whole(log)
        Written(log).stop()
        write(log, texts(log)[LINES:])
        # The log may have been renamed between the two sessions.
        assert found(verify(log)) == ("elsewhere", 1, 0)
        assert verify(log).faults == ()
        assert first_part.writer in first(verify(log)).why

    def test_a_session_whose_link_was_cut_too_is_missed_by_the_total(self, log: Path):
        whole(log, stop=False)
        end = len(texts(log))
        Written(log).stop()
        lines = texts(log)
        cut = rechained(lines[end:], lambda n, v: v.update(continues=None) if n == 0 else None)
        write(log, cut)
        assert found(verify(log)) == ("changed", 1, 0)

    def test_the_last_mark_of_a_session_in_the_middle_is_held_by_the_next(self, log: Path):
        for _ in range(3):
            Written(log).mark()
        lines = texts(log)
        del lines[3]
        write(log, lines)
        assert [(fault.kind, fault.line) for fault in verify(log).faults] == [("removed", 4)]

    def test_what_no_link_holds_is_missed_by_the_total(self, log: Path):
        for _ in range(2):
            Written(log).mark()
        lines = texts(log)
        start = json.loads(lines[2])
        # As if the second session had continued the first before its mark.
        start["continues"]["hash"] = line_hash(lines[0])
        write(log, [lines[0], *rechained([canonical(start), lines[3]], lambda n, v: None)])
        assert found(verify(log)) == ("removed", 2, 0)
        assert "add up to" in first(verify(log)).why


class TestMovedAndAddedLines:
    @pytest.mark.parametrize("place", range(LINES - 1))
    def test_two_lines_that_were_swapped_are_named(self, log: Path, place: int):
        whole(log)
        lines = texts(log)
        lines[place], lines[place + 1] = lines[place + 1], lines[place]
        write(log, lines)
        assert found(verify(log)) == ("swapped", place + 1, place + 1)
        assert len(verify(log).faults) == 1

    @pytest.mark.parametrize("stop", [True, False])
    @pytest.mark.parametrize(
        "added",
        [
            "anything",
            "{}",
            '{"note": "seen"}',
            '{"run":"run","writer":"nobody","seq":0,"event":"epoch"}',
            '{"run":"run","writer":"nobody","seq":3,"event":"epoch"}',
        ],
    )
    def test_a_line_that_was_appended_by_hand_is_named(self, log: Path, added: str, stop: bool):
        whole(log, stop=stop)
        lines = texts(log)
        write(log, [*lines, added])
        fault = first(verify(log))
        assert fault.line == len(lines) + 1
        assert fault.kind == ("removed" if '"seq":3' in added else "inserted")

    @pytest.mark.parametrize("place", range(LINES))
    def test_a_copy_of_a_line_is_named(self, log: Path, place: int):
        whole(log)
        lines = texts(log)
        write(log, [*lines, lines[place]])
        assert ("inserted", LINES + 1, place) in [(f.kind, f.line, f.seq) for f in verify(log).faults]

    def test_an_edited_copy_of_the_last_line_is_named(self, log: Path):
        whole(log, stop=False)
        lines = texts(log)
        values = json.loads(lines[-1]) | {"seq": LINES - 1}
        write(log, [*lines, canonical(values)])
        assert found(verify(log)) == ("inserted", LINES, LINES - 1)

    def test_a_line_after_the_end_of_its_session_is_named(self, log: Path):
        whole(log)
        lines = texts(log)
        values = json.loads(lines[-1]) | {"seq": LINES, "prev": line_hash(lines[-1])}
        write(log, [*lines, canonical(values)])
        assert found(verify(log)) == ("inserted", LINES + 1, LINES)
        assert "had ended" in first(verify(log)).why

    def test_a_line_that_was_put_between_two_is_named(self, log: Path):
        whole(log)
        lines = texts(log)
        values = json.loads(lines[2])
        fake = canonical(values | {"description": "more", "prev": "0" * 64})
        write(log, [*lines[:2], fake, *lines[2:]])
        assert found(verify(log)) == ("inserted", 3, 2)
        assert len(verify(log).faults) == 1

    def test_a_line_with_a_number_of_its_own_that_the_next_line_does_not_follow_is_named(self, log: Path):
        whole(log, stop=False)
        lines = texts(log)
        fake = canonical(json.loads(lines[5]) | {"prev": "0" * 64})
        following = canonical(json.loads(lines[5]) | {"seq": 6})
        write(log, [*lines[:5], fake, following])
        assert found(verify(log)) == ("inserted", 6, 5)

    def test_a_session_that_begins_with_no_start_is_named(self, log: Path):
        whole(log)
        lines = rechained(texts(log), lambda n, v: v.update(event="metrics") if n == 0 else None)
        write(log, lines)
        assert found(verify(log)) == ("inserted", 1, 0)


def test_a_fault_says_all_in_one_sentence(log: Path):
    session = whole(log)
    lines = texts(log)
    write(log, [*lines[:2], "x", *lines[3:]])
    added, gone = verify(log).faults
    assert str(added) == f"{log}, line 3: inserted: it is no record"
    assert str(gone) == (
        f"{log}, line 4 (writer {session.writer}, record 2): removed: record 2 of its session missing before it"
    )
