"""The AMD GPUs of a machine and their numbers."""

from __future__ import annotations

from pathlib import Path

from amd_machines import MI300, NAVI, AmdMachine

from eco2ai_callbacks.meters.gpu.amd_devices import find
from eco2ai_callbacks.meters.gpu.pci_selection import GpuPart


def test_a_machine_without_any_has_none(tmp_path: Path) -> None:
    assert find(tmp_path) == ((), ())
    assert find(AmdMachine(tmp_path).root) == ((), ())


def test_gpus_are_numbered_by_the_bus_and_devices_by_the_kernel_s_topology(tmp_path: Path) -> None:
    machine = AmdMachine(tmp_path)
    machine.add(0x43, unique="0x4b2c1a9f8d3e6f7a")
    machine.add(0x03, unique="b5c92e4d8a1f6c3b")
    gpus, devices = find(tmp_path)
    assert [(gpu.index, gpu.slot, gpu.uuid) for gpu in gpus] == [
        (0, "0000:03:00.0", "GPU-b5c92e4d8a1f6c3b"),
        (1, "0000:43:00.0", "GPU-4b2c1a9f8d3e6f7a"),
    ]
    assert [part.gpu.index for part in devices] == [1, 0]
    assert gpus[0].name == "AMD INSTINCT MI210"
    assert gpus[0].target == 90010


def test_without_the_topology_the_order_is_the_bus_s(tmp_path: Path) -> None:
    machine = AmdMachine(tmp_path)
    machine.add(0x43, kfd=False, name="")
    machine.add(0x03, kfd=False, name="")
    gpus, devices = find(tmp_path)
    assert devices == tuple(GpuPart(gpu) for gpu in gpus)
    assert [(gpu.uuid, gpu.name) for gpu in gpus] == [
        ("GPU-pci-0000:03:00.0", "AMD GPU (PCI 1002:740f)"),
        ("GPU-pci-0000:43:00.0", "AMD GPU (PCI 1002:740f)"),
    ]


def test_a_partitioned_gpu_is_several_devices_of_the_runtime(tmp_path: Path) -> None:
    machine = AmdMachine(tmp_path)
    machine.add(0x03, unique="b5c92e4d8a1f6c3b", target=MI300, partitions=8)
    (gpu,), devices = find(tmp_path)
    assert gpu.partitions == 8
    assert [part.uuid for part in devices] == [f"GPU-b5c92e4d8a1f6c3b/{number}" for number in range(8)]
    assert devices[3].share == 1 / 8
    assert devices[3].described == "partition 1/8 of device"


def test_graphics_inside_a_processor_are_no_gpu_of_their_own(tmp_path: Path) -> None:
    AmdMachine(tmp_path).add(0x0C, target=NAVI, device="0x164e", in0_label="vddgfx", in1_label="vddnb")
    assert find(tmp_path)[0] == ()


def test_an_accelerator_whose_driver_shows_that_voltage_is_one(tmp_path: Path) -> None:
    AmdMachine(tmp_path).add(0x0C, target=MI300, device="0x74a1", in1_label="vddnb")
    assert len(find(tmp_path)[0]) == 1


def test_a_card_without_the_driver_or_of_another_kind_is_left_out(tmp_path: Path) -> None:
    machine = AmdMachine(tmp_path)
    machine.tree.add_pci("0000:05:00.0", "0x1002", "0x740f")  # given to a guest
    machine.tree.add_pci("0000:06:00.1", "0x1002", "0xab28", "0x040300")  # its sound
    assert find(tmp_path)[0] == ()


def test_a_node_that_may_not_be_read_is_none_of_this_process(tmp_path: Path) -> None:
    machine = AmdMachine(tmp_path)
    machine.add(0x03)
    machine.add(0x43)
    (tmp_path / "sys/class/kfd/kfd/topology/nodes/1/properties").unlink()
    assert [part.gpu.index for part in find(tmp_path)[1]] == [1]
