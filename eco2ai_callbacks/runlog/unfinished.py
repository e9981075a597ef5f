"""The runs of a log that a fit may continue, from its end: those that were killed or interrupted."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from eco2ai_callbacks.runlog.anchors import NEEDLE
from eco2ai_callbacks.runlog.paths import files_of
from eco2ai_callbacks.runlog.tail import WRITER, lines_from_end, record_in, writer_of

# Bytes at the end of a log in which a run without an end is looked for: some 8,000 records.
UNFINISHED_BYTES = 4 * 2**20


@dataclass(slots=True)
class _Run:
    """What the end of a log shows of one run."""

    fits: bool = False
    lives: bool = False
    reached: float = -1
    finished: set[str] = field(default_factory=set)
    interrupted: set[str] = field(default_factory=set)
    continued: set[str] = field(default_factory=set)


def unfinished(path: Path, project: str, host: str, living: Collection[str], first_epoch: int = 0) -> list[str]:
    """Return the runs of a project on this host that a fit may continue, the oldest first.

    They have no ``stop``, or were interrupted, have no living writer and reached the epoch before the fit's first one.
    Of several, the only one without a ``stop`` is returned: runs that were interrupted are often given up.

    They are looked for in the last 4 MiB of the log, or of the files that were written last.

    Args:
        path: The log.
        project: The project's name.
        host: Hash of the host's boot id.
        living: Writers that are still running.
        first_epoch: The first epoch of the fit.

    Raises:
        OSError: A file exists and cannot be read.
    """
    runs: dict[str, _Run] = {}
    left = UNFINISHED_BYTES
    for file in sorted(files_of(path), key=lambda file: file.stat().st_mtime, reverse=True):
        left -= _look_for_ends(file, runs, project, host, living, left)
        if left <= 0:
            break
    open_runs = {
        name: run
        for name, run in reversed(runs.items())
        if run.fits and not run.lives and not run.finished - run.continued and run.reached >= first_epoch - 1
    }
    killed = [name for name, run in open_runs.items() if not run.interrupted - run.continued]
    return killed if len(killed) == 1 else list(open_runs)


def _look_for_ends(
    file: Path, runs: dict[str, _Run], project: str, host: str, living: Collection[str], most: int
) -> int:
    """Add what the end of a file shows of its runs; return how many bytes were read."""
    seen: set[str] = set()
    # What lines of the session begin with whose line was seen last: most lines are skipped by it.
    head = b"\0"
    distance = 0
    for distance, line in lines_from_end(file, WRITER):
        if line is None:
            if distance >= most:
                break
            continue
        old = b'"event":"start"' not in line and NEEDLE not in line
        if old and line.startswith(head):
            continue
        writer = writer_of(line)
        if old and writer in seen:
            continue
        values = record_in(line)
        if values is None:
            continue
        seen.add(writer)
        head = line[: line.find(b'"', line.find(WRITER) + len(WRITER)) + 1]
        # In the order of the runs' first lines: a run whose earlier line is found moves behind those seen so far.
        run = runs[values["run"]] = runs.pop(values["run"], _Run())
        run.fits = run.fits or (values.get("project") == project and values.get("host") == host)
        run.lives = run.lives or writer in living
        if values["event"] == "stop":
            (run.interrupted if values.get("ended") == "interrupted" else run.finished).add(writer)
        run.reached = max(run.reached, _latest_epoch(values))
        if values.get("continues"):
            run.continued.add(values["continues"]["writer"])
    return distance


def _latest_epoch(values: Mapping[str, Any]) -> float:
    """Return the latest epoch that a record names; infinity for one of a version that did not repeat them."""
    if values.get("attempts") is None:
        return math.inf
    own = values.get("epoch")
    return max((last for _, last, _ in values["attempts"]), default=-1.0 if own is None else float(own))
