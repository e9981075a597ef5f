"""Split the energy that a counter shows into the machine's idle energy and what its work adds."""

from __future__ import annotations

import math

from eco2ai_callbacks.meters.cpu.model import CURVE_ACTIVE, CURVE_IDLE, CURVE_POWER

# Up to this load a machine is idle: a kernel and its services take about as much. The curve's steep beginning is for
# work, and no sweep that it was fit to holds loads as low.
QUIET_LOAD = 0.01
# Seconds over which power and load are compared: 200 ticks of the kernel's busy time.
FLOOR_WINDOW_S = 2.0


def idle_part(load: float) -> float:
    """Return the part of the power at a load that is idle power, by the curve of the CPU model.

    Args:
        load: Busy threads / threads.

    Example:
        >>> [round(idle_part(load), 2) for load in (0.0, 0.01, 0.1, 1.0)]
        [1.0, 1.0, 0.37, 0.14]
    """
    work = CURVE_ACTIVE * math.pow(min(1.0, max(0.0, load - QUIET_LOAD)), CURVE_POWER)
    return CURVE_IDLE / (CURVE_IDLE + work)


class IdleFloor:
    """The power that the processors draw without work, learnt from their counter.

    It is the power over the quietest seconds so far, times the part that is idle at their load. No more than the lowest
    power so far, which holds work as well unless the machine was idle: up to that, energy that counts as work's is
    uncertain.

    Args:
        threads: Hardware threads of the machine.
    """

    def __init__(self, threads: float) -> None:
        self._threads = threads
        # Load and watts of the quietest window.
        self._quietest = math.inf, 0.0
        self._lowest_w = math.inf
        self._joules = self._busy_s = self._seconds = 0.0
        self._unread_s = 0.0
        self._parts = 1.0
        self.unsure_j: float = 0.0

    def split(
        self, joules: float, busy_s: float, seconds: float, part: float = 1.0, *, learn: bool = True
    ) -> tuple[float, float]:
        """Return active and idle joules; ``unsure_j`` then holds how many of the active ones may be idle as well.

        Args:
            joules: What the counter gave.
            busy_s: Busy core-seconds of the machine since the last call.
            seconds: Seconds since then.
            part: The part of the machine that the counter covers.
            learn: Whether the joules are those of just these seconds.
        """
        self._learn(joules, busy_s, seconds, part, learn)
        # What a counter gives late is for the time in which it gave nothing, too.
        self._unread_s += seconds * part
        if joules <= 0:
            self.unsure_j = 0.0
            return 0.0, 0.0
        span, self._unread_s = self._unread_s, 0.0
        load, watts = self._quietest
        if math.isinf(load) and self._seconds:
            load, watts = self._load, self._joules / self._seconds
        most_j = joules if math.isinf(self._lowest_w) else min(joules, self._lowest_w * span)
        idle_j = min(most_j, watts * idle_part(load) * span)
        self.unsure_j = most_j - idle_j
        return joules - idle_j, idle_j

    @property
    def _load(self) -> float:
        return self._busy_s / (self._threads * self._seconds)

    def _learn(self, joules: float, busy_s: float, seconds: float, part: float, learn: bool) -> None:
        if not learn or part != self._parts:
            self._joules = self._busy_s = self._seconds = 0.0
            self._parts = part
        if not learn or part <= 0:
            return
        self._joules += joules / part
        self._busy_s += busy_s
        self._seconds += seconds
        if self._seconds < FLOOR_WINDOW_S:
            return
        if self._joules > 0:
            watts = self._joules / self._seconds
            self._lowest_w = min(self._lowest_w, watts)
            self._quietest = min(self._quietest, (self._load, watts))
        self._joules = self._busy_s = self._seconds = 0.0
