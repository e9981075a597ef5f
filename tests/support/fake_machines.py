"""Machines of each kind of hardware, as folder trees, with what doctor is to say of each."""

from __future__ import annotations

import errno
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from amd_machines import MI300, NAVI, AmdMachine
from emi_devices import FakeEmi
from nvml_shapes import Shape, ShapedNvml

from eco2ai_callbacks.meters.cpu import emi
from eco2ai_callbacks.testing import Clock, FakeAmdGpu, FakeAmdSmi, FakeApple, FakeGpu, HwmonTree, PerfTree

# What a Raspberry Pi's firmware prints: 2 W in the cores, 0.14 W in the memory.
PMIC = """ DDR_VDD2_A current(4)=0.10000000A
 DDR_VDDQ_A current(5)=0.05000000A
 VDD_CORE_A current(7)=2.50000000A
 DDR_VDD2_V volt(12)=1.10000000V
 DDR_VDDQ_V volt(13)=0.60000000V
 VDD_CORE_V volt(15)=0.80000000V
"""
WINDOWS = {"system": "Windows"}
MAC = {"system": "Darwin", "cpu_name": "Apple M3 Max", "cpu_vendor": "Apple"}


@dataclass
class FakeMachine:
    """A machine.

    Args:
        root: The root of its file system.
        around: Fields of the context that its meters are opened with.
        environ: Its environment.
        host: Fields of its host that differ from a desktop's.
    """

    root: Path
    around: dict[str, Any] = field(default_factory=dict)
    environ: dict[str, str] = field(default_factory=dict)
    host: dict[str, Any] = field(default_factory=dict)


def amd(root: Path) -> FakeMachine:
    AmdMachine(root).add(0x03, unique="a" * 16, target=NAVI, name="Radeon Pro W7900")
    return FakeMachine(root)


def amd_by_library(root: Path) -> FakeMachine:
    AmdMachine(root).add(0x03, unique="a" * 16)
    return FakeMachine(root, {"amdsmi": FakeAmdSmi([FakeAmdGpu("0000:03:00.0")])})


def amd_library_without_driver(root: Path) -> FakeMachine:
    AmdMachine(root).add(0x03, unique="a" * 16)
    return FakeMachine(root, {"amdsmi": FakeAmdSmi([], {"amdsmi_init": "AMDSMI_STATUS_DRIVER_NOT_LOADED"})})


def amd_in_a_guest(root: Path) -> FakeMachine:
    AmdMachine(root).add(0x03, unique="a" * 16, watts=None)
    return FakeMachine(root)


def amd_in_a_container(root: Path) -> FakeMachine:
    AmdMachine(root).add(0x03, unique="a" * 16)
    (root / "dev/dri/renderD131").unlink()
    return FakeMachine(root)


def amd_partitioned(root: Path) -> FakeMachine:
    AmdMachine(root).add(0x03, unique="a" * 16, target=MI300, name="AMD Instinct MI300X", partitions=8)
    return FakeMachine(root, environ={"HIP_VISIBLE_DEVICES": "1"})


def _intel(root: Path, **files: int | str) -> FakeMachine:
    tree = HwmonTree(root)
    card = tree.add_pci("0000:03:00.0", "0x8086", "0x56c0", "0x038000")
    tree.add_drm(card, 0)
    tree.add_chip("xe", card, **files)
    return FakeMachine(root)


def intel(root: Path) -> FakeMachine:
    return _intel(root, energy1_input=5_000_000, energy1_label="card", energy2_input=4_000_000, energy2_label="pkg")


def intel_with_an_old_kernel(root: Path) -> FakeMachine:
    return _intel(root, in0_input=800)


def jetson(root: Path) -> FakeMachine:
    tree = HwmonTree(root)
    tree.write(root / "proc/device-tree/model", "NVIDIA Jetson AGX Orin\0")
    files = {"in1_label": "VDD_GPU_SOC", "in1_input": 19000, "curr1_input": 1000}
    tree.add_chip("ina3221", **files, in2_label="VDD_CPU_CV", in2_input=19000, curr2_input=500)
    return FakeMachine(root)


def jetson_nano(root: Path) -> FakeMachine:
    tree = HwmonTree(root)
    files = {"in1_label": "VDD_IN", "in1_input": 5000, "curr1_input": 2000}
    tree.add_chip("ina3221", **files, in2_label="VDD_CPU_GPU_CV", in2_input=5000, curr2_input=1000)
    return FakeMachine(root)


