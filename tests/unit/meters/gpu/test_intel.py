"""Intel GPUs by the kernel's counters, with joules worked by hand."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from eco2ai_callbacks.errors import MeterUnavailable
from eco2ai_callbacks.meters.gpu.intel import GAP_S, find, open_intel, visible
from eco2ai_callbacks.meters.gpu.pci_selection import PciGpu
from eco2ai_callbacks.meters.sensor_meter import SensorMeter
from eco2ai_callbacks.testing import Clock, HwmonTree

CHANNEL = "gpu:GPU-pci-0000:03:00.0"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def tree(tmp_path: Path) -> HwmonTree:
    return HwmonTree(tmp_path)


def card(tree: HwmonTree, slot: str = "0000:03:00.0", chip: str = "xe", tiles: int = 0, **files: int | str) -> Path:
    device = tree.add_pci(slot, "0x8086", "0x56c0", "0x038000")
    for tile in range(tiles):
        (device / f"tile{tile}").mkdir()
    return tree.add_chip(chip, device, **files)


def opened(tree: HwmonTree, clock: Clock, gpus: str = "all", **environ: str) -> SensorMeter:
    return open_intel(gpus, root=tree.base, environ=environ, clock=clock)


def test_the_card_s_counter_comes_before_the_package_s(tree: HwmonTree, clock: Clock) -> None:
    """The card counts 300 J in 2 s, the package inside it 200 J."""
    chip = card(
        tree, energy1_input=5_000_000, energy1_label="card", energy2_input=4_000_000, energy2_label="pkg", in0_input=1
    )
    meter = opened(tree, clock)
    assert meter.max_gap_s == GAP_S
    clock.advance(2.0)
    tree.set(chip, "energy1_input", 305.0)
    tree.set(chip, "energy2_input", 204.0)
    assert meter.read() == {CHANNEL: 300.0}
    assert meter.methods[CHANNEL].attribution == "whole device"
    assert meter.methods[CHANNEL].name == "intel-gpu-energy"
    assert meter.detail == "0: Intel GPU (PCI 8086:56c0) (energy counter, whole device); chosen by all"
    assert meter.devices[0].vendor == "intel"


def test_a_package_without_its_card_says_so(tree: HwmonTree, clock: Clock) -> None:
    chip = card(tree, energy2_input=4_000_000, energy2_label="pkg")
    meter = opened(tree, clock)
    clock.advance(1.0)
    tree.set(chip, "energy2_input", 104.0)
    assert meter.read() == {CHANNEL: 100.0}
    assert meter.methods[CHANNEL].attribution == "the GPU's package, without the rest of its card"


def test_i915_has_one_counter_without_a_label(tree: HwmonTree, clock: Clock) -> None:
    chip = card(tree, chip="i915", energy1_input=4_000_000)
    meter = opened(tree, clock)
    clock.advance(1.0)
    tree.set(chip, "energy1_input", 54.0)
    assert meter.read() == {CHANNEL: 50.0}


def test_graphics_inside_a_processor_and_cards_without_a_driver_are_none(tree: HwmonTree) -> None:
    tree.add_pci("0000:00:02.0", "0x8086", "0x9a49", "0x030000")
    tree.add_pci("0000:03:00.0", "0x8086", "0x56c0", "0x038000")
    assert find(tree.base) == ()
    with pytest.raises(MeterUnavailable, match="the drivers i915 and xe run no card"):
        opened(tree, Clock())


def test_a_card_without_a_counter_says_what_would_show_it(tree: HwmonTree, clock: Clock) -> None:
    card(tree, chip="i915", in0_input=800)
    with pytest.raises(MeterUnavailable, match="it shows neither its energy nor its power") as caught:
        opened(tree, clock)
    assert "Linux 6.2" in (caught.value.hint or "")


def test_a_counter_that_may_not_be_read_says_so(tree: HwmonTree, clock: Clock) -> None:
    chip = card(tree, energy1_input=1)
    tree.break_(chip / "energy1_input", error=errno.EACCES)
    with pytest.raises(MeterUnavailable, match="its energy cannot be read: "):
        opened(tree, clock)


def test_a_counter_that_falls_jumps_or_stands_still_is_named(tree: HwmonTree, clock: Clock) -> None:
    chip = card(tree, energy1_input=5_000_000)
    meter = opened(tree, clock)
    for joules in (1.0, 1e9, 1e9 + 50):
        clock.advance(1.0)
        tree.set(chip, "energy1_input", joules)
        meter.read()
    assert meter.read() == {CHANNEL: 50.0}
    clock.advance(10.0)
    meter.read()
    assert meter.behind == {CHANNEL}
    kinds = ("was reset", "jumped", "has not moved for 10 s")
    assert [kind in failure for kind, failure in zip(kinds, meter.failures, strict=True)] == [True] * 3


TWO_TILES = (
    PciGpu(0, "0000:03:00.0", Path("/none"), "GPU-a", "Max 1550", partitions=2),
    PciGpu(1, "0000:04:00.0", Path("/none"), "GPU-b", "Max 1550", partitions=2),
)


@pytest.mark.parametrize(
    ("environ", "shown"),
    [
        ({}, ["GPU-a", "GPU-b"]),
        ({"ZE_AFFINITY_MASK": ""}, ["GPU-a", "GPU-b"]),
        ({"ZE_AFFINITY_MASK": "2"}, ["GPU-b/0"]),
        ({"ZE_AFFINITY_MASK": "0,3"}, ["GPU-a/0", "GPU-b/1"]),
        ({"ZE_AFFINITY_MASK": "0,0,9,x"}, ["GPU-a/0"]),
        ({"ZE_AFFINITY_MASK": "9"}, []),
        ({"ZE_AFFINITY_MASK": "1", "ZE_FLAT_DEVICE_HIERARCHY": "COMPOSITE"}, ["GPU-b"]),
        ({"ZE_AFFINITY_MASK": "1.1,0", "ZE_FLAT_DEVICE_HIERARCHY": "COMPOSITE"}, ["GPU-b/1", "GPU-a"]),
        ({"ZE_AFFINITY_MASK": "1.1,1", "ZE_FLAT_DEVICE_HIERARCHY": "composite"}, ["GPU-b"]),
        ({"ZE_AFFINITY_MASK": "3", "ZE_FLAT_DEVICE_HIERARCHY": "COMBINED"}, ["GPU-b/1"]),
    ],
    ids=lambda value: ",".join(value.values()) or "unset" if isinstance(value, dict) else "",
)
def test_what_level_zero_shows(environ: dict[str, str], shown: list[str]) -> None:
    assert [part.uuid for part in visible(TWO_TILES, environ)] == shown


def test_a_tile_has_its_part_of_the_card(tree: HwmonTree, clock: Clock) -> None:
    chip = card(tree, tiles=2, energy1_input=5_000_000)
    meter = opened(tree, clock, "auto", ZE_AFFINITY_MASK="1")
    clock.advance(1.0)
    tree.set(chip, "energy1_input", 405.0)
    assert meter.read() == {f"{CHANNEL}/1": 200.0}


def test_a_mask_that_hides_all_says_so(tree: HwmonTree, clock: Clock) -> None:
    card(tree, energy1_input=5_000_000)
    with pytest.raises(MeterUnavailable, match="no GPU is selected: ZE_AFFINITY_MASK hides them all"):
        opened(tree, clock, "auto", ZE_AFFINITY_MASK="7")
