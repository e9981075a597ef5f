"""Jobs of real processes, measured from outside and run step by step."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from types import TracebackType

# Beginning of each job's script. `burn` uses a known CPU time, however long it has to wait for a core.
_PRELUDE = """
import ctypes, mmap, os, signal, struct, sys, time

shared = mmap.mmap(-1, 4096)

# An init of its own (PR_SET_CHILD_SUBREAPER): not every machine's takes orphans away when they die.
ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)
root = os.fork()
while root:
    try:
        if os.wait()[0] == root:
            os._exit(0)
    except ChildProcessError:
        os._exit(0)

def burn(seconds):
    end = time.process_time() + seconds
    while time.process_time() < end:
        sum(range(500))

def start(task):
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        try:
            task()
        finally:
            os._exit(0)
    return pid

def ready(slot=0):
    "Say that a place in the script is reached, and with how much CPU time."
    shared[8 * slot: 8 * slot + 8] = struct.pack("d", time.process_time())

def reached(slot=0):
    while not any(shared[8 * slot: 8 * slot + 8]):
        time.sleep(0.001)
    return struct.unpack("d", shared[8 * slot: 8 * slot + 8])[0]

def used():
    times = os.times()
    return time.process_time() + times.children_user + times.children_system

def step(seconds=0.0):
    print(seconds, flush=True)
    sys.stdin.readline()

def sleep():
    while True:
        time.sleep(60)

step(os.getpid())
"""


class Job:
    """A process whose script stops at each ``step(seconds)`` until :meth:`go` is called; orphans are soon reaped.

    Args:
        script: Its script, which follows the prelude.
    """

    def __init__(self, script: str) -> None:
        # Without site packages: interpreters start in a fraction of the time.
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _PRELUDE + script],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.pid = int(self._said())

    def go(self) -> float:
        """Run the script to its next step, and return the number that it prints there."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return self._said()

    def __enter__(self) -> Job:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.killpg(self._process.pid, signal.SIGKILL)  # orphans too
        self._process.communicate()

    def _said(self) -> float:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "the job ended before its next step"
        return float(line)
