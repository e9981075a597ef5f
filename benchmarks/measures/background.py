"""What a tracker costs beside its calls: while the program waits, and while it works."""

from __future__ import annotations

import dataclasses
import sys
from collections import defaultdict
from contextlib import ExitStack

from benchmarks.conversation import Probe
from benchmarks.measures.bench import Bench, cell
from benchmarks.peers import OURS
from benchmarks.table import Row, figure

SECONDS_OF_A_MINUTE = 60.0
# Some 0.4 s on a processor of 2021.
LOOP_ROUNDS = 6_000_000
# The process without a tracker that the others' CPU time is divided by.
BARE = dataclasses.replace(OURS, name="bare", tracker="bare")


def idle(bench: Bench) -> list[Row]:
    """Return CPU time and threads of trackers that wait, all of them over the same seconds."""
    used = Row(f"idle, CPU seconds a minute (over {bench.idle_s:g} s)")
    threads = Row("threads more than the program's own")
    with ExitStack() as stack:
        probes: dict[str, Probe] = {}
        for peer in bench.peers:
            with cell(peer, used, threads):
                probes[peer.name] = stack.enter_context(bench.probe("idle.py", peer))
                # Starting is no part of it.
                probes[peer.name].ask(seconds=0.0)
        for peer in bench.peers:
            if peer.name not in used.cells:
                with cell(peer, used, threads):
                    probes[peer.name].send(seconds=bench.idle_s)
        for peer in bench.peers:
            if peer.name not in used.cells:
                with cell(peer, used, threads):
                    answer = probes[peer.name].receive(bench.idle_s)
                    used.cells[peer.name] = figure(answer["cpu_s"] * SECONDS_OF_A_MINUTE / bench.idle_s)
                    threads.cells[peer.name] = str(answer["threads"])
    return [used, threads]


def loop(bench: Bench) -> list[Row]:
    """Return the CPU time of a busy process with a running tracker over that of one without, turn by turn."""
    row = Row("CPU time of a busy loop, with over without (least to most of the rounds)")
    times: dict[str, list[float]] = defaultdict(list)
    with ExitStack() as stack:
        bare = stack.enter_context(Probe("loop.py", sys.executable, BARE.tracker))
        probes = {peer.name: stack.enter_context(bench.probe("loop.py", peer)) for peer in bench.peers}
        for turn in range(2 * bench.rounds + 1):
            # The first one only warms up.
            taken = bare.ask(rounds=LOOP_ROUNDS)["cpu_s"]
            if turn:
                times[BARE.name].append(taken)
            for peer in bench.order(turn):
                if peer.name in row.cells:
                    continue
                with cell(peer, row):
                    taken = probes[peer.name].ask(rounds=LOOP_ROUNDS)["cpu_s"]
                    if turn:
                        times[peer.name].append(taken)
    for name in probes:
        if name not in row.cells:
            ratios = [mine / bare for mine, bare in zip(times[name], times[BARE.name], strict=True)]
            mean = sum(times[name]) / sum(times[BARE.name])
            row.cells[name] = f"{mean:.3f} ({min(ratios):.2f}–{max(ratios):.2f})"
    return [row]
