"""Compare a GPU's energy counter with its power sensor, for ``eco2ai doctor --gpu``."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from eco2ai_callbacks.meters.gpu import nvml_driver as driver
from eco2ai_callbacks.meters.gpu.nvml_board import ENERGY, POWER
from eco2ai_callbacks.meters.gpu.nvml_driver import Nvml
from eco2ai_callbacks.meters.gpu.selection import Gpu

# A difference above this is reported.
TOLERANCE = 0.10
# The sensor is updated this often on recent cards (arXiv 2312.02741).
PERIOD_S = 0.1


@dataclass(frozen=True, slots=True)
class GpuAgreement:
    """The energy of one GPU by its counter and by its power, for the same interval.

    Args:
        index: The board's number in NVML's order.
        name: The model's name.
        uuid: The board's UUID.
        seconds: Length of the interval.
        counter_j: Joules by the counter; ``None`` where there is none.
        sampled_j: Joules by integrated power; ``None`` where it cannot be read.
        difference: Sampled minus counter, as a share of the counter; ``None`` where one of them is missing or zero.
        verdict: One sentence.
    """

    index: int
    name: str
    uuid: str
    seconds: float
    counter_j: float | None
    sampled_j: float | None
    difference: float | None
    verdict: str


@dataclass(slots=True)
class _Watched:
    gpu: Gpu
    handle: Any
    first_mj: int | None = None
    last_mj: int | None = None
    sampled_j: float = 0.0
    power: tuple[float, int] | None = None  # time, mW
    since: float = 0.0
    until: float = 0.0
    power_failed: bool = False

    def sample(self, nvml: Nvml, clock: Callable[[], float]) -> None:
        power_mw, _ = driver.ask(nvml, POWER, self.handle)
        now = clock()
        if power_mw is None:
            self.power_failed = True
            return
        if self.power is not None:
            then, before_mw = self.power
            self.sampled_j += (before_mw + power_mw) / 2000.0 * (now - then)
        self.power = now, power_mw


def compare(
    seconds: float = 30.0,
    library: Nvml | None = None,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> list[GpuAgreement]:
    """Measure every GPU for some time, by its counter and by its power.

    Args:
        seconds: How long; the counter's step of 0.1 s at each end is a part of it.
        library: ``pynvml`` or a replacement.
        clock: Monotonic seconds.
        sleep: Waits.

    Raises:
        MeterUnavailable: Where there is no driver or no GPU.
    """
    nvml = driver.load_nvml() if library is None else library
    driver.initialise(nvml)
    with contextlib.ExitStack() as stack:
        stack.callback(driver.ask, nvml, "nvmlShutdown")
        listing = driver.list_gpus(nvml)
        watched = [_Watched(gpu, listing.handles[gpu.uuid]) for gpu in listing.gpus]
        end = clock() + seconds
        for board in watched:
            board.first_mj, _ = driver.ask(nvml, ENERGY, board.handle)
            board.since = clock()
            board.sample(nvml, clock)
        while (left := end - clock()) > 0:
            sleep(min(PERIOD_S, left))
            for board in watched:
                board.sample(nvml, clock)
        for board in watched:
            board.sample(nvml, clock)
            board.last_mj, _ = driver.ask(nvml, ENERGY, board.handle)
            board.until = clock()
    return [_agreement(board) for board in watched]


def _agreement(board: _Watched) -> GpuAgreement:
    counter_j = None
    if board.first_mj is not None and board.last_mj is not None and board.last_mj >= board.first_mj:
        counter_j = (board.last_mj - board.first_mj) / 1000.0
    sampled_j = None if board.power_failed else board.sampled_j
    difference = (sampled_j - counter_j) / counter_j if counter_j and sampled_j is not None else None
    return GpuAgreement(
        board.gpu.index,
        board.gpu.name,
        board.gpu.uuid,
        board.until - board.since,
        counter_j,
        sampled_j,
        difference,
        _verdict(counter_j, sampled_j, difference),
    )


def _verdict(counter_j: float | None, sampled_j: float | None, difference: float | None) -> str:
    if counter_j is None and sampled_j is None:
        return "neither the energy counter nor the power can be read"
    if counter_j is None:
        return "no energy counter: power is sampled, ±15 %"
    if sampled_j is None:
        return "the power cannot be read, so that there is nothing to hold the energy counter against"
    if difference is None:
        return "the energy counter stood still"
    if abs(difference) > TOLERANCE:
        return (
            f"sampled power gives {abs(difference):.0%} {'more' if difference > 0 else 'less'} than the energy counter"
        )
    return f"the energy counter and sampled power agree within {TOLERANCE:.0%}"
