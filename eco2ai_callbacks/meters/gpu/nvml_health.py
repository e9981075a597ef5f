"""Look at the state of NVIDIA boards beside their energy: load, clock, temperature, and why they are slowed down."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from eco2ai_callbacks.host.gpu_health import GpuLook
from eco2ai_callbacks.meters.gpu import nvml_driver as driver
from eco2ai_callbacks.meters.gpu.nvml_board import HANGS_S, LIMIT, SLOW_CALL_S, Board
from eco2ai_callbacks.meters.gpu.nvml_driver import Nvml

LOAD, CLOCK, MAX_CLOCK = "nvmlDeviceGetUtilizationRates", "nvmlDeviceGetClockInfo", "nvmlDeviceGetMaxClockInfo"
# The second name is the one that the driver or the binding had before, or will have.
REASONS = ("nvmlDeviceGetCurrentClocksEventReasons", "nvmlDeviceGetCurrentClocksThrottleReasons")
TEMPERATURE = ("nvmlDeviceGetTemperature", "nvmlDeviceGetTemperatureV")
VIOLATION = "nvmlDeviceGetViolationStatus"
# nvml.h: NVML_CLOCK_SM, NVML_TEMPERATURE_GPU.
_SM, _CORE = 1, 0
_CALLS = ((LOAD,), (CLOCK, _SM), *((name,) for name in REASONS), *((name, _CORE) for name in TEMPERATURE))
# nvml.h: NVML_PERF_POLICY_POWER and NVML_PERF_POLICY_THERMAL, whose counters are in nanoseconds.
_COUNTED = {"power cap": 0, "thermal limit": 1}
_NS = 1e-9
# nvml.h: nvmlClocksEventReason*. A clock that idleness or a person has set is no fault.
_SLOWING = {
    0x04: "power cap",
    0x10: "sync boost",
    0x20: "thermal limit",
    0x40: "thermal limit",
    0x80: "power brake",
    0x200: "board limit",
    0x400: "reliability limit",
}
# Set beside the reason for it, which may have a bit of its own.
_HARDWARE, _ITS_REASONS = 0x08, 0x40 | 0x80
# So many failures in a row, and a value is not asked for again.
_FAILURES = 10
# The limit of the power is asked for in one of so many looks: people change it seldom.
_LIMIT_EVERY = 60
# Looks that are left out after a slow one.
_PAUSE = 10
# No board is hotter: what is above is an error.
_HOTTEST_C = 150


class BoardState:
    """The state of one board. A value that the driver does not report is not asked for again.

    A look makes up to six calls: load, clock, reasons, temperature and two counters; the first one asks for the highest
    clock too, and one of sixty for the limit of the power.

    Args:
        nvml: The initialised library.
        board: The board.
        clock: Monotonic seconds.
    """

    def __init__(self, nvml: Nvml, board: Board, clock: Callable[[], float]) -> None:
        self._nvml = nvml
        self._board = board
        self._clock = clock
        self._failed: Counter[tuple[Any, ...]] = Counter()
        self._looks = 0
        self._max_clock_mhz: float | None = None
        self._limit_w: float | None = None
        self.useful: bool = True

    def look(self) -> GpuLook | None:
        """Return the state now; ``None`` where the driver reports nothing."""
        if self._board.retired or not self.useful:
            return None
        t = self._clock()
        if self._looks == 0:
            self._max_clock_mhz = driver.available(self._ask(MAX_CLOCK, _SM)) or None
        if self._looks % _LIMIT_EVERY == 0:
            self._limit_w = _scaled(driver.available(self._ask(LIMIT)), 0.001) or None
        self._looks += 1
        load = self._ask(LOAD)
        celsius = driver.available(self._ask_any(TEMPERATURE, _CORE))
        look = GpuLook(
            self._board.gpu.uuid,
            self._board.gpu.index,
            tuple(f"gpu:{part.uuid}" for part in self._board.parts),
            t,
            _share(getattr(load, "gpu", None)),
            _share(getattr(load, "memory", None)),
            driver.available(self._ask(CLOCK, _SM)),
            self._max_clock_mhz,
            celsius if celsius is not None and celsius <= _HOTTEST_C else None,
            self._limit_w,
            _reasons(driver.available(self._ask_any(REASONS))),
            self._slowed_s(),
        )
        known = (look.busy, look.clock_mhz, look.temperature_c, look.reasons, *look.slowed_s)
        # What fails for a while is asked for again, what is not supported is not.
        self.useful = any(value is not None for value in known) or any(map(self._is_asked, _CALLS))
        return look if self.useful else None

    def _slowed_s(self) -> Mapping[str, float]:
        found: dict[str, float] = {}
        for reason, policy in _COUNTED.items():
            status = self._ask(VIOLATION, policy)
            value = _scaled(driver.available(getattr(status, "violationTime", None)), _NS)
            if value is not None:
                found[reason] = value
        return found

    def _ask_any(self, functions: Sequence[str], *arguments: int) -> Any:
        """Return the answer of the first function that has one, the later ones where the driver lacks the first."""
        for function in functions:
            if self._is_asked((function, *arguments)):
                answer = self._ask(function, *arguments)
                if answer is not None or self._is_asked((function, *arguments)):
                    return answer
        return None

    def _ask(self, function: str, *arguments: int) -> Any:
        """Return a function's answer; ``None`` where it fails, or has failed for good."""
        call = (function, *arguments)
        if not self._is_asked(call):
            return None
        answer, code = driver.ask(self._nvml, function, self._board.handle, *arguments)
        if code is None:
            self._failed.pop(call, None)
        else:
            self._failed[call] = _FAILURES if code in driver.ABSENT else self._failed[call] + 1
        return answer

    def _is_asked(self, call: tuple[Any, ...]) -> bool:
        return self._failed[call] < _FAILURES


