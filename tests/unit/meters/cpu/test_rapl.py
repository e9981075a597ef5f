"""RAPL: the right zones on every shape of machine, and joules that are never invented."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from rapl_machines import AMD, FINE, HYGON, INTEL, MEMORY, joules, ram

from eco2ai_callbacks.meters.cpu.rapl import open_rapl
from eco2ai_callbacks.testing import Clock, PowercapTree


@pytest.fixture
def tree(tmp_path: Path) -> PowercapTree:
    return PowercapTree(tmp_path)


@pytest.fixture
def clock() -> Clock:
    return Clock(1000.0)


# -- Shapes of machines: each returns its host and what to add to which zone; beside it, the joules worked out by hand.


def desktop(t: PowercapTree):
    package = t.add_package(0, max_power_w=65)
    core, uncore = t.add_zone("core", package), t.add_zone("uncore", package)
    return INTEL, {package: 100.0, core: 80.0, uncore: 5.0}


def desktop_with_dram(t: PowercapTree):
    package = t.add_package(0, max_power_w=65)
    core, dram = t.add_zone("core", package), t.add_dram(package)
    return INTEL, {package: 100.0, core: 80.0, dram: 7.5}


def laptop_with_psys_and_mmio_twin(t: PowercapTree):
    package = t.add_package(0, max_power_w=28)
    core, uncore = t.add_zone("core", package), t.add_zone("uncore", package)
    psys = t.add_zone("psys")
    twin = t.add_package(0, parent="intel-rapl-mmio")
    twin_dram = t.add_dram(twin)
    return INTEL, {package: 20.0, core: 15.0, uncore: 2.0, psys: 45.0, twin: 20.0, twin_dram: 3.0}


def psys_before_package(t: PowercapTree):
    psys = t.add_zone("psys")
    package = t.add_package(0)
    return INTEL, {psys: 45.0, package: 20.0}


def two_sockets_with_dram(t: PowercapTree):
    first, second = t.add_package(0, max_power_w=150), t.add_package(1, max_power_w=150)
    a, b = t.add_dram(first, range_uj=MEMORY), t.add_dram(second, range_uj=MEMORY)
    return INTEL, {first: 300.0, second: 200.0, a: 30.0, b: 20.0}


def cascade_lake_ap(t: PowercapTree):
    dies = [t.add_package(p, d) for p in (0, 1) for d in (0, 1)]
    drams = [t.add_dram(die, range_uj=MEMORY) for die in dies]
    return INTEL, dict(zip([*dies, *drams], [100.0, 110.0, 120.0, 130.0, 1.0, 2.0, 4.0, 8.0], strict=True))


def tpmi(t: PowercapTree):
    """Granite Rapids: zones in no order of packages, a platform zone for each package."""
    one = t.add_package(1)
    psys_one, psys = t.add_zone("psys-1"), t.add_zone("psys")
    zero = t.add_package(0)
    a, b = t.add_dram(one, range_uj=MEMORY), t.add_dram(zero, range_uj=MEMORY)
    return INTEL, {one: 250.0, psys_one: 400.0, psys: 410.0, zero: 240.0, a: 25.0, b: 24.0}


def eighteen_sockets(t: PowercapTree):
    """Zones intel-rapl:0 to intel-rapl:11, in hexadecimal; each memory is its package's second sub-zone."""
    used = {}
    for number in range(18):
        package = t.add_package(number)
        core, dram = t.add_zone("core", package), t.add_dram(package, range_uj=MEMORY)
        used |= {package: 10.0 + number, core: 5.0, dram: 1.0}
    return INTEL, used


def epyc_with_duplicate_dies(t: PowercapTree):
    dies = [t.add_package(0, die, range_uj=FINE, energy_uj=5_000_000) for die in range(8)]
    core = t.add_zone("core", dies[0], range_uj=FINE)
    return AMD, dict.fromkeys(dies, 150.0) | {core: 50.0}


def two_epycs_with_duplicate_dies(t: PowercapTree):
    first = [t.add_package(0, die, range_uj=FINE, energy_uj=5_000_000) for die in range(2)]
    second = [t.add_package(1, die, range_uj=FINE, energy_uj=5_000_000) for die in range(2)]
    return AMD, dict.fromkeys(first, 150.0) | dict.fromkeys(second, 100.0)


def hygon_with_duplicate_dies(t: PowercapTree):
    dies = [t.add_package(0, die, range_uj=FINE, energy_uj=9_000_000) for die in range(4)]
    return HYGON, dict.fromkeys(dies, 60.0)


def amd_dies_of_their_own(t: PowercapTree):
    dies = [t.add_package(0, die, range_uj=FINE, energy_uj=5_000_000 + 70_000_000 * die) for die in range(2)]
    return AMD, {dies[0]: 40.0, dies[1]: 41.0}


def ryzen(t: PowercapTree):
    package = t.add_package(0, range_uj=FINE)
    core = t.add_zone("core", package, range_uj=FINE)
    return AMD, {package: 90.0, core: 60.0}


def two_amd_sockets(t: PowercapTree):
    """Both counters started at boot with the machine, and may well stand at the same value."""
    first, second = (t.add_package(number, range_uj=FINE) for number in (0, 1))
    return AMD, {first: 90.0, second: 90.0}


def mmio_only(t: PowercapTree):
    package = t.add_package(0, parent="intel-rapl-mmio")
    dram = t.add_dram(package)
    return INTEL, {package: 12.0, dram: 2.0}


