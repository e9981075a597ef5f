"""What a mark costs, by the length of the file, and how long a record is."""

from __future__ import annotations

from contextlib import ExitStack

from benchmarks.conversation import Probe, ProbeError
from benchmarks.measures.bench import Bench, cell
from benchmarks.peers import Peer
from benchmarks.table import Row, figure

POINTS = (10, 1_000, 100_000)
# One turn of one package.
TURN_S = 2.0


def marks(bench: Bench) -> list[Row]:
    """Return the time of a mark at each point and the bytes of a record; packages take turns of two seconds."""
    rows = {point: Row(f"mark at row {point:,}, ms") for point in POINTS}
    size = Row("bytes a record")
    with ExitStack() as stack:
        runs = [_Run(peer, stack.enter_context(bench.probe("marks.py", peer)), rows, size) for peer in bench.peers]
        while waiting := [run for run in runs if run.points]:
            for run in waiting:
                run.take_turn(bench.cap_s)
    return [*rows.values(), size]


class _Run:
    """One package on its way from point to point."""

    def __init__(self, peer: Peer, probe: Probe, rows: dict[int, Row], size: Row) -> None:
        self.points = list(POINTS)
        self._peer = peer
        self._probe = probe
        self._rows = rows
        self._size = size
        self._at_first = 0

    def take_turn(self, cap_s: float) -> None:
        point, name = self.points[0], self._peer.name
        with cell(self._peer, *self._rows.values(), self._size):
            try:
                answer = self._probe.ask(TURN_S, until=point, seconds=TURN_S)
            except ProbeError:
                self.points.clear()
                raise
            if answer["rows"] == point:
                self._rows[point].cells[name] = figure(answer["ms"])
                self._note_size(point, answer["bytes"])
                self.points.pop(0)
            elif answer["spent_s"] >= cap_s:
                reached = f"row {answer['rows']:,}: {figure(answer['ms'])}"
                for later in self.points:
                    self._rows[later].cells[name] = f"not reached in {cap_s:g} s ({reached})"
                self._note_size(answer["rows"], answer["bytes"])
                self.points.clear()

    def _note_size(self, rows: int, size: int) -> None:
        """The records between the first point and the next; what a file begins with is no record."""
        if rows <= POINTS[0]:
            self._at_first = size
        elif self._peer.name not in self._size.cells:
            written = (size - self._at_first) / (rows - POINTS[0])
            self._size.cells[self._peer.name] = figure(written) if written > 0 else "0 before the end"
