"""Keep one hardware thread, or the GPUs, busy for a part of the time: the program of a load's worker process.

It reads a part from 0 to 1 from each line of its input, and ends with its input: a killed calibration leaves no load.
"""

from __future__ import annotations

import hashlib
import os
import select
import sys
import time
import zlib
from collections.abc import Callable, Sequence
from typing import Any

# Busy and idle alternate in this time, in seconds; short against a step, long against the kernel's tick.
PERIOD_S = 0.1
_BLOCK = bytes(range(256)) * 256


def main(arguments: Sequence[str] = tuple(sys.argv[1:])) -> None:
    """Burn until the input ends.

    Args:
        arguments: ``cpu`` and the number of the hardware thread, or ``gpu``.
    """
    if arguments[0] == "gpu":
        work = _gpu_work()
    else:
        if hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, {int(arguments[1])})
        work = cpu_work
    print("ready", flush=True)
    burn(work, lambda seconds: _line(sys.stdin.fileno(), seconds))


def burn(
    work: Callable[[], None], line: Callable[[float | None], str | None], clock: Callable[[], float] = time.monotonic
) -> None:
    """Work for the wanted part of each period.

    Args:
        work: Some milliseconds of work.
        line: Waits so many seconds (``None``: for ever) for a line of input; empty where there was none, and ``None``
            at the end of the input.
        clock: Monotonic seconds.
    """
    part = 0.0
    while True:
        until = clock() + PERIOD_S * part
        while clock() < until:
            work()
        wait_s = None if part <= 0 else PERIOD_S * (1 - part)
        text = line(wait_s)
        if text is None:
            return
        if text:
            part = min(1.0, max(0.0, float(text)))


def cpu_work() -> None:
    """Work a few milliseconds: the interpreter, hashes and compression in turn, since kinds of work differ in power."""
    total = 0
    for number in range(20_000):
        total += number * number % 7
    hashlib.blake2b(_BLOCK).digest()
    zlib.compress(_BLOCK, 6)


def _gpu_work() -> Callable[[], None]:
    """Return some milliseconds of work on every GPU that torch sees."""
    import torch

    matrices: list[Any] = [
        torch.randn(4096, 4096, device=f"cuda:{number}", dtype=torch.float16)
        for number in range(torch.cuda.device_count())
    ]

    def work() -> None:
        for matrix in matrices:
            matrix @ matrix
        for number in range(len(matrices)):
            torch.cuda.synchronize(number)

    return work


def _line(descriptor: int, seconds: float | None) -> str | None:
    """Return the last line of the input that is there after so many seconds."""
    ready, _, _ = select.select([descriptor], [], [], seconds)
    if not ready:
        return ""
    content = os.read(descriptor, 4096).decode()
    return content.split()[-1] if content.split() else None


if __name__ == "__main__":
    main()
