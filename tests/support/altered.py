"""A run log that is altered, and the first fault that a verdict on it reports."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sessions import Written

from eco2ai_callbacks.runlog.chain_check import Fault
from eco2ai_callbacks.runlog.hashing import canonical, link_of
from eco2ai_callbacks.runlog.verdict import Verdict

KEY = "a secret"
# The lines of a session as `whole` writes it: start, stage, epoch, heartbeat, metrics, epoch, stop.
LINES = 7


def whole(log: Path, run: str = "run", key: str | None = None, stop: bool = True) -> Written:
    session = Written(log, run, key)
    session.mark("stage", epoch=0)
    session.mark(epoch=0)
    session.heartbeat(epoch=1)
    session.note(loss=0.5)
    session.mark(epoch=1)
    if stop:
        session.stop()
    return session


def texts(log: Path) -> list[str]:
    return log.read_text(encoding="utf-8").splitlines()


def write(log: Path, lines: list[str]) -> None:
    log.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def first(verdict: Verdict) -> Fault:
    assert not verdict.whole
    assert verdict.first is not None
    return verdict.first


def found(verdict: Verdict) -> tuple[str, int, int | None]:
    """Return kind, line and record of the first fault."""
    fault = first(verdict)
    return fault.kind, fault.line, fault.seq


def rechained(lines: list[str], change: Callable[[int, dict[str, Any]], None]) -> list[str]:
    """Return the lines of one session, changed, with every hash recomputed, which needs no key."""
    result: list[str] = []
    for number, line in enumerate(lines):
        values = json.loads(line)
        change(number, values)
        values.pop("prev", None) if not result else values.update(prev=link_of(result[-1]))
        result.append(canonical(values))
    return result
