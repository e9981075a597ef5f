"""Fakes for tests of meters, sinks and trainings: none of them is used in measuring.

Example:
    >>> from eco2ai_callbacks import Tracker
    >>> clock = Clock()
    >>> platform = fake_platform(clock, FakeMeter(clock, {"cpu": 10.0}))
    >>> with Tracker(platform=platform, region="FR", log_file=None, console=False) as run:
    ...     clock.advance(2.0)
    ...     print(run.mark(epoch=0).joules["cpu"])
    20.0
"""

from __future__ import annotations

from eco2ai_callbacks.testing.amdsmi import FakeAmdGpu, FakeAmdSmi
from eco2ai_callbacks.testing.apple import FakeApple
from eco2ai_callbacks.testing.clock import Clock
from eco2ai_callbacks.testing.hosts import BARE_METAL, CLOUD_VM
from eco2ai_callbacks.testing.hwmon import HwmonTree
from eco2ai_callbacks.testing.meters import FakeMeter
from eco2ai_callbacks.testing.nvml import FakeGpu, FakeNvml
from eco2ai_callbacks.testing.perf import PerfTree
from eco2ai_callbacks.testing.platform import fake_platform
from eco2ai_callbacks.testing.powercap import PowercapTree

__all__ = [
    "BARE_METAL",
    "CLOUD_VM",
    "Clock",
    "FakeAmdGpu",
    "FakeAmdSmi",
    "FakeApple",
    "FakeGpu",
    "FakeMeter",
    "FakeNvml",
    "HwmonTree",
    "PerfTree",
    "PowercapTree",
    "fake_platform",
]
