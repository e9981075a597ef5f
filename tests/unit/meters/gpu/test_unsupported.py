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


def on_bus(root: Path, slot: str, kind: str, vendor: str, device: str, *, renders: bool = False) -> None:
    """A PCI device of a class, with or without a render node."""
    folder = pci(root, slot, vendor, device)
    (folder / "class").write_text(f"{kind}\n")
    if renders:
        (folder / "drm/renderD128").mkdir(parents=True)
    link(root, f"sys/bus/pci/devices/{slot}", folder)


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("dev/davinci0", "Huawei Ascend NPU"),
        ("dev/cambricon_dev0", "Cambricon MLU"),
        ("dev/mtgpu0", "Moore Threads GPU"),
        ("dev/mtgpu.0", "Moore Threads GPU"),
        ("dev/tenstorrent/0", "Tenstorrent accelerator"),
        ("dev/nvhost-gpu", "NVIDIA Jetson GPU"),
        ("dev/nvgpu/igpu0", "NVIDIA Jetson GPU"),
    ],
)
def test_an_accelerator_with_a_driver_of_its_own_is_found_by_its_device_file(
    tmp_path: Path, path: str, name: str
) -> None:
    put(tmp_path, path)
    assert look(tmp_path) == (name,)


@pytest.mark.parametrize("path", ["dev/davinci_manager", "dev/cambricon_ctl", "dev/mtgpu_ctl", "dev/tenstorrent/by-id"])
def test_a_driver_s_other_files_are_no_device(tmp_path: Path, path: str) -> None:
    put(tmp_path, path)
    assert look(tmp_path) == ()


def test_a_jetson_that_nvml_reads_is_not_named(tmp_path: Path) -> None:
    put(tmp_path, "dev/nvhost-gpu")
    assert unsupported(tmp_path, {}, covered={"gpu:nvidia"}, system="Linux", machine="aarch64") == ()


@pytest.mark.parametrize(
    ("kind", "vendor", "device", "renders", "name"),
    [
        ("0x120000", "0x19e5", "0xd802", False, "Huawei Ascend NPU"),
        ("0x120000", "0x1e52", "0x401e", False, "Tenstorrent accelerator"),
        ("0x030000", "0x1ed5", "0x0201", True, "Moore Threads GPU"),
        ("0x120000", "0x1d95", "0x0005", False, "processing accelerator (PCI 1d95:0005)"),
        ("0x120000", "0x10ee", "0x5000", False, "processing accelerator (PCI 10ee:5000)"),
        ("0x120000", "0xabcd", "0x0001", False, "processing accelerator (PCI abcd:0001)"),
        ("0x120000", "0x8086", "0x09c4", False, "processing accelerator (PCI 8086:09c4)"),
        ("0x030200", "0x9999", "0x4001", False, "GPU (PCI 9999:4001)"),
        ("0x038000", "0x1e36", "0x0001", True, "GPU (PCI 1e36:0001)"),
    ],
)
def test_what_computes_on_the_bus_is_named_whoever_made_it(
    tmp_path: Path, kind: str, vendor: str, device: str, renders: bool, name: str
) -> None:
    on_bus(tmp_path, "0000:41:00.0", kind, vendor, device, renders=renders)
    assert look(tmp_path) == (name,)


@pytest.mark.parametrize(
    ("kind", "vendor", "renders"),
    [
        ("0x030000", "0x1af4", True),
        ("0x038000", "0x1af4", True),
        ("0x030000", "0x1234", False),
        ("0x030000", "0x1b36", False),
        ("0x030000", "0x1013", False),
        ("0x030000", "0x15ad", True),
        ("0x030000", "0x80ee", True),
        ("0x030000", "0x1414", False),
        ("0x030200", "0x1414", False),
        ("0x030000", "0x1a03", False),
        ("0x030000", "0x102b", False),
        ("0x030000", "0x19e5", False),
        ("0x030000", "0x0731", False),
        ("0x030000", "0x8086", True),
        ("0x030000", "0x10de", True),
        ("0x020000", "0x15b3", False),
        ("0x088000", "0xabcd", False),
        ("0x120000", "0x1022", False),
        ("0x120000", "", False),
        ("", "0xabcd", False),
    ],
    ids=[
        *("virtio", "virtio without vga", "bochs", "qxl", "cirrus", "vmware", "virtualbox", "hyper-v", "hyper-v 3d"),
        *("aspeed", "matrox", "ibmc", "display without driver", "intel", "nvidia", "network", "other"),
        *("npu of a processor", "no vendor", "no class"),
    ],
)
def test_display_adapters_and_other_devices_are_no_accelerators(
    tmp_path: Path, kind: str, vendor: str, renders: bool
) -> None:
    on_bus(tmp_path, "0000:41:00.0", kind, vendor, "0x1111", renders=renders)
    assert look(tmp_path) == ()


