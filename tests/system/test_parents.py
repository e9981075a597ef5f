"""Runs inside runs: each record names the run that contains its energy, and no other."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from logcheck import by_run, rows, rows_so_far
from steady import steady

from eco2ai_callbacks.runlog.verify import verify
from eco2ai_callbacks.testing import Clock

LIMIT_S = 60.0


def parents(found: list[dict[str, Any]]) -> list[tuple[str, str | None, float]]:
    return [(row["event"], row["parent"], row["seconds"]) for row in found]


def test_a_tracker_that_outlives_the_one_around_it_counts_on_its_own_from_then_on() -> None:
    clock = Clock()
    outer, inner = steady(clock, log_file="outer.jsonl"), steady(clock, log_file="inner.jsonl")
    outer.start()
    clock.advance(1)
    inner.start()
    clock.advance(2)
    inner.mark(epoch=0)
    clock.advance(3)
    outer.stop()
    clock.advance(4)
    inner.stop()
    around = rows("outer.jsonl")[0]["run"]
    found = rows("inner.jsonl")
    assert verify(Path("inner.jsonl")).whole
    assert parents(found) == [
        ("start", around, 0.0),
        ("epoch", around, 2.0),
        ("stage", around, 3.0),
        ("stop", None, 4.0),
    ]
    alone = sum(row["seconds"] for row in found if row["parent"] is None)
    assert sum(row["seconds"] for row in rows("outer.jsonl")) + alone == 10.0


def test_inside_of_two_it_falls_to_the_outer_one() -> None:
    clock = Clock()
    runs = [steady(clock, log_file=f"{name}.jsonl") for name in ("outer", "middle", "inner")]
    for run in runs:
        run.start()
        clock.advance(1)
    outer, middle, inner = runs
    ids = [run.run_id for run in runs]
    middle.stop()
    clock.advance(1)
    inner.stop()
    outer.stop()
    assert parents(rows("inner.jsonl")) == [
        ("start", ids[1], 0.0),
        ("stage", ids[1], 1.0),
        ("stop", ids[0], 1.0),
    ]


INNER = """
import sys
from eco2ai_callbacks import Tracker
with Tracker(region="FR", log_file="inner.jsonl", heartbeat_s=0.1, console=False) as run:
    print("begun", flush=True)
    sys.stdin.readline()
"""
OUTER = f"""
import subprocess, sys
from eco2ai_callbacks import Tracker
with Tracker(region="FR", log_file="outer.jsonl", console=False):
    subprocess.Popen([sys.executable, "-c", {INNER!r}], stdin=open(sys.argv[1]), stdout=sys.stdout)
    sys.stdin.readline()
print("ended", flush=True)
"""


def test_a_process_that_outlives_the_tracker_around_it_counts_on_its_own_after_a_heartbeat(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "go")
    process = subprocess.Popen(
        [sys.executable, "-c", OUTER, str(tmp_path / "go")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin is not None
    assert process.stdout is not None
    with process.stdout, (tmp_path / "go").open("w") as go:
        assert process.stdout.readline() == "begun\n"
        process.stdin.close()
        assert process.stdout.readline() == "ended\n"
        deadline = time.monotonic() + LIMIT_S
        while rows_so_far("inner.jsonl")[-1]["parent"] is not None:
            assert time.monotonic() < deadline
        go.write("\n")
        go.flush()
        process.stdout.read()
    process.wait(LIMIT_S)
    around = rows("outer.jsonl")[0]["run"]
    found = rows("inner.jsonl")
    assert verify(Path("inner.jsonl")).whole
    assert {row["parent"] for row in found} == {around, None}
    last_inside = max(number for number, row in enumerate(found) if row["parent"] == around)
    assert found[last_inside]["event"] == "stage"
    assert all(row["parent"] is None for row in found[last_inside + 1 :])


@pytest.mark.parametrize("spawns", [False, True], ids=["itself", "its child"])
def test_what_runs_after_execve_is_inside_of_nothing(spawns: bool) -> None:
    inner = "from eco2ai_callbacks import Tracker; Tracker(region='FR', console=False).start().stop()"
    if spawns:
        inner = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {inner!r}], check=True)"
    outer = f"""
import os, sys
from eco2ai_callbacks import Tracker
Tracker(region="FR", console=False).start()
os.execv(sys.executable, [sys.executable, "-c", {inner!r}])
"""
    subprocess.run([sys.executable, "-c", outer], check=True, timeout=LIMIT_S)
    outside, inside = by_run(rows()).values()
    assert outside[-1]["event"] != "stop"
    assert [row["parent"] for row in inside] == [None, None]
