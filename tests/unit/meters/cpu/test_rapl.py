"""RAPL: the right zones on every shape of machine, and joules that are never invented."""

from __future__ import annotations

import dataclasses
import errno
import math
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eco2ai_callbacks.errors import MeterUnavailable
from eco2ai_callbacks.meters.cpu.counters import Sample, step_uj
from eco2ai_callbacks.meters.cpu.powercap import Zone
from eco2ai_callbacks.meters.cpu.rapl import RaplCpu, RaplDram, open_rapl
from eco2ai_callbacks.testing import BARE_METAL, CLOUD_VM, Clock, PowercapTree

COARSE = 262143328850  # steps of 2^-14 J
FINE = 65532610987  # steps of 2^-16 J
MEMORY = 65712999613  # steps of 15.3 µJ

INTEL = BARE_METAL
AMD = dataclasses.replace(BARE_METAL, cpu_vendor="AuthenticAMD", cpu_name="AMD EPYC 7763 64-Core Processor")
HYGON = dataclasses.replace(BARE_METAL, cpu_vendor="HygonGenuine")
ARM = dataclasses.replace(BARE_METAL, cpu_vendor="ARM")


@pytest.fixture
def tree(tmp_path: Path) -> PowercapTree:
    return PowercapTree(tmp_path)


@pytest.fixture
def clock() -> Clock:
    return Clock(1000.0)


def joules(cpu: RaplCpu) -> float:
    active, idle = cpu.interval(0.0, 0.0)
    assert idle == 0.0
    return active


def ram(dram: RaplDram | None) -> float:
    assert dram is not None
    return dram.read()["ram"]


def refusal(root: Path, host=INTEL) -> MeterUnavailable:
    with pytest.raises(MeterUnavailable) as caught:
        open_rapl(root, host)
    return caught.value


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


def test_a_control_types_own_folder_can_be_the_root(tree, clock):
    package = tree.add_package(0)
    memory = tree.add_dram(package)
    cpu, dram = open_rapl(tree.devices / "intel-rapl", INTEL, clock)
    clock.advance(1.0)
    tree.advance(package, 3.0)
    tree.advance(memory, 1.0)
    assert (joules(cpu), ram(dram)) == (3.0, 1.0)


def test_a_flat_copy_without_nested_zones_can_be_the_root(tmp_path, clock):
    for zone, name in {"intel-rapl:0": "package-0", "intel-rapl:0:0": "dram"}.items():
        (tmp_path / zone).mkdir()
        (tmp_path / zone / "name").write_text(name)
        (tmp_path / zone / "energy_uj").write_text("1000000")
        (tmp_path / zone / "max_energy_range_uj").write_text(f"{COARSE}")
    cpu, dram = open_rapl(tmp_path, INTEL, clock)
    clock.advance(1.0)
    (tmp_path / "intel-rapl:0/energy_uj").write_text("3000000\n")
    (tmp_path / "intel-rapl:0:0/energy_uj").write_text("1500000\n")
    assert (joules(cpu), ram(dram)) == (2.0, 0.5)


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


# -- Absent, unreadable, readable.


def test_a_virtual_machine_has_no_counters(tree):
    tree.add_package(0)
    why = refusal(tree.root, CLOUD_VM)
    assert (why.reason, why.hint) == ("absent: virtual machine", None)


def test_elsewhere_than_on_linux_there_is_no_powercap(tree):
    tree.add_package(0)
    assert refusal(tree.root, dataclasses.replace(INTEL, system="Darwin")).reason == "absent: not Linux"


def test_without_a_tree_the_module_is_named_on_processors_that_have_one(tmp_path):
    root = tmp_path / "powercap"
    why = refusal(root)
    assert (why.reason, why.hint) == (f"absent: no powercap tree in {root}", "sudo modprobe intel_rapl_msr")
    assert refusal(root, ARM).hint is None


def test_a_tree_of_other_things_has_no_package(tree):
    tree.add_zone("psys")
    tree.add_zone("package-zero")
    assert refusal(tree.root).reason == f"absent: no processor package in {tree.root}"