class States:
    """The states of a meter's boards. A look may hang in the driver: no other one begins meanwhile.

    Args:
        nvml: The initialised library.
        boards: The boards.
        clock: Monotonic seconds.
    """

    def __init__(self, nvml: Nvml, boards: Sequence[Board], clock: Callable[[], float]) -> None:
        self._boards = tuple(boards)
        self._states = tuple(BoardState(nvml, board, clock) for board in boards)
        self._clock = clock
        self._lock = threading.Lock()
        self._looking = self._closed = False
        self._then: Callable[[], None] | None = None
        self._pause = 0

    @property
    def wanted(self) -> bool:
        """Whether a further look may have something to report."""
        return not self._closed and any(state.useful for state in self._states)

    def look(self) -> list[GpuLook]:
        """Return the state of each board; empty while another look hangs, and after :meth:`close`."""
        with self._lock:
            if self._looking or self._closed:
                return []
            if self._pause > 0:
                self._pause -= 1
                return []
            self._looking = True
        began = self._clock()
        try:
            return [look for state in self._states if (look := state.look()) is not None]
        finally:
            self._judge(self._clock() - began)
            with self._lock:
                self._looking, then = False, self._then
                self._then = None
            if then is not None:
                then()

    def close(self, then: Callable[[], None]) -> None:
        """Look no more, and call ``then``: at once, or once the call that is in the driver now has returned."""
        with self._lock:
            self._closed = True
            if self._looking:
                self._then = then
                return
        then()

    def _judge(self, took: float) -> None:
        """Look less often where the driver is slow, and no more where it hangs: energy needs it more."""
        if took > HANGS_S:
            for board, state in zip(self._boards, self._states, strict=True):
                state.useful = False
                board.fail("health", f"a look at its load and clock took {took:.1f} s, and none is taken any more")
        elif took > SLOW_CALL_S:
            self._pause = _PAUSE


def _share(percent: object) -> float | None:
    value = driver.available(percent)
    return value / 100.0 if value is not None and value <= 100 else None


def _scaled(value: int | None, factor: float) -> float | None:
    return None if value is None else value * factor


def _reasons(bits: int | None) -> frozenset[str] | None:
    if bits is None:
        return None
    found = {name for bit, name in _SLOWING.items() if bits & bit}
    return frozenset(found | ({"hardware slowdown"} if bits & _HARDWARE and not bits & _ITS_REASONS else set()))
