"""A machine that draws constant power by a clock that we move, and a tracker on it."""

from __future__ import annotations

from typing import Any

from eco2ai_callbacks import Tracker
from eco2ai_callbacks.meters.discovery import Discovery, Source
from eco2ai_callbacks.meters.gpu.nvml import MeasuredGpu
from eco2ai_callbacks.session.context import Platform
from eco2ai_callbacks.testing import CLOUD_VM, Clock
from eco2ai_callbacks.usage import Method


class Steady:
    """A meter of 100 W, half of it a GPU's, known to 10 %."""

    name = "steady"
    covers = frozenset({"cpu", "gpu"})
    max_gap_s = float("inf")
    methods = {"cpu": Method("steady", 0.9, 1.1), "gpu:GPU-a": Method("steady", 0.9, 1.1)}  # noqa: RUF012
    failures: tuple[str, ...] = ()
    devices = (MeasuredGpu(0, "NVIDIA L4", "GPU-a", "steady"),)

    def __init__(self, clock: Clock) -> None:
        self._clock, self._began = clock, clock()

    def read(self) -> dict[str, float]:
        return dict.fromkeys(self.methods, 50.0 * (self._clock() - self._began))

    def close(self) -> None:
        pass


def steady(clock: Clock, *, measured: bool = True, **settings: Any) -> Tracker:
    """A tracker on that machine, where a kWh causes 360 g (100 J/s, 0.01 g/s), or on one where nothing is read."""
    meters = (Steady(clock),) if measured else ()
    sources = tuple(Source(meter.name, True, "constant power", None, {}, ()) for meter in meters)
    platform = Platform(
        clock=clock, host=lambda: CLOUD_VM, discover=lambda *_: Discovery(meters, sources, ()), environ={}
    )
    args = {"region": "FR", "g_per_kwh": 360.0, "heartbeat_s": 0.0, "console": False, **settings}
    return Tracker(platform=platform, **args)
