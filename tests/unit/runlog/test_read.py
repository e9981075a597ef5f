from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from sessions import Written

from eco2ai_callbacks.record import Record
from eco2ai_callbacks.runlog.hashing import LINK_DIGITS, line_hash
from eco2ai_callbacks.runlog.read import lines, records, total
from eco2ai_callbacks.runlog.tally import carried_usage
from eco2ai_callbacks.runlog.validate import is_record
from eco2ai_callbacks.usage import Usage

RECORD = {"run": "run", "writer": "w", "seq": 0, "event": "stage"}


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "eco2ai.jsonl"


class TestLines:
    def test_a_log_that_is_not_there_is_empty(self, log: Path):
        assert records(log) == []

    def test_each_record_comes_with_the_hash_of_its_line(self, log: Path):
        session = Written(log)
        session.mark()
        session.stop()
        found = list(lines(log))
        assert [line.record.event for line in found] == ["start", "epoch", "stop"]
        assert [line.hash for line in found] == [line_hash(text) for text in log.read_text().splitlines()]
        assert found[2].record.prev == found[1].hash[:LINK_DIGITS]

    def test_writers_own_files_are_read_too(self, log: Path):
        Written(log).stop()
        Written(log.with_name("eco2ai.0123456789abcdef.jsonl"), run="other").stop()
        assert [record.run for record in records(log)] == ["run", "run", "other", "other"]

    @pytest.mark.parametrize(
        "foreign",
        [
            b"",
            b"not json",
            b"[1]",
            b"3",
            b"null",
            b"{}",
            b'{"run":"a","writer":"b"}',
            b'{"schema":1,"run":"a","wri',
            b"\xff\xfe\x00",
            b"\0\0\0\0",
            b"[" * 100_000,
            json.dumps(RECORD | {"run": 3}).encode(),
            json.dumps(RECORD | {"seconds": math.nan}).encode(),
            json.dumps(RECORD | {"seconds": 1}).replace("1}", "1e999}").encode(),
            json.dumps(RECORD | {"joules": {"cpu": "much"}}).encode(),
        ],
    )
    def test_torn_and_foreign_lines_are_passed_over(self, log: Path, foreign: bytes):
        session = Written(log)
        session.mark()
        whole = log.read_bytes()
        log.write_bytes(foreign + b"\n" + whole + foreign)
        assert [record.event for record in records(log)] == ["start", "epoch"]
        assert total(records(log)).seconds == 2.0

    def test_a_whole_line_that_lacks_its_newline_counts(self, log: Path):
        Written(log).stop()
        log.write_bytes(log.read_bytes().removesuffix(b"\n"))
        assert [record.event for record in records(log)] == ["start", "stop"]

    def test_a_file_that_cannot_be_read_says_so(self, log: Path, monkeypatch: pytest.MonkeyPatch):
        log.touch()

        def refuse(*args: Any, **kwargs: Any) -> Any:
            raise PermissionError(13, "Permission denied", str(log))

        # The tests may run as root, whom no permission stops.
        monkeypatch.setattr(Path, "open", refuse)
        with pytest.raises(PermissionError):
            records(log)


class TestForm:
    def test_a_record_of_any_version_is_one(self):
        assert is_record(RECORD)
        assert is_record(RECORD | {"from_the_future": object()})
        assert is_record(Record(**RECORD).to_dict())

    @pytest.mark.parametrize("name", RECORD)
    def test_without_what_tells_records_apart_it_is_none(self, name: str):
        assert not is_record({key: value for key, value in RECORD.items() if key != name})

    @pytest.mark.parametrize("value", [None, [], "text", 3, True])
    def test_other_json_is_none(self, value: object):
        assert not is_record(value)

    @pytest.mark.parametrize(
        ("name", "bad"),
        [
            ("run", 1),
            ("event", None),
            ("stage", None),
            ("start", 3),
            ("seq", 1.0),
            ("seq", True),
            ("rank", "0"),
            ("seconds", None),
            ("seconds", True),
            ("seconds", math.inf),
            ("seconds", 10**400),
            ("pue", "1"),
            ("epoch", 1.5),
            ("attempt", "1"),
            ("energy_kwh", "1"),
            ("co2_kg", math.nan),
            ("joules", None),
            ("joules", {"cpu": None}),
            ("total", []),
            ("total", {"energy_kwh": "1"}),
            ("epoch_total", {"seconds": True}),
            ("carried", 1.0),
            ("continues", {}),
            ("continues", {"writer": "w", "hash": 1}),
            ("prev", 1),
        ],
    )
    def test_a_field_that_is_not_what_it_must_be_makes_it_none(self, name: str, bad: object):
        assert not is_record(RECORD | {name: bad})

    @pytest.mark.parametrize(
        ("name", "good"),
        [
            ("seconds", 0),
            ("epoch", None),
            ("energy_kwh", None),
            ("cost", 1.5),
            ("joules", {}),
            ("total", None),
            ("total", {"energy_kwh": None, "more": "text"}),
            ("carried", {"energy_kwh": 1.0, "co2_kg": None, "seconds": 0}),
            ("continues", {"writer": "w", "hash": "h"}),
        ],
    )
    def test_what_is_absent_is_null(self, name: str, good: object):
        assert is_record(RECORD | {name: good})


class TestTotal:
    def test_it_is_what_the_marks_add_up_to_with_their_channels(self, log: Path):
        session = Written(log)
        session.mark()
        session.heartbeat()
        session.note(loss=1.0)
        session.stop()
        found = total(records(log))
        assert found.seconds == 6.0
        assert found.joules == {"cpu": 108.0}
        assert found.co2_kg == pytest.approx(108.0 / 3.6e6 * 0.4 * 1.2)
        assert found == total(iter(records(log)))

    def test_an_interrupted_session_counts_up_to_its_last_heartbeat(self, log: Path):
        session = Written(log)
        session.mark()
        session.heartbeat()
        session.heartbeat()
        assert total(records(log)).seconds == 6.0

    def test_what_was_carried_over_counts_and_has_no_channel_of_its_own(self, log: Path):
        Written(log, carried={"energy_kwh": 2.0, "co2_kg": 0.5, "seconds": 10.0}).stop()
        found = total(records(log))
        assert found.joules == {"carried": 7.2e6, "cpu": 36.0}
        assert found.seconds == 12.0
        assert found.co2_kg == pytest.approx(0.5 + 36.0 / 3.6e6 * 0.4 * 1.2)

    def test_of_nothing_it_is_nothing(self):
        assert total([]) == Usage()

    def test_what_a_checkpoint_did_not_know_is_not_zero(self):
        assert carried_usage({}) == Usage()
        assert carried_usage({"energy_kwh": None, "co2_kg": None, "seconds": None}) == Usage()
        assert carried_usage({"energy_kwh": 0.0, "co2_kg": 0.0, "seconds": 1.0}) == Usage(1.0, {"carried": 0.0}, 0.0)
