"""A meter over the sensors of some devices."""

from __future__ import annotations

import math
import os

import pytest

from eco2ai_callbacks.errors import Eco2AIError
from eco2ai_callbacks.meters.meter import Device
from eco2ai_callbacks.meters.sensor_meter import SensedDevice, SensorMeter
from eco2ai_callbacks.meters.tally import Source, Tally
from eco2ai_callbacks.testing import Clock


class Board:
    """A board that shows its power, or raises."""

    def __init__(self, clock: Clock, watts: float) -> None:
        self.watts: float | OSError = watts
        self.reads = 0
        self.tally = Tally("hwmon", "board", Source("test", self, False, (0.9, 1.1), 1000.0), clock).open()

    def __call__(self) -> float:
        self.reads += 1
        if isinstance(self.watts, OSError):
            raise self.watts
        return self.watts


def device(index: int) -> Device:
    return Device("amd", index, f"GPU-{index}", "MI210")


def test_two_parts_of_a_board_are_read_once_and_have_their_shares() -> None:
    clock = Clock()
    board = Board(clock, 100.0)
    parts = [SensedDevice(device(0), board.tally, 0.25, "a quarter"), SensedDevice(device(1), board.tally, 0.5)]
    meter = SensorMeter("hwmon", parts, "all", sample_s=0.5)
    clock.advance(2.0)
    assert meter.read() == {"gpu:GPU-0": 50.0, "gpu:GPU-1": 100.0}
    assert board.reads == 2
    assert meter.methods["gpu:GPU-0"].attribution == "a quarter"
    assert meter.devices == (device(0), device(1))


def test_a_device_that_is_lost_is_absent_and_the_last_one_ends_the_meter() -> None:
    clock = Clock()
    boards = [Board(clock, 100.0), Board(clock, 200.0)]
    meter = SensorMeter(
        "hwmon", [SensedDevice(device(i), board.tally) for i, board in enumerate(boards)], "all", sample_s=0.5
    )
    boards[0].tally.retired = True
    clock.advance(1.0)
    assert meter.read() == {"gpu:GPU-1": 200.0}
    assert meter.max_gap_s == 0.5
    boards[1].tally.retired = True
    assert meter.max_gap_s == math.inf
    with pytest.raises(Eco2AIError, match="no device is left"):
        meter.read()


def test_a_channel_that_does_not_answer_is_behind() -> None:
    clock = Clock()
    board = Board(clock, 100.0)
    meter = SensorMeter("hwmon", [SensedDevice(device(0), board.tally)], "all", ["opening failed"], sample_s=0.5)
    board.watts = OSError(5, "Input/output error")
    clock.advance(1.0)
    assert meter.read() == {"gpu:GPU-0": 0.0}
    assert meter.behind == {"gpu:GPU-0"}
    assert meter.failures[0] == "opening failed"
    assert len(meter.failures) == 2


def test_a_forked_child_does_not_measure_nor_close(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, closed = Clock(), list[int]()
    board = Board(clock, 100.0)
    meter = SensorMeter(
        "hwmon", [SensedDevice(device(0), board.tally)], "all", sample_s=0.5, close=lambda: closed.append(1)
    )
    parent = os.getpid()
    monkeypatch.setattr(os, "getpid", lambda: parent + 1)
    with pytest.raises(Eco2AIError, match="forked child"):
        meter.read()
    meter.close()
    assert closed == []
