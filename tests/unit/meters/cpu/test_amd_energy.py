"""The counters of AMD's processors in hwmon, with joules worked by hand."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest
from lost_counter import check_reset_and_given_up

from eco2ai_callbacks.errors import MeterUnavailable
from eco2ai_callbacks.meters.cpu.amd_energy import locate
from eco2ai_callbacks.meters.cpu.rapl import RaplCpu, of_zones
from eco2ai_callbacks.testing import BARE_METAL, Clock, HwmonTree


@pytest.fixture
def tree(tmp_path: Path) -> HwmonTree:
    return HwmonTree(tmp_path)


def chip(tree: HwmonTree) -> Path:
    """Two cores and the two sockets that contain them."""
    labels = ("Ecore000", "Ecore001", "Esocket0", "Esocket1")
    files: dict[str, int | str] = {f"energy{number}_label": label for number, label in enumerate(labels, 1)}
    return tree.add_chip("amd_energy", **files, **{f"energy{n}_input": n * 1_000_000 for n in range(1, 5)})


def opened(tree: HwmonTree, clock: Clock) -> RaplCpu:
    return of_zones(locate(tree.base), BARE_METAL, clock, name="amd_energy", method="amd-energy")[0]


def test_the_sockets_count_and_their_cores_do_not_count_again(tree: HwmonTree) -> None:
    """Socket 0 from 3 J to 103 J, socket 1 from 4 J to 54 J: 150 J, whatever the cores say."""
    clock, folder = Clock(), chip(tree)
    cpu = opened(tree, clock)
    clock.advance(1.0)
    for number, joules in ((1, 900.0), (3, 103.0), (4, 54.0)):
        tree.set(folder, f"energy{number}_input", joules)
    assert cpu.interval(1.0, 1.0) == (150.0, 0.0)
    assert cpu.method.name == "amd-energy"


def test_a_machine_without_the_chip_has_no_sockets(tree: HwmonTree) -> None:
    tree.add_chip("amdgpu", energy1_input=1, energy1_label="Esocket0")
    assert locate(tree.base) == ()


def test_who_may_not_read_is_told_what_permits_a_group_to(tree: HwmonTree) -> None:
    folder = chip(tree)
    for number in (3, 4):
        tree.break_(folder / f"energy{number}_input", error=errno.EACCES)
    with pytest.raises(MeterUnavailable, match=r"no permission to read .*energy3_input") as why:
        opened(tree, Clock())
    assert "chgrp power" in (why.value.hint or "")
    assert "energy4_input" in (why.value.hint or "")


@pytest.mark.parametrize("content", ["", "garbage", "-5"], ids=["empty", "garbage", "negative"])
def test_a_counter_that_shows_garbage_is_refused(tree: HwmonTree, content: str) -> None:
    folder = chip(tree)
    for number in (3, 4):
        tree.break_(folder / f"energy{number}_input", content)
    with pytest.raises(MeterUnavailable, match=r"unreadable: .*not a number"):
        opened(tree, Clock())


def test_a_chip_that_vanishes_is_given_up_and_a_reset_is_named(tree: HwmonTree) -> None:
    clock, folder = Clock(), chip(tree)
    cpu = opened(tree, clock)
    check_reset_and_given_up(
        cpu, clock, "amd_energy", lambda: tree.set(folder, "energy3_input", 1.0), lambda: tree.unload(folder)
    )
