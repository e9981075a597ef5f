"""A channel that several processes can read is counted by one of them at a time."""

from __future__ import annotations

from eco2ai_callbacks.host.gpu_health import GpuLook
from eco2ai_callbacks.meters.exclusive import ExclusiveMeter
from eco2ai_callbacks.testing import Clock, FakeMeter
from eco2ai_callbacks.usage import Method

NVML = Method("nvml-energy", 0.95, 1.05, scope="device")


class Setting:
    def __init__(self) -> None:
        self.clock = Clock(50.0)
        self.taken: dict[str, float] = {}
        self.gpus = FakeMeter(self.clock, {"gpu:a": 100.0, "gpu:b": 100.0}, method=NVML, name="NVML", max_gap_s=0.5)
        self.gpus.failures = ("NVML: a gap",)
        self.meter = ExclusiveMeter(self.gpus, self.taken.get, self.clock)


def test_what_nobody_else_counts_is_counted_as_it_is_read() -> None:
    at = Setting()
    at.clock.advance(2)
    assert at.meter.read() == {"gpu:a": 200.0, "gpu:b": 200.0}
    at.clock.advance(1)
    assert at.meter.read() == {"gpu:a": 300.0, "gpu:b": 300.0}


def test_what_another_has_counted_all_along_is_absent_and_not_zero() -> None:
    at = Setting()
    at.taken["gpu:b"] = float("-inf")
    at.clock.advance(2)
    assert at.meter.read() == {"gpu:a": 200.0}
    assert set(at.meter.methods) == {"gpu:a"}


def test_what_another_takes_over_is_counted_up_to_that_moment() -> None:
    at = Setting()
    at.clock.advance(2)
    at.meter.read()
    at.taken["gpu:a"] = 53.0  # one second later
    at.clock.advance(4)
    assert at.meter.read() == {"gpu:a": 300.0, "gpu:b": 600.0}
    at.clock.advance(4)
    assert at.meter.read() == {"gpu:a": 300.0, "gpu:b": 1000.0}
    assert set(at.meter.methods) == {"gpu:a", "gpu:b"}  # both are in the sum


def test_what_another_gives_up_is_counted_from_the_next_look_on() -> None:
    at = Setting()
    at.taken["gpu:a"] = 0.0
    at.clock.advance(2)
    assert at.meter.read() == {"gpu:b": 200.0}
    del at.taken["gpu:a"]
    at.clock.advance(3)
    assert at.meter.read() == {"gpu:b": 500.0}  # nobody knows when in these seconds the other ended
    at.clock.advance(1)
    assert at.meter.read() == {"gpu:a": 100.0, "gpu:b": 600.0}


def test_two_looks_at_one_moment_count_nothing_twice() -> None:
    at = Setting()
    at.clock.advance(1)
    at.meter.read()
    at.taken["gpu:a"] = 51.0
    assert at.meter.read() == {"gpu:a": 100.0, "gpu:b": 100.0}


def test_it_passes_on_what_the_other_meter_says_of_itself() -> None:
    at = Setting()
    assert (at.meter.name, at.meter.covers, at.meter.max_gap_s) == ("NVML", frozenset({"gpu"}), 0.5)
    assert at.meter.devices == at.gpus.devices
    assert at.meter.failures == ("NVML: a gap",)
    assert at.meter.refresh_s == 0.0
    at.gpus.refresh_s = 0.1  # type: ignore[attr-defined]
    assert at.meter.refresh_s == 0.1
    at.meter.close()
    assert at.gpus.closed


def test_channels_whose_figures_are_old_are_those_of_the_meter_inside() -> None:
    at = Setting()
    assert at.meter.behind == frozenset()
    at.gpus.behind = frozenset({"gpu:a"})  # type: ignore[attr-defined]
    assert at.meter.behind == {"gpu:a"}


class LookedAt(FakeMeter):
    looks = True

    def look(self) -> list[GpuLook]:
        return [GpuLook(name, place, (f"gpu:{name}",), self.clock()) for place, name in enumerate("ab")]


def test_only_the_gpus_that_are_counted_here_are_looked_at() -> None:
    at = Setting()
    assert not at.meter.looks
    assert at.meter.look() == []
    at.gpus = LookedAt(at.clock, {"gpu:a": 100.0, "gpu:b": 100.0}, method=NVML)
    at.meter = ExclusiveMeter(at.gpus, at.taken.get, at.clock)
    assert at.meter.looks
    assert [look.uuid for look in at.meter.look()] == ["a", "b"]
    at.taken["gpu:b"] = float("-inf")
    at.meter.read()
    assert [look.uuid for look in at.meter.look()] == ["a"]
