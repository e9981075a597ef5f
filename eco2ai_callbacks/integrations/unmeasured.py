"""A report at a launched script's end, where nothing was measured while it ran."""

from __future__ import annotations

import atexit
import functools
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from eco2ai_callbacks.distributed.launcher import rank_from
from eco2ai_callbacks.runlog.paths import files_of
from eco2ai_callbacks.session.context import RunContext
from eco2ai_callbacks.settings import resolve
from eco2ai_callbacks.tracker import Tracker


def report_if_nothing_is_measured(launcher: str, why: str, register: Callable[..., object] = atexit.register) -> None:
    """Print a sentence at this process's end, unless it or a process of its own has measured something by then.

    Args:
        launcher: The command that runs the script.
        why: The reason to name.
        register: Registers what is called at the end.
    """
    started = _starts()
    log = resolve({}).log_file
    log = None if log is None else log.absolute()
    before, pid = _sizes(log), os.getpid()

    def report() -> None:
        # A forked child runs this too; of several ranks one speaks; those that the script starts write to the log.
        if os.getpid() == pid and rank_from()[0] == 0 and not started and _sizes(log) == before:
            print(f"eco2ai: {launcher} has measured nothing: {why}", file=sys.stderr)

    register(report)


def _starts() -> list[str | None]:
    """Return a list that gets an entry for each tracker that this process starts from now on."""
    started: list[str | None] = []
    start = Tracker.start

    @functools.wraps(start)
    def noting(self: Tracker, context: RunContext | None = None) -> Tracker:
        start(self, context)
        started.append(self.run_id)
        return self

    Tracker.start = noting  # type: ignore[method-assign]
    return started


def _sizes(log: Path | None) -> Mapping[Path, int]:
    return {} if log is None else {path: path.stat().st_size for path in files_of(log)}