def mac(root: Path) -> FakeMachine:
    return FakeMachine(root, {"apple": FakeApple()}, host=MAC)


def mac_without_the_library(root: Path) -> FakeMachine:
    return FakeMachine(root, host=MAC)


def perf(root: Path) -> FakeMachine:
    return FakeMachine(root, {"events": PerfTree(root)})


def perf_refused(root: Path) -> FakeMachine:
    tree = PerfTree(root, paranoid=4)
    tree.refuse(errno.EACCES)
    return FakeMachine(root, {"events": tree})


def amd_energy(root: Path) -> FakeMachine:
    HwmonTree(root).add_chip("amd_energy", energy1_input=3_000_000, energy1_label="Esocket0")
    return FakeMachine(root)


def amd_energy_refused(root: Path) -> FakeMachine:
    tree = HwmonTree(root)
    chip = tree.add_chip("amd_energy", energy1_input=3_000_000, energy1_label="Esocket0")
    tree.break_(chip / "energy1_input", error=errno.EACCES)
    return FakeMachine(root)


def grace(root: Path) -> FakeMachine:
    tree = HwmonTree(root)
    for name, watts in (("Module", 600), ("Grace", 250), ("CPU", 180), ("SysIO", 40)):
        tree.add_chip("power_meter", power1_average=watts * 1_000_000, power1_oem_info=f"{name} Power Socket 0")
    return FakeMachine(root)


def raspberry_pi(root: Path) -> FakeMachine:
    HwmonTree(root).write(root / "proc/device-tree/model", "Raspberry Pi 5 Model B Rev 1.0\0")
    return FakeMachine(root, {"pmic": lambda: PMIC})


def raspberry_pi_refused(root: Path) -> FakeMachine:
    def refuse() -> str:
        raise PermissionError(13, "Can not open /dev/vcio")

    HwmonTree(root).write(root / "proc/device-tree/model", "Raspberry Pi 5 Model B Rev 1.0\0")
    return FakeMachine(root, {"pmic": refuse})


def zeusd_gone(root: Path) -> FakeMachine:
    HwmonTree(root).write(root / "var/run/zeusd.sock", "")  # a daemon that ended leaves its socket
    return FakeMachine(root)


def node_alone(root: Path) -> FakeMachine:
    HwmonTree(root).add_chip("power_meter", power1_average=412_000_000, power1_oem_info="Chassis")
    return FakeMachine(root)


def nvidia_slice(root: Path) -> FakeMachine:
    slices = {"MIG-1": (1, 0, 3), "MIG-2": (2, 0, 4)}
    board = FakeGpu("GPU-h100", "NVIDIA H100 80GB HBM3", mig_slices=7, mig=slices)
    nvml = ShapedNvml(Clock(), (board, Shape(busy={1: 50.0, 2: 0.0})))
    return FakeMachine(root, {"nvml": nvml}, {"CUDA_VISIBLE_DEVICES": "MIG-1"})


def nvidia_module(root: Path) -> FakeMachine:
    shape = Shape(domains={2: 45.0, 1: 612.0})
    return FakeMachine(root, {"nvml": ShapedNvml(Clock(), (FakeGpu("GPU-gb200", "NVIDIA GB200"), shape))})


def nvidia_guest(root: Path) -> FakeMachine:
    board = FakeGpu("GPU-vgpu", "GRID A100-10C", counter=False, power=False)
    return FakeMachine(root, {"nvml": ShapedNvml(Clock(), (board, Shape(mode=2)))})


def intel_mac(root: Path) -> FakeMachine:
    return FakeMachine(root, host={"system": "Darwin", "cpu_name": "Intel(R) Core(TM) i9-9880H CPU @ 2.30GHz"})


def windows(root: Path) -> FakeMachine:
    channels = {"RAPL_Package0_PKG": 5.0, "RAPL_Package0_PP0": 4.0, "RAPL_Package0_DRAM": 1.0}
    return FakeMachine(root, {"emi": FakeEmi(channels)}, host=WINDOWS)


def windows_laptop(root: Path) -> FakeMachine:
    return FakeMachine(root, {"emi": FakeEmi({"VDDCR_VDD Power": 4.0, "Current Socket Power": 5.0})}, host=WINDOWS)


def windows_without_meters(root: Path) -> FakeMachine:
    return FakeMachine(root, {"emi": FakeEmi()}, host=WINDOWS)


