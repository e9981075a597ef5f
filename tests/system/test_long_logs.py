"""The command that writes a long log: what it writes is valid, and is read in bounded memory."""

from __future__ import annotations

import importlib.util
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from eco2ai_callbacks.runlog.read import lines
from eco2ai_callbacks.runlog.resume import load_prior
from eco2ai_callbacks.runlog.unfinished import unfinished
from eco2ai_callbacks.runlog.verify import verify

TOOL = Path(__file__).parents[2] / "tools" / "long_log.py"


@pytest.fixture(scope="module")
def tool() -> Any:
    spec = importlib.util.spec_from_file_location("long_log", TOOL)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("killed", [False, True], ids=["finished", "killed"])
def test_it_writes_a_log_that_is_whole_and_can_be_resumed(tool: Any, tmp_path: Path, killed: bool) -> None:
    log = tmp_path / "long.jsonl"
    tool.write(log, 240, runs=2, sessions=3, killed=killed)
    verdict = verify(log)
    assert verdict.whole, verdict.first
    assert verdict.records == 240
    assert [run.state for run in verdict.runs] == ["unfinished" if killed else "finished"] * 2
    known = load_prior(log, "run0")
    assert known.usage.seconds == verdict.runs[0].usage.seconds == 39 * 3 * tool.SECONDS
    assert len(known.attempts) == 39 * 3 - (0 if killed else 1)
    assert unfinished(log, "demo", "host", ()) == (["run0", "run1"] if killed else [])


def test_memory_does_not_grow_with_the_lines(tool: Any, tmp_path: Path) -> None:
    def peak(count: int) -> int:
        log = tmp_path / f"{count}.jsonl"
        tool.write(log, count, sessions=2)
        tracemalloc.start()
        try:
            assert verify(log).whole
            assert sum(1 for _ in lines(log)) == count
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(1000)  # what is kept for reuse, such as the patterns that the module `re` compiled
    # What Python keeps for reuse is some 200 KB; 1,500 records more would be some 8 MB.
    assert peak(2000) < peak(500) + 400_000
