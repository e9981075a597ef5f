from __future__ import annotations

import errno
from pathlib import Path

import pytest

from eco2ai_callbacks.testing.powercap import PowercapTree


def energy_uj(tree: PowercapTree, zone: str) -> int:
    return int((tree.root / zone / "energy_uj").read_text())


def test_a_zone_is_found_through_the_class_folder_and_counts_in_microjoules(tmp_path: Path) -> None:
    tree = PowercapTree(tmp_path)
    package = tree.add_package(0)
    dram = tree.add_dram(package)
    assert (package, dram) == ("intel-rapl:0", "intel-rapl:0:0")
    assert (tree.root / package / "name").read_text() == "package-0\n"
    tree.advance(package, 12.5)
    assert energy_uj(tree, package) == tree.energy_uj(package) == 13_500_000
    assert energy_uj(tree, dram) == 1_000_000


def test_a_counter_wraps_at_the_end_of_its_range(tmp_path: Path) -> None:
    tree = PowercapTree(tmp_path)
    package = tree.add_package(0, range_uj=1_000_000, energy_uj=900_000)
    tree.advance(package, 0.2)
    assert energy_uj(tree, package) == pytest.approx(100_000, abs=1)


def test_a_counter_may_wrap_elsewhere_than_its_zone_states(tmp_path: Path) -> None:
    tree = PowercapTree(tmp_path)
    package = tree.add_package(0, range_uj=1_000_000, modulus_uj=5_000_000, energy_uj=900_000)
    tree.advance(package, 3.0)
    assert energy_uj(tree, package) == 3_900_000
    tree.advance(package, 3.0)
    assert energy_uj(tree, package) == 1_900_000


def test_a_denied_counter_cannot_be_read_and_a_mended_one_can(tmp_path: Path) -> None:
    tree = PowercapTree(tmp_path)
    package = tree.add_package(0)
    tree.break_(package, error=errno.EIO)
    with pytest.raises(OSError, match="error"):
        energy_uj(tree, package)
    tree.mend(package)
    assert energy_uj(tree, package) == 1_000_000


def test_an_unplugged_package_is_gone_until_it_is_plugged_in(tmp_path: Path) -> None:
    tree = PowercapTree(tmp_path)
    package = tree.add_package(0)
    tree.unplug(package)
    assert not (tree.root / package / "energy_uj").exists()
    tree.plug(package)
    assert energy_uj(tree, package) == 1_000_000
