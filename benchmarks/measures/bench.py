"""What every measure needs: the packages with their environments, and how long to measure."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.conversation import Probe, ProbeError
from benchmarks.environments import Environment
from benchmarks.peers import Peer
from benchmarks.table import Row, error


@dataclass(frozen=True, slots=True)
class Bench:
    """The packages of one run of the benchmark.

    Args:
        peers: Packages whose environment is there.
        environments: Their environments, by name.
        seconds: Length of each load.
        idle_s: Length of the wait in which idle trackers are watched.
        cap_s: Longest time that a package gets for its marks.
        rounds: Turns of each package in what is repeated.
        sources: How each package finds the CPU's energy, in its own words; filled in by the loads.
    """

    peers: tuple[Peer, ...]
    environments: dict[str, Environment]
    seconds: float
    idle_s: float
    cap_s: float
    rounds: int
    sources: dict[str, str] = field(default_factory=dict)

    def probe(self, script: str, peer: Peer, folder: Path | None = None) -> Probe:
        """Start a probe of one package."""
        return Probe(script, self.environments[peer.name].python, peer.tracker, folder)

    def order(self, turn: int) -> tuple[Peer, ...]:
        """Return the packages in the order of a round: each is first in turn."""
        start = turn % len(self.peers)
        return self.peers[start:] + self.peers[:start]


@contextmanager
def cell(peer: Peer, *rows: Row) -> Iterator[None]:
    """Make a package's failure its cell in these rows, where there is none yet."""
    try:
        yield
    except ProbeError as failure:
        for row in rows:
            row.cells.setdefault(peer.name, error(failure))
