"""Entries of trackers of this process, for the registry of those that run."""

from __future__ import annotations

import os

from eco2ai_callbacks.host.machine import process_started
from eco2ai_callbacks.host.registry import Entry

HERE = os.getpid()


def entry(writer: str = "w", run: str = "run", host: str = "host", pid: int = HERE, **fields: object) -> Entry:
    """Return the entry of a tracker, by default one of this process."""
    values = {"started": process_started(pid) or 0.0, "since": 1.0} | fields
    return Entry(writer, run, host, pid, **values)  # type: ignore[arg-type]
