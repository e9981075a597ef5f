"""Run trackers under signals, forks, kills, full disks and renamed logs at random, and check all that they wrote.

    python tools/soak.py --minutes 120 [--seed N]

Every round is one run with some of the troubles below. After it the log must be whole, and its sum that of the tracker.
At the end threads, open files, children and memory must be where they were half-way. The exit code is 1 where they are
not; the seed, which is printed first, repeats the same schedule.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil

from eco2ai_callbacks import Tracker, track
from eco2ai_callbacks.runlog.read import records, total
from eco2ai_callbacks.runlog.verify import verify

# How much the process may grow in the second half, in bytes. In some 600 rounds Python's allocator and the C library
# take what the largest rounds need, and keep it; after that one round differs from the next by less than this.
GROWTH_BYTES = 2 * 2**20

VICTIM = """
import sys, time
from eco2ai_callbacks import Tracker
run = Tracker(region="FR", log_file=sys.argv[1], heartbeat_s=0.2, console=False, project="victim").start()
for epoch in range(10**9):
    end = time.process_time() + 0.01
    while time.process_time() < end: pass
    print(run.run_id, run.mark(epoch=epoch).seconds, flush=True)
"""


class Interrupted(Exception):
    """What a signal handler raises into the program, as Ctrl-C does."""


class Round:
    """One run and its troubles.

    Args:
        chance: Decides what happens.
        folder: An empty folder.
    """

    def __init__(self, chance: random.Random, folder: Path) -> None:
        self.chance = chance
        self.log = folder / "log.jsonl"
        self.parts: list[Path] = []
        self.victims: list[subprocess.Popen[str]] = []
        self.spawning = False
        self.run = Tracker(region="FR", log_file=self.log, console=False, heartbeat_s=chance.choice([0.0, 0.1, 60.0]))
        self.troubles = [
            trouble
            for trouble in (self.full_disk, self.rename, self.fork, self.victim, self.nested, self.threads)
            if chance.random() < 0.3
        ]
        self.on_signal: Callable[[], None] | None = chance.choice([None, None, self.mark, self.stop, self.interrupt])

    def play(self) -> None:
        """Run it from start to stop, and check what it leaves."""
        before = time.monotonic()
        self.run.start()
        with self.signals(), contextlib.suppress(Interrupted):
            for epoch in range(self.chance.randrange(1, 60)):
                self.run.mark(epoch=epoch, samples=self.chance.choice([None, 64]))
                if self.troubles and self.chance.random() < 0.2:
                    self.chance.choice(self.troubles)()
                if self.chance.random() < 0.1:
                    time.sleep(self.chance.random() * 0.05)
        # What could not be written while the disk was full is written now.
        room_for_all()
        used = self.run.stop(self.chance.choice(["finished", "interrupted"]))
        wait_for_threads()
        spent = time.monotonic() - before
        for victim in self.victims:
            victim.kill()
            self.check_victim(*victim.communicate())
        parts = [part for part in [*self.parts, self.log] if part.exists()]
        verdict = verify(parts)
        if not verdict.whole:
            raise AssertionError(f"the log is not whole: {verdict.first}")
        mine = [record for part in parts for record in records(part) if record.run == self.run.run_id]
        logged = total(mine)
        if mine[-1].event != "stop":
            raise AssertionError("the last record is no stop")
        if logged.seconds > spent or used != self.run.total:
            raise AssertionError(f"{logged.seconds} s were counted in {spent} s, and {used} is not {self.run.total}")
        for name in ("total_j", "seconds", "energy_kwh", "co2_kg"):
            one, other = getattr(used, name), getattr(logged, name)
            if abs(one - other) > 1e-9 * max(abs(one), abs(other)):
                raise AssertionError(f"the tracker has {name} {one}, its log {other}")

    def check_victim(self, told: str, _: str) -> None:
        """Check that what a killed process was told of its marks is in its log."""
        lines = [
            line.split() for line in told.splitlines() if line.count(" ") == 1 and line.endswith(tuple("0123456789"))
        ]
        if not lines:
            return
        found = [record for part in [*self.parts, self.log] if part.exists() for record in records(part)]
        marks = sum(record.event == "epoch" and record.run == lines[0][0] for record in found)
        if marks < len(lines) - 1:  # the last line may have been cut
            raise AssertionError(f"{len(lines)} marks had returned before the kill, and {marks} are in the log")

    # --- what happens ----------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def signals(self) -> Iterator[None]:
        """Send a signal at random moments."""

        inside = False

        def handler(*_: object) -> None:
            nonlocal inside
            if self.on_signal is not None and not inside and not self.spawning:
                inside = True
                self.on_signal()
                inside = False

        signal.signal(signal.SIGALRM, handler)
        if self.on_signal is not None:
            signal.setitimer(signal.ITIMER_REAL, 0.001 + 0.05 * self.chance.random(), 0.01)
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)

    def mark(self) -> None:
        """Mark from a signal handler."""
        self.run.mark("stage", stage="other")

    def stop(self) -> None:
        """Stop from a signal handler."""
        self.run.stop("interrupted")

    def interrupt(self) -> None:
        """Raise from a signal handler."""
        signal.setitimer(signal.ITIMER_REAL, 0)
        raise Interrupted

    def full_disk(self) -> None:
        """Let no file grow beyond a size in the middle of a record or before it, or take that back."""
        size = self.log.stat().st_size if self.log.exists() else 0
        limit = self.chance.choice([size, size + self.chance.randrange(3000), resource.RLIM_INFINITY])
        # Small files, such as the registry's, still fit.
        resource.setrlimit(resource.RLIMIT_FSIZE, (max(limit, 8192), resource.RLIM_INFINITY))

    def rename(self) -> None:
        """Rename the log, as logrotate does."""
        if self.log.exists() and not self.victims:
            self.parts.append(self.log.rename(self.log.with_name(f"{len(self.parts)}.jsonl")))

    def fork(self) -> None:
        """Fork a child that marks and stops, which must do nothing there."""
        self.spawning = True
        child = os.fork()
        if child == 0:
            self.run.mark()
            self.run.stop()
            os._exit(0)
        os.waitpid(child, 0)
        self.spawning = False

    def victim(self) -> None:
        """Start a process that measures itself into the same log and will be killed, or kill one."""
        if len(self.victims) < 2 and not self.parts:
            room_for_all()
            command = [sys.executable, "-c", VICTIM, str(self.log)]
            self.spawning = True  # an exception in the middle would lose the process, and Python's count of threads
            self.victims.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
            self.spawning = False
        elif self.victims:
            self.chance.choice(self.victims).kill()

    def nested(self) -> None:
        """Measure a block inside of the run."""
        room_for_all()
        with track(region="FR", log_file=self.log, console=False, project="nested"):
            pass

    def threads(self) -> None:
        """Measure blocks in several threads at once."""
        room_for_all()
        shared = track(region="FR", log_file=self.log, console=False, project="threads")

        def work() -> None:
            for _ in range(3):
                with shared as run:
                    run.mark(epoch=0)

        threads = [threading.Thread(target=work) for _ in range(3)]
        self.spawning = True
        for thread in threads:
            thread.start()
        self.spawning = False
        for thread in threads:
            thread.join()


def room_for_all() -> None:
    """End a full disk: what is short, or another process's, has no later chance to write."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


