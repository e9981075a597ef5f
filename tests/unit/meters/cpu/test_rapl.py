"""RAPL: the right zones on every shape of machine, and joules that are never invented."""

from __future__ import annotations

import errno
import time
from collections.abc import Callable, Collection
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from rapl_machines import AMD, COARSE, FINE, HYGON, INTEL, MEMORY, joules, ram

from eco2ai_callbacks.meters.cpu.floor import IdleFloor
from eco2ai_callbacks.meters.cpu.rapl import RaplCpu, open_rapl
from eco2ai_callbacks.testing import Clock, PowercapTree
from eco2ai_callbacks.usage import Method


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
    assert (cpu.name, cpu.covers) == ("RAPL", {"cpu"})
    assert cpu.max_gap_s == pytest.approx(262143.32885 / 1000 / 2)  # of a range of 2^32 - 1 steps of 61 µJ
    assert (cpu.method.name, cpu.method.low, cpu.method.high, cpu.method.counter) == ("rapl", 0.95, 1.05, True)
    assert dram is not None
    assert (dram.name, dram.covers) == ("RAPL", {"ram"})
    assert dram.max_gap_s == pytest.approx(262143.32885 / 1000 / 2)  # of a range of 2^32 - 1 steps of 61 µJ
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


# -- A model in the place of what is lost.


class Model:
    """A model of the machine: 2 J for each busy core-second, 10 W without work."""

    name = "CPU model"
    covers = frozenset({"cpu"})
    max_gap_s = 5.0
    method = Method("cpu-model:bare", 0.5, 1.5, edge_j=0.1)
    failures: tuple[str, ...] = ()

    def interval(self, busy_s: float, seconds: float) -> tuple[float, float]:
        return 2.0 * busy_s, 10.0 * seconds

    def close(self) -> None: ...


class Machine:
    """A machine whose packages draw 50 W each, and a meter of it that may call the model."""

    def __init__(self, tree: PowercapTree, clock: Clock, packages: int = 1, **zone: Any) -> None:
        self.tree, self.clock = tree, clock
        self.packages = [tree.add_package(number, **zone) for number in range(packages)]
        self.joules = 0.0

    def open(self, **options: Any) -> RaplCpu:
        self.cpu, self.dram = open_rapl(self.tree.root, INTEL, self.clock, model=Model(), **options)
        return self.cpu

    def work(self, *spans: float, busy: float = 4.0, watts: float = 50.0, still: Collection[str] = ()) -> float:
        """Return the joules of the meter for reads after so many seconds each, with so many busy threads."""
        joules = 0.0
        for seconds in spans:
            self.clock.advance(seconds)
            for package in self.packages:
                if package not in still:
                    self.tree.advance(package, watts * seconds)
            joules += sum(self.cpu.interval(busy * seconds, seconds))
        self.joules += joules
        return joules


# What the model takes a second of four busy threads for.
MODEL_W = 2.0 * 4 + 10


@pytest.fixture
def machine(tree: PowercapTree, clock: Clock) -> Machine:
    return Machine(tree, clock)


def method(cpu: RaplCpu) -> tuple[str, float, float, bool]:
    return cpu.method.name, cpu.method.low, cpu.method.high, cpu.method.counter


def test_as_long_as_the_counter_counts_the_model_adds_nothing(machine):
    cpu = machine.open()
    assert machine.work(1.0, 0.001, 5.0, 0.2) == pytest.approx(6.201 * 50)
    assert method(cpu) == ("rapl", 0.95, 1.05, True)
    assert cpu.failures == ()


def test_counters_that_count_are_read_before_they_wrap_and_as_often_as_the_model_needs_once_one_fails(machine, tree):
    cpu = machine.open()
    assert cpu.max_gap_s > 60.0  # a heartbeat's period: nothing wakes up for the model
    tree.break_("intel-rapl:0", error=errno.EIO)
    machine.work(1.0)
    assert cpu.max_gap_s == 5.0
    machine.work(5.0, 5.0)
    assert cpu.max_gap_s == 5.0
    tree.mend("intel-rapl:0")
    machine.work(1.0, 1.0)
    assert cpu.max_gap_s > 60.0


