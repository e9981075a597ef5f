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
from pathlib import Path
from typing import Any

from eco2ai_callbacks.record import Record
from eco2ai_callbacks.runlog.hashing import canonical, line_hash
from eco2ai_callbacks.runlog.read import lines
from eco2ai_callbacks.runlog.resume import load_prior
from eco2ai_callbacks.runlog.unfinished import unfinished
from eco2ai_callbacks.runlog.verify import verify

SECONDS, JOULES = 2.0, 36.0
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
    with path.open("w", encoding="utf-8") as file:
        for run in range(runs):
            done, continues = 0, None
            for session in range(sessions):
                writer = f"{run:08x}{session:08x}"
                for line in _session(f"run{run}", writer, length, done, continues, killed):
                    file.write(line + "\n")
                continues = {"writer": writer, "hash": line_hash(line)}
                done += length - 1


def _session(
    run: str, writer: str, length: int, done: int, continues: dict[str, str] | None, killed: bool
) -> Iterator[str]:
    common = {"run": run, "writer": writer, "project": "demo", "host": "host", "start": LABEL, "intensity": INTENSITY}
    line = canonical(
        Record(event="start", total=_sum(done), attempts=_attempts(done), continues=continues, **common).to_dict()  # type: ignore[arg-type]
    )
    yield line
    epoch_total = _sum(1)
    own = {name: epoch_total[name] for name in ("energy_kwh", "co2_kg", "seconds")}
    mark = Record(
        event="epoch",
        stage="train",
        epoch=-1,
        attempt=1,
        joules={"cpu": JOULES},
        method={"cpu": "cpu-model:vm"},
        band={"cpu": (12.0, 72.0)},
        attribution={"cpu": "job's process tree, 2.02 W per busy thread"},
        covers={"cpu": ("cpu", "ram")},
        seq=-1,
        prev="PREV",
        epoch_total=epoch_total,
        total={"TOTAL": None},
        version="0.1.0",
        attempts=((0, -2, 1),),
        **{**common, **own},  # type: ignore[arg-type]
    )
    template = canonical(mark.to_dict())
    for seq in range(1, length):
        epoch, text = done + seq - 1, template
        stops = seq == length - 1 and not killed
        if stops:
            text = text.replace('"event":"epoch","epoch":-1,"attempt":1,"stage":"train"', _STOP)
            text = text.replace(f'"epoch_total":{canonical(epoch_total)}', '"epoch_total":null')
            text = text.replace('"ended":null', '"ended":"finished"')
        text = text.replace('"seq":-1', f'"seq":{seq}', 1).replace('"PREV"', f'"{line_hash(line)}"', 1)
        text = text.replace('"epoch":-1', f'"epoch":{epoch}', 1)
        line = text.replace('{"TOTAL":null}', canonical(_sum(done + seq)), 1)
        line = line.replace("[0,-2,1]", f"[0,{epoch - stops},1]", 1)
        yield line


_STOP = '"event":"stop","epoch":null,"attempt":null,"stage":"other"'


def _attempts(done: int) -> tuple[tuple[int, int, int], ...]:
    return ((0, done - 1, 1),) if done else ()


def _sum(marks: int) -> dict[str, Any]:
    if not marks:
        return {"energy_kwh": None, "co2_kg": None, "seconds": 0.0}
    energy = marks * JOULES / 3.6e6
    return {
        "energy_kwh": energy,
        "co2_kg": energy * 0.4,
        "seconds": marks * SECONDS,
        "joules": {"cpu": marks * JOULES},
    }


if __name__ == "__main__":
    main()
