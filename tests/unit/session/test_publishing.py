from __future__ import annotations

import math
import threading
from pathlib import Path

import pytest
from logcheck import rows

from eco2ai_callbacks.guard import Guard
from eco2ai_callbacks.record import Record
from eco2ai_callbacks.runlog.write import Writer
from eco2ai_callbacks.session.publishing import Publisher

RECORD = Record(run="run", writer="w", event="stage")


class Taking:
    name = "taking"

    def __init__(self) -> None:
        self.seen: list[Record] = []
        self.closed = 0

    def write(self, record: Record) -> None:
        self.seen.append(record)

    def close(self) -> None:
        self.closed += 1


class Broken:
    name = "broken"

    def write(self, record: Record) -> None:
        raise RuntimeError("no")

    def close(self) -> None:
        raise RuntimeError("still no")


def publish(publisher: Publisher, record: Record = RECORD) -> Record:
    published = publisher.publish(record)
    publisher.deliver()
    return published


def test_records_are_numbered_and_reach_the_log_and_every_sink(tmp_path: Path):
    one, other = Taking(), Taking()
    publisher = Publisher(Writer(tmp_path / "log.jsonl"), [one, other], Guard())
    published = [publish(publisher) for _ in range(3)]
    assert [record.seq for record in published] == [0, 1, 2]
    assert one.seen == other.seen == published
    assert [row["seq"] for row in rows(tmp_path / "log.jsonl")] == [0, 1, 2]


def test_without_a_log_sinks_get_numbered_records():
    sink = Taking()
    publisher = Publisher(None, [sink], Guard())
    publish(publisher)
    publish(publisher)
    assert [record.seq for record in sink.seen] == [0, 1]


def test_a_sink_that_fails_is_named_and_the_others_go_on(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    sink, guard = Taking(), Guard()
    publisher = Publisher(Writer(tmp_path / "log.jsonl"), [Broken(), sink], guard)
    publish(publisher)
    publish(publisher)
    assert guard.failures == ("broken: no (RuntimeError)",)
    assert len(sink.seen) == len(rows(tmp_path / "log.jsonl")) == 2


def test_every_sink_is_closed_once_whatever_the_others_do(caplog: pytest.LogCaptureFixture):
    sink, guard = Taking(), Guard()
    publisher = Publisher(None, [Broken(), sink], guard)
    for _ in range(2):
        publisher.close()
    assert sink.closed == 1
    assert guard.failures == ("broken: still no (RuntimeError)",)
    publish(publisher)
    assert sink.seen == []


def test_a_log_that_cannot_be_written_is_named_and_the_sinks_go_on(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    sink, guard = Taking(), Guard()
    (tmp_path / "log.jsonl").mkdir()
    publisher = Publisher(Writer(tmp_path / "log.jsonl"), [sink], guard)
    publish(publisher)
    assert guard.failures == (f"log file: Is a directory ({tmp_path / 'log.jsonl'})",)
    assert len(sink.seen) == 1
    (tmp_path / "log.jsonl").rmdir()
    publish(publisher)
    assert [row["seq"] for row in rows(tmp_path / "log.jsonl")] == [0, 1]


def test_a_number_that_is_none_is_refused_and_leaves_no_gap_in_the_numbers(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    guard = Guard()
    publisher = Publisher(Writer(tmp_path / "log.jsonl"), [], guard)
    publish(publisher)
    publish(publisher, Record(run="run", writer="w", event="stage", seconds=math.nan))
    publish(publisher)
    assert [row["seq"] for row in rows(tmp_path / "log.jsonl")] == [0, 1]
    (failure,) = guard.failures
    assert failure.startswith("log file: Out of range float values are not JSON compliant")


@pytest.mark.parametrize(("late_s", "said"), [(60.0, ()), (0.0, ("slow: does not answer; 1 records wait for it",))])
def test_a_destination_does_not_answer_once_a_thread_has_waited_for_it(
    late_s: float, said: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("eco2ai_callbacks.session.publishing.LATE_S", late_s)
    begun, may_end = threading.Event(), threading.Event()

    class Slow(Taking):
        name = "slow"

        def write(self, record: Record) -> None:
            begun.set()
            assert may_end.wait(60)
            super().write(record)

    sink, guard = Slow(), Guard()
    publisher = Publisher(None, [sink], guard)
    publisher.publish(RECORD)
    first = threading.Thread(target=publisher.deliver)
    first.start()
    assert begun.wait(60)
    publish(publisher)  # by a second thread, while the first one delivers
    assert guard.failures == said
    may_end.set()
    first.join(60)
    assert [record.seq for record in sink.seen] == [0, 1]
