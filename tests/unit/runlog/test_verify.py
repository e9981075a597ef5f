from __future__ import annotations

import json
import random
import re
import weakref
from pathlib import Path
from typing import Any

import pytest
from altered import KEY, LINES, first, found, rechained, texts, whole, write
from sessions import Written

from eco2ai_callbacks.runlog.chain_check import Found
from eco2ai_callbacks.runlog.hashing import canonical, line_hash, link_of, signed
from eco2ai_callbacks.runlog.read import records, total
from eco2ai_callbacks.runlog.shapes import Shapes
from eco2ai_callbacks.runlog.sums import RECENT
from eco2ai_callbacks.runlog.verdict import Verdict
from eco2ai_callbacks.runlog.verify import verify
from eco2ai_callbacks.usage import Usage

SCHEMA_1 = Path(__file__).parent / "schema1"


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "eco2ai.jsonl"


class TestWholeLogs:
    @pytest.mark.parametrize("key", [None, KEY])
    def test_what_was_written_is_whole(self, log: Path, key: str | None):
        for run in ("a", "b"):
            whole(log, run, key)
        verdict = verify(log, key)
        assert verdict.whole
        assert verdict.first is None
        assert verdict.keyed is bool(key)
        assert (verdict.records, verdict.files, verdict.torn) == (2 * LINES, (log,), ())
        assert [(run.id, run.state) for run in verdict.runs] == [("a", "finished"), ("b", "finished")]

    def test_every_total_is_recomputed(self, log: Path):
        whole(log)
        (run,) = verify(log).runs
        assert run.usage == total(records(log))
        assert run.usage.energy_kwh == pytest.approx(records(log)[-1].total["energy_kwh"])  # type: ignore[index]

    def test_a_log_that_is_not_there_has_no_fault(self, log: Path):
        assert verify(log) == Verdict((), 0, False, (), (), ())

    def test_a_run_without_stop_is_unfinished_and_not_altered(self, log: Path):
        whole(log, stop=False)
        verdict = verify(log)
        assert verdict.whole
        assert [run.state for run in verdict.runs] == ["unfinished"]

    @pytest.mark.parametrize("cut", [1, 8, 11, 200])
    def test_a_torn_last_line_is_torn_and_not_altered(self, log: Path, cut: int):
        whole(log)
        *lines, last = texts(log)
        write(log, lines)
        with log.open("a") as file:
            file.write(last[:cut])
        verdict = verify(log)
        assert verdict.whole
        assert verdict.torn == ((log, LINES),)
        assert [run.state for run in verdict.runs] == ["unfinished"]

    def test_a_line_that_a_loss_of_power_left_as_zeros_is_torn(self, log: Path):
        whole(log, stop=False)
        with log.open("ab") as file:
            file.write(b'{"schema":1,' + b"\0" * 500)
        assert verify(log).whole
        assert verify(log).torn == ((log, LINES),)

    def test_a_killed_session_and_the_one_that_goes_on_are_whole(self, log: Path):
        whole(log, stop=False)
        with log.open("a") as file:
            file.write('{"schema":1,"run":"run","wri')
        session = Written(log)
        session.mark(epoch=1, attempt=2)
        session.heartbeat()
        third = Written(log, carried={"energy_kwh": 1.0, "co2_kg": 0.1, "seconds": 2.0})
        third.stop()
        verdict = verify(log)
        assert verdict.faults == ()
        assert verdict.torn == ((log, LINES),)
        assert [run.state for run in verdict.runs] == ["finished"]
        assert verdict.runs[0].usage == total(records(log))

    def test_lines_of_many_writers_may_stand_in_any_order(self, log: Path):
        whole(log, "a")
        whole(log, "b")
        lines = texts(log)
        mixed = [line for pair in zip(lines[:LINES], lines[LINES:], strict=True) for line in pair]
        write(log, ["", *mixed, ""])
        assert verify(log).whole

    def test_files_of_single_writers_belong_to_the_log(self, log: Path):
        parts = []
        for digit in "210":
            session = whole(log, stop=digit == "0")
            log.rename(log.with_name(f"eco2ai.{digit * 16}.jsonl"))
            parts.append(session)
        verdict = verify(log)
        assert verdict.faults == ()
        assert len(verdict.files) == 3
        assert [run.state for run in verdict.runs] == ["finished"]

    def test_ranks_go_on_with_what_each_had_used(self, log: Path):
        for rank in range(2):
            session = Written(log.with_name(f"{rank}.jsonl"), rank=rank, world_size=2)
            session.mark()
            with log.open("a") as file:
                file.write(session.path.read_text())
        Written(log, rank=0, world_size=1).stop()
        assert verify(log).whole

    def test_sessions_that_overlap_are_not_held_against_each_other(self, log: Path):
        one = Written(log)
        one.mark()
        two = Written(log)
        one.mark(epoch=1)
        two.mark(epoch=1)
        one.stop()
        two.stop()
        assert verify(log).whole

    def test_where_nothing_is_measured_nothing_is_wrong(self, log: Path):
        session = Written(log)
        values = json.loads(texts(log)[0])
        values["total"] = None
        write(log, [canonical(values)])
        assert verify(log).whole
        assert verify(log).runs[0].usage == Usage()
        assert session.guard.failures == ()


