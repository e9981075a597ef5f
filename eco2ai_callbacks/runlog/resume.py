"""What a log knows of a run that goes on: its sum, its epochs' attempts, the writer to continue."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from eco2ai_callbacks.runlog.read import Line, lines, total
from eco2ai_callbacks.usage import Usage


@dataclass(frozen=True, slots=True)
class Before:
    """What a run had used before this session.

    Args:
        usage: Its sum.
        attempts: How often each epoch had been begun.
        continues: The writer that wrote last, and the hash of its last line.
    """

    usage: Usage = field(default_factory=Usage)
    attempts: Mapping[int, int] = field(default_factory=dict)
    continues: Mapping[str, str] | None = None


def before(path: Path, run: str) -> Before:
    """What the log knows of a run; nothing where it does not hold it.

    Args:
        path: The log.
        run: The run's id.
    """
    found = [line for line in lines(path) if line.record.run == run]
    if not found:
        return Before()
    attempts: dict[int, int] = {}
    for line in found:
        record = line.record
        if record.stage == "train" and record.epoch is not None:
            attempts[record.epoch] = max(attempts.get(record.epoch, 0), record.attempt or 1)
    last = found[-1]
    return Before(total(line.record for line in found), attempts, {"writer": last.record.writer, "hash": last.hash})


def unfinished(path: Path, project: str, host: str, living: Collection[str]) -> list[str]:
    """Runs of a project on this host that have no ``stop`` and that nobody writes now, the oldest first.

    Args:
        path: The log.
        project: The project's name.
        host: Hash of the host's boot id.
        living: Writers that are still running.
    """
    open_runs: dict[str, Line] = {}
    for line in lines(path):
        record = line.record
        if record.event == "stop":
            open_runs.pop(record.run, None)
        elif record.project == project and record.host == host:
            open_runs[record.run] = line
    return [run for run, line in open_runs.items() if line.record.writer not in living]