def windows_of_batteries(root: Path) -> FakeMachine:
    return FakeMachine(root, {"emi": FakeEmi({"Battery": 5.0}, {"Display": 1.0}, version=1)}, host=WINDOWS)


def windows_refused(root: Path) -> FakeMachine:
    devices = FakeEmi({"RAPL_Package0_PKG": 5.0})
    devices.answers[emi.GET_VERSION] = PermissionError(13, "Access is denied")
    return FakeMachine(root, {"emi": devices}, host=WINDOWS)


def accelerators_by_their_files(root: Path) -> FakeMachine:
    tree = HwmonTree(root)
    for file in ("neuron0", "hl0", "accel0", "davinci0", "cambricon_dev0", "mtgpu.0", "tenstorrent/0"):
        tree.write(root / "dev" / file, "")
    return FakeMachine(root)


def unreadable_accelerators(root: Path) -> FakeMachine:
    tree = HwmonTree(root)
    tree.add_pci("0000:81:00.0", "0x1e52", "0x401e", "0x120000")  # Tenstorrent
    tree.add_pci("0000:82:00.0", "0xbeef", "0x0001", "0x120000")  # a maker that nobody knows
    tree.add_pci("0000:83:00.0", "0x10de", "0x20b2", "0x030200")  # NVIDIA, without a driver
    return FakeMachine(root)