@pytest.mark.parametrize(
    ("lose", "why"),
    [
        (lambda tree, zone: tree.break_(zone, error=errno.EACCES), "Permission denied"),
        (lambda tree, zone: tree.break_(zone, error=errno.EIO), "Input/output error"),
        (lambda tree, zone: tree.break_(zone, "nonsense\n"), "not a number"),
        (PowercapTree.unplug, "No such file or directory"),
        (lambda tree, zone: tree.mask(), "No such file or directory"),
    ],
    ids=["revoked", "broken", "nonsense", "unplugged", "masked"],
)
def test_a_lost_counter_is_followed_by_the_model_from_its_last_step_on(machine, tree, lose, why):
    cpu = machine.open()
    assert machine.work(1.0, 3.0) == pytest.approx(200.0)
    lose(tree, machine.packages[0])
    machine.packages.clear()
    assert machine.work(0.5, 0.5) == pytest.approx(MODEL_W)  # it may come back and tell more exactly
    assert method(cpu) == ("cpu-model:bare", 0.5, 1.5, False)
    assert machine.work(0.5) == pytest.approx(0.5 * MODEL_W)
    assert machine.work(5.0, 2.0) == pytest.approx(7.0 * MODEL_W)
    assert method(cpu) == ("cpu-model:bare", 0.5, 1.5, False)
    assert cpu.failures == (
        f"RAPL: package-0 could not be read ({why}) (3 times)",
        "RAPL: package-0 was given up after 3 failed reads: from 4.0 s after the start on the CPU model counts in its "
        "place",
    )


def test_a_counter_that_is_back_in_time_has_counted_all_of_it(machine, tree):
    cpu = machine.open()
    tree.break_("intel-rapl:0", error=errno.EIO)
    assert machine.work(1.0, 1.0) == pytest.approx(2 * MODEL_W)
    tree.mend("intel-rapl:0")
    assert machine.work(1.0) == pytest.approx(150.0 - 2 * MODEL_W)
    assert method(cpu) == ("rapl", 0.95, 1.05, True)


def test_what_the_model_counted_too_much_in_the_meantime_is_taken_off_what_follows(machine, tree):
    machine.open()
    tree.break_("intel-rapl:0", error=errno.EIO)
    assert machine.work(1.0, 1.0, watts=1.0) == pytest.approx(2 * MODEL_W)  # 36 J of 2 J
    tree.mend("intel-rapl:0")
    assert machine.work(10.0, watts=1.0) == 0.0
    assert machine.work(1.0) == pytest.approx(50.0 - (36.0 - 12.0))
    assert machine.work(1.0) == pytest.approx(50.0)
    assert machine.joules == pytest.approx(2 + 10 + 50 + 50)


def test_a_counter_that_comes_back_late_goes_on_and_counts_nothing_again(machine, tree):
    cpu = machine.open()
    machine.work(100.0)
    tree.break_("intel-rapl:0", error=errno.EACCES)
    assert machine.work(1.0, 1.0, 1.0, 1.0) == pytest.approx(4 * MODEL_W)
    tree.mend("intel-rapl:0")
    assert machine.work(2.0) == pytest.approx(2 * MODEL_W)  # up to this read it was the model's
    assert machine.work(2.0, 3.0) == pytest.approx(5 * 50.0)
    assert cpu.failures[-1] == "RAPL: package-0 is read again from 106.0 s after the start on"
    # 108 J of 5,358 are the model's: more than a hundredth.
    name, low, high, counter = method(cpu)
    part = 6 * MODEL_W / (6 * MODEL_W + 105 * 50.0)
    assert (name, counter) == ("rapl+cpu-model:bare", True)
    assert (low, high) == (pytest.approx(0.95 - 0.45 * part), pytest.approx(1.05 + 0.45 * part))
    machine.work(*[5.0] * 100)
    assert method(cpu) == ("rapl", 0.95, 1.05, True)


def test_of_two_packages_the_model_takes_the_place_of_the_one_that_is_lost(tree, clock):
    machine = Machine(tree, clock, packages=2)
    cpu = machine.open()
    assert machine.work(1.0) == pytest.approx(100.0)
    tree.break_("intel-rapl:1", error=errno.EACCES)
    assert machine.work(1.0, 1.0, 1.0) == pytest.approx(3 * (50.0 + MODEL_W / 2))
    assert method(cpu) == ("rapl+cpu-model:bare", pytest.approx(0.725), pytest.approx(1.275), False)
    tree.break_("intel-rapl:0", error=errno.EACCES)
    assert machine.work(1.0, 1.0, 1.0) == pytest.approx(3 * MODEL_W)
    assert method(cpu)[0] == "cpu-model:bare"


@pytest.mark.parametrize("content", ["0\n", "nonsense\n"], ids=["stands at 0", "nonsense"])
def test_a_package_that_cannot_be_read_at_the_start_is_the_model_s_until_it_can(tree, clock, content):
    machine = Machine(tree, clock, packages=2)
    tree.break_("intel-rapl:1", content)
    cpu = machine.open()
    why = "stands at 0" if content == "0\n" else "not a number"
    assert cpu.failures == (
        f"RAPL: package-1 cannot be read ({why}): from the start on the CPU model counts in its place",
    )
    assert machine.work(1.0, 1.0) == pytest.approx(2 * (50.0 + MODEL_W / 2))
    tree.mend("intel-rapl:1")
    assert machine.work(1.0) == pytest.approx(50.0 + MODEL_W / 2)
    assert machine.work(1.0) == pytest.approx(100.0)


