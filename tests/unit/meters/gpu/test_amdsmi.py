"""AMD GPUs by AMD's library, with joules worked by hand."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from amd_machines import AmdMachine

from eco2ai_callbacks.errors import MeterUnavailable
from eco2ai_callbacks.meters.gpu import amdsmi
from eco2ai_callbacks.meters.gpu.amd import open_amd
from eco2ai_callbacks.meters.sensor_meter import SensorMeter
from eco2ai_callbacks.testing import Clock, FakeAmdGpu, FakeAmdSmi

A, B = "0000:03:00.0", "0000:04:00.0"
CHANNEL = f"gpu:GPU-{'a' * 16}"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def machine(tmp_path: Path) -> AmdMachine:
    machine = AmdMachine(tmp_path)
    machine.add(0x03, unique="a" * 16)
    return machine


def opened(machine: AmdMachine, clock: Clock, *gpus: FakeAmdGpu) -> SensorMeter:
    sources = amdsmi.load(FakeAmdSmi(list(gpus)))
    return open_amd("all", root=machine.root, environ={}, clock=clock, name=amdsmi.NAME, sources=sources)


def test_the_accumulator_counts_steps_of_the_stated_size(machine: AmdMachine, clock: Clock) -> None:
    """From 1000 J to 1250 J in steps of 15.259 µJ, of a board whose power is not known."""
    board = FakeAmdGpu(A, watts=None, joules=1000.0)
    meter = opened(machine, clock, board)
    clock.advance(1.0)
    board.joules = 1250.0
    assert meter.read() == {CHANNEL: pytest.approx(250.0, abs=1e-4)}
    assert meter.name == "AMD SMI"
    assert meter.methods[CHANNEL].name == "amdsmi-energy"


def test_power_counts_where_there_is_no_accumulator_or_it_is_stuck(machine: AmdMachine, clock: Clock) -> None:
    """10 s at 200 W are 2000 J either way."""
    without, stuck = FakeAmdGpu(A, watts=200.0, joules=None), FakeAmdGpu(A, watts=200.0)
    meters = [opened(machine, clock, board) for board in (without, stuck)]
    for _ in range(20):
        clock.advance(0.5)
        for meter in meters:
            meter.read()
    assert [meter.read() for meter in meters] == [{CHANNEL: 2000.0}] * 2
    assert [meter.methods[CHANNEL].name for meter in meters] == ["amdsmi-power"] * 2


def test_an_older_library_calls_the_steps_by_another_name(machine: AmdMachine, clock: Clock) -> None:
    class Older(FakeAmdSmi):
        def amdsmi_get_energy_count(self, handle: FakeAmdGpu) -> dict[str, float]:
            return {"power": (handle.joules or 0.0) * 1e6, "counter_resolution": 1.0}

    board = FakeAmdGpu(A, watts=None, joules=10.0)
    meter = open_amd("all", root=machine.root, environ={}, clock=clock, sources=amdsmi.load(Older([board])))
    clock.advance(1.0)
    board.joules = 110.0
    assert meter.read() == {CHANNEL: 100.0}


def test_a_board_that_the_library_does_not_list_is_named(machine: AmdMachine, clock: Clock) -> None:
    machine.add(0x04, unique="b" * 16)
    meter = opened(machine, clock, FakeAmdGpu(A))
    assert list(meter.methods) == [CHANNEL]
    assert meter.failures == ("AMD SMI: GPU 1 (AMD INSTINCT MI210): it shows neither its energy nor its power",)


def test_a_call_that_fails_is_a_miss(machine: AmdMachine, clock: Clock) -> None:
    smi = FakeAmdSmi([FakeAmdGpu(A, joules=None)])
    meter = open_amd("all", root=machine.root, environ={}, clock=clock, name="AMD SMI", sources=amdsmi.load(smi))
    smi.failing["amdsmi_get_power_info"] = "AMDSMI_STATUS_BUSY"
    clock.advance(0.5)
    meter.read()
    assert meter.behind == {CHANNEL}
    assert "a read failed (amdsmi_get_power_info: AMDSMI_STATUS_BUSY)" in meter.failures[0]


def test_a_library_that_does_not_work_is_not_used() -> None:
    smi = FakeAmdSmi([], {"amdsmi_init": "AMDSMI_STATUS_DRIVER_NOT_LOADED"})
    with pytest.raises(MeterUnavailable, match=r"the library does not work: .*DRIVER_NOT_LOADED"):
        amdsmi.load(smi)
    with pytest.raises(MeterUnavailable, match=r"the library does not work: .*amdsmi_init"):
        amdsmi.load(SimpleNamespace())


def test_a_binding_that_cannot_be_imported_says_why(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    monkeypatch.delitem(sys.modules, "amdsmi", raising=False)
    with pytest.raises(MeterUnavailable, match="is not installed") as caught:
        amdsmi.load()
    assert not caught.value.wanted
    (tmp_path / "amdsmi.py").write_text("raise KeyError('ROCM_PATH')\n")
    with pytest.raises(MeterUnavailable, match=r"cannot be imported: 'ROCM_PATH' \(KeyError\)"):
        amdsmi.load()