class TestRenamedLogs:
    """A log that was renamed while it was written, so that sessions go on in another file."""

    @pytest.fixture
    def parts(self, log: Path) -> tuple[Path, Path]:
        """The older part, in which the second session begins, and the newer one."""
        whole(log, "a")
        whole(log, "b")
        Written(log, "c").stop()
        lines = texts(log)
        older = log.with_name("eco2ai.jsonl.1")
        write(older, lines[: LINES + 3])
        write(log, lines[LINES + 3 :])
        return older, log

    @pytest.mark.parametrize("order", [(0, 1), (1, 0), (1, 0, 1)], ids=["older first", "newer first", "one twice"])
    def test_the_parts_together_are_whole(self, parts: tuple[Path, Path], order: tuple[int, ...]):
        verdict = verify([parts[place] for place in order])
        assert verdict.whole
        assert verdict.records == 2 * LINES + 2
        assert len(verdict.files) == 2
        assert [(run.id, run.state, run.usage.seconds) for run in verdict.runs] == [
            ("a", "finished", 10.0),
            ("b", "finished", 10.0),
            ("c", "finished", 2.0),
        ]

    def test_the_newer_part_alone_is_continued_elsewhere_and_not_altered(self, parts: tuple[Path, Path]):
        verdict = verify(parts[1])
        assert not verdict.whole
        assert verdict.faults == ()
        assert [(fault.kind, fault.line, fault.seq) for fault in verdict.elsewhere] == [("elsewhere", 1, 0)]
        assert verdict.elsewhere[0].why == "records 0 to 2 of its session not in this file"
        assert [(run.id, run.state, run.partial) for run in verdict.runs] == [
            ("b", "finished", True),
            ("c", "finished", False),
        ]

    def test_the_older_part_alone_holds_a_run_without_an_end(self, parts: tuple[Path, Path]):
        verdict = verify(parts[0])
        assert verdict.whole
        assert [run.state for run in verdict.runs] == ["finished", "unfinished"]

    def test_what_lies_between_two_parts_is_elsewhere(self, parts: tuple[Path, Path], log: Path):
        write(log, texts(log)[1:])
        verdict = verify(parts)
        assert (verdict.faults, len(verdict.elsewhere)) == ((), 1)
        assert verdict.elsewhere[0].why == "record 3 of its session not in these files"

    def test_a_line_that_is_missing_within_a_part_was_removed(self, parts: tuple[Path, Path], log: Path):
        lines = texts(log)
        write(log, [*lines[:1], *lines[2:]])
        assert [(fault.kind, fault.line) for fault in verify(parts).faults] == [("removed", 2)]

    def test_a_line_that_was_changed_before_the_rename_is_named_in_its_file(self, parts: tuple[Path, Path]):
        older = parts[0]
        write(
            older,
            [
                line.replace(".000+00:00", ".001+00:00") if n == LINES + 2 else line
                for n, line in enumerate(texts(older))
            ],
        )
        fault = first(verify(parts))
        assert (fault.file, fault.kind, fault.line) == (older, "changed", LINES + 3)

    def test_a_first_line_that_was_removed_after_its_file_had_begun_was_not_renamed(self, log: Path):
        early, late = log.with_name("early"), log.with_name("late")
        whole(early, "a")
        whole(late, "b")
        lines = [line.replace("2026-01-01", "2026-01-02") for line in texts(late)]
        write(log, [*texts(early), *rechained(lines, lambda n, v: None)[1:]])
        assert found(verify(log)) == ("removed", LINES + 1, 0)

    def test_a_backup_beside_the_log_counts_once(self, log: Path):
        whole(log)
        log.with_name("backup.jsonl").write_bytes(log.read_bytes())
        verdict = verify([log, log.with_name("backup.jsonl")])
        assert verdict.whole
        assert verdict.runs[0].usage == total(records(log))


