"""Logs of several ranks and hosts as one file."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from report_logs import folder
from sessions import Written

from eco2ai_callbacks.report.load import load
from eco2ai_callbacks.report.merge import NotMerged, merge
from eco2ai_callbacks.runlog.verify import verify

OUT = Path("all.jsonl")


def test_a_job_of_many_hosts_is_one_file_that_verifies() -> None:
    logs = sorted(folder().glob("*.jsonl"))
    before = load("logs")
    found = merge(logs, OUT)
    assert found.verdict.whole
    assert verify(OUT).whole
    after = load(OUT)
    assert {run.id: run.sum.usage for run in after} == {run.id: run.sum.usage for run in before}
    assert (found.lines, found.copies) == (before.records, 0)


def test_a_run_that_went_from_host_to_host_keeps_its_order() -> None:
    """Its first and its third session are in one file, the second in another."""
    whole = Path("whole.jsonl")
    for number in range(3):
        written = Written(whole, "run")
        written._t = 100.0 * number
        written.mark(epoch=number)
        written.stop()
    sessions: dict[str, list[str]] = {}
    for line in whole.read_text().splitlines(keepends=True):
        sessions.setdefault(line[line.index('"writer"') :][:28], []).append(line)
    first, second, third = sessions.values()
    Path("a.jsonl").write_text("".join([*first, *third]))
    Path("b.jsonl").write_text("".join(second))
    merge([Path("a.jsonl"), Path("b.jsonl")], OUT)
    # The time of a start record is that of its session's begin, which this support writes as 0.
    assert sorted(OUT.read_text().splitlines()) == sorted(whole.read_text().splitlines())
    assert verify(OUT).whole


def test_a_backup_is_left_out() -> None:
    logs = folder()
    shutil.copy(logs / "outer.jsonl", "copy.jsonl")
    found = merge([logs / "outer.jsonl", Path("copy.jsonl")], OUT)
    assert found.copies == found.lines
    assert OUT.read_bytes() == Path("copy.jsonl").read_bytes()


def test_torn_lines_stay_where_they_are() -> None:
    log = folder() / "killed.jsonl"
    log.write_bytes(log.read_bytes() + b'{"schema":1,"run":"ki')
    merge([log], OUT)
    assert OUT.read_bytes() == log.read_bytes() + b"\n"
    assert len(verify(OUT).torn) == 1


def test_what_is_there_is_not_overwritten() -> None:
    log = folder() / "outer.jsonl"
    with pytest.raises(NotMerged, match="exists already"):
        merge([log], log)
    assert len(log.read_bytes().splitlines()) == 6


def test_nothing_is_left_where_the_result_would_verify_worse(monkeypatch: pytest.MonkeyPatch) -> None:
    logs = sorted(folder().glob("rank*.jsonl"))
    monkeypatch.setattr("heapq.merge", lambda *parts: reversed([line for part in parts for line in part]))
    with pytest.raises(NotMerged, match="clocks of their hosts may differ"):
        merge(logs, OUT)
    assert [path.name for path in Path().iterdir()] == ["logs"]
