"""Meters of the boards of a fake NVML."""

from __future__ import annotations

import os
from typing import Any

from eco2ai_callbacks.meters.gpu.nvml import NvmlMeter, open_nvml
from eco2ai_callbacks.testing import Clock, FakeNvml

A, B = "GPU-8932f937-d72c-4106-c12f-20bd9faed9f6", "GPU-e429a63e-c61c-4795-b757-5132caeb8e70"
ENERGY, POWER = "nvmlDeviceGetTotalEnergyConsumption", "nvmlDeviceGetPowerUsage"


def opened(nvml: FakeNvml, clock: Clock, gpus: Any = "all", **options: Any) -> NvmlMeter:
    options = {"environ": {}, "job_pids": lambda: (os.getpid(),), **options}
    return open_nvml(gpus, clock=clock, library=nvml, **options)
