"""The sources that any machine may have."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import pytest
from nvml_shapes import Shape, ShapedNvml
from proc_tree import ProcTree

from eco2ai_callbacks.errors import SettingsError
from eco2ai_callbacks.meters.candidate import MeterContext
from eco2ai_callbacks.meters.cpu.busy import JobBusy
from eco2ai_callbacks.meters.openers import open_cpu_model, open_nvml, open_ram_model, open_rapl
from eco2ai_callbacks.settings import Settings
from eco2ai_callbacks.testing import BARE_METAL, Clock, FakeGpu, FakeNvml, PowercapTree


@pytest.fixture
def context(tmp_path: Path) -> MeterContext:
    clock = Clock()
    proc = ProcTree(tmp_path)
    nvml = FakeNvml(clock, FakeGpu("GPU-a"))
    return MeterContext(BARE_METAL, None, proc.root, tmp_path, {}, clock, nvml=nvml)


def test_each_opens_what_it_is_named_for(context: MeterContext, tmp_path: Path) -> None:
    tree = PowercapTree(tmp_path)
    tree.add_dram(tree.add_package())
    settings = Settings(powercap_root=tree.root)
    opened = [
        (meter.name, sorted(meter.covers))
        for open_source in (open_nvml, open_rapl, open_cpu_model, open_ram_model)
        for meter, _ in open_source(settings, context)
    ]
    assert opened == [
        ("NVML", ["gpu"]),
        ("RAPL", ["cpu"]),
        ("RAPL", ["ram"]),
        ("CPU model", ["cpu"]),
        ("RAM model", ["ram"]),
    ]


def test_a_gpu_that_is_none_is_refused_with_where_it_was_named(context: MeterContext) -> None:
    with pytest.raises(SettingsError, match=r"gpus=\(7,\) \(from argument\): 7 is no GPU of this machine"):
        list(open_nvml(Settings(gpus=(7,)), context))


@pytest.mark.parametrize(("world_size", "method"), [(1, "nvml-energy:processes"), (2, "nvml-energy")])
def test_ranks_of_one_job_do_not_divide_a_board_among_them(
    context: MeterContext, monkeypatch: pytest.MonkeyPatch, world_size: int, method: str
) -> None:
    monkeypatch.setattr("eco2ai_callbacks.meters.gpu.nvml.sees_host_pids", lambda _: True)
    board = FakeGpu("GPU-a", pids=(os.getpid(), os.getppid()))
    nvml = ShapedNvml(Clock(), (board, Shape(processes={os.getpid(): 50})))
    around = dataclasses.replace(context, proc=Path("/proc"), job=JobBusy(), nvml=nvml, world_size=world_size)
    ((meter, _),) = open_nvml(Settings(), around)
    assert [each.name for each in meter.methods.values()] == [method]
    meter.close()
