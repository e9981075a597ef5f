"""``python -m benchmarks.ranks``: what the end of an epoch costs a job of many ranks, by a simulated group.

A rank of the job is this process, with the package's own messages, exchange and sum. The other ranks' messages are
made up, and reach it as those of ``torch.distributed.all_gather_object`` do: pickled, and padded to the longest one.
What the network adds is not in the figures.
"""

from __future__ import annotations

import argparse
import pickle
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from eco2ai_callbacks.distributed.job import JobTotals
from eco2ai_callbacks.distributed.messages import RankUsage
from eco2ai_callbacks.guard import Guard
from eco2ai_callbacks.usage import Usage

SIZES = (8, 64, 512, 4096)
GPUS_PER_HOST = 8
# What `all_gather_object` sends before a message: its length, as one int64.
_LENGTH_BYTES = 8


@dataclass(frozen=True, slots=True)
class Cost:
    """What one exchange costs one rank.

    Args:
        ranks: Ranks of the job.
        sent_bytes: Bytes of its own message.
        received_bytes: Bytes of all messages, as they reach each rank.
        cpu_s: Seconds of CPU time that unpickling and the sum take, in the fastest of the repetitions.
    """

    ranks: int
    sent_bytes: int
    received_bytes: int
    cpu_s: float


def message(rank: int) -> RankUsage:
    """Return a rank's message at an epoch's end: its processes, its GPU, and a validation within the epoch."""
    board = f"gpu:GPU-{rank:08x}-3b0e-4c1d-9f52-8d2f6a7b{rank % 65536:04x}"

    def usage(seconds: float) -> Usage:
        joules = {"cpu": 61.5 * seconds + rank, "ram": 4.25 * seconds, board: 312.5 * seconds + rank / 7}
        return Usage(seconds, joules, sum(joules.values()) * 1.2e-5)

    phases = {name: (part, 378.25 * part) for name, part in (("data", 12.5), ("train", 240.25), ("validate", 30.125))}
    return RankUsage(usage(252.75), usage(30.125), usage(2828.75), samples=40_960, tokens=20_971_520, phases=phases)


class SimulatedGroup:
    """The other ranks of a job, whose messages are pickled once.

    Args:
        size: Ranks of the job, this one included.
    """

    def __init__(self, size: int) -> None:
        self._others = [pickle.dumps(message(rank)) for rank in range(1, size)]
        self.sent_bytes = self.received_bytes = 0

    def gather(self, told: Any) -> list[Any]:
        """Return all ranks' messages, this one's first."""
        pickled = [pickle.dumps(told), *self._others]
        self.sent_bytes = len(pickled[0])
        self.received_bytes = len(pickled) * (max(map(len, pickled)) + _LENGTH_BYTES)
        return [pickle.loads(each) for each in pickled]


def cost(size: int, repetitions: int = 3) -> Cost:
    """Return what one epoch's end costs each rank of a job.

    Args:
        size: Ranks of the job.
        repetitions: How often it is measured.
    """
    group, job, own = SimulatedGroup(size), JobTotals(Guard()), message(0)
    job.join(group.gather, rank=0)
    spent = []
    for _ in range(repetitions):
        before = time.process_time()
        job.add(own)
        spent.append(time.process_time() - before)
    return Cost(size, group.sent_bytes, group.received_bytes, min(spent))


def table(costs: Sequence[Cost]) -> str:
    """Return costs as a Markdown table."""
    lines = [
        "| ranks | hosts | bytes that a rank sends | bytes that reach each rank | CPU time of each rank |",
        "|---:|---:|---:|---:|---:|",
    ]
    for each in costs:
        hosts = -(-each.ranks // GPUS_PER_HOST)
        received = f"{each.received_bytes / 1e6:.2f} MB" if each.received_bytes >= 1e5 else f"{each.received_bytes:,}"
        lines.append(f"| {each.ranks:,} | {hosts:,} | {each.sent_bytes} | {received} | {each.cpu_s * 1e3:.1f} ms |")
    return "\n".join(lines)


def main(args: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ranks", description="What many ranks cost.")
    parser.add_argument("sizes", nargs="*", type=int, default=SIZES, help="ranks of the jobs (default: %(default)s)")
    given = parser.parse_args(args)
    if any(size < 2 for size in given.sizes):
        parser.error(f"sizes: {min(given.sizes)} is not accepted: a job has 2 ranks or more.")
    print(table([cost(size) for size in given.sizes]))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
