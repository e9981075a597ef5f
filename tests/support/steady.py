"""A tracker on a machine that draws constant power by a clock that the test moves."""

from __future__ import annotations

from typing import Any

from eco2ai_callbacks import Tracker
from eco2ai_callbacks.testing import Clock, FakeMeter, fake_platform
from eco2ai_callbacks.usage import Method


class Steady(FakeMeter):
    """A meter of 100 W, half of it a GPU's, known to 10 %."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock, {"cpu": 50.0, "gpu:GPU-a": 50.0}, method=Method("steady", 0.9, 1.1), name="steady")


def steady(clock: Clock, *, measured: bool = True, **settings: Any) -> Tracker:
    """Return a tracker on that machine, at 360 g per kWh (100 J/s, 0.01 g/s), or on one without a meter."""
    args = {"region": "FR", "g_per_kwh": 360.0, "heartbeat_s": 0.0, "console": False, **settings}
    return Tracker(platform=fake_platform(clock, *([Steady(clock)] if measured else [])), **args)