class TestLongLogs:
    @pytest.mark.parametrize("sessions", [1, 40])
    def test_every_line_of_a_whole_log_is_read_once_and_few_are_kept(
        self, log: Path, monkeypatch: pytest.MonkeyPatch, sessions: int
    ):
        long_log(log, sessions, 400)
        kept: list[int] = []
        alive: weakref.WeakSet[Any] = weakref.WeakSet()

        class Tracked(Found):
            __slots__ = ("__weakref__",)

            def __init__(self, *args: Any) -> None:
                super().__init__(*args)
                alive.add(self)
                kept.append(len(alive))

        monkeypatch.setattr("eco2ai_callbacks.runlog.verify.Found", Tracked)
        verdict = verify(log)
        assert verdict.whole
        assert verdict.records == len(texts(log))
        # Most lines have the shape of one before them.
        assert sessions <= len(kept) < verdict.records / 2
        # No more than the last line of each session, and the one that is being read.
        assert max(kept) <= sessions + 2

    def test_an_epoch_that_is_no_longer_kept_is_checked_again_with_all_lines(self, log: Path):
        session = Written(log)
        session.mark("stage", epoch=0)
        for epoch in range(1, 2 * RECENT):
            session.mark(epoch=epoch)
        session.mark(epoch=0)
        assert verify(log).faults == ()


def long_lines(log: Path) -> list[str]:
    """Write two sessions of which most lines have the shape of one before them; return the lines."""
    for run in ("a", "b"):
        session = Written(log, run)
        for epoch in range(8):
            session.mark(epoch=epoch)
            session.mark("stage", epoch, "validate")
        session.heartbeat(epoch=8)
        session.stop()
    return texts(log)


def both_ways(log: Path, monkeypatch: pytest.MonkeyPatch) -> Verdict:
    """Return the verdict; it must be the one that a check of every line by itself returns."""
    verdict = verify(log)
    with monkeypatch.context() as patch:
        patch.setattr(Shapes, "mark", lambda *_: None)
        assert verify(log) == verdict
    return verdict


class TestLinesOfOneShape:
    def test_a_whole_log_is_whole_and_has_the_same_sums(self, log: Path, monkeypatch: pytest.MonkeyPatch):
        long_lines(log)
        verdict = both_ways(log, monkeypatch)
        assert verdict.whole
        assert [run.usage.seconds for run in verdict.runs] == [pytest.approx(36.0)] * 2

    @pytest.mark.parametrize("place", [9, 10])
    def test_any_character_that_was_changed_is_found(self, log: Path, monkeypatch: pytest.MonkeyPatch, place: int):
        lines = long_lines(log)
        line = lines[place]
        for at in range(0, len(line), 3):
            other = "7" if line[at] != "7" else "3"
            write(log, [*lines[:place], line[:at] + other + line[at + 1 :], *lines[place + 1 :]])
            assert not both_ways(log, monkeypatch).whole, line[at : at + 20]

    @pytest.mark.parametrize("name", ["seconds", "energy_kwh", "co2_kg", "epoch", "attempt", "stage", "event", "seq"])
    @pytest.mark.parametrize("value", [0, 0.5, None, "validate", "stop", "train", 10**18, 1e300, True, [], {}])
    def test_any_value_in_a_place_is_judged_alike(
        self, log: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: object
    ):
        lines = long_lines(log)

        def change(number: int, values: dict[str, Any]) -> None:
            if number == 9:
                values[name] = value

        write(log, [*rechained(lines[:19], change), *lines[19:]])
        both_ways(log, monkeypatch)

    @pytest.mark.parametrize("how", ["removed", "swapped", "twice", "foreign", "copied"])
    def test_lines_that_were_moved_are_judged_alike(self, log: Path, monkeypatch: pytest.MonkeyPatch, how: str):
        lines = long_lines(log)
        altered = {
            "removed": [*lines[:9], *lines[10:]],
            "swapped": [*lines[:9], lines[10], lines[9], *lines[11:]],
            "twice": [*lines[:10], *lines[9:]],
            "foreign": [*lines[:9], lines[30], *lines[9:]],
            "copied": lines,
        }[how]
        write(log, altered)
        if how == "copied":
            write(log.with_name("eco2ai.0123456789abcdef.jsonl"), lines[:12])
        assert both_ways(log, monkeypatch).whole is (how == "copied")


