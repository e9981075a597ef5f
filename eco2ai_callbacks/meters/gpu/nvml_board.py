"""Read one NVIDIA board: its energy since it was opened, by its counter or by its sampled power."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from eco2ai_callbacks.meters.gaps import UNKNOWN_FACTOR, UNKNOWN_W
from eco2ai_callbacks.meters.gpu import nvml_driver as driver
from eco2ai_callbacks.meters.gpu.aside import Aside
from eco2ai_callbacks.meters.gpu.nvml_driver import Nvml
from eco2ai_callbacks.meters.gpu.selection import Gpu, Part
from eco2ai_callbacks.meters.source_sum import SourceSum
from eco2ai_callbacks.usage import Method

ENERGY, POWER = "nvmlDeviceGetTotalEnergyConsumption", "nvmlDeviceGetPowerUsage"
LIMIT = "nvmlDeviceGetEnforcedPowerLimit"
# The counter is updated about every 100 ms (arXiv 2312.02741): an interval misses or gains up to a step at each edge.
COUNTER_STEP_S = 0.1
# Relative bands: NVIDIA's 5 % for the sensor behind the counter; for sampled power 15 %, since the sensor measures
# during a part of the time only (arXiv 2312.02741).
COUNTER_BAND = (0.95, 1.05)
POWER_BAND = (0.85, 1.15)
# Two calls in a row that take so long, or one that takes ten times as long, may hang the next time. The call alone is
# timed. On a busy machine a working driver's call takes seconds too: nothing is lost where it is then called from
# another thread, until it answers in time.
SLOW_CALL_S, HANGS_S = 1.0, 10.0
# How long a reading waits for that thread: a working driver answers within milliseconds.
ASIDE_S = 0.1
# No board draws more (a Grace-Blackwell module is limited to 2.9 kW): a larger step is an error.
MAX_POWER_W = 5000.0
# Failures that may pass: another read may succeed.
_PASSING = driver.TRANSIENT | {driver.UNINITIALIZED, driver.NO_ANSWER}
# What a binding raises beside its own errors. Any other exception is a signal handler's, which may run at any place.
_BINDING_ERRORS = (AttributeError, TypeError, ValueError, LookupError, OSError, ctypes.ArgumentError)
# On Grace Hopper the counter includes the module's processor and memory (ml-energy/zeus, pull request 172).
_MODULE, _WHOLE_MODULE = "GH200", "module (GPU, CPU and memory)"


class Answer(NamedTuple):
    """What one call has returned, and when.

    Args:
        value: Joules or watts; ``None`` where the call failed.
        code: The code that it failed with.
        began: When it began.
        ended: When it ended.
    """

    value: float | None
    code: int
    began: float
    ended: float

    @property
    def time(self) -> float:
        """The moment that the value belongs to."""
        return (self.began + self.ended) / 2


@dataclass(slots=True)
class Board(SourceSum):
    """A board that is being measured: called once per read for all of its parts.

    Args:
        nvml: The library.
        clock: Monotonic seconds.
        gpu: The board's description.
        parts: The board, or the slices of it, whose energy is wanted.
        handle: NVML's handle.
        counter: Whether its energy counter is read; else its power.
        shared: UUIDs of the parts on which other processes compute too.
    """

    nvml: Nvml
    clock: Callable[[], float]
    gpu: Gpu
    parts: tuple[Part, ...]
    handle: Any
    counter: bool
    shared: frozenset[str] = frozenset()
    _was_slow: bool = False
    _hangs: bool = False
    _aside: Aside[Answer] | None = None

    @property
    def module(self) -> bool:
        """Whether the figures are those of a module that includes the CPU and its memory."""
        return self.counter and _MODULE in self.gpu.name

    @property
    def pending(self) -> Aside[Answer] | None:
        """The call that another thread is waiting for; ``None`` where there is none."""
        return self._aside

    def method(self, part: Part) -> Method:
        """Return the method of a part's joules; the edge follows the power at the last reading."""
        name, (low, high) = ("nvml-energy", COUNTER_BAND) if self.counter else ("nvml-power", POWER_BAND)
        share = part.share or 0.0
        return Method(
            name,
            low,
            high,
            self.power_w * share * COUNTER_STEP_S,
            counter=self.counter,
            sensor=not self.counter,
            scope="device",
            part=(part.described(_WHOLE_MODULE) or f"whole {_WHOLE_MODULE}") if self.module else part.described(),
            note="shared with other processes" if part.uuid in self.shared else "",
            gap_j=(self._gaps.below_j * share, self._gaps.above_j * share),
        )

    def update(self, sample_s: float, reopen: Callable[[], bool]) -> bool:
        """Add what was used since the last reading, and return whether ``joules`` is still valid.

        Args:
            sample_s: The period at which power should be read.
            reopen: Initialises the library again, and returns whether it succeeded.
        """
        late = self._aside is not None
        self.behind = not self._read(sample_s, reopen)
        if late and self._aside is None and not self.retired:
            # The answer to the last read has come: it is as old as that.
            self.behind = not self._read(sample_s, reopen)
        self.behind = self.behind and not self.retired
        return not self.retired

    @property
    def lost(self) -> str:
        """What is missing once the board is given up."""
        return "its energy, with that of its processor and memory," if self.module else "its energy"

    def _read(self, sample_s: float, reopen: Callable[[], bool]) -> bool:
        """Ask once, or twice where the first failure may pass, and return whether there was a figure."""
        code = driver.UNKNOWN
        for _ in range(2):
            answer = self._next()
            if answer is None:
                return False
            self._judge(answer.ended - answer.began)
            if answer.value is not None:
                if self.counter:
                    self.add_counted(answer.value, answer.time, MAX_POWER_W)
                else:
                    self.add_sampled(answer.value, answer.time, sample_s, POWER_BAND, self._limit_w)
                return True
            code = answer.code
            if code not in _PASSING:
                self.retire(driver.reason(code))
                return False
            if self._hangs or (code == driver.UNINITIALIZED and not reopen()):
                break
        self.miss(driver.reason(code), self.clock(), "twice")
        return False

    def _next(self) -> Answer | None:
        """Return the board's next answer; ``None`` where it is called from another thread, and that still waits."""
        if not self._hangs:
            return self._call()
        self._aside = self._aside or Aside(self._call)
        answer = self._aside.wait(ASIDE_S)
        if answer is not None:
            self._aside = None
        return answer

    def _call(self) -> Answer:
        value, code = None, driver.NO_ANSWER
        call = getattr(self.nvml, ENERGY if self.counter else POWER)
        began = self.clock()
        try:
            value = driver.available(call(self.handle))
        except self.nvml.NVMLError as error:
            code = driver.error_code(error)
        except _BINDING_ERRORS:
            pass
        ended = self.clock()
        figure = None if value is None else value / 1000.0  # mJ or mW
        if figure is not None and not self.counter and figure > MAX_POWER_W:
            figure = None
        return Answer(figure, code, began, ended)

    def _judge(self, took: float) -> None:
        """Decide from which thread the board is called next."""
        slow = took > SLOW_CALL_S
        if took > HANGS_S or (slow and self._was_slow):
            self._hangs = True
            how = f"a call took {took:.1f} s" if took > HANGS_S else f"two calls in a row took over {SLOW_CALL_S:g} s"
            self.fail("slow", f"{how}; what it used while it did not answer is in a later read")
        elif not slow:
            self._hangs = False
        self._was_slow = slow

    def _limit_w(self) -> float:
        limit_mw, _ = _opening(self.nvml, LIMIT, self.handle)
        return max(UNKNOWN_W, UNKNOWN_FACTOR * self._highest_w) if limit_mw is None else limit_mw / 1000.0


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
    energy_mj, code = _opening(nvml, ENERGY, handle)
    now = clock()
    # Beside the counter, power is the first estimate of the energy of one step.
    power_mw, power_code = _opening(nvml, POWER, handle)
    if energy_mj is not None or power_mw is not None:
        power_w = min(MAX_POWER_W, (power_mw or 0) / 1000.0)
        first = ((power_mw or 0) / 1000.0, clock()) if energy_mj is None else (energy_mj / 1000.0, now)
        board = Board(
            nvml,
            clock,
            gpu,
            parts,
            handle,
            energy_mj is not None,
            origin="NVML",
            label=f"GPU {gpu.index} ({gpu.name})",
            value=first[0],
            time=first[1],
            power_w=power_w,
        )
        if energy_mj is None and code in (driver.NOT_BOUND, driver.NO_ANSWER):
            board.fail("binding", f"its energy counter is not read ({driver.reason(code)}), its power is instead")
        return board, 0
    codes = [c for c in (code, power_code) if c is not None]
    return None, next((c for c in codes if c not in driver.ABSENT), codes[0])


def _opening(nvml: Nvml, function: str, handle: Any) -> tuple[int, None] | tuple[None, int]:
    answer, code = driver.ask(nvml, function, handle)
    if code is not None:
        return None, code
    value = driver.available(answer)
    if value is None:
        return None, driver.NOT_SUPPORTED if driver.whole(answer) is not None else driver.NO_ANSWER
    return value, None