def test_a_die_of_amd_s_that_cannot_be_read_is_its_twin_s_and_no_model_s(tree, clock):
    dies = [tree.add_package(0, die, range_uj=FINE) for die in (0, 1)]
    tree.break_(dies[1], error=errno.EIO)
    cpu, _ = open_rapl(tree.root, AMD, clock, model=Model())
    clock.advance(1.0)
    tree.advance(dies[0], 30.0)
    assert cpu.interval(4.0, 1.0) == (30.0, 0.0)
    assert cpu.failures == ("RAPL: package-0-die-1 cannot be read (Input/output error) and is not measured",)


def test_a_counter_that_stands_still_while_the_machine_works_is_the_model_s_until_it_moves(machine, tree):
    cpu = machine.open()
    assert machine.work(1.0) == pytest.approx(50.0)
    package = machine.packages
    assert machine.work(4.0, 0.001, 4.0, still=package) == 0.0
    assert machine.work(3.999, still=package) == pytest.approx(12 * MODEL_W)
    assert machine.work(7.0, still=package) == pytest.approx(7 * MODEL_W)
    assert method(cpu)[0] == "cpu-model:bare"
    assert machine.work(1.0) == pytest.approx(MODEL_W)
    assert machine.work(1.0) == pytest.approx(50.0)
    assert cpu.failures == (
        "RAPL: package-0 stands still: from 1.0 s after the start on the CPU model counts in its place",
        "RAPL: package-0 is read again from 21.0 s after the start on",
    )


def test_a_counter_that_is_slow_to_move_is_not_lost_however_many_threads_are_busy(machine):
    """QEMU renews a guest's counter once a second."""
    cpu = machine.open()
    machine.work(*[0.1] * 9, busy=128.0, still=machine.packages)
    assert machine.work(1.0) == pytest.approx(50.0)
    assert cpu.failures == ()


def test_a_counter_of_a_sleeping_machine_may_stand_still(machine):
    cpu = machine.open()
    assert machine.work(*[30.0] * 10, busy=0.001, still=machine.packages) == 0.0
    assert machine.work(1.0) == pytest.approx(50.0)
    assert cpu.failures == ()


def test_a_range_that_is_too_small_costs_nothing(tree, clock):
    """As where a driver states 2^-16 J steps and the counter has others: 65,533 J of 262,143 J."""
    machine = Machine(tree, clock, range_uj=FINE, modulus_uj=COARSE + 61, energy_uj=FINE - 100_000_000)
    cpu = machine.open()
    assert machine.work(1.0) == pytest.approx(50.0)
    assert machine.work(1.0, 1.0, 1.0) == pytest.approx(50.0 + 2 * MODEL_W)
    assert machine.work(1.0) == pytest.approx(MODEL_W)
    # All since the last good read, by the counter itself.
    assert machine.work(1.0) == pytest.approx(4 * 50.0 - 3 * MODEL_W)
    assert machine.work(5.0, 5.0) == pytest.approx(500.0)
    assert method(cpu) == ("rapl", 0.95, 1.05, True)
    assert cpu.failures == (
        "RAPL: package-0 could not be read (beyond its range) (3 times)",
        "RAPL: package-0 goes beyond its range, which counts as unknown from now on",
    )
    # Where it wraps, nobody but the model knows the step.
    tree.reset("intel-rapl:0", COARSE - 60_000_000)
    machine.work(1.0)
    assert machine.work(5.0) == pytest.approx(5 * MODEL_W)
    assert cpu.failures[-1] == "RAPL: package-0 fell back, its range is unreadable, 5.0 s by the CPU model"
    assert machine.work(1.0) == pytest.approx(50.0)


def test_a_gap_of_the_counter_is_filled_by_the_model(machine, tree):
    cpu = machine.open()
    machine.work(*[5.0] * 40)
    tree.reset("intel-rapl:0", 5_000_000)
    assert machine.work(3.0) == pytest.approx(3 * MODEL_W)
    assert cpu.failures == ("RAPL: package-0 was reset, 3.0 s by the CPU model",)
    assert machine.work(3.0) == pytest.approx(150.0)
    assert method(cpu) == ("rapl", 0.95, 1.05, True)  # 54 J of 10,000


def test_a_model_that_holds_the_memory_takes_no_processor_s_place(machine, tree, monkeypatch):
    monkeypatch.setattr(Model, "covers", frozenset({"cpu", "ram"}))
    cpu = machine.open()
    gap_s = cpu.max_gap_s
    assert gap_s > 60.0
    tree.break_("intel-rapl:0", error=errno.EACCES)
    assert machine.work(1.0, 1.0) == 0.0
    with pytest.raises(FileNotFoundError):
        machine.work(1.0)
    assert cpu.failures[-1] == "RAPL: package-0 was given up after 3 failed reads and is no longer measured"


