"""Read one NVIDIA board: its energy since it was opened, by its counter or by its sampled power."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from eco2ai_callbacks.meters.gpu import nvml_driver as driver
from eco2ai_callbacks.meters.gpu.nvml_driver import Nvml
from eco2ai_callbacks.meters.gpu.selection import Gpu, Part
from eco2ai_callbacks.usage import Method

# The counter is updated about every 100 ms (arXiv 2312.02741): an interval misses or gains up to a step at each edge.
COUNTER_STEP_S = 0.1
# Relative bands: NVIDIA's 5 % for the sensor behind the counter; for sampled power 15 %, since the sensor measures
# during a part of the time only (arXiv 2312.02741).
COUNTER_BAND = (0.95, 1.05)
POWER_BAND = (0.85, 1.15)
# Shortest interval for a mean power: ten steps of the counter.
MEAN_S = 10 * COUNTER_STEP_S
# A call cannot be timed out; one that took this long may hang the next time.
SLOW_CALL_S = 1.0
# Failed reads in a row after which a board is given up.
MISSES = 3
# No board draws more (a Grace-Blackwell module is limited to 2.9 kW): a larger step is an error.
MAX_POWER_W = 5000.0
# Periods without a sample after which the power at both ends is a poor estimate of the interval between.
SPARSE_PERIODS = 10
# On Grace Hopper the counter includes the module's processor and memory (ml-energy/zeus, pull request 172).
_MODULE, _WHOLE_MODULE = "GH200", "module (GPU, CPU and memory)"


@dataclass(slots=True)
class Board:
    """A board that is being measured: called once per read for all of its parts.

    Args:
        nvml: The library.
        clock: Monotonic seconds.
        gpu: The board's description.
        parts: The board, or the slices of it, whose energy is wanted.
        handle: NVML's handle.
        counter: Whether its energy counter is read; else its power.
        value: The last reading: millijoules of the counter, else milliwatts.
        time: When that was.
        power_w: The power at the last reading.
        shared: UUIDs of the parts on which other processes compute too.
        joules: What it has used since it was opened.
        retired: Whether it is no longer read.
        failures: What failed, one sentence each.
    """

    nvml: Nvml
    clock: Callable[[], float]
    gpu: Gpu
    parts: tuple[Part, ...]
    handle: Any
    counter: bool
    value: int
    time: float
    power_w: float
    shared: frozenset[str] = frozenset()
    joules: float = 0.0
    retired: bool = False
    failures: dict[str, None] = field(default_factory=dict)
    _mean_from: tuple[float, float] | None = None
    _misses: int = 0

    @property
    def module(self) -> bool:
        """Whether the figures are those of a module that includes the CPU and its memory."""
        return self.counter and _MODULE in self.gpu.name

    def method(self, part: Part) -> Method:
        """Return the method of a part's joules; the edge follows the power at the last reading."""
        name, (low, high) = ("nvml-energy", COUNTER_BAND) if self.counter else ("nvml-power", POWER_BAND)
        edge_j = self.power_w * (part.share or 0.0) * COUNTER_STEP_S
        return Method(
            name,
            low,
            high,
            edge_j,
            counter=self.counter,
            sensor=not self.counter,
            scope="device",
            part=(part.described(_WHOLE_MODULE) or f"whole {_WHOLE_MODULE}") if self.module else part.described(),
            note="shared with other processes" if part.uuid in self.shared else "",
        )

    def update(self, sample_s: float, reopen: Callable[[], bool]) -> bool:
        """Add what was used since the last reading, and return whether ``joules`` is still valid.

        Args:
            sample_s: The period at which power should be read.
            reopen: Initialises the library again, and returns whether it succeeded.
        """
        answer = self._ask(reopen)
        if answer is None:
            return not self.retired
        value, now = answer
        seconds = now - self.time
        if self.counter:
            self._count((value - self.value) / 1000.0, seconds)
        else:
            if seconds > SPARSE_PERIODS * sample_s:
                self.fail(f"at times its power was read less than every {SPARSE_PERIODS * sample_s:g} s")
            self.joules += (self.value + value) / 2000.0 * seconds
        self.value, self.time = value, now
        since, before_j = self._mean_from or (now - seconds, 0.0)
        if now - since >= MEAN_S:
            self.power_w = (self.joules - before_j) / (now - since)
            since, before_j = now, self.joules
        self._mean_from = since, before_j
        return True

    def fail(self, what: str) -> None:
        """Record what failed."""
        self.failures[f"NVML: GPU {self.gpu.index} ({self.gpu.name}): {what}"] = None

    def _count(self, step_j: float, seconds: float) -> None:
        if step_j < 0:
            self.fail("its energy counter was reset, what it used since the read before is not counted")
        elif step_j > MAX_POWER_W * (seconds + SLOW_CALL_S):
            self.fail("its energy counter jumped, what it used since the read before is not counted")
        else:
            self.joules += step_j

    def _ask(self, reopen: Callable[[], bool]) -> tuple[int, float] | None:
        """Return a reading and its time; ``None`` where there is none."""
        code = driver.UNKNOWN
        for _ in range(2):
            began = self.clock()
            try:
                value: int | None = self._call()
            except self.nvml.NVMLError as error:
                value, code = None, driver.error_code(error)
            ended = self.clock()
            if ended - began > SLOW_CALL_S:
                self._retire("a call took over a second, so that it is not read any more")
            if value is not None:
                self._misses = 0
                return value, (began + ended) / 2
            if self.retired:
                return None
            if code == driver.UNINITIALIZED and reopen():
                continue
            if code not in driver.TRANSIENT:
                self._retire(driver.reason(code))
                return None
        self._misses += 1
        if self._misses >= MISSES:
            self._retire(f"{driver.reason(code)}, {MISSES} times in a row")
        else:
            self.fail(f"a read failed twice ({driver.reason(code)}), what was used then is in a later read")
        return None

    def _call(self) -> int:
        if self.counter:
            return self.nvml.nvmlDeviceGetTotalEnergyConsumption(self.handle)
        return self.nvml.nvmlDeviceGetPowerUsage(self.handle)

    def _retire(self, why: str) -> None:
        self.retired = True
        lost = "its energy, with that of its processor and memory," if self.module else "its energy"
        self.fail(f"{why}; {lost} is missing from here on")


def open_board(
    nvml: Nvml, gpu: Gpu, parts: tuple[Part, ...], handle: Any, clock: Callable[[], float]
) -> tuple[Board, int] | tuple[None, int]:
    """Return a board by its counter, or else by its power; where neither can be read, the error's code.

    Args:
        nvml: The initialised library.
        gpu: The board's description.
        parts: The board, or the slices of it, whose energy is wanted.
        handle: NVML's handle.
        clock: Monotonic seconds.
    """
    energy_mj, code = driver.ask(nvml, nvml.nvmlDeviceGetTotalEnergyConsumption, handle)
    now = clock()
    # Beside the counter, power is the first estimate of the energy of one step.
    power_mw, power_code = driver.ask(nvml, nvml.nvmlDeviceGetPowerUsage, handle)
    if energy_mj is not None:
        return Board(nvml, clock, gpu, parts, handle, True, energy_mj, now, (power_mw or 0) / 1000.0), 0
    if power_mw is not None:
        return Board(nvml, clock, gpu, parts, handle, False, power_mw, clock(), power_mw / 1000.0), 0
    codes = [c for c in (code, power_code) if c is not None]
    return None, next((c for c in codes if c not in driver.ABSENT), codes[0])
