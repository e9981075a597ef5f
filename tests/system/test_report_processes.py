"""Logs that are read by several processes are the same runs."""

from __future__ import annotations

from report_logs import folder

from eco2ai_callbacks.report.load import load


def test_several_processes_read_what_one_reads() -> None:
    logs = folder()
    seen: list[int] = []
    one, two = load(logs), load(logs, processes=2, progress=seen.append)
    assert [(run.id, run.sum.usage, run.states, list(run.epochs)) for run in two] == [
        (run.id, run.sum.usage, run.states, list(run.epochs)) for run in one
    ]
    assert two.records == one.records
    assert sum(seen) == sum(path.stat().st_size for path in logs.glob("*.jsonl"))