# Of each machine: how it is made, and the lines of doctor's in which it is recognised.
MACHINES: Mapping[str, tuple[Callable[[Path], FakeMachine], tuple[str, ...]]] = {
    "AMD": (
        amd,
        ("used  amdgpu (gpu) -> amdgpu-power: 0: Radeon Pro W7900 (power every 0.5 s, whole device); chosen by auto",),
    ),
    "AMD by its library": (
        amd_by_library,
        (
            "used  AMD SMI (gpu) -> amdsmi-power: 0: AMD INSTINCT MI210 (power every 0.5 s, its energy counter once",
            "-   amdgpu: not needed: AMD SMI covers it",
        ),
    ),
    "AMD library without a driver": (
        amd_library_without_driver,
        (
            "-   AMD SMI: the library does not work: amdsmi_init: AMDSMI_STATUS_DRIVER_NOT_LOADED",
            "used  amdgpu (gpu) -> amdgpu-power",
        ),
    ),
    "AMD in a guest": (
        amd_in_a_guest,
        (
            "-   amdgpu: GPU 0 (AMD INSTINCT MI210): it shows neither its energy nor its power",
            "measure on the host: the driver amdgpu of a guest shows no power",
            "not covered, for nothing here can read it: AMD GPU (ROCm)",
        ),
    ),
    "AMD in a container without its nodes": (
        amd_in_a_container,
        (
            "-   amdgpu: no GPU is selected: this process has none of their nodes in /dev/dri",
            "docker run --device /dev/dri",
        ),
    ),
    "AMD in partitions": (
        amd_partitioned,
        ("used  amdgpu (gpu) -> amdgpu-power: 0: AMD Instinct MI300X (power every 0.5 s, partition 1/8 of device)",),
    ),
    "Intel": (
        intel,
        ("used  Intel GPU (gpu) -> intel-gpu-energy: 0: Intel GPU (PCI 8086:56c0) (energy counter, whole device)",),
    ),
    "Intel with an old kernel": (
        intel_with_an_old_kernel,
        (
            "-   Intel GPU: GPU 0 (Intel GPU (PCI 8086:56c0)): it shows neither its energy nor its power",
            "boot a kernel that shows it",
            "not covered, for nothing here can read it: Intel GPU (XPU)",
        ),
    ),
    "Jetson": (
        jetson,
        (
            "used  Jetson (gpu) -> jetson-power: 0: NVIDIA Jetson AGX Orin (power every 0.5 s",
            "used  Jetson CPU (cpu) -> jetson-power: VDD_CPU_CV, power every 0.5 s",
        ),
    ),
    "Jetson with one supply": (
        jetson_nano,
        (
            "used  Jetson (cpu + gpu) -> jetson-power: 0: NVIDIA Jetson (power every 0.5 s, CPU, GPU and vision",
            "-   CPU model: not needed: Jetson covers it",
        ),
    ),
    "Mac": (
        mac,
        (
            "used  IOReport (gpu) -> ioreport: 0: Apple M3 Max (energy counter, whole device); chosen by all",
            "used  IOReport (cpu) -> ioreport: the chip's own estimate",
            "used  IOReport (ram) -> ioreport: the chip's own estimate",
        ),
    ),
    "Mac without the library": (
        mac_without_the_library,
        ("-   IOReport: the package zeus-apple-silicon is not installed", "pip install zeus-apple-silicon"),
    ),
    "perf": (perf, ("used  perf (cpu) -> rapl-perf: energy counters in ", "used  perf (ram) -> rapl-perf")),
    "perf refused": (
        perf_refused,
        (
            "-   perf: unreadable: no permission to open energy events (kernel.perf_event_paranoid is 4)",
            "sudo sysctl kernel.perf_event_paranoid=0",
            "used  CPU model (cpu)",
        ),
    ),
    "amd_energy": (amd_energy, ("used  amd_energy (cpu) -> amd-energy: energy counters in hwmon",)),
    "amd_energy refused": (
        amd_energy_refused,
        ("-   amd_energy: unreadable: no permission to read ", "sudo groupadd --system --force power"),
    ),
    "Grace": (
        grace,
        (
            "used  Grace (cpu + ram) -> grace-power: Grace Power Socket 0, power every 0.5 s",
            "-   node sensors: beside the figures, not added to them: power_meter Module Power Socket 0 600 W (now)",
            "-   RAM model: not needed: Grace covers it",
        ),
    ),
    "Raspberry Pi": (
        raspberry_pi,
        (
            "used  Raspberry Pi PMIC (cpu) -> pmic-power: VDD_CORE, power every 0.5 s",
            "used  Raspberry Pi PMIC (ram) -> pmic-power: DDR_VDD2 and DDR_VDDQ, power every 0.5 s",
        ),
    ),
    "Raspberry Pi refused": (
        raspberry_pi_refused,
        (
            "-   Raspberry Pi PMIC: unreadable: VDD_CORE: Can not open /dev/vcio",
            "sudo usermod --append --groups video",
        ),
    ),
    "zeusd gone": (zeusd_gone, ("-   zeusd: unreadable: ", "the daemon must run with the API group")),
    "node sensor alone": (
        node_alone,
        ("-   node sensors: beside the figures, not added to them: power_meter Chassis 412 W (now)",),
    ),
    "NVIDIA, a slice by its activity": (
        nvidia_slice,
        (
            "used  NVML (gpu) -> nvml-energy:gpm: 0: NVIDIA H100 80GB HBM3 (energy counter, MIG 3/7 of device, "
            "estimated by activity); chosen by auto: visible",
        ),
    ),
    "NVIDIA, a module": (
        nvidia_module,
        ("not added to them: GPU 0 memory 45 W, GPU 0 module 612 W (at the start)",),
    ),
    "NVIDIA, a guest": (
        nvidia_guest,
        ("-   NVML: GPU 0 (GRID A100-10C): it is a vGPU, and it tells neither", "measure on the host: the driver of a"),
    ),
    "Intel Mac": (intel_mac, ("used  CPU model (cpu) -> cpu-model:", "Core i9-9880H")),
    "Windows": (
        windows,
        (
            "-   RAPL: absent: not Linux",
            "used  EMI (cpu) -> emi: energy counters of Windows",
            "used  EMI (ram) -> emi: memory counters of Windows",
            "-   RAM model: not needed: EMI covers it",
        ),
    ),
    "Windows on AMD's laptops": (windows_laptop, ("used  EMI (cpu) -> emi: energy counters of Windows",)),
    "Windows without meters": (
        windows_without_meters,
        ("-   EMI: absent: Windows shows no energy meter", "update Windows (from 11 on", "used  CPU model (cpu)"),
    ),
    "Windows with meters of other things": (
        windows_of_batteries,
        ("-   EMI: absent: no channel is a whole processor: Battery, Display", "update Windows (from 11 on"),
    ),
    "Windows that refuses": (
        windows_refused,
        ("-   EMI: unreadable: Access is denied", "update Windows (from 11 on", "used  CPU model (cpu)"),
    ),
    "accelerators by their files": (
        accelerators_by_their_files,
        (
            *("AWS Neuron", "Intel Gaudi (HPU)", "Google TPU", "Huawei Ascend NPU", "Cambricon MLU"),
            *("Moore Threads GPU", "Tenstorrent accelerator"),
        ),
    ),
    "accelerators that nothing reads": (
        unreadable_accelerators,
        ("Tenstorrent accelerator", "processing accelerator (PCI beef:0001)", "NVIDIA GPU (PCI 10de:20b2)"),
    ),
}