def test_docker_masks_the_tree_and_the_hint_mounts_it_elsewhere(tree):
    tree.add_package(0)
    tree.mask()
    for root in (tree.root, tree.devices):
        why = refusal(root)
        assert why.reason == f"absent: {root} is empty, as Docker 24.0.7 and later show it"
        assert why.hint is not None
        assert "--volume /sys/devices/virtual/powercap:/powercap:ro --env ECO2AI_POWERCAP_ROOT=/powercap" in why.hint
        assert "modprobe" in why.hint
    hint = refusal(tree.root, ARM).hint
    assert hint is not None
    assert "modprobe" not in hint


def test_what_is_present_but_denied_comes_with_the_commands_that_grant_it(tree):
    tree.add_dram(tree.add_package(0))
    tree.add_package(1)
    tree.deny()
    why = refusal(tree.root)
    assert why.reason == f"unreadable: no permission to read {tree.root}/intel-rapl:0/energy_uj"
    assert why.hint is not None
    assert why.hint.splitlines() == [
        "sudo groupadd --system --force power",
        'sudo usermod --append --groups power "$USER"    # counts from the next login on',
        rf"printf 'z {tree.root}/intel-rapl:*/energy_uj 0440 root power\n' | sudo tee /etc/tmpfiles.d/eco2ai-rapl.conf",
        "sudo systemd-tmpfiles --create /etc/tmpfiles.d/eco2ai-rapl.conf",
    ]


def test_the_commands_fit_the_view_that_is_in_use(tree):
    tree.add_dram(tree.add_package(0))
    tree.deny()
    hint = refusal(tree.devices).hint
    assert hint is not None
    control = tree.devices / "intel-rapl"
    assert f"z {control}/intel-rapl:*/energy_uj 0440 root power" in hint
    assert f"z {control}/intel-rapl:*/intel-rapl:*/energy_uj 0440 root power" in hint


def test_a_denied_package_explains_more_than_a_broken_one(tree):
    broken, _denied = tree.add_package(0), tree.add_package(1)
    tree.deny()
    tree.mend(broken)
    tree.break_(broken, "garbage")
    assert refusal(tree.root).reason == f"unreadable: no permission to read {tree.root}/intel-rapl:1/energy_uj"


@pytest.mark.parametrize(
    ("content", "error", "why"),
    [
        ("", None, "not a number"),
        ("-5\n", None, "not a number"),
        ("1_000\n", None, "not a number"),
        ("\xff\x00", None, "not a number"),
        (f"{COARSE + 1}\n", None, "beyond its range"),
        ("", errno.EIO, "Input/output error"),
    ],
)
def test_what_is_present_but_broken_says_how(tree, content, error, why):
    tree.break_(tree.add_package(0), content, error=error)
    refused = refusal(tree.root)
    assert (refused.reason, refused.hint) == (f"unreadable: {tree.root}/intel-rapl:0/energy_uj: {why}", None)


def test_a_folder_that_may_not_be_listed_is_unreadable():
    class Locked(type(Path())):  # the tests may run as root, whom no mode keeps out
        def iterdir(self):
            raise PermissionError(errno.EACCES, "Permission denied")

    assert refusal(Locked("/locked")).reason == "unreadable: no permission to list /locked"


def test_one_unreadable_package_leaves_the_others_and_is_named(tree, clock):
    good, bad = tree.add_package(0), tree.add_package(1)
    tree.break_(bad, error=errno.EACCES)
    cpu, _ = open_rapl(tree.root, INTEL, clock)
    clock.advance(1.0)
    tree.advance(good, 5.0)
    assert joules(cpu) == 5.0
    assert cpu.failures == ("RAPL: package-1 cannot be read (Permission denied) and is not measured",)


def test_a_link_to_a_package_that_is_gone_is_passed_over(tree, clock):
    stays, goes = tree.add_package(0), tree.add_package(1)
    tree.unplug(goes)
    cpu, _ = open_rapl(tree.root, INTEL, clock)
    clock.advance(1.0)
    tree.advance(stays, 5.0)
    assert joules(cpu) == 5.0
    assert cpu.failures == ()


