"""Processors and memory by power sensors, with joules worked by hand."""

from __future__ import annotations

import pytest

from eco2ai_callbacks.errors import MeterUnavailable
from eco2ai_callbacks.meters.cpu.floor import IdleFloor
from eco2ai_callbacks.meters.cpu.sensor_cpu import SensorCpu, SensorRam, opened
from eco2ai_callbacks.meters.tally import Source
from eco2ai_callbacks.testing import Clock


class Watts:
    """A sensor that shows watts, or raises."""

    def __init__(self, watts: float | Exception) -> None:
        self.watts = watts

    def __call__(self) -> float:
        if isinstance(self.watts, Exception):
            raise self.watts
        return self.watts

    @property
    def source(self) -> Source:
        return Source("test-power", self, False, (0.9, 1.1), 1000.0, lambda: 500.0)


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_sockets_add_up(clock: Clock) -> None:
    """100 W and 50 W for 2 s: 300 J."""
    sensors = [Watts(100.0), Watts(50.0)]
    tallies = [opened("Grace", f"socket {i}", sensor.source, clock) for i, sensor in enumerate(sensors)]
    cpu = SensorCpu("Grace", tallies, 0.5)
    clock.advance(2.0)
    assert cpu.interval(1.0, 2.0) == (300.0, 0.0)
    assert cpu.method.scope == "machine"
    assert cpu.method.sensor
    assert cpu.max_gap_s == 0.5


def test_idle_energy_is_split_off_as_a_counter_s_is(clock: Clock) -> None:
    """Idle at 40 W for 2 s, then 100 W with all twelve threads busy: 40 W of those are idle."""
    sensor = Watts(40.0)
    floor = IdleFloor(12)
    cpu = SensorCpu("Grace", [opened("Grace", "socket 0", sensor.source, clock)], 0.5, floor)
    for _ in range(4):
        clock.advance(0.5)
        assert cpu.interval(0.0, 0.5) == (0.0, 20.0)
    sensor.watts = 100.0
    clock.advance(0.5)
    cpu.interval(6.0, 0.5)
    clock.advance(0.5)
    assert cpu.interval(6.0, 0.5) == (30.0, 20.0)


def test_gaps_of_all_sensors_widen_the_band(clock: Clock) -> None:
    """10 s unseen at 100 W and a limit of 500 W, twice, of 2100 J in all.

    The band of the 2000 J widens by 2 x (0.9 x 1000 J) below and 2 x (5000 - 1100 J) above.
    """
    tallies = [opened("Grace", f"socket {i}", Watts(100.0).source, clock) for i in range(2)]
    cpu = SensorCpu("Grace", tallies, 0.5)
    for seconds in (0.5, 10.0):
        clock.advance(seconds)
        cpu.interval(0.0, seconds)
    assert cpu.method.low == pytest.approx(0.9 - 1800 / 2100)
    assert cpu.method.high == pytest.approx(1.1 + 7800 / 2100)
    assert cpu.method.gap_j == (0.0, 0.0)
    assert len(cpu.failures) == 2


def test_a_socket_that_is_lost_ends_the_figure(clock: Clock) -> None:
    sensors = [Watts(100.0), Watts(50.0)]
    tallies = [opened("Grace", f"socket {i}", sensor.source, clock) for i, sensor in enumerate(sensors)]
    cpu = SensorCpu("Grace", tallies, 0.5)
    tallies[1].retired = True
    clock.advance(1.0)
    with pytest.raises(FileNotFoundError, match="socket 1 can no longer be read"):
        cpu.interval(0.0, 1.0)


def test_memory_is_a_channel_of_its_own_and_behind_where_it_does_not_answer(clock: Clock) -> None:
    sensor = Watts(2.0)
    tally = opened("Raspberry Pi PMIC", "DDR", sensor.source, clock)
    ram = SensorRam("Raspberry Pi PMIC", tally, 0.5)
    clock.advance(3.0)
    assert ram.read() == {"ram": 6.0}
    sensor.watts = OSError(5, "Input/output error")
    clock.advance(1.0)
    assert ram.read() == {"ram": 6.0}
    assert ram.behind == {"ram"}
    assert ram.failures[0].startswith("Raspberry Pi PMIC: DDR: ")
    tally.retired = True
    with pytest.raises(FileNotFoundError, match="DDR can no longer be read"):
        ram.read()
    ram.close()


@pytest.mark.parametrize(
    ("watts", "why", "hint"),
    [
        (PermissionError(13, "Permission denied"), "unreadable: rail: Permission denied", "usermod"),
        (OSError(5, "Input/output error"), "unreadable: rail: Input/output error", None),
        (0.0, "unreadable: rail: shows 0 W", None),
        (ValueError("not a number"), "unreadable: rail: not a number", None),
    ],
    ids=["denied", "unreadable", "zero", "garbage"],
)
def test_a_sensor_that_cannot_be_opened_says_why(
    clock: Clock, watts: float | Exception, why: str, hint: str | None
) -> None:
    with pytest.raises(MeterUnavailable) as caught:
        opened("test", "rail", Watts(watts).source, clock, "usermod")
    assert (caught.value.reason, caught.value.hint) == (why, hint)
