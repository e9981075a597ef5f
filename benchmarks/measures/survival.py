"""What is on disk after a SIGKILL, and after many writers."""

from __future__ import annotations

import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from benchmarks.conversation import ProbeError
from benchmarks.measures.bench import Bench, cell
from benchmarks.records import epochs_on_disk
from benchmarks.table import Row

# The training that is killed: after as many epochs, each as long.
KILLED_AFTER, EPOCH_S = 12, 0.25
WRITERS, EPOCHS, PAUSE_S = 8, 50, 0.1
# Longest time for all writers together.
PATIENCE_S = 45.0


def killed(bench: Bench) -> list[Row]:
    """Return how many epochs' energy is left where a training is killed."""
    row = Row(f"epochs with an energy on disk after SIGKILL, of {KILLED_AFTER}")
    with ExitStack() as stack:
        probes = {peer: stack.enter_context(bench.probe("epochs.py", peer)) for peer in bench.peers}
        for peer, probe in probes.items():
            with cell(peer, row):
                probe.send(epochs=KILLED_AFTER, seconds=EPOCH_S, busy=True, finish=False)
        for peer, probe in probes.items():
            with cell(peer, row):
                probe.receive(PATIENCE_S)
                probe.kill()
                row.cells[peer.name] = str(epochs_on_disk(peer.tracker, probe.folder))
    return [row]


def writers(bench: Bench) -> list[Row]:
    """Return how many epochs' energy eight processes leave that write to the same file at once."""
    row = Row(f"epochs with an energy on disk, {WRITERS} writers × {EPOCHS} to one place")
    for peer in bench.peers:
        with cell(peer, row), tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
            place = Path(folder)
            probes = [stack.enter_context(bench.probe("epochs.py", peer, place)) for _ in range(WRITERS)]
            for probe in probes:
                probe.send(epochs=0, seconds=0.0, busy=False, finish=False)
            for probe in probes:
                probe.receive()
            for probe in probes:
                probe.send(epochs=EPOCHS, seconds=PAUSE_S, busy=False, finish=True)
            failures = []
            end = time.monotonic() + PATIENCE_S
            for probe in probes:
                try:
                    probe.receive(max(0.0, end - time.monotonic()), grace_s=0.0)
                except ProbeError as failure:
                    failures.append(str(failure))
            row.cells[peer.name] = str(epochs_on_disk(peer.tracker, place))
            if failures:
                row.cells[peer.name] += f" ({len(failures)} writers failed, within {PATIENCE_S:g} s: {failures[0]})"
    return [row]
