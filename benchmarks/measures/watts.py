"""The CPU energy that is reported for loads whose core-seconds are known."""

from __future__ import annotations

import os
import subprocess
import sys

from benchmarks.conversation import PROBES
from benchmarks.measures.bench import Bench, cell
from benchmarks.peers import Peer
from benchmarks.table import Row, figure

# Of each load, what the probe does meanwhile.
KINDS = {
    "own thread busy": "own",
    "a child process busy": "child",
    "short-lived workers (0.05 s each)": "workers",
    "only a stranger's process busy": "wait",
}
PER_CORE = "J per busy core-second: {}"
IDLE = "W while nobody is busy"


def watts(bench: Bench) -> list[Row]:
    """Return joules per busy core-second of each load, and watts without one; packages take turns load by load."""
    rows = {label: Row(PER_CORE.format(label)) for label in KINDS} | {IDLE: Row(IDLE)}
    for turn, (label, row) in enumerate(rows.items()):
        kind = KINDS.get(label, "wait")
        for peer in bench.order(turn):
            if peer.name in row.cells:
                continue  # failed at the first load: nothing measures the CPU
            with cell(peer, *rows.values()):
                row.cells[peer.name] = figure(_measured(bench, peer, kind, stranger=label in KINDS and kind == "wait"))
    return list(rows.values())


def _measured(bench: Bench, peer: Peer, kind: str, *, stranger: bool) -> float:
    with bench.probe("watts.py", peer) as probe:
        probe.ask(kind="ready", seconds=0.0)
        # A child of this process, so a stranger to the probe's tree.
        command = [sys.executable, "-S", str(PROBES / "busy.py"), str(bench.seconds)]
        other = subprocess.Popen(command) if stranger else None
        try:
            answer = probe.ask(bench.seconds, kind=kind, seconds=bench.seconds)
        finally:
            others_s = _core_s(other) if other else 0.0
    bench.sources.setdefault(peer.name, answer["source"])
    return float(answer["joules"]) / float(answer["core_s"] or others_s or answer["wall_s"])


def _core_s(process: subprocess.Popen[bytes]) -> float:
    """Wait for a process and return the core-seconds that it used."""
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return used.ru_utime + used.ru_stime
