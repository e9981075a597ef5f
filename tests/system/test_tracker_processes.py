"""The tracker in programs that fork, end without a word and are killed."""

from __future__ import annotations

import itertools
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from typing import Any

import pytest
from logcheck import Row, by_run, check_whole, rows, rows_so_far
from steady import steady

from eco2ai_callbacks import Usage, track
from eco2ai_callbacks.testing import Clock


def test_a_forked_child_measures_nothing() -> None:
    with steady(clock := Clock()) as run:
        clock.advance(1)
        child = os.fork()
        if child == 0:
            silent = run.mark(epoch=0) == run.read() == Usage()
            run.stop()
            os._exit(0 if silent else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert run.mark(epoch=0).seconds == 1.0
    assert [row["event"] for row in rows()] == ["start", "epoch", "stop"]


LIMIT_S = 60.0

PROGRAM = """
import os, signal, sys, time
from eco2ai_callbacks import Tracker
run = Tracker(region="FR", heartbeat_s=0.2).start()
end = time.process_time() + 0.2
while time.process_time() < end: pass
run.mark(epoch=0)
print("marked", flush=True)
{then}
"""


def program(then: str, **kwargs: Any) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM.format(then=then)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


@pytest.mark.parametrize(
    ("then", "code"),
    [("raise SystemExit(3)", 3), ("raise RuntimeError('theirs')", 1), ("pass", 0)],
    ids=["exit", "exception", "end"],
)
def test_a_program_that_ends_without_stop_is_closed_at_its_exit(then: str, code: int) -> None:
    process = program(then)
    _, error = process.communicate(timeout=LIMIT_S)
    assert process.returncode == code
    assert ("theirs" in error) is (code == 1)
    check_whole(rows())
    assert rows()[-1]["ended"] == "interrupted"


def beats_after_the_mark() -> list[Row]:
    found = rows_so_far()
    (mark,) = [number for number, row in enumerate(found) if row["event"] == "epoch"]
    return [row for row in found[mark + 1 :] if row["event"] == "heartbeat"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_killed_program_loses_at_most_what_was_used_since_the_heartbeat(number: signal.Signals) -> None:
    process = program("while True: pass")
    assert process.stdout is not None
    assert process.stdout.readline() == "marked\n"
    deadline = time.monotonic() + LIMIT_S
    while len(beats := beats_after_the_mark()) < 3 or beats[-1]["seconds"] <= 0.2:
        assert time.monotonic() < deadline, "the program's heart does not beat"
        time.sleep(0.05)
    process.send_signal(number)
    process.communicate(timeout=LIMIT_S)
    assert process.returncode == -number
    found = rows()
    assert found[-1]["event"] == "heartbeat"
    mark = next(row for row in found if row["event"] == "epoch")
    # Each holds what has been used since the last mark, not since the last heartbeat.
    beats = beats_after_the_mark()
    assert len({beat["start"] for beat in beats}) == 1
    assert all(one["seconds"] < next_one["seconds"] for one, next_one in itertools.pairwise(beats))
    assert found[-1]["seconds"] > 0.2
    assert found[-1]["total"]["energy_kwh"] == pytest.approx(mark["energy_kwh"] + found[-1]["energy_kwh"])
    assert (found[-1]["stage"], found[-1]["epoch"]) == ("train", 1)


def test_a_tracker_inside_another_names_its_parent() -> None:
    with track(region="FR", console=False) as outer:
        with track(region="FR", console=False) as inner:
            pass
        code = "from eco2ai_callbacks import track\nwith track(region='FR', console=False): pass"
        subprocess.run([sys.executable, "-c", code], check=True)
    runs = by_run(rows())
    parents = {run: found[0]["parent"] for run, found in runs.items()}
    assert parents[outer.run_id] is None
    assert parents[inner.run_id] == outer.run_id
    assert [parent for run, parent in parents.items() if run not in (outer.run_id, inner.run_id)] == [outer.run_id]


def _finalizers_after(runs: int) -> int:
    from multiprocessing import util

    for _ in range(runs):
        with track(region="FR", log_file=None, console=False):
            pass
    return len(util._finalizer_registry)  # type: ignore[attr-defined]


def test_a_run_that_has_ended_leaves_nothing_behind_in_a_worker_of_multiprocessing() -> None:
    with multiprocessing.get_context("fork").Pool(1) as pool:
        assert pool.apply(_finalizers_after, (20,)) == pool.apply(_finalizers_after, (0,)) == 0