def wait_for_threads() -> None:
    """Wait for what a signal cut short and goes on in its thread.

    Not by ``join``: where a signal handler raises into one, Python 3.11 takes the thread for ended though it runs on.
    """
    until = time.monotonic() + 60.0
    while len(threading.enumerate()) > 1 and time.monotonic() < until:
        time.sleep(0.001)


def state() -> dict[str, int]:
    """Return what this process holds now."""
    gc.collect()
    here = psutil.Process()
    return {
        "threads": threading.active_count(),
        "open files": here.num_fds(),
        "children": len(here.children()),
        "bytes": here.memory_info().rss,
    }


def main() -> int:
    """Play rounds for a while, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=120.0)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**32))
    args = parser.parse_args()
    print(f"seed {args.seed}", flush=True)
    chance, began, until = random.Random(args.seed), time.monotonic(), time.monotonic() + 60 * args.minutes
    done, played = 0, Counter[str]()
    half: dict[str, int] | None = None
    while half is None or time.monotonic() < until:
        folder = Path(tempfile.mkdtemp(prefix="eco2ai-soak-"))
        now = Round(random.Random(chance.random()), folder)
        try:
            now.play()
        except BaseException:
            print(f"round {done} of seed {args.seed} failed; its files are in {folder}", flush=True)
            raise
        shutil.rmtree(folder)
        played.update(trouble.__name__ for trouble in now.troubles)
        played.update([f"signal: {now.on_signal.__name__}"] if now.on_signal is not None else [])
        done += 1
        if half is None and time.monotonic() >= (began + until) / 2:
            half = state()
            print(f"half-way, after {done} rounds: {half}", flush=True)
        if done % 100 == 0:
            print(f"{done} rounds: {state()}", flush=True)
    end = state()
    print(f"{done} rounds: " + ", ".join(f"{name} {number}" for name, number in sorted(played.items())))
    print(f"at the end: {end}")
    kept = {name: end[name] - half[name] for name in end}
    lasting = [name for name in ("threads", "open files", "children") if kept[name] > 0]
    if kept["bytes"] > GROWTH_BYTES:
        lasting.append("bytes")
    if lasting:
        print(f"left behind: {', '.join(f'{kept[name]} {name}' for name in lasting)}")
    return bool(lasting)


if __name__ == "__main__":
    sys.exit(main())
