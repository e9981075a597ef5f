"""Sensors of chosen GPUs, each opened once."""

from __future__ import annotations

from pathlib import Path

from eco2ai_callbacks.meters.gpu.pci_opening import Opening, Sources
from eco2ai_callbacks.meters.gpu.pci_selection import GpuPart, PciGpu
from eco2ai_callbacks.meters.tally import Source
from eco2ai_callbacks.testing import Clock

GPUS = tuple(PciGpu(index, f"0000:0{index}:00.0", Path("/none"), f"GPU-{index}", "MI250X") for index in range(3))


def watts(value: float) -> Source:
    return Source("power", lambda: value, False, (0.85, 1.15), 1000.0)


def joules(value: float) -> Source:
    return Source("energy", lambda: value, True, (0.9, 1.1), 1000.0)


def test_a_counter_comes_before_power_and_power_before_nothing() -> None:
    offered = {
        "GPU-0": Sources(joules(5.0), watts(100.0)),
        "GPU-1": Sources(None, watts(100.0), "without its card"),
        "GPU-2": Sources(None, None),
    }
    opening = Opening("amd", "test", GPUS, lambda gpu: offered[gpu.uuid], Clock())
    sensed = opening.open([GpuPart(gpu) for gpu in GPUS])
    assert [(one.device.uuid, one.method.name, one.part) for one in sensed] == [
        ("GPU-0", "power", ""),  # until the counter has agreed with it
        ("GPU-1", "power", "without its card"),
    ]
    assert sensed[0].tally.source.method == "energy"
    assert opening.refused == ["GPU 2 (MI250X): it shows neither its energy nor its power"]


def test_a_package_is_opened_once_and_counts_once() -> None:
    asked: list[str] = []

    def sources(gpu: PciGpu) -> Sources:
        asked.append(gpu.uuid)
        return Sources(None, watts(300.0))

    opening = Opening("amd", "test", GPUS, sources, Clock(), lambda gpu: GPUS[0] if gpu is GPUS[1] else gpu)
    sensed = opening.open([GpuPart(GPUS[1]), GpuPart(GPUS[0])])
    assert [(one.device.uuid, one.part) for one in sensed] == [("GPU-0", "whole package of GPUs 0 and 1")]
    assert asked == ["GPU-0"]