def test_unreadable_memory_is_no_reason_to_do_without_the_packages(tree, clock):
    package = tree.add_package(0)
    tree.break_(tree.add_dram(package), error=errno.EACCES)
    cpu, dram = open_rapl(tree.root, INTEL, clock)
    assert dram is None
    clock.advance(1.0)
    tree.advance(package, 5.0)
    assert joules(cpu) == 5.0


# -- Steps of a counter.

ZONE = Zone(0, None, "package", Path("intel-rapl:0"), COARSE, 1000.0)


def step(old: int, new: int, seconds: float, zone: Zone = ZONE, **options) -> int | str:
    return step_uj(zone, Sample(old, 0.0, 0.0), Sample(new, seconds, seconds), **options)


def test_the_worked_wrap():
    # 262143328850 + 61 - 262143000000 + 100000: from the highest value it is one step, 61 µJ, to 0.
    assert step(262143000000, 100000, 1.0) == 428911


@pytest.mark.parametrize(("range_uj", "unit_uj"), [(COARSE, 61), (FINE, 15), (MEMORY, 15)])
def test_a_wrap_is_one_step_longer_than_the_range(range_uj, unit_uj):
    zone = dataclasses.replace(ZONE, range_uj=range_uj)
    assert step(range_uj, 0, 1.0, zone) == unit_uj
    assert step(range_uj - 1000, 500, 1.0, zone) == 1500 + unit_uj


def test_the_cap_is_what_tells_a_reset_from_a_wrap():
    old = COARSE - 900_000_000  # 900 J below the range
    assert step(old, 0, 1.0) == 900_000_061
    assert step(old, 0, 0.8) == "was reset"
    assert step(old, 0, 1.0, continuous=False) == "was reset"


def test_a_forward_step_above_the_cap_is_none():
    assert step(0, 1_000_000_000, 1.0) == 1_000_000_000
    assert step(0, 1_000_000_001, 1.0) == "rose faster than at 1000 W"


def test_reads_a_moment_apart_may_see_a_whole_step_of_the_counter():
    # 400 W for a millisecond, seen within 10 µs
    assert step(0, 400_000, 1e-5) == 400_000
    assert step(0, 2_000_001, 1e-5) == "rose faster than at 1000 W"


def test_an_interval_in_which_the_counter_could_pass_itself_is_a_gap():
    assert step(0, 1, 262.1) == 1
    assert step(0, 1, 262.2) == "went unread for too long"
    unknown = dataclasses.replace(ZONE, range_uj=None)
    assert step(0, 1, 65.5, unknown) == 1
    assert step(0, 1, 65.6, unknown) == "went unread for too long"


def test_without_a_range_every_backward_step_is_a_gap():
    unknown = dataclasses.replace(ZONE, range_uj=None)
    assert step(5, 4, 1.0, unknown) == "fell back, its range is unreadable"
    assert step(4, 5, 1.0, unknown) == 1


def test_a_thread_held_up_between_clock_and_counter_loses_no_energy():
    # read at 0.0, looked at the clock at 0.5 only: 100 J until 0.51 are 196 W, not 10 kW
    old, new = Sample(0, 0.0, 0.5), Sample(100_000_000, 0.51, 0.51)
    assert step_uj(ZONE, old, new) == 100_000_000


@pytest.mark.parametrize(
    ("max_power_w", "limits_w", "watts", "accepted"),
    [
        (None, (), 999.0, True),
        (None, (125.0, 241.0), 999.0, True),
        (0, (), 999.0, True),
        (100.0, (), 149.0, True),
        (100.0, (), 151.0, False),
        (100.0, (50.0, 60.0), 149.0, True),
        (125.0, (125.0, 241.0), 361.0, True),  # Core i9-12900K at its short-term limit and beyond
        (125.0, (125.0, 241.0), 362.0, False),
        (125.0, (4095.0, 4095.0), 999.0, True),  # a board without limits
        (125.0, (4095.0, 4095.0), 1001.0, False),
        (800.0, (), 1199.0, True),
    ],
)
def test_the_cap_comes_from_what_the_zone_says_of_its_power(tree, clock, max_power_w, limits_w, watts, accepted):
    package = tree.add_package(0, max_power_w=max_power_w, limits_w=limits_w)
    cpu, _ = open_rapl(tree.root, INTEL, clock)
    clock.advance(10.0)
    tree.advance(package, watts * 10)
    assert joules(cpu) == (pytest.approx(watts * 10) if accepted else 0.0)
    assert bool(cpu.failures) != accepted


