"""Work of one thread that a probe can count."""

from __future__ import annotations

import subprocess
import sys
import time


def work(rounds: int) -> int:
    """Do a fixed amount of work."""
    total = 0
    for number in range(rounds):
        total += number * number % 7
    return total


def keep_busy(seconds: float) -> float:
    """Keep this thread busy for a while; return the core-seconds that it took."""
    began, end = time.thread_time(), time.monotonic() + seconds
    while time.monotonic() < end:
        work(2000)
    return time.thread_time() - began


def start_child(seconds: float) -> subprocess.Popen[bytes]:
    """Start a process that is busy for a while."""
    return subprocess.Popen([sys.executable, "-S", __file__, str(seconds)])


if __name__ == "__main__":
    keep_busy(float(sys.argv[1]))
