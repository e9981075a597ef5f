"""AMD GPUs by the kernel's files, with joules worked by hand."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest
from amd_machines import MI300, NAVI, AmdMachine, metrics

from eco2ai_callbacks.errors import Eco2AIError, MeterUnavailable
from eco2ai_callbacks.meters.gpu.amd import open_amd
from eco2ai_callbacks.meters.sensor_meter import SensorMeter
from eco2ai_callbacks.testing import Clock


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def machine(tmp_path: Path) -> AmdMachine:
    return AmdMachine(tmp_path)


def opened(machine: AmdMachine, clock: Clock, gpus: str = "all", **options: object) -> SensorMeter:
    return open_amd(gpus, root=machine.root, clock=clock, **{"environ": {}, **options})  # type: ignore[arg-type]


def test_power_is_sampled_where_the_accumulator_s_unit_is_not_known(machine: AmdMachine, clock: Clock) -> None:
    """150 W, then 250 W: 100 J in 0.5 s."""
    _, chip = machine.add(0x03, unique="4b2c1a9f8d3e6f7a", target=NAVI, joules=10.0, name="Radeon Pro W7900")
    meter = opened(machine, clock)
    assert meter.max_gap_s == 0.5
    machine.tree.set(chip, "power1_average", 250.0)
    clock.advance(0.5)
    assert meter.read() == {"gpu:GPU-4b2c1a9f8d3e6f7a": 100.0}
    method = meter.methods["gpu:GPU-4b2c1a9f8d3e6f7a"]
    assert (method.name, method.sensor, method.low, method.high) == ("amdgpu-power", True, 0.85, 1.15)
    assert meter.detail == "0: Radeon Pro W7900 (power every 0.5 s, whole device); chosen by all"
    assert meter.devices[0].vendor == "amd"


def test_a_card_that_shows_its_power_of_the_moment_alone_is_sampled_by_it(machine: AmdMachine, clock: Clock) -> None:
    machine.add(0x03, target=MI300, power="power1_input", watts=400.0)
    meter = opened(machine, clock)
    clock.advance(0.5)
    assert list(meter.read().values()) == [200.0]


def test_the_accumulator_counts_once_it_agrees_with_the_power(machine: AmdMachine, clock: Clock) -> None:
    """Ten seconds at 150 W are 1500 J by power; then 65536 x 90 steps of 2^-16 J are 90 J more."""
    device, _ = machine.add(0x03, unique="4b2c1a9f8d3e6f7a", joules=5000.0)
    channel = "gpu:GPU-4b2c1a9f8d3e6f7a"
    meter = opened(machine, clock)
    assert meter.max_gap_s == 0.5
    assert "power every 0.5 s, its energy counter once they agree" in meter.detail
    for half_seconds in range(1, 21):
        clock.advance(0.5)
        machine.tree.write(device / "gpu_metrics", metrics(5000.0 + 75.0 * half_seconds))
        meter.read()
    assert meter.max_gap_s == float("inf")
    assert meter.methods[channel].name == "amdgpu-energy"
    clock.advance(0.5)
    machine.tree.write(device / "gpu_metrics", metrics(6590.0))
    assert meter.read() == {channel: 1590.0}
    assert meter.failures == ()


@pytest.mark.parametrize("unit", [0.0, 15.3], ids=["stuck", "another unit"])
def test_power_counts_where_the_accumulator_disagrees(machine: AmdMachine, clock: Clock, unit: float) -> None:
    """10 s at 150 W: 1500 J."""
    device, _ = machine.add(0x03, unique="4b2c1a9f8d3e6f7a", joules=5000.0)
    meter = opened(machine, clock)
    for half_seconds in range(1, 21):
        clock.advance(0.5)
        machine.tree.write(device / "gpu_metrics", metrics(5000.0 + 75.0 * unit * half_seconds))
        meter.read()
    assert meter.read() == {"gpu:GPU-4b2c1a9f8d3e6f7a": 1500.0}
    assert meter.methods["gpu:GPU-4b2c1a9f8d3e6f7a"].name == "amdgpu-power"
    (failure,) = meter.failures
    assert failure.endswith("J where its power gives 1500 J in 10 s, its power is sampled instead")


@pytest.mark.parametrize("gpus", ["0", "1", "0,1"], ids=["first", "second", "both"])
def test_the_two_dies_of_a_package_are_one_figure(machine: AmdMachine, clock: Clock, gpus: str) -> None:
    """The first die shows the power of both, 300 W; the second shows 0 W. A second counts 300 J, once."""
    machine.add(0x03, unique="a" * 16, watts=300.0, serial="692231000123", name="AMD INSTINCT MI250X")
    machine.add(0x04, unique="b" * 16, watts=0.0, serial="692231000123", name="AMD INSTINCT MI250X")
    meter = opened(machine, clock, "visible", environ={"ROCR_VISIBLE_DEVICES": gpus})
    clock.advance(1.0)
    assert meter.read() == {f"gpu:GPU-{'a' * 16}": 300.0}
    assert meter.methods[f"gpu:GPU-{'a' * 16}"].attribution == "whole package of GPUs 0 and 1"
    assert meter.failures == ()


def test_a_die_whose_package_is_not_known_is_refused_and_not_zero(machine: AmdMachine, clock: Clock) -> None:
    machine.add(0x03, unique="a" * 16, watts=300.0)
    machine.add(0x04, unique="b" * 16, watts=0.0)
    meter = opened(machine, clock)
    clock.advance(1.0)
    assert meter.read() == {f"gpu:GPU-{'a' * 16}": 300.0}
    assert meter.failures == ("amdgpu: GPU 1 (AMD INSTINCT MI210): its power cannot be read: shows 0 W",)


def test_partitions_have_their_part_of_the_device(machine: AmdMachine, clock: Clock) -> None:
    """Two of eight partitions at 800 W: 100 J each in a second."""
    machine.add(0x03, unique="a" * 16, target=MI300, watts=800.0, partitions=8)
    meter = opened(machine, clock, "auto", environ={"HIP_VISIBLE_DEVICES": "2,3"})
    clock.advance(1.0)
    assert meter.read() == {f"gpu:GPU-{'a' * 16}/2": 100.0, f"gpu:GPU-{'a' * 16}/3": 100.0}
    assert meter.methods[f"gpu:GPU-{'a' * 16}/2"].attribution == "partition 1/8 of device"


def test_a_module_s_figure_includes_its_processor_and_memory(machine: AmdMachine, clock: Clock) -> None:
    machine.add(0x03, unique="a" * 16, target=MI300, device="0x74a0", name="AMD Instinct MI300A")
    meter = opened(machine, clock)
    assert meter.covers == {"gpu", "cpu", "ram"}
    assert meter.methods[f"gpu:GPU-{'a' * 16}"].attribution == "whole module (GPU, CPU and memory)"


def test_a_gpu_that_cannot_be_read_is_named_and_the_others_are_read(machine: AmdMachine, clock: Clock) -> None:
    _, chip = machine.add(0x03, unique="a" * 16)
    machine.add(0x04, unique="b" * 16)
    machine.tree.break_(chip / "power1_average", error=errno.EACCES)
    meter = opened(machine, clock)
    assert list(meter.methods) == [f"gpu:GPU-{'b' * 16}"]
    assert meter.failures[0].startswith("amdgpu: GPU 0 (AMD INSTINCT MI210): its power cannot be read: ")


def test_a_chip_that_vanishes_and_comes_back_leaves_a_gap(machine: AmdMachine, clock: Clock) -> None:
    _, chip = machine.add(0x03, unique="a" * 16)
    channel = f"gpu:GPU-{'a' * 16}"
    meter = opened(machine, clock)
    clock.advance(0.5)
    assert meter.read() == {channel: 75.0}
    machine.tree.unload(chip)
    clock.advance(2.5)
    assert meter.read() == {channel: 75.0}
    assert meter.behind == {channel}
    machine.tree.load(chip)
    clock.advance(2.5)
    assert meter.read() == {channel: 825.0}
    assert meter.behind == frozenset()
    assert meter.methods[channel].gap_j[0] > 0


def test_a_machine_without_readable_gpus_says_why(machine: AmdMachine, clock: Clock) -> None:
    with pytest.raises(MeterUnavailable, match="the driver amdgpu runs no card"):
        opened(machine, clock)
    machine.add(0x03, watts=None)
    with pytest.raises(MeterUnavailable, match=r"MI210\): it shows neither its energy nor its power") as caught:
        opened(machine, clock)
    assert caught.value.hint is not None


def test_a_closed_meter_is_not_read(machine: AmdMachine, clock: Clock) -> None:
    machine.add(0x03)
    meter = opened(machine, clock)
    meter.close()
    meter.close()
    with pytest.raises(Eco2AIError, match="read after it was closed"):
        meter.read()


def test_a_card_that_sleeps_is_not_read_and_counts_nothing(machine: AmdMachine, clock: Clock) -> None:
    """Asleep for 1 s with a sensor that must not be read, then 100 W: 50 J in the next second."""
    device, chip = machine.add(0x03, target=NAVI, watts=100.0)
    machine.tree.write(device / "power/runtime_status", "suspended")
    machine.tree.break_(chip / "power1_average", error=errno.EACCES)
    meter = opened(machine, clock)
    clock.advance(1.0)
    assert list(meter.read().values()) == [0.0]
    machine.tree.write(device / "power/runtime_status", "active")
    machine.tree.set(chip, "power1_average", 100.0)
    clock.advance(1.0)
    assert list(meter.read().values()) == [50.0]
    assert meter.failures == ()
