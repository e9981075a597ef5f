"""Accelerators that nothing here can read are named, and no others."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from eco2ai_callbacks.meters.gpu.unsupported import unsupported


def look(root: Path, modules: dict[str, Any] | None = None, system: str = "Linux", machine: str = "x86_64") -> Any:
    return unsupported(root, modules or {}, system=system, machine=machine)


def put(root: Path, path: str, text: str = "") -> None:
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_text(text)


def pci(root: Path, slot: str, vendor: str, device: str = "0x0000") -> Path:
    put(root, f"sys/devices/pci0000:00/{slot}/vendor", f"{vendor}\n")
    put(root, f"sys/devices/pci0000:00/{slot}/device", f"{device}\n")
    return root / f"sys/devices/pci0000:00/{slot}"


def link(root: Path, path: str, target: Path) -> None:
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).symlink_to(target)


def test_a_machine_without_any_has_none(tmp_path: Path) -> None:
    assert look(tmp_path) == ()


@pytest.mark.parametrize(
    ("units", "named"), [([0, 304], True), ([0, 0], False), ([], True)], ids=["gpu", "processors", "container"]
)
def test_an_amd_gpu_is_a_kfd_node_with_vector_units(tmp_path: Path, units: list[int], named: bool) -> None:
    put(tmp_path, "dev/kfd")
    for number, count in enumerate(units):
        node = f"sys/class/kfd/kfd/topology/nodes/{number}/properties"
        put(tmp_path, node, f"cpu_cores_count 0\nsimd_count {count}\nsimd_per_cu 4\n")
    assert look(tmp_path) == (("AMD GPU (ROCm)",) if named else ())


def test_a_kfd_tree_without_the_device_is_no_gpu(tmp_path: Path) -> None:
    put(tmp_path, "sys/class/kfd/kfd/topology/nodes/0/properties", "simd_count 304\n")
    assert look(tmp_path) == ()


@pytest.mark.parametrize(
    ("slot", "vendor", "named"),
    [("0000:03:00.0", "0x8086", True), ("0000:00:02.0", "0x8086", False), ("0000:03:00.0", "0x10de", False)],
    ids=["card", "integrated", "nvidia"],
)
def test_an_intel_gpu_is_one_beside_the_processor(tmp_path: Path, slot: str, vendor: str, named: bool) -> None:
    link(tmp_path, "sys/class/drm/renderD128/device", pci(tmp_path, slot, vendor))
    assert look(tmp_path) == (("Intel GPU (XPU)",) if named else ())


@pytest.mark.parametrize("begun", [True, False])
def test_an_integrated_gpu_counts_once_torch_has_begun_to_use_it(tmp_path: Path, begun: bool) -> None:
    torch = SimpleNamespace(xpu=SimpleNamespace(is_initialized=lambda: begun))
    assert look(tmp_path, {"torch": torch}) == (("Intel GPU (XPU)",) if begun else ())


def test_a_torch_that_knows_no_xpu_has_none(tmp_path: Path) -> None:
    assert look(tmp_path, {"torch": SimpleNamespace()}) == ()


@pytest.mark.parametrize(
    ("system", "machine", "named"),
    [("Darwin", "arm64", True), ("Darwin", "x86_64", False), ("Linux", "arm64", False)],
)
def test_apple_silicon_has_a_gpu(tmp_path: Path, system: str, machine: str, named: bool) -> None:
    assert look(tmp_path, system=system, machine=machine) == (("Apple GPU (MPS)",) if named else ())


def test_a_tpu_is_found_by_its_device_file(tmp_path: Path) -> None:
    put(tmp_path, "dev/accel0")
    assert look(tmp_path) == ("Google TPU",)


@pytest.mark.parametrize(("device", "named"), [("0x0063", True), ("0x0042", False)], ids=["v5e", "network card"])
def test_a_tpu_is_found_on_the_bus(tmp_path: Path, device: str, named: bool) -> None:
    link(tmp_path, "sys/bus/pci/devices/0000:00:05.0", pci(tmp_path, "0000:00:05.0", "0x1ae0", device))
    assert look(tmp_path) == (("Google TPU",) if named else ())


@pytest.mark.parametrize(("vendor", "named"), [("0x1da3", True), ("0x8086", False)], ids=["gaudi", "npu"])
def test_a_gaudi_is_told_from_other_accel_devices(tmp_path: Path, vendor: str, named: bool) -> None:
    (tmp_path / "dev/accel").mkdir(parents=True)
    link(tmp_path, "sys/class/accel/accel0/device", pci(tmp_path, "0000:19:00.0", vendor))
    assert look(tmp_path) == (("Intel Gaudi (HPU)",) if named else ())


def test_several_are_all_named(tmp_path: Path) -> None:
    for device in ("kfd", "hl0", "neuron0"):
        put(tmp_path, f"dev/{device}")
    assert look(tmp_path) == ("AMD GPU (ROCm)", "Intel Gaudi (HPU)", "AWS Neuron")


def test_what_a_meter_covers_is_left_out(tmp_path: Path) -> None:
    for device in ("kfd", "hl0", "neuron0"):
        put(tmp_path, f"dev/{device}")
    for covered, named in (
        ({"gpu:nvidia", "cpu"}, ("AMD GPU (ROCm)", "Intel Gaudi (HPU)", "AWS Neuron")),
        ({"gpu:amd"}, ("Intel Gaudi (HPU)", "AWS Neuron")),
        ({"gpu:amd", "hpu:intel", "neuron:aws"}, ()),
    ):
        assert unsupported(tmp_path, {}, covered=covered, system="Linux", machine="x86_64") == named


def test_a_device_that_does_not_tell_its_vendor_is_not_named(tmp_path: Path) -> None:
    (tmp_path / "sys/class/drm/renderD128").mkdir(parents=True)
    assert look(tmp_path) == ()


def test_looking_imports_nothing(tmp_path: Path) -> None:
    before = set(sys.modules)
    unsupported(tmp_path)
    assert set(sys.modules) == before