def test_the_floor_of_a_machine_that_is_counted_in_part_is_that_part_s(tree, clock):
    machine = Machine(tree, clock, packages=2)
    machine.open(floor=IdleFloor(8))
    machine.work(2.0, 2.0, busy=0.0)
    tree.break_("intel-rapl:1", error=errno.EACCES)
    machine.work(1.0, 1.0, 1.0, busy=0.0)
    tree.advance("intel-rapl:0", 80.0)
    clock.advance(1.0)
    active, idle = machine.cpu.interval(0.0, 1.0)
    assert (active, idle) == (pytest.approx(30.0), pytest.approx(50.0 + 10.0 / 2))


# -- The memory's counters.


def test_memory_that_stands_at_0_is_not_measured_and_said_to_be(tree, clock):
    package = tree.add_package(0)
    tree.add_dram(package, energy_uj=0)
    cpu, dram = open_rapl(tree.root, INTEL, clock)
    assert dram is None
    assert cpu.left_out == "package-0 dram (stands at 0)"


def test_memory_that_never_moves_is_never_reported_as_0_joules(tree, clock):
    tree.add_dram(tree.add_package(0))
    _, dram = open_rapl(tree.root, INTEL, clock)
    for _ in range(3):
        clock.advance(3.0)
        assert dram.read() == {}
    clock.advance(3.0)
    with pytest.raises(FileNotFoundError, match="no energy counter"):
        dram.read()
    assert dram.failures == ("RAPL: package-0 dram stands still and is no longer measured",)


def test_memory_of_which_one_zone_stands_still_is_measured_in_part_and_said_to_be(tree, clock):
    first, second = tree.add_package(0), tree.add_package(1)
    moving = tree.add_dram(first)
    tree.add_dram(second)
    _, dram = open_rapl(tree.root, INTEL, clock)
    for _ in range(5):
        clock.advance(3.0)
        tree.advance(moving, 6.0)
        dram.read()
    assert dram.read() == {"ram": 30.0}
    assert dram.failures == ("RAPL: package-1 dram stands still and is no longer measured",)


class EvenModel(Model):
    """A model that is right: what the two packages draw together."""

    def interval(self, busy_s: float, seconds: float) -> tuple[float, float]:
        return 60.0 * seconds, 40.0 * seconds


_EVENTS = st.lists(
    st.tuples(
        st.sampled_from(["read", "read", "fail", "nonsense", "vanish", "reset", "mend", "mend"]),
        st.integers(0, 1),
        st.integers(1, 30_000).map(lambda ms: ms / 1000),
    ),
    max_size=40,
)


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(events=_EVENTS, broken=st.booleans())
@example(events=[("fail", 0, 29.0), ("reset", 0, 30.0)], broken=False)
def test_whatever_is_lost_and_comes_back_each_second_counts_once(events, broken):
    """Counters and model agree here, so that the sum shows any second that neither or both of them counted."""
    with TemporaryDirectory() as folder:
        tree, clock = PowercapTree(Path(folder)), Clock(1000.0)
        machine = Machine(tree, clock, packages=2, energy_uj=200_000_000_000)
        away: dict[str, Callable[[], None]] = {}

        def lose(package: str, how: str) -> None:
            if how == "vanish":
                tree.unplug(package)
                away[package] = lambda: tree.plug(package)
            else:
                tree.break_(package, error=errno.EIO) if how == "fail" else tree.break_(package, "nonsense\n")
                away[package] = lambda: tree.mend(package)

        if broken:
            lose(machine.packages[1], "fail")
        machine.cpu, _ = open_rapl(tree.root, INTEL, clock, model=EvenModel(), floor=IdleFloor(8))
        seconds = 0.0
        for event, which, span in events:
            package = machine.packages[which]
            if event == "mend" and package in away:
                away.pop(package)()
            elif event in ("fail", "nonsense", "vanish") and package not in away:
                lose(package, event)
            elif event == "reset":
                # More than it counts in two reads that fail and the next, so that the value shows it.
                tree.reset(package, tree.energy_uj(package) - 4_000_000_000)
            machine.work(span)
            seconds += span
            assert machine.joules <= 100.0 * seconds * (1 + 1e-9)
        for package in (*away,):
            away.pop(package)()
        machine.work(1.0, 1.0, 1.0)
        assert machine.joules == pytest.approx(100.0 * (seconds + 3.0), rel=1e-5)
        assert method(machine.cpu)[0] in ("rapl", "rapl+cpu-model:bare")
