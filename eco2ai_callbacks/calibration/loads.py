"""Put a load on the machine: so many hardware threads busy, all or a part of the time, and the GPUs."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

_CPUS = Path("/sys/devices/system/cpu")
# By its path, and with -P: a calibration runs as root, and no module of the working folder may take one's place.
_WORKER = Path(__file__).with_name("burner.py")


@dataclass(frozen=True, slots=True)
class Load:
    """A load.

    Args:
        threads: Hardware threads that are busy.
        part: The part of the time in which they are.
        gpu: The part of the time in which the GPUs are busy.
    """

    threads: int = 0
    part: float = 1.0
    gpu: float = 0.0

    @property
    def label(self) -> str:
        """The load in a few words.

        Example:
            >>> Load(4).label, Load(8, 0.5).label, Load(gpu=1.0).label
            ('4 threads', '8 threads at 50 %', 'GPU')
        """
        parts = []
        if self.threads:
            count = f"{self.threads} thread" + ("" if self.threads == 1 else "s")
            parts.append(count if self.part == 1.0 else f"{count} at {self.part:.0%}".replace("%", " %"))
        if self.gpu:
            parts.append("GPU" if self.gpu == 1.0 else f"GPU at {self.gpu:.0%}".replace("%", " %"))
        return " and ".join(parts) or "idle"


class WorkerError(Exception):
    """A worker did not start, or ended; the message is a sentence for the user."""


class Workers:
    """One process for each hardware thread, bound to it, and one for the GPUs where they are wanted.

    Args:
        cpus: The numbers of the hardware threads, in the order in which they become busy.
        gpu: Whether the GPUs may be wanted.
    """

    def __init__(self, cpus: Sequence[int], gpu: bool = False) -> None:
        self._cpu: list[subprocess.Popen[bytes]] = []
        self._gpu: subprocess.Popen[bytes] | None = None
        with contextlib.ExitStack() as unless_ready:
            unless_ready.callback(self.close)
            self._cpu.extend(_start("cpu", str(number)) for number in cpus)
            self._gpu = _start("gpu") if gpu else None
            for worker in self._all:
                if _output(worker).readline().strip() != b"ready":
                    raise WorkerError("a worker of the load did not start: torch may see no GPU, or memory be short")
            unless_ready.pop_all()

    @property
    def _all(self) -> list[subprocess.Popen[bytes]]:
        return [*self._cpu, *([self._gpu] if self._gpu else [])]

    def put(self, load: Load) -> None:
        """Change the load; raises :class:`WorkerError` where a worker has ended.

        Args:
            load: The load from now on.
        """
        for number, worker in enumerate(self._cpu):
            _send(worker, load.part if number < load.threads else 0.0)
        if self._gpu is not None:
            _send(self._gpu, load.gpu)

    def close(self) -> None:
        """End all workers."""
        for worker in self._all:
            worker.kill()
        for worker in self._all:
            worker.wait()
            for stream in (worker.stdin, worker.stdout):
                if stream is not None:
                    with contextlib.suppress(OSError):
                        stream.close()


def usable_cpus() -> list[int]:
    """Return the numbers of the hardware threads that this process may use.

    Of each core the first thread comes before any second one, as the kernel itself spreads a load.
    """
    if not hasattr(os, "sched_getaffinity"):
        return list(range(os.cpu_count() or 1))
    allowed = sorted(os.sched_getaffinity(0))
    return sorted(allowed, key=lambda number: (_place_in_core(number), number))


def _place_in_core(number: int) -> int:
    try:
        text = (_CPUS / f"cpu{number}/topology/thread_siblings_list").read_text(encoding="ascii")
    except OSError:
        return 0
    siblings: list[int] = []
    for span in text.strip().split(","):
        first, _, last = span.partition("-")
        if first.isdecimal() and (not last or last.isdecimal()):
            siblings.extend(range(int(first), int(last or first) + 1))
    return siblings.index(number) if number in siblings else 0


def _start(*arguments: str) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(
            [sys.executable, "-P", str(_WORKER), *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
    except OSError as error:
        raise WorkerError(f"a worker of the load cannot be started: {error.strerror}") from None


def _send(worker: subprocess.Popen[bytes], part: float) -> None:
    try:
        stream = worker.stdin
        if stream is not None:
            stream.write(f"{part:g}\n".encode())
            stream.flush()
    except OSError:
        raise WorkerError("a worker of the load has ended: the system may be out of memory") from None


def _output(worker: subprocess.Popen[bytes]) -> IO[bytes]:
    assert worker.stdout is not None
    return worker.stdout
