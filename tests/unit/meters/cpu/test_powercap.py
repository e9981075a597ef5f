"""Which zones of a powercap tree are counted, and why there are none where there are none."""

from __future__ import annotations

import dataclasses
import errno
from pathlib import Path

import pytest
from rapl_machines import ARM, COARSE, INTEL, joules, ram

from eco2ai_callbacks.errors import MeterUnavailable
from eco2ai_callbacks.meters.cpu import powercap
from eco2ai_callbacks.meters.cpu.rapl import open_rapl
from eco2ai_callbacks.testing import CLOUD_VM, Clock, PowercapTree


@pytest.fixture
def tree(tmp_path: Path) -> PowercapTree:
    return PowercapTree(tmp_path)


@pytest.fixture
def clock() -> Clock:
    return Clock(1000.0)


def refusal(root: Path, host=INTEL) -> MeterUnavailable:
    with pytest.raises(MeterUnavailable) as caught:
        open_rapl(root, host)
    return caught.value


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


def test_a_virtual_machine_is_searched_and_the_reason_names_what_a_folder_of_the_users_holds(tree, tmp_path):
    nowhere = tmp_path / "powercap"
    assert refusal(nowhere, CLOUD_VM).reason == f"absent: virtual machine, and no powercap tree in {nowhere}"
    tree.add_zone("psys")
    why = refusal(tree.root, CLOUD_VM)
    assert (why.reason, why.hint) == (f"absent: virtual machine, and no processor package in {tree.root}", None)
    tree.mask()
    assert refusal(tree.root, CLOUD_VM).reason.startswith(f"absent: virtual machine, and {tree.root} is empty")


def test_of_its_own_tree_a_virtual_machine_says_no_more_than_what_it_is(monkeypatch, tmp_path):
    root = tmp_path / "powercap"
    monkeypatch.setattr(powercap, "DEFAULT_ROOT", root)
    why = refusal(root, CLOUD_VM)
    assert (why.reason, why.hint) == ("absent: virtual machine", None)


def test_counters_that_a_guest_may_not_read_come_with_the_commands(tree):
    tree.add_package(0)
    tree.deny()
    why = refusal(tree.root, CLOUD_VM)
    assert why.reason.startswith("unreadable: no permission")
    assert why.hint is not None


def test_a_guest_s_counters_are_measured_with_a_wider_band(tree, clock):
    package = tree.add_package(0)
    cpu, _ = open_rapl(tree.root, CLOUD_VM, clock)
    clock.advance(1.0)
    tree.advance(package, 3.0)
    assert joules(cpu) == 3.0
    assert (cpu.method.name, cpu.method.low, cpu.method.high) == ("rapl", pytest.approx(1 / 3), 1.5)
    assert cpu.method.attribution == "whole machine, as the hypervisor shows it"


def test_a_counter_that_stands_at_0_is_none(tree, clock):
    """As Linux itself holds it: rapl_check_domain leaves such a domain out."""
    package = tree.add_package(0, energy_uj=0)
    assert refusal(tree.root, CLOUD_VM).reason == f"unreadable: {tree.root}/{package}/energy_uj: stands at 0"
    assert refusal(tree.root).reason == f"unreadable: {tree.root}/{package}/energy_uj: stands at 0"


# -- The two views of a package.


def twins(tree: PowercapTree, *, dram: bool = False) -> tuple[str, str]:
    msr, mmio = tree.add_package(0), tree.add_package(0, parent="intel-rapl-mmio")
    if dram:
        tree.add_dram(msr)
        tree.add_dram(mmio)
    return msr, mmio


@pytest.mark.parametrize(
    ("content", "error"),
    [("", errno.EACCES), ("", errno.EIO), ("0\n", None), ("nonsense\n", None)],
    ids=["denied", "broken", "stands at 0", "nonsense"],
)
def test_where_the_first_view_cannot_be_read_the_second_counts_the_same(tree, clock, content, error):
    msr, mmio = twins(tree)
    tree.break_(msr, content, error=error)
    cpu, _ = open_rapl(tree.root, INTEL, clock)
    clock.advance(1.0)
    tree.advance(mmio, 3.0)
    assert joules(cpu) == 3.0
    assert cpu.failures == ()


def test_where_both_views_can_be_read_one_counts(tree, clock):
    msr, mmio = twins(tree, dram=True)
    cpu, dram = open_rapl(tree.root, INTEL, clock)
    clock.advance(1.0)
    tree.advance(msr, 3.0)
    tree.advance(mmio, 3.0)
    tree.advance(f"{msr}:0", 1.0)
    tree.advance(f"{mmio}:0", 1.0)
    assert (joules(cpu), ram(dram)) == (3.0, 1.0)


def test_a_single_zone_that_cannot_be_read_is_replaced_by_its_twin(tree, clock):
    msr, mmio = twins(tree, dram=True)
    tree.break_(f"{msr}:0", error=errno.EACCES)
    cpu, dram = open_rapl(tree.root, INTEL, clock)
    clock.advance(1.0)
    tree.advance(msr, 3.0)
    tree.advance(f"{mmio}:0", 1.0)
    assert (joules(cpu), ram(dram)) == (3.0, 1.0)


def test_where_neither_view_can_be_read_the_first_explains_it(tree):
    twins(tree)
    tree.deny()
    assert refusal(tree.root).reason == f"unreadable: no permission to read {tree.root}/intel-rapl:0/energy_uj"


def test_of_two_zones_of_one_package_in_one_view_the_readable_one_counts(tree, clock):
    first, again = tree.add_package(0), tree.add_package(0)
    tree.break_(first, error=errno.EIO)
    cpu, _ = open_rapl(tree.root, INTEL, clock)
    clock.advance(1.0)
    tree.advance(again, 3.0)
    assert joules(cpu) == 3.0


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
