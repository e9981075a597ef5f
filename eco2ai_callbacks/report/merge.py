"""Logs of several ranks and hosts as one file, line by line as they were written, so that their hashes still hold."""

from __future__ import annotations

import heapq
import os
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from eco2ai_callbacks.runlog.chain_check import written_at
from eco2ai_callbacks.runlog.line_check import first_written, record_lines
from eco2ai_callbacks.runlog.paths import files_of
from eco2ai_callbacks.runlog.verdict import Verdict
from eco2ai_callbacks.runlog.verify import verify


class NotMerged(ValueError):
    """Why logs were not merged, in one sentence."""


@dataclass(frozen=True, slots=True)
class Merged:
    """What was merged.

    Args:
        files: The files that were read.
        lines: Number of lines that were written.
        copies: Number of lines that stood in another file too and were left out.
        verdict: What ``eco2ai verify`` finds in the result.
    """

    files: tuple[Path, ...]
    lines: int
    copies: int
    verdict: Verdict


def merge(logs: Sequence[Path], output: Path, key: str | None = None) -> Merged:
    """Write the lines of logs into one file, in the order in which they were written.

    No line is changed: each writer's lines keep their order, so its chain of hashes holds. The output is only there
    once it is whole and verified.

    Args:
        logs: The logs; writers' own files beside them belong to them.
        output: The file to write.
        key: Value of ``ECO2AI_LOG_KEY``, if HMACs are to be checked.

    Raises:
        NotMerged: The output exists, or the result would verify worse than the logs do.
        OSError: A file cannot be read or written.
    """
    files = list({file.resolve(): file for log in logs for file in files_of(log)}.values())
    if output.exists():
        raise NotMerged(f"OUTPUT={str(output)!r} exists already; accepted is a name that is free.")
    before = verify(files, key)
    handle, name = tempfile.mkstemp(prefix=f".{output.name}.", dir=output.parent)
    part = Path(name)
    try:
        lines = copies = 0
        seen: set[int] = set()
        with os.fdopen(handle, "wb") as stream:
            for _, place, data in heapq.merge(*(_timed(file, place) for place, file in enumerate(_in_order(files)))):
                # A line that stands in two files is one line; one that a file holds twice is for `verify` to find.
                mark = hash((data, place)) if len(files) == 1 else hash(data)
                if len(files) > 1 and mark in seen:
                    copies += 1
                    continue
                seen.add(mark)
                stream.write(data + b"\n")
                lines += 1
            stream.flush()
            os.fsync(stream.fileno())
        verdict = verify(part, key)
        if len(verdict.faults) > len(before.faults):
            raise NotMerged(
                f"the logs cannot be put in an order that verifies: {verdict.faults[0].kind} in line "
                f"{verdict.faults[0].line}; the clocks of their hosts may differ. `eco2ai verify` reads them together."
            )
        part.replace(output)
    finally:
        part.unlink(missing_ok=True)
    return Merged(tuple(files), lines, copies, verdict)


def _in_order(files: Sequence[Path]) -> list[Path]:
    last = datetime.max.replace(tzinfo=UTC)
    return sorted(files, key=lambda file: first_written(file) or last)


def _timed(file: Path, place: int) -> Iterator[tuple[float, int, bytes]]:
    """Return the lines of a file with the time at which each was written, which never goes back, and its place."""
    at = 0.0
    for _, _, values, data in record_lines(file):
        found = None if values is None else written_at(values, ended=True)
        at = at if found is None else max(at, found.timestamp())
        yield at, place, data
