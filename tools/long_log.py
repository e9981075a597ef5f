"""Write a long, valid run log, and print what reading it costs: CPU seconds, microseconds a line, peak memory.

    python tools/long_log.py /tmp/long.jsonl --lines 1000000 --runs 10 --sessions 10

The lines are those of one process with one channel; each run has its sessions one after the other, each of which
continues the one before. An existing file is read as it is.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from eco2ai_callbacks.record import Record, banded, described, measured, whole_epoch
from eco2ai_callbacks.runlog.read import lines
from eco2ai_callbacks.runlog.resume import load_prior
from eco2ai_callbacks.runlog.unfinished import unfinished
from eco2ai_callbacks.runlog.verify import verify
from eco2ai_callbacks.runlog.write import Writer
from eco2ai_callbacks.usage import Method, Usage

SECONDS, JOULES, GRAMS_PER_J = 2.0, 36.0, 400.0 / 3.6e6
METHODS = {"cpu": Method("cpu-model:vm", 1 / 3, 2.0, scope="job", note="2.02 W per busy thread")}
# Records that are written at once.
BATCH = 100
LABEL = "2026-01-01T00:00:00.000+00:00"
INTENSITY = {
    **{"g_per_kwh": 400.0, "region": "DE", "name": "Germany", "dataset": "Ember 2026-04", "year": 2025},
    **{"kind": "lifecycle", "level": "country", "low": 360.0, "high": 440.0, "found_by": "setting"},
}


def main() -> None:
    """Write the log where it is not there, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("log", type=Path)
    parser.add_argument("--lines", type=int, default=1_000_000)
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--sessions", type=int, default=1, help="sessions of each run")
    parser.add_argument("--killed", action="store_true", help="no session has a stop record")
    args = parser.parse_args()
    if not args.log.exists():
        write(args.log, args.lines, args.runs, args.sessions, killed=args.killed)
    print(f"{args.log}: {args.log.stat().st_size / 2**20:.0f} MiB")
    first, last = "run0", f"run{args.runs - 1}"
    report("verify", lambda: sum(run.state == "altered" for run in verify(args.log).runs), args.lines)
    report("read", lambda: sum(1 for _ in lines(args.log)), args.lines)
    report("resume the first run", lambda: load_prior(args.log, first).usage.seconds, args.lines)
    report("resume the last run", lambda: load_prior(args.log, last).usage.seconds, args.lines)
    report("resume a run that is not there", lambda: load_prior(args.log, "none").usage.seconds, args.lines)
    report("unfinished runs", lambda: len(unfinished(args.log, "demo", "host", ())), args.lines)


def report(what: str, fn: Callable[[], float], count: int) -> None:
    """Call a function in a process of its own, and print what it took."""
    child = multiprocessing.get_context("fork").Process(target=_measure, args=(what, fn, count))
    child.start()
    child.join()


def _measure(what: str, fn: Callable[[], float], count: int) -> None:
    began = time.process_time()
    result = fn()
    took = time.process_time() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
    print(f"{what}: {result}; {took:.3f} s of CPU, {took / count * 1e6:.1f} us a line, peak {peak:.0f} MiB", flush=True)


def write(path: Path, count: int, runs: int = 1, sessions: int = 1, *, killed: bool = False) -> None:
    """Write a log.

    Args:
        path: The file.
        count: Number of lines, about.
        runs: Number of runs, one after the other.
        sessions: Number of sessions of each run.
        killed: Whether the sessions have no ``stop``.
    """
    length = max(3, count // (runs * sessions))
    for run in range(runs):
        done, continues = 0, None
        for session in range(sessions):
            name = f"{run:08x}{session:08x}"
            writer = Writer(path)
            for seq, record in enumerate(_session(f"run{run}", name, length, done, continues, killed)):
                writer.keep(record)
                if seq % BATCH == 0:
                    writer.flush()
            writer.flush()
            continues = {"writer": name, "hash": writer.link or ""}
            done += length - 1


def _session(
    run: str, writer: str, length: int, done: int, continues: dict[str, str] | None, killed: bool
) -> Iterator[Record]:
    common = {"run": run, "writer": writer, "project": "demo", "host": "host", "start": LABEL, "intensity": INTENSITY}
    start = Record(
        event="start",
        covers={"cpu": ("cpu", "ram")},
        version="0.1.0",
        total=_total(done),
        attempts=_attempts(done),
        continues=continues,
        **described(METHODS),
        **common,  # type: ignore[arg-type]
    )
    yield start
    one = Usage(SECONDS, {"cpu": JOULES}, JOULES * GRAMS_PER_J)
    mark = replace(start, event="epoch", stage="train", attempt=1, continues=None, **measured(one, METHODS))
    mark = replace(mark, **whole_epoch(one))
    for seq in range(1, length):
        epoch = done + seq - 1
        if seq < length - 1 or killed:
            yield replace(mark, seq=seq, epoch=epoch, total=_total(done + seq), attempts=_attempts(epoch + 1))
        else:
            own = {"event": "stop", "stage": "other", "attempt": None, "ended": "finished"}
            none = dict.fromkeys(("epoch_total", "epoch_energy_kwh", "epoch_co2_kg"))
            yield replace(mark, seq=seq, total=_total(done + seq), attempts=_attempts(epoch), **own, **none)  # type: ignore[arg-type]


def _attempts(done: int) -> tuple[tuple[int, int, int], ...]:
    return ((0, done - 1, 1),) if done else ()


def _total(marks: int) -> dict[str, Any]:
    joules = {"cpu": marks * JOULES} if marks else {}
    usage = Usage(marks * SECONDS, joules, marks * JOULES * GRAMS_PER_J if marks else None)
    return banded(usage, METHODS, (0.9, 1.1)) | {"joules": joules}


if __name__ == "__main__":
    main()