# -- Gaps and failures in the middle of a run.


def test_a_reset_discards_its_interval_and_says_how_long_it_was(tree, clock):
    package = tree.add_package(0, energy_uj=50_000_000_000)
    cpu, _ = open_rapl(tree.root, INTEL, clock)
    clock.advance(3.1)
    tree.reset(package, 7_000_000)
    assert joules(cpu) == 0.0
    assert cpu.failures == ("RAPL: package-0 was reset, 3.1 s not measured",)
    clock.advance(1.0)
    tree.advance(package, 4.0)
    assert joules(cpu) == 4.0
    assert len(cpu.failures) == 1


def test_what_happens_again_is_counted_in_the_same_sentence(tree, clock):
    package = tree.add_package(0, energy_uj=50_000_000_000)
    cpu, _ = open_rapl(tree.root, INTEL, clock)
    for _ in range(3):
        clock.advance(3.1)
        tree.reset(package, tree.energy_uj(package) // 2)
        assert joules(cpu) == 0.0
    assert cpu.failures == ("RAPL: package-0 was reset (3 times), 9.3 s not measured",)


def test_a_lost_digit_costs_its_two_intervals_and_no_more(tree, clock):
    package = tree.add_package(0, energy_uj=123_456_789_000)
    cpu, _ = open_rapl(tree.root, INTEL, clock)
    clock.advance(1.0)
    tree.break_(package, "12345678900\n")
    assert joules(cpu) == 0.0
    clock.advance(1.0)
    tree.mend(package)
    assert joules(cpu) == 0.0
    clock.advance(1.0)
    tree.advance(package, 40.0)
    assert joules(cpu) == 40.0
    assert cpu.failures == (
        "RAPL: package-0 was reset, 1.0 s not measured",
        "RAPL: package-0 rose faster than at 1000 W, 1.0 s not measured",
    )


@pytest.mark.parametrize(
    ("content", "error", "why"),
    [
        ("", None, "not a number"),
        ("12 34\n", None, "not a number"),
        ("<unsupported>\n", None, "not a number"),
        ("99999999999999\n", None, "beyond its range"),
        ("", errno.EIO, "Input/output error"),
        ("", errno.EACCES, "Permission denied"),
    ],
)
def test_a_failed_read_is_neither_zero_nor_a_wrap_and_its_energy_is_counted_later(tree, clock, content, error, why):
    package = tree.add_package(0, energy_uj=COARSE - 1_000_000)
    cpu, _ = open_rapl(tree.root, INTEL, clock)
    clock.advance(5.0)
    tree.advance(package, 100.0)  # over the end of the range meanwhile
    tree.break_(package, content, error=error)
    assert joules(cpu) == 0.0
    assert cpu.failures == (f"RAPL: package-0 could not be read ({why})",)
    clock.advance(5.0)
    tree.advance(package, 50.0)
    tree.mend(package)
    assert joules(cpu) == 150.0
    assert cpu.failures == (f"RAPL: package-0 could not be read ({why})",)


def test_energy_of_a_failure_that_outlasts_the_range_is_a_gap(tree, clock):
    package = tree.add_package(0, range_uj=FINE)
    cpu, _ = open_rapl(tree.root, INTEL, clock)
    tree.break_(package, error=errno.EIO)
    for _ in range(2):
        clock.advance(30.0)
        assert joules(cpu) == 0.0
    clock.advance(30.0)
    tree.advance(package, 100.0)
    tree.mend(package)
    assert joules(cpu) == 0.0
    assert cpu.failures == (
        "RAPL: package-0 could not be read (Input/output error) (2 times)",
        "RAPL: package-0 went unread for too long, 90.0 s not measured",
    )


def test_a_package_that_comes_back_higher_goes_on(tree, clock):
    package, other = tree.add_package(0), tree.add_package(1)
    cpu, _ = open_rapl(tree.root, INTEL, clock)
    tree.unplug(package)
    clock.advance(1.0)
    tree.advance(package, 10.0)
    tree.advance(other, 1.0)
    assert joules(cpu) == 1.0
    tree.plug(package)
    clock.advance(1.0)
    assert joules(cpu) == 10.0
    assert cpu.failures == ("RAPL: package-0 could not be read (No such file or directory)",)


def test_a_package_that_comes_back_lower_was_reset_however_small_the_step_looks(tree, clock):
    package = tree.add_package(0, energy_uj=COARSE - 1_000_000)
    cpu, _ = open_rapl(tree.root, INTEL, clock)
    tree.unplug(package)
    clock.advance(10.0)
    assert joules(cpu) == 0.0
    tree.plug(package)
    tree.reset(package, 0)
    clock.advance(10.0)
    assert joules(cpu) == 0.0
    tree.advance(package, 2.0)
    clock.advance(1.0)
    assert joules(cpu) == 2.0
    assert cpu.failures[1:] == ("RAPL: package-0 was reset, 20.0 s not measured",)


def test_a_package_that_stays_away_is_given_up_and_the_others_go_on(tree, clock):
    stays, goes = tree.add_package(0), tree.add_package(1)
    tree.add_dram(stays)
    cpu, _ = open_rapl(tree.root, INTEL, clock)
    tree.unplug(goes)
    for _ in range(5):
        clock.advance(1.0)
        tree.advance(stays, 6.0)
        assert joules(cpu) == 6.0
    assert cpu.failures == (
        "RAPL: package-1 could not be read (No such file or directory) (3 times)",
        "RAPL: package-1 was given up after 3 failed reads and is no longer measured",
    )


def test_failures_in_between_good_reads_do_not_add_up_to_giving_up(tree, clock):
    package = tree.add_package(0)
    cpu, _ = open_rapl(tree.root, INTEL, clock)
    for _ in range(4):
        tree.break_(package, error=errno.EIO)
        for _ in range(2):
            clock.advance(1.0)
            tree.advance(package, 6.0)
            assert joules(cpu) == 0.0
        tree.mend(package)
        assert joules(cpu) == 12.0
    assert cpu.failures == ("RAPL: package-0 could not be read (Input/output error) (8 times)",)


@pytest.mark.parametrize("error", [errno.EIO, errno.EACCES])
def test_once_every_zone_is_gone_reading_raises(tree, clock, error):
    package = tree.add_package(0)
    tree.add_dram(package)
    cpu, dram = open_rapl(tree.root, INTEL, clock)
    clock.advance(1.0)
    tree.advance(package, 5.0)
    assert (joules(cpu), ram(dram)) == (5.0, 0.0)
    for zone in ("intel-rapl:0", "intel-rapl:0:0"):
        tree.break_(zone, error=error)
    for _ in range(2):
        assert (joules(cpu), ram(dram)) == (0.0, 0.0)
    for _ in range(2):
        with pytest.raises(OSError, match="no energy counter can be read any more"):
            joules(cpu)
        with pytest.raises(OSError, match="no energy counter can be read any more"):
            ram(dram)
    assert cpu.failures[-1] == "RAPL: package-0 was given up after 3 failed reads and is no longer measured"
    assert dram is not None
    assert dram.failures[-1] == "RAPL: package-0 dram was given up after 3 failed reads and is no longer measured"


def test_a_suspended_machine_is_a_gap(tree, clock):
    package = tree.add_package(0)
    boottime = Clock(5000.0)
    cpu, _ = open_rapl(tree.root, INTEL, clock, boottime)

    def run(joules_used: float, seconds: float, asleep_s: float) -> float:
        clock.advance(seconds)
        boottime.advance(seconds + asleep_s)
        tree.advance(package, joules_used)
        return joules(cpu)

    assert run(5.0, 2.0, 0.0) == 5.0
    assert run(5.0, 2.0, 3600.0) == 0.0
    assert run(5.0, 2.0, 0.01) == 5.0
    assert cpu.failures == ("RAPL: package-0 was read across a suspend of the machine, 2.0 s not measured",)


def test_a_suspend_behind_a_failed_read_is_a_gap_too(tree, clock):
    package = tree.add_package(0)
    boottime = Clock()
    cpu, _ = open_rapl(tree.root, INTEL, clock, boottime)
    tree.break_(package, error=errno.EIO)
    boottime.advance(3600.0)
    assert joules(cpu) == 0.0
    tree.mend(package)
    tree.advance(package, 5.0)
    clock.advance(1.0)
    boottime.advance(1.0)
    assert joules(cpu) == 0.0
    assert "RAPL: package-0 was read across a suspend of the machine, 1.0 s not measured" in cpu.failures


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


# -- Dies of an AMD package.


class Ticking:
    """A clock that moves with every look at it, and calls something at the looks that are named."""

    def __init__(self, tick_s: float = 1e-5) -> None:
        self.now, self.tick_s, self.looks = 0.0, tick_s, 0
        self.at: dict[int, Callable[[], None]] = {}

    def __call__(self) -> float:
        self.now += self.tick_s
        self.looks += 1
        self.at.pop(self.looks, lambda: None)()
        return self.now


def epyc(tree: PowercapTree, *energies_uj: int) -> list[str]:
    return [tree.add_package(0, die, range_uj=FINE, energy_uj=uj) for die, uj in enumerate(energies_uj)]


def test_dies_a_little_apart_are_one_as_far_as_the_time_between_their_reads_explains_it(tree):
    # 4 looks at a clock of 10 µs lie between: at 1000 W, 40 mJ
    epyc(tree, 5_000_000, 5_030_000, 6_000_000)
    cpu, _ = open_rapl(tree.root, AMD, Ticking())
    for die in range(3):
        tree.advance(f"intel-rapl:{die}", 0.5)
    assert joules(cpu) == 1.0


def test_a_counter_that_moves_between_the_reads_of_two_dies_stays_one(tree):
    first, second = epyc(tree, 5_000_000, 5_000_000)
    clock = Ticking()
    cpu, _ = open_rapl(tree.root, AMD, clock)

    def both(energy_j: float) -> None:
        for die in (first, second):
            tree.advance(die, energy_j)

    clock.now += 10.0
    both(7.0)
    # The first look of a read is before the first die, the second after it: a step of 0.4 J falls between the dies.
    clock.at[clock.looks + 2] = lambda: both(0.4)
    assert joules(cpu) == 7.0
    clock.now += 10.0
    assert joules(cpu) == pytest.approx(0.4)
    assert cpu.failures == ()


def test_a_counter_that_moves_between_the_first_reads_of_two_dies_is_one(tree):
    first, second = epyc(tree, 5_000_000, 5_000_000)
    clock = Ticking()

    def both() -> None:
        for die in (first, second):
            tree.advance(die, 0.4)

    clock.at[2] = both
    cpu, _ = open_rapl(tree.root, AMD, clock)
    clock.now += 10.0
    both()
    assert joules(cpu) == pytest.approx(0.8)


def test_dies_that_cannot_be_compared_again_count_as_one(tree):
    first, second = epyc(tree, 5_000_000, 5_500_000)
    clock = Ticking()
    clock.at[3] = lambda: tree.break_(first, error=errno.EIO)
    cpu, _ = open_rapl(tree.root, AMD, clock)
    tree.mend(first)
    clock.now += 1.0
    for die in (first, second):
        tree.advance(die, 3.0)
    clock.at[clock.looks + 3] = lambda: tree.break_(first, error=errno.EIO)
    assert joules(cpu) == 3.0
    assert cpu.failures == ()


def test_dies_wrap_together(tree, clock):
    dies = epyc(tree, FINE - 1_000_000, FINE - 1_000_000)
    cpu, _ = open_rapl(tree.root, AMD, clock)
    clock.advance(1.0)
    for die in dies:
        tree.advance(die, 3.0)
    assert joules(cpu) == 3.0
    assert cpu.failures == ()


def test_one_die_before_and_one_behind_the_wrap_are_one(tree):
    dies = epyc(tree, FINE - 5_000, 5_000)
    cpu, _ = open_rapl(tree.root, AMD, Ticking())
    for die in dies:
        tree.advance(die, 1.0)
    assert joules(cpu) == 1.0


def test_dies_without_a_range_are_compared_as_they_stand(tree, clock):
    dies = [tree.add_package(0, die, range_uj=None, energy_uj=5_000_000) for die in (0, 1)]
    cpu, _ = open_rapl(tree.root, AMD, clock)
    clock.advance(1.0)
    for die in dies:
        tree.advance(die, 1.0)
    assert joules(cpu) == 1.0


def test_dies_that_part_are_two_from_then_on(tree, clock):
    first, second = epyc(tree, 5_000_000, 5_000_000)
    cpu, _ = open_rapl(tree.root, AMD, clock)
    clock.advance(1.0)
    tree.advance(first, 30.0)
    tree.advance(second, 20.0)
    assert joules(cpu) == 30.0
    assert cpu.failures == (
        "RAPL: package-0-die-1 parted from package-0-die-0: until then counted as one, as two from then on",
    )
    clock.advance(1.0)
    tree.advance(first, 4.0)
    tree.advance(second, 14.0)  # at the same value again
    assert joules(cpu) == 18.0
    assert len(cpu.failures) == 1


def test_dies_may_part_long_after_the_start(tree, clock):
    first, second = epyc(tree, 5_000_000, 5_000_000)
    cpu, _ = open_rapl(tree.root, AMD, clock)
    for _ in range(4):
        clock.advance(30.0)
        for die in (first, second):
            tree.advance(die, 20.0)
        assert joules(cpu) == 20.0
    clock.advance(30.0)
    tree.advance(first, 20.0)
    assert joules(cpu) == 20.0
    assert len(cpu.failures) == 1


@pytest.mark.parametrize("misread", ["9\n", "5000000000\n", "nonsense\n"])
def test_a_misread_die_is_no_sign_of_parting(tree, clock, misread):
    first, second = epyc(tree, 50_000_000, 50_000_000)
    cpu, _ = open_rapl(tree.root, AMD, clock)
    for break_it in (True, False, False):
        clock.advance(1.0)
        for die in (first, second):
            tree.advance(die, 20.0)
        if break_it:
            tree.break_(second, misread)
        assert joules(cpu) == 20.0
        if break_it:
            tree.mend(second)
    assert not any("parted" in failure for failure in cpu.failures)


def test_a_die_that_is_away_is_stood_in_for_by_its_twin(tree, clock):
    first, second = epyc(tree, FINE - 1_000_000, FINE - 1_000_000)
    cpu, _ = open_rapl(tree.root, AMD, clock)
    tree.unplug(first)
    for _ in range(4):
        clock.advance(1.0)
        for die in (first, second):
            tree.advance(die, 3.0)
        assert joules(cpu) == 3.0
    assert cpu.failures == (
        "RAPL: package-0-die-0 could not be read (No such file or directory) (3 times)",
        "RAPL: package-0-die-0 was given up after 3 failed reads",
    )


def test_intels_dies_are_never_taken_for_one(tree, clock):
    dies = [tree.add_package(0, die, energy_uj=5_000_000) for die in (0, 1)]
    cpu, _ = open_rapl(tree.root, INTEL, clock)
    clock.advance(1.0)
    for die in dies:
        tree.advance(die, 10.0)
    assert joules(cpu) == 20.0


# -- Any sequence: never decreasing, nothing invented, the truth outside the gaps.

CAP_W = 1000.0
# Short of all of the cap, where a sum of clock readings rounds.
LOADS = st.floats(0.0, 0.999)
OPERATIONS = st.lists(
    st.tuples(
        st.sampled_from(["read", "read", "read", "fail", "nonsense", "vanish", "reset"]),
        st.integers(1, 30_000).map(lambda ms: ms / 1000),
        LOADS,
    ),
    max_size=30,
)


@settings(max_examples=150, deadline=None)
@given(start=st.floats(0.0, 1.0), range_uj=st.sampled_from([COARSE, FINE, MEMORY]), operations=OPERATIONS)
def test_any_sequence_gives_the_truth_outside_the_gaps(start, range_uj, operations):
    """The fake hardware knows what it used; an interval that a reset, a return or its length spoilt is a gap."""
    with TemporaryDirectory() as folder:
        tree, clock = PowercapTree(Path(folder)), Clock()
        package = tree.add_package(0, range_uj=range_uj, energy_uj=int(start * range_uj))
        cpu, _ = open_rapl(tree.root, INTEL, clock)
        measured = truth = everything = 0.0
        gaps = 0
        # Since the last good read: what it showed, what was used, how long ago it is.
        shown, used_j, seconds, misses, vanished = tree.energy_uj(package), 0.0, 0.0, 0, False
        for operation, span_s, load in operations:
            if misses == 2 and operation != "reset":
                operation = "read"  # a third failure in a row would be the end of the zone
            clock.advance(span_s)
            seconds += span_s
            energy_j = int(load * CAP_W * span_s * 1e6) / 1e6
            tree.advance(package, energy_j)
            used_j += energy_j
            everything += energy_j
            spoilt = seconds * CAP_W * 1e6 > range_uj
            match operation:
                case "fail":
                    tree.break_(package, error=errno.EIO)
                case "nonsense":
                    tree.break_(package, "-1\n")
                case "vanish":
                    tree.unplug(package)
                case "reset":
                    # To anywhere from where the step, be it taken for a use or for a wrap, exceeds the cap.
                    reach = math.ceil(CAP_W * max(seconds, 0.002) * 1e6) + 1000
                    if reach < range_uj:
                        value = (shown + reach + int(load * (range_uj - reach))) % range_uj
                        tree.reset(package, value)
                        spoilt = True
            gained = joules(cpu)
            assert gained >= 0.0
            measured += gained
            if operation in ("fail", "nonsense", "vanish"):
                assert gained == 0.0
                misses += 1
                vanished = vanished or operation == "vanish"
                tree.plug(package) if operation == "vanish" else tree.mend(package)
                continue
            if spoilt or (vanished and tree.energy_uj(package) < shown):
                gaps += 1
            else:
                truth += used_j
            shown, used_j, seconds, misses, vanished = tree.energy_uj(package), 0.0, 0.0, 0, False
            assert measured == pytest.approx(truth, abs=1e-4)
        assert measured <= everything + 1e-4
        assert any("not measured" in failure for failure in cpu.failures) == (gaps > 0)


@settings(max_examples=100, deadline=None)
@given(
    loads=st.lists(st.tuples(LOADS, LOADS, st.floats(0.01, 30.0)), max_size=20),
    failing=st.sets(st.tuples(st.integers(0, 19), st.integers(0, 1))),
)
def test_zones_fail_and_recover_each_for_itself(loads, failing):
    with TemporaryDirectory() as folder:
        tree, clock = PowercapTree(Path(folder)), Clock()
        packages = [tree.add_package(number, range_uj=FINE, energy_uj=FINE // 2) for number in (0, 1)]
        cpu, _ = open_rapl(tree.root, INTEL, clock)
        total = 0.0
        pending, seconds, misses = [0.0, 0.0], [0.0, 0.0], [0, 0]
        truth = 0.0
        for number, (*shares, span_s) in enumerate(loads):
            clock.advance(span_s)
            for which, package in enumerate(packages):
                used = int(shares[which] * CAP_W * span_s * 1e6) / 1e6
                tree.advance(package, used)
                pending[which] += used
                seconds[which] += span_s
                if (number, which) in failing and misses[which] < 2:
                    tree.break_(package, error=errno.EIO)
                    misses[which] += 1
                    continue
                if seconds[which] * CAP_W * 1e6 <= FINE:
                    truth += pending[which]
                pending[which], seconds[which], misses[which] = 0.0, 0.0, 0
            total += joules(cpu)
            for package in packages:
                tree.mend(package)
            assert total == pytest.approx(truth, abs=1e-4)