def long_log(log: Path, sessions: int, lines: int) -> None:
    for _ in range(sessions):
        session = Written(log)
        for epoch in range(lines // sessions):
            session.mark(epoch=epoch)
        session.stop()


class TestChangedLines:
    @pytest.mark.parametrize("key", [None, KEY])
    @pytest.mark.parametrize("place", range(LINES - 1))
    def test_a_digit_that_was_changed_is_found_in_any_line_that_another_follows(
        self, log: Path, place: int, key: str | None
    ):
        whole(log, key=key)
        lines = texts(log)
        before = lines[place]
        chance = random.Random(place)
        digits = [match.start() for match in re.finditer(r"\d", before)]
        for position in chance.sample(digits, min(40, len(digits))):
            digit = before[position]
            lines[place] = before[:position] + str((int(digit) + 1) % 10) + before[position + 1 :]
            write(log, lines)
            verdict = verify(log, key)
            assert not verdict.whole, lines[place]
            # A changed number, writer or epoch may put the line elsewhere: what is named lies no further than the next.
            assert first(verdict).line <= place + 2

    @pytest.mark.parametrize("name", ["energy_kwh", "co2_kg", "seconds"])
    @pytest.mark.parametrize("place", range(LINES))
    def test_a_figure_that_was_changed_is_named_with_its_line_and_record(self, log: Path, place: int, name: str):
        session = whole(log)
        lines = texts(log)
        values = json.loads(lines[place])
        if "joules" in values:
            values[name] = values[name] * 1.001
        else:
            values["total"][name] = 1.5
        lines[place] = canonical(values)
        write(log, lines)
        assert found(verify(log)) == ("changed", place + 1, place)
        assert first(verify(log)).writer == session.writer
        assert [run.state for run in verify(log).runs] == ["altered"]

    @pytest.mark.parametrize("place", [2, 6])
    def test_joules_that_are_not_the_energy_are_named(self, log: Path, place: int):
        whole(log)
        lines = texts(log)
        lines[place] = lines[place].replace('"joules":{"cpu":36.0}', '"joules":{"cpu":37.0}')
        write(log, lines)
        assert found(verify(log)) == ("changed", place + 1, place)
        assert "its joules are" in first(verify(log)).why

    def test_a_run_that_claims_to_have_used_something_before_it_began_is_named(self, log: Path):
        whole(log)

        def change(number: int, values: dict[str, Any]) -> None:
            values["total"]["seconds"] += 100.0

        write(log, rechained(texts(log), change))
        assert found(verify(log)) == ("changed", 1, 0)

    def test_a_line_that_is_spelt_otherwise_is_named(self, log: Path):
        whole(log)
        lines = texts(log)
        lines[-1] = lines[-1].replace('"seq":', '"seq": ')
        write(log, lines)
        assert found(verify(log)) == ("changed", LINES, LINES - 1)

    def test_a_file_that_went_through_another_editor_is_named_from_its_first_line(self, log: Path):
        whole(log)
        log.write_bytes(log.read_bytes().replace(b"\n", b"\r\n"))
        assert found(verify(log)) == ("changed", 1, 0)

    @pytest.mark.parametrize("broken", [b"}", b'"writer"'])
    def test_a_line_that_is_no_record_any_more_is_named(self, log: Path, broken: bytes):
        session = whole(log)
        lines = texts(log)
        lines[2] = lines[2][:-1] if broken == b"}" else lines[2][:-1] + "\udcff"
        log.write_bytes("".join(f"{line}\n" for line in lines).encode("utf-8", "surrogateescape"))
        verdict = verify(log)
        assert found(verdict) == ("changed", 3, 2)
        assert first(verdict).writer == session.writer
        assert verdict.torn == ((log, 3),)

    def test_the_last_line_of_a_session_is_held_by_the_one_that_continues_it(self, log: Path):
        whole(log)
        lines = texts(log)
        Written(log).stop()
        rest = texts(log)[LINES:]
        write(log, [*lines[:-1], lines[-1].replace(".000+00:00", ".001+00:00"), *rest])
        assert found(verify(log)) == ("changed", LINES, LINES - 1)

    def test_of_two_last_lines_that_do_not_fit_it_is_said_that_either_may_be_wrong(self, log: Path):
        whole(log, stop=False)
        lines = texts(log)
        lines[-2] = lines[-2].replace(".000+00:00", ".001+00:00")
        write(log, lines)
        assert found(verify(log)) == ("changed", 5, 4)
        assert (
            first(verify(log)).why
            == "line 6 holds another hash of it, or that line, the last of its session, was added"
        )


class TestForgery:
    """Whoever computes all anew is found by the key alone."""

    def forge(self, log: Path) -> None:
        def cheaper(number: int, values: dict[str, Any]) -> None:
            for channel in values.get("joules", {}):
                values["joules"][channel] /= 2
            for sums in (values, values["total"], values.get("epoch_total", {})):
                for name in ("energy_kwh", "co2_kg"):
                    if name in sums:
                        sums[name] /= 2

        write(log, rechained(texts(log), cheaper))

    def test_without_a_key_totals_edited_with_the_chain_recomputed_pass(self, log: Path):
        whole(log)
        honest = total(records(log)).total_j
        self.forge(log)
        assert verify(log).whole
        assert verify(log).runs[0].usage.total_j == honest / 2  # type: ignore[operator]

    def test_with_the_key_they_do_not(self, log: Path):
        whole(log, key=KEY)
        self.forge(log)
        assert verify(log).whole
        # The first line holds no energy and is as it was.
        assert found(verify(log, KEY)) == ("changed", 2, 1)
        assert "HMAC" in first(verify(log, KEY)).why
        assert len(verify(log, KEY).faults) == LINES - 1

    def test_a_key_that_was_guessed_does_not_help(self, log: Path):
        whole(log, key=KEY)
        lines: list[str] = []
        for line in texts(log):
            values = json.loads(line)
            del values["hmac"]
            if lines:
                values["prev"] = link_of(lines[-1])
            lines.append(signed(canonical(values).encode(), "guess").decode())
        write(log, lines)
        assert verify(log).whole
        assert len(verify(log, KEY).faults) == LINES

    @pytest.mark.parametrize("fake", [None, "ü"])
    def test_lines_without_a_good_hmac_are_not_believed(self, log: Path, fake: str | None):
        whole(log, key=KEY)
        write(log, rechained(texts(log), lambda n, v: v.update(hmac=fake)))
        assert found(verify(log, KEY)) == ("changed", 1, 0)

    def test_a_digit_of_the_very_last_line_is_found_too(self, log: Path):
        whole(log, key=KEY)
        lines = texts(log)
        lines[-1] = lines[-1].replace(".000+00:00", ".001+00:00")
        write(log, lines)
        assert verify(log).whole
        assert found(verify(log, KEY)) == ("changed", LINES, LINES - 1)


class TestSchema1:
    """Logs of the schema in which each line holds all."""

    def test_they_are_whole_and_summed(self, log: Path):
        verdict = verify(SCHEMA_1 / "finished.jsonl")
        assert verdict.whole, verdict.first
        assert [(run.id, run.state, run.usage.seconds, run.usage.total_j) for run in verdict.runs] == [
            ("done", "finished", 10.0, 180.0),
            ("killed", "unfinished", 14.0, 216.0 + 3.6e6),
            ("ranks", "unfinished", 4.0, 144.0),
        ]
        assert verify(SCHEMA_1 / "keyed.jsonl", KEY).whole
        assert len(verify(SCHEMA_1 / "keyed.jsonl", "other").faults) == LINES

    def test_a_session_of_the_schema_of_today_continues_them(self, log: Path):
        log.write_bytes((SCHEMA_1 / "finished.jsonl").read_bytes())
        Written(log, run="killed").stop()
        Written(log, run="ranks", rank=0, world_size=1).stop()
        whole(log, "new")
        verdict = verify(log)
        assert verdict.whole, verdict.first
        assert {run.id: run.usage.seconds for run in verdict.runs} == {
            **{"done": 10.0, "killed": 16.0, "ranks": 6.0, "new": 10.0},
        }

    @pytest.mark.parametrize("place", range(LINES - 1))
    def test_a_line_that_was_changed_is_found(self, log: Path, place: int):
        lines = texts(SCHEMA_1 / "keyed.jsonl")
        lines[place] = lines[place].replace('"pid":0', '"pid":1')
        write(log, lines)
        assert found(verify(log)) == ("changed", place + 1, place)
        assert found(verify(log, KEY)) == ("changed", place + 1, place)


@pytest.mark.parametrize("digits", [31, 33, 63, 64])
def test_a_link_of_another_length_is_none(log: Path, digits: int):
    whole(log, stop=False)
    lines = texts(log)
    values = json.loads(lines[-1])
    values["prev"] = (line_hash(lines[-2]) + "0")[:digits] if digits < 64 else "0" * 64
    write(log, [*lines[:-1], canonical(values)])
    assert not verify(log).whole


@pytest.mark.parametrize("joules", ['{"cpu":1e308,"gpu":1e308}', '{"cpu":1e999}', '{"cpu":NaN}'])
def test_numbers_that_no_meter_measures_are_faults(log: Path, joules: str):
    whole(log)
    lines = texts(log)
    lines[2] = lines[2].replace('{"cpu":36.0}', joules)
    write(log, lines)
    assert not verify(log).whole
