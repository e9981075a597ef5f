"""``python -m benchmarks.mark``: the CPU time of a mark beside that of its system calls alone, in one run.

A mark is made by the tracker's thread: the program's hands it over and waits. So beside the system calls stands what
two threads need to hand over nothing and to answer. All figures are CPU time of the whole process, the least of several
rounds that take turns. Where a machine has several cores, the threads may run on two of them, which costs more.
"""

from __future__ import annotations

import argparse
import os
import queue
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from itertools import count
from pathlib import Path

from eco2ai_callbacks import Tracker

ROUNDS, MARKS = 12, 200
ROWS = (10, 1_000, 100_000)
WORKERS = 16
_RECORD = b"x" * 500


def system_calls(log: Path) -> Callable[[], None]:
    """Return what makes the system calls of a mark, and nothing else: of a job of one process, without a card."""
    name = str(log)

    def made() -> None:
        load = os.open("/proc/stat", os.O_RDONLY)
        os.read(load, 512)
        os.close(load)
        try:  # noqa: SIM105 - a context manager takes longer than the call
            os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            pass
        time.process_time()
        resource.getrusage(resource.RUSAGE_CHILDREN)
        file = os.open(name, os.O_APPEND | os.O_CREAT | os.O_RDWR, 0o644)
        os.fstat(file)
        os.write(file, _RECORD)
        os.close(file)

    return made


def hand_over() -> Callable[[], None]:
    """Return what wakes a thread and waits for its answer."""
    calls: queue.SimpleQueue[threading.Lock] = queue.SimpleQueue()

    def serve() -> None:
        while True:
            calls.get().release()

    threading.Thread(target=serve, daemon=True).start()

    def handed() -> None:
        done = threading.Lock()
        done.acquire()
        calls.put(done)
        done.acquire()

    return handed


def cpu_us(calls: dict[str, Callable[[], object]], rounds: int = ROUNDS, times: int = MARKS) -> dict[str, float]:
    """Return the CPU time of each call in microseconds, the least of rounds that take turns.

    Args:
        calls: What to call, by name.
        rounds: Number of rounds.
        times: How often each is called in a round.
    """
    least: dict[str, float] = {}
    for _ in range(rounds):
        for name, call in calls.items():
            before = time.process_time()
            for _ in range(times):
                call()
            spent = (time.process_time() - before) / times * 1e6
            least[name] = min(spent, least.get(name, spent))
    return least


def measured(rows: Sequence[int] = ROWS, workers: int = WORKERS, rounds: int = ROUNDS) -> dict[str, float]:
    """Return the CPU time of marks and of their parts, in microseconds.

    Args:
        rows: After how many marks the mark is measured.
        workers: Idle child processes that the job then has.
        rounds: Rounds of each.
    """
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="mark-")))
        run = stack.enter_context(Tracker(region="FR", console=False, log_file=folder / "eco2ai.jsonl"))
        numbers = count()

        def mark() -> None:
            run.mark(epoch=next(numbers))

        found: dict[str, float] = {}
        done = 0
        for row in rows:
            for _ in range(row - done):
                mark()
            done = row + rounds * MARKS
            parts = {} if found else {"its system calls": system_calls(folder / "bare"), "a hand-over": hand_over()}
            found |= cpu_us({**parts, f"a mark after {row:,}": mark}, rounds)
        children = [stack.enter_context(_idle()) for _ in range(workers)]
        time.sleep(1.0)
        found |= cpu_us({f"a mark with {workers} idle workers": mark}, rounds)
        for child in children:
            child.kill()
    return found


def _idle() -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(3600)"])


def table(found: dict[str, float]) -> str:
    """Return the figures as a Markdown table."""
    bare = found["its system calls"]
    lines = ["| | µs of CPU | times its system calls |", "|---|---:|---:|"]
    return "\n".join([*lines, *(f"| {name} | {us:.0f} | {us / bare:.1f} |" for name, us in found.items())])


def main(args: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.mark", description="What a mark costs.")
    parser.add_argument("rows", nargs="*", type=int, default=ROWS, help="marks before (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="rounds of each (default: %(default)s)")
    given = parser.parse_args(args)
    if sorted(set(given.rows)) != list(given.rows) or given.rows[0] < 0:
        parser.error(f"rows: {given.rows} is not accepted; accepted: whole numbers of 0 or more that rise")
    if given.rounds < 1:
        parser.error(f"--rounds: {given.rounds} is not accepted; accepted: a whole number of 1 or more")
    if not Path("/proc/stat").exists():
        parser.error("the system calls are those under Linux")
    print(table(measured(given.rows, rounds=given.rounds)))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
