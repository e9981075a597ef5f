"""The memory of real forks, which share their parent's pages until they write."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from eco2ai_callbacks.meters.ram import Memory

MIB = 2**20
# Holds 200 MiB; has four children that only look at it, and one line for each step.
SCRIPT = """
import os, signal, sys
held = bytearray(os.urandom(64)) * (200 * 2**20 // 64)
print(flush=True)
sys.stdin.readline()
children = []
for _ in range(4):
    pid = os.fork()
    if pid == 0:
        signal.pause()
        os._exit(0)
    children.append(pid)
print(*children, flush=True)
sys.stdin.readline()
for pid in children:
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
print(flush=True)
sys.stdin.readline()
"""


def proportional(pids: list[int]) -> int:
    """Return the sum of the proportional shares of these processes."""
    rollups = [Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines() for pid in pids]
    return sum(int(line.split()[1]) * 1024 for rollup in rollups for line in rollup if line.startswith("Pss:"))


@pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="needs Linux 4.14")
@pytest.mark.parametrize("seen_before", [True, False])
def test_forks_that_only_read_hold_what_their_parent_held(seen_before: bool) -> None:
    memory = Memory(Path("/proc"), time.monotonic)
    with subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", SCRIPT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    ) as job:
        assert job.stdin is not None
        assert job.stdout is not None

        def step() -> str:
            job.stdin.write("\n")
            return job.stdout.readline()

        job.stdout.readline()
        if seen_before:
            assert memory.held([job.pid]) == pytest.approx(proportional([job.pid]), rel=0.05)
        pids = [job.pid, *map(int, step().split())]
        assert len(pids) == 5
        for _ in range(8):  # at each look, one walk or a few more
            held = memory.held(pids)
            assert held == pytest.approx(proportional(pids), rel=0.25)
            assert held > 200 * MIB
        step()
        assert memory.held(pids) == pytest.approx(proportional([job.pid]), rel=0.25)
        job.stdin.write("\n")
