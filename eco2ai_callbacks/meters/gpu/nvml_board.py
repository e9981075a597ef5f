"""Read one NVIDIA board: its energy since it was opened, by its counter or by its sampled power."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from eco2ai_callbacks.meters.gaps import UNKNOWN_FACTOR, UNKNOWN_W, Gaps, is_gap
from eco2ai_callbacks.meters.gpu import nvml_driver as driver
from eco2ai_callbacks.meters.gpu.aside import Aside
from eco2ai_callbacks.meters.gpu.nvml_driver import Nvml
from eco2ai_callbacks.meters.gpu.selection import Gpu, Part
from eco2ai_callbacks.usage import Method

ENERGY, POWER = "nvmlDeviceGetTotalEnergyConsumption", "nvmlDeviceGetPowerUsage"
LIMIT = "nvmlDeviceGetEnforcedPowerLimit"
# The counter is updated about every 100 ms (arXiv 2312.02741): an interval misses or gains up to a step at each edge.
COUNTER_STEP_S = 0.1
# Relative bands: NVIDIA's 5 % for the sensor behind the counter; for sampled power 15 %, since the sensor measures
# during a part of the time only (arXiv 2312.02741).
COUNTER_BAND = (0.95, 1.05)
POWER_BAND = (0.85, 1.15)
# Shortest interval for a mean power: ten steps of the counter.
MEAN_S = 10 * COUNTER_STEP_S
# Two calls in a row that take so long, or one that takes ten times as long, may hang the next time. The call alone is
# timed. On a busy machine a working driver's call takes seconds too: nothing is lost where it is then called from
# another thread, until it answers in time.
SLOW_CALL_S, HANGS_S = 1.0, 10.0
# How long a reading waits for that thread: a working driver answers within milliseconds.
ASIDE_S = 0.1
# So many failed reads in a row, over so many seconds, and a board is given up: as for a whole meter
# (session/metering.py), for marks may be milliseconds apart, and the counter goes on counting.
FAILED_READS, FAILED_S = 10, 60.0
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
        value: Millijoules or milliwatts; ``None`` where the call failed.
        code: The code that it failed with.
        began: When it began.
        ended: When it ended.
    """

    value: int | None
    code: int
    began: float
    ended: float

    @property
    def time(self) -> float:
        """The moment that the value belongs to."""
        return (self.began + self.ended) / 2


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
        behind: Whether the last read has given no new figure, so that ``joules`` is older.
        failures: What failed, one sentence of each kind.
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
    behind: bool = False
    failures: dict[str, str] = field(default_factory=dict)
    _gaps: Gaps = field(default_factory=Gaps)
    _highest_w: float = 0.0
    _read_before: bool = False
    _mean_from: tuple[float, float] | None = None
    _misses: int = 0
    _missed_since: float = 0.0
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

    def fail(self, kind: str, what: str) -> None:
        """Record what failed; a later failure of the same kind takes the place of the earlier."""
        self.failures[kind] = f"NVML: GPU {self.gpu.index} ({self.gpu.name}): {what}"

    def _read(self, sample_s: float, reopen: Callable[[], bool]) -> bool:
        """Ask once, or twice where the first failure may pass, and return whether there was a figure."""
        code = driver.UNKNOWN
        for _ in range(2):
            answer = self._next()
            if answer is None:
                return False
            self._judge(answer.ended - answer.began)
            if answer.value is not None:
                self._misses = 0
                self._add(answer.value, answer.time, sample_s)
                return True
            code = answer.code
            if code not in _PASSING:
                self._retire(driver.reason(code))
                return False
            if self._hangs or (code == driver.UNINITIALIZED and not reopen()):
                break
        self._miss(code)
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
        if value is not None and not self.counter and value > 1000 * MAX_POWER_W:
            value = None
        return Answer(value, code, began, ended)

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

    def _add(self, value: int, time: float, sample_s: float) -> None:
        seconds = time - self.time
        if self.counter:
            self._count((value - self.value) / 1000.0, seconds)
        else:
            self._integrate(value, seconds, sample_s)
        self.value, self.time, self._read_before = value, time, True
        since, before_j = self._mean_from or (time - seconds, 0.0)
        if time - since >= MEAN_S:
            self.power_w = (self.joules - before_j) / (time - since)
            since, before_j = time, self.joules
        self._mean_from = since, before_j

    def _count(self, step_j: float, seconds: float) -> None:
        if step_j < 0:
            self.fail("reset", "its energy counter was reset, what it used since the read before is not counted")
        elif step_j > MAX_POWER_W * (seconds + SLOW_CALL_S):
            self.fail("jump", "its energy counter jumped, what it used since the read before is not counted")
        else:
            self.joules += step_j

    def _integrate(self, value_mw: int, seconds: float, sample_s: float) -> None:
        step_j = (self.value + value_mw) / 2000.0 * seconds
        self.joules += step_j
        self._highest_w = max(self._highest_w, self.value / 1000.0, value_mw / 1000.0)
        # What was used between the opening and the first read belongs to no record.
        if self._read_before and is_gap(seconds, sample_s):
            self._gaps.add(step_j, seconds, POWER_BAND, self._limit_w())
            self.fail("gap", str(self._gaps))

    def _limit_w(self) -> float:
        limit_mw, _ = _opening(self.nvml, LIMIT, self.handle)
        return max(UNKNOWN_W, UNKNOWN_FACTOR * self._highest_w) if limit_mw is None else limit_mw / 1000.0

    def _miss(self, code: int) -> None:
        now = self.clock()
        self._missed_since = self._missed_since if self._misses else now
        self._misses += 1
        if self._misses >= FAILED_READS and now - self._missed_since >= FAILED_S:
            self._retire(f"{driver.reason(code)}, {self._misses} times in a row")
        else:
            self.fail("miss", f"a read failed twice ({driver.reason(code)}), what was used then is in a later read")

    def _retire(self, why: str) -> None:
        self.retired = True
        lost = "its energy, with that of its processor and memory," if self.module else "its energy"
        self.fail("retired", f"{why}; {lost} is missing from here on")


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
    power_w = min(MAX_POWER_W, (power_mw or 0) / 1000.0)
    if energy_mj is not None:
        return Board(nvml, clock, gpu, parts, handle, True, energy_mj, now, power_w), 0
    if power_mw is not None:
        board = Board(nvml, clock, gpu, parts, handle, False, power_mw, clock(), power_w)
        if code in (driver.NOT_BOUND, driver.NO_ANSWER):
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