def msr_view_without_packages(t: PowercapTree):
    psys = t.add_zone("psys")
    package = t.add_package(0, parent="intel-rapl-mmio")
    return INTEL, {psys: 30.0, package: 12.0}


def range_unreadable(t: PowercapTree):
    package = t.add_package(0, range_uj=None)
    dram = t.add_dram(package, range_uj=None)
    return INTEL, {package: 50.0, dram: 5.0}


def zone_shown_twice(t: PowercapTree):
    """Two zones of one control type for the same package, as when two drivers register it."""
    first, again = t.add_package(0), t.add_package(0)
    a, b = t.add_dram(first), t.add_dram(again)
    return INTEL, {first: 70.0, again: 70.0, a: 7.0, b: 7.0}


def dram_outside_a_package(t: PowercapTree):
    package = t.add_package(0)
    stray = t.add_dram(t.add_zone("psys"))
    return INTEL, {package: 70.0, stray: 7.0}


SHAPES: list[tuple[Callable, float, float | None]] = [
    (desktop, 100.0, None),
    (desktop_with_dram, 100.0, 7.5),
    (laptop_with_psys_and_mmio_twin, 20.0, None),
    (psys_before_package, 20.0, None),
    (two_sockets_with_dram, 500.0, 50.0),
    (cascade_lake_ap, 460.0, 15.0),
    (tpmi, 490.0, 49.0),
    (eighteen_sockets, 333.0, 18.0),  # 18 · 10 + (0 + 1 + ... + 17)
    (epyc_with_duplicate_dies, 150.0, None),
    (two_epycs_with_duplicate_dies, 250.0, None),
    (hygon_with_duplicate_dies, 60.0, None),
    (amd_dies_of_their_own, 81.0, None),
    (ryzen, 90.0, None),
    (two_amd_sockets, 180.0, None),
    (mmio_only, 12.0, 2.0),
    (msr_view_without_packages, 12.0, None),
    (range_unreadable, 50.0, 5.0),
    (zone_shown_twice, 70.0, 7.0),
    (dram_outside_a_package, 70.0, None),
]


@pytest.mark.parametrize("view", ["class", "devices"])
@pytest.mark.parametrize(("shape", "cpu_j", "ram_j"), SHAPES, ids=[shape.__name__ for shape, *_ in SHAPES])
def test_every_shape_of_machine_gives_the_joules_worked_out_by_hand(tree, clock, view, shape, cpu_j, ram_j):
    host, used = shape(tree)
    cpu, dram = open_rapl(tree.root if view == "class" else tree.devices, host, clock)
    for _ in range(2):
        clock.advance(10.0)
        for zone, energy_j in used.items():
            tree.advance(zone, energy_j)
        assert joules(cpu) == pytest.approx(cpu_j, rel=1e-12)
    assert (None if dram is None else dram.read()["ram"]) == (ram_j and pytest.approx(2 * ram_j, rel=1e-12))
    assert cpu.failures == ()
    assert dram is None or dram.failures == ()


# -- What the meters say about themselves.


def test_meters_name_their_component_method_and_band(tree, clock):
    tree.add_dram(tree.add_package(0))
    cpu, dram = open_rapl(tree.root, INTEL, clock)
    assert (cpu.name, cpu.covers, cpu.max_gap_s) == ("RAPL", {"cpu"}, 30.0)
    assert (cpu.method.name, cpu.method.low, cpu.method.high, cpu.method.counter) == ("rapl", 0.95, 1.05, True)
    assert dram is not None
    assert (dram.name, dram.covers, dram.max_gap_s) == ("RAPL", {"ram"}, 30.0)
    method = dram.methods["ram"]
    assert (method.name, method.low, method.high, method.counter) == ("rapl", 0.8, 1.2, True)
    assert method.attribution == "whole machine"
    cpu.close()
    dram.close()


@pytest.mark.parametrize("host", [AMD, HYGON], ids=["AMD", "Hygon"])
def test_amd_has_the_wider_band(tree, clock, host):
    tree.add_package(0)
    method = open_rapl(tree.root, host, clock)[0].method
    assert (method.low, method.high) == (0.85, 1.15)


def test_the_longest_gap_shrinks_with_the_range_and_the_cap(tree, clock):
    tree.add_package(0)
    tree.add_package(1, range_uj=FINE, max_power_w=2000.0)
    cpu, _ = open_rapl(tree.root, INTEL, clock)
    assert cpu.max_gap_s == pytest.approx(65532.610987 / 3000 / 2)


def test_memory_and_cpu_are_read_at_times_of_their_own(tree, clock):
    package = tree.add_package(0)
    memory = tree.add_dram(package)
    cpu, dram = open_rapl(tree.root, INTEL, clock)
    readings = []
    for _ in range(3):
        clock.advance(10.0)
        tree.advance(package, 100.0)
        tree.advance(memory, 10.0)
        readings.append(ram(dram))
    assert readings == [10.0, 20.0, 30.0]
    assert joules(cpu) == 300.0
    assert joules(cpu) == 0.0


def test_the_systems_own_clocks_are_used_by_default(tree, monkeypatch):
    package = tree.add_package(0)
    cpu, _ = open_rapl(tree.root, INTEL)
    tree.advance(package, 0.001)
    assert joules(cpu) == 0.001
    awake = time.clock_gettime
    monkeypatch.setattr(time, "clock_gettime", lambda clock: awake(clock) + 3600.0)
    tree.advance(package, 0.001)
    assert joules(cpu) == 0.0
    assert len(cpu.failures) == 1