def test_an_npu_on_the_processor_s_bus_is_part_of_the_processor(tmp_path: Path) -> None:
    on_bus(tmp_path, "0000:00:0b.0", "0x120000", "0x8086", "0x7d1d")
    assert look(tmp_path) == ()


def test_several_of_one_kind_are_named_once_and_with_their_driver_too(tmp_path: Path) -> None:
    put(tmp_path, "dev/davinci0")
    for slot in ("0000:41:00.0", "0000:42:00.0"):
        on_bus(tmp_path, slot, "0x120000", "0x19e5", "0xd802")
    for slot in ("0000:51:00.0", "0000:52:00.0"):
        on_bus(tmp_path, slot, "0x120000", "0xabcd", "0x0001")
    assert look(tmp_path) == ("Huawei Ascend NPU", "processing accelerator (PCI abcd:0001)")
    covered = {"npu:huawei", "pci:abcd:0001"}
    assert unsupported(tmp_path, {}, covered=covered, system="Linux", machine="x86_64") == ()


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


def on_the_bus(root: Path, slot: str, vendor: str, kind: str) -> None:
    link(root, f"sys/bus/pci/devices/{slot}", pci(root, slot, vendor, "0x20b2"))
    put(root, f"sys/devices/pci0000:00/{slot}/class", f"{kind}\n")


@pytest.mark.parametrize(
    ("vendor", "kind", "named"),
    [
        ("0x10de", "0x030200", "NVIDIA GPU (PCI 10de:20b2)"),
        ("0x1002", "0x120000", "AMD GPU (PCI 1002:20b2)"),
        ("0x1da3", "0x120000", "Intel Gaudi (HPU) (PCI 1da3:20b2)"),
        ("0x1ae0", "0x120000", "Google TPU (PCI 1ae0:20b2)"),
        ("0x10de", "0x040300", None),
        ("0x1002", "0x030000", None),
    ],
    ids=["nvidia", "amd", "gaudi", "tpu", "sound", "display"],
)
def test_a_card_whose_driver_is_missing_is_named_by_its_class(
    tmp_path: Path, vendor: str, kind: str, named: str | None
) -> None:
    on_the_bus(tmp_path, "0000:81:00.0", vendor, kind)
    assert look(tmp_path) == (() if named is None else (named,))


@pytest.mark.parametrize("driver", ["dev/nvidiactl", "proc/driver/nvidia/version"], ids=["host", "container"])
def test_nvidia_s_own_driver_answers_for_its_cards(tmp_path: Path, driver: str) -> None:
    on_the_bus(tmp_path, "0000:81:00.0", "0x10de", "0x030200")
    put(tmp_path, driver)
    assert look(tmp_path) == ()


def test_an_accelerator_on_no_bus_is_named_by_its_driver(tmp_path: Path) -> None:
    driver = tmp_path / "sys/bus/platform/drivers/rocket"
    driver.mkdir(parents=True)
    link(tmp_path, "sys/devices/platform/npu/driver", driver)
    link(tmp_path, "sys/class/accel/accel0/device", tmp_path / "sys/devices/platform/npu")
    assert look(tmp_path) == ("accelerator (driver rocket)",)


def test_what_the_framework_computes_on_is_named_though_no_file_shows_it(tmp_path: Path) -> None:
    begun = SimpleNamespace(is_initialized=lambda: True)
    inside = SimpleNamespace(_get_privateuse1_backend_name=lambda: "newchip")
    modules = {"torch": SimpleNamespace(_C=inside, newchip=begun)}
    assert look(tmp_path, modules) == ("newchip device (torch)",)
    put(tmp_path, "dev/davinci0")
    modules["torch"]._C._get_privateuse1_backend_name = lambda: "npu"
    modules["torch"].npu = begun
    assert look(tmp_path, modules) == ("Huawei Ascend NPU",)
