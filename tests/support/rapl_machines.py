"""Processors whose energy counters tests fake, and the figures of their meters."""

from __future__ import annotations

import dataclasses

from eco2ai_callbacks.meters.cpu.rapl import RaplCpu, RaplDram
from eco2ai_callbacks.testing import BARE_METAL

COARSE = 262143328850  # steps of 2^-14 J
FINE = 65532610987  # steps of 2^-16 J
MEMORY = 65712999613  # steps of 15.3 µJ

INTEL = BARE_METAL
AMD = dataclasses.replace(BARE_METAL, cpu_vendor="AuthenticAMD", cpu_name="AMD EPYC 7763 64-Core Processor")
HYGON = dataclasses.replace(BARE_METAL, cpu_vendor="HygonGenuine")
ARM = dataclasses.replace(BARE_METAL, cpu_vendor="ARM")


def joules(cpu: RaplCpu) -> float:
    active, idle = cpu.interval(0.0, 0.0)
    assert idle == 0.0
    return active


def ram(dram: RaplDram | None) -> float:
    assert dram is not None
    return dram.read().get("ram", 0.0)
