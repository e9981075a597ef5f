"""Signals, and logs that do not answer: no mark is left half done, and nothing that was measured is lost."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from eco2ai_callbacks.runlog.read import records, total
from eco2ai_callbacks.runlog.verify import verify

LIMIT_S = 120.0
ROUNDS = 60

# A signal comes at a random moment of marks that follow each other at once.
MARKING = """
import random, signal, sys, time
from eco2ai_callbacks import Tracker
from eco2ai_callbacks.usage import Usage

random.seed({seed})
for number in range({rounds}):
    run = Tracker(region="FR", log_file=f"{{number}}.jsonl", console=False).start()
    over, came = False, False

    def handler(*_):
        global over, came
        came = True
        {handler}

    signal.signal(signal.SIGALRM, handler)
    epoch = 0
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.002 + 0.006 * random.random())
        while not (over or came):
            run.mark(epoch=epoch)
            epoch += 1
    except (KeyboardInterrupt, RuntimeError) as error:
        raised = error
    else:
        raised = None
    assert came
    assert (raised is not None) is {raises}
    used = run.stop()
    assert used == run.total == run.stop()
    print(number, used.total_j, used.seconds, used.co2_kg, flush=True)
"""


@pytest.mark.parametrize(
    ("handler", "raises"),
    [
        ("run.mark('stage', stage='other')", False),
        ("over = bool(run.stop('interrupted'))", False),
        ("run.end_epoch(epoch)", False),
        ("raise KeyboardInterrupt", True),
        ("raise RuntimeError('DataLoader worker (pid 1) is killed')", True),
    ],
    ids=["mark", "stop", "end_epoch", "ctrl-c", "sigchld"],
)
def test_a_signal_inside_a_mark_leaves_it_whole(handler: str, raises: bool) -> None:
    program = MARKING.format(seed=len(handler), rounds=ROUNDS, handler=handler, raises=raises)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=LIMIT_S)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert len(lines) == ROUNDS
    for line in lines:
        number, joules, seconds, grams = line.split()
        log = Path(f"{number}.jsonl")
        assert verify(log).whole
        found = records(log)
        assert [found[0].event, found[-1].event] == ["start", "stop"]
        counted = total(found)
        assert counted.total_j == pytest.approx(float(joules), rel=1e-9)
        assert counted.seconds == pytest.approx(float(seconds), rel=1e-9)
        assert counted.co2_kg == pytest.approx(float(grams), rel=1e-9)
        assert all(record.failures == () for record in found)


# A pipe that nobody reads is a log that does not answer, as on a network file system whose server is gone.
STUCK = """
import os, signal, sys, threading
from eco2ai_callbacks import Tracker

held = os.open("log.jsonl", os.O_RDWR)  # else it is emptied when its last user closes it
run = Tracker(region="FR", log_file="log.jsonl", console=False).start()
for _ in range(20):
    run.write("metrics", {"text": "x" * 4000})  # more than a pipe holds
print("full", flush=True)
"""


@pytest.fixture
def pipe() -> Path:
    os.mkfifo("log.jsonl")
    return Path("log.jsonl")


def lines_of(pipe: Path, file: Path) -> threading.Thread:
    """Read the pipe to its end, into a file."""

    def copy() -> None:
        with pipe.open("rb") as source, file.open("wb") as target:
            while found := source.read1():
                target.write(found)

    thread = threading.Thread(target=copy)
    thread.start()
    return thread


def started(program: str, *says: str) -> subprocess.Popen[str]:
    """Start a program, and wait until it has said these lines."""
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert tuple(process.stdout.readline() for _ in says) == says
    return process


def test_a_log_that_does_not_answer_keeps_no_training_waiting_and_gets_all_of_it_later(pipe: Path) -> None:
    program = (
        STUCK
        + """
before = run.total.seconds
for epoch in range(50):
    assert run.mark(epoch=epoch).seconds > 0
assert run.total.seconds > before
assert any(failure.startswith("log file: does not answer; ") for failure in run.guard.failures)
print("marked", flush=True)
sys.stdin.readline()
print(run.stop().total_j)
"""
    )
    process = started(program, "full\n", "marked\n")
    reader = lines_of(pipe, Path("whole.jsonl"))
    told, warned = process.communicate("\n", timeout=LIMIT_S)
    reader.join(LIMIT_S)
    assert process.returncode == 0
    assert warned.count("log file: does not answer") == 1
    found = records(Path("whole.jsonl"))
    assert verify(Path("whole.jsonl")).whole
    assert [record.event for record in found] == ["start", *["metrics"] * 20, *["epoch"] * 50, "stop"]
    assert total(found).total_j == pytest.approx(float(told), rel=1e-9)


def test_a_second_ctrl_c_while_the_run_is_being_closed_loses_no_stop(pipe: Path) -> None:
    program = (
        STUCK
        + """
import os

closing = threading.Event()
session = run._lifetime.session
stop = session.stop
session.stop = lambda ended: (closing.set(), stop(ended))[1]

def press():
    closing.wait()
    os.kill(os.getpid(), signal.SIGINT)

threading.Thread(target=press).start()
try:
    try:
        raise KeyboardInterrupt  # the first
    finally:
        run.stop("interrupted")
except KeyboardInterrupt as error:
    assert error.__context__ is not None  # the second
    print("twice", flush=True)
sys.stdin.readline()
for thread in threading.enumerate():
    if thread.name == "eco2ai":
        thread.join()  # nobody need ask it to end
"""
    )
    process = started(program, "full\n", "twice\n")
    reader = lines_of(pipe, Path("whole.jsonl"))
    process.communicate("\n", timeout=LIMIT_S)
    reader.join(LIMIT_S)
    assert process.returncode == 0
    assert verify(Path("whole.jsonl")).whole
    last = json.loads(Path("whole.jsonl").read_text().splitlines()[-1])
    assert (last["event"], last["ended"]) == ("stop", "interrupted")
