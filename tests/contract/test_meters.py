"""What every meter promises, whatever it reads: a new meter is one more line in ``OPENERS``."""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import math
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from amd_machines import AmdMachine, metrics
from emi_devices import FakeEmi
from fake_machines import MAC, WINDOWS
from nvml_shapes import Shape, ShapedNvml
from proc_tree import ProcTree
from zeusd_server import Daemon, zeusd

from eco2ai_callbacks.errors import MeterUnavailable
from eco2ai_callbacks.host.machine import Host
from eco2ai_callbacks.meters.cpu.attribution import CpuShare
from eco2ai_callbacks.meters.cpu.busy import JobBusy, MachineBusy
from eco2ai_callbacks.meters.cpu.model import model_for
from eco2ai_callbacks.meters.cpu.rapl import open_rapl
from eco2ai_callbacks.meters.cpu.sources import CpuSources
from eco2ai_callbacks.meters.discovery import CANDIDATES, MeterContext
from eco2ai_callbacks.meters.exclusive import ExclusiveMeter
from eco2ai_callbacks.meters.gpu.nvml import open_nvml
from eco2ai_callbacks.meters.meter import Meter
from eco2ai_callbacks.meters.ram import RamModel
from eco2ai_callbacks.settings import Settings
from eco2ai_callbacks.testing import (
    BARE_METAL,
    CLOUD_VM,
    Clock,
    FakeAmdGpu,
    FakeAmdSmi,
    FakeApple,
    FakeGpu,
    FakeMeter,
    FakeNvml,
    PerfTree,
    PowercapTree,
)
from eco2ai_callbacks.usage import Method, component_of

NAMELESS = dataclasses.replace(BARE_METAL, cpu_name="", cpu_vendor="")
CONTAINER = dataclasses.replace(BARE_METAL, allowed_threads=4.0)


class Sensors:
    """A machine with every sensor that some machine has: 20 W in a processor, 2 W in the memory, 100 W in a GPU."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.joules = 0.0
        amd = AmdMachine(root)
        self.amd, _ = amd.add(0x03, unique="a" * 16, watts=100.0, joules=1000.0)
        self.tree = amd.tree
        self.smi = FakeAmdSmi([FakeAmdGpu("0000:03:00.0", watts=100.0)])
        card = self.tree.add_pci("0000:04:00.0", "0x8086", "0x56c0", "0x038000")
        self.intel = self.tree.add_chip("xe", card, energy1_input=1_000_000, energy1_label="card")
        rails = {"in1_label": "VDD_GPU_SOC", "in1_input": 20_000, "curr1_input": 5000}
        self.tree.add_chip("ina3221", **rails, in2_label="VDD_CPU_CV", in2_input=20_000, curr2_input=1000)
        self.cpu = self.tree.add_chip("amd_energy", energy1_input=1_000_000, energy1_label="Esocket0")
        self.tree.add_chip("power_meter", power1_average=20_000_000, power1_oem_info="Grace Power Socket 0")
        self.tree.write(root / "proc/device-tree/model", "Raspberry Pi 5 Model B\0")
        self.events = PerfTree(root)
        self.apple = FakeApple()
        self.emi = FakeEmi({"RAPL_Package0_PKG": 1.0, "RAPL_Package0_PP0": 1.0, "RAPL_Package0_DRAM": 1.0})
        self.daemon: Daemon | None = None

    def work(self, seconds: float) -> None:
        """Let time pass in which everything works."""
        self.joules += seconds
        self.tree.write(self.amd / "gpu_metrics", metrics(1000.0 + 100.0 * self.joules))
        self.smi.gpus[0].joules = 1000.0 + 100.0 * self.joules
        self.tree.set(self.intel, "energy1_input", 1.0 + 100.0 * self.joules)
        self.tree.set(self.cpu, "energy1_input", 1.0 + 20.0 * self.joules)
        self.apple.gpu, self.apple.cpu = 100.0 + 100.0 * self.joules, 100.0 + 20.0 * self.joules
        self.apple.dram = 100.0 + 2.0 * self.joules
        self.emi.set("RAPL_Package0_PKG", 1.0 + 20.0 * self.joules)
        self.emi.set("RAPL_Package0_DRAM", 1.0 + 2.0 * self.joules)
        if self.daemon is not None:
            self.daemon.cpu_uj = {0: round(1e6 + 20e6 * self.joules)}
        self.events.advance("energy-pkg", 0, 20.0 * seconds)
        self.events.advance("energy-ram", 0, 2.0 * seconds)

    def pmic(self) -> str:
        """What a Raspberry Pi's firmware prints."""
        rails = {"VDD_CORE": (25.0, 0.8), "DDR_VDD2": (1.0, 1.0), "DDR_VDDQ": (2.0, 0.5)}
        return "".join(
            f" {name}_A current(1)={amperes}A\n {name}_V volt(2)={volts}V\n" for name, (amperes, volts) in rails.items()
        )


class Machine:
    """A machine whose hardware works on: a two-thread job, its memory, its counters and its boards."""

    def __init__(self, base: Path) -> None:
        self.clock = Clock(50.0)
        self.proc = ProcTree(base)
        self.powercap = PowercapTree(base)
        self.package = self.powercap.add_package(0, energy_uj=262143000000)
        self.dram = self.powercap.add_dram(self.package)
        self.nvml = FakeNvml(self.clock, FakeGpu("GPU-a"), FakeGpu("GPU-b", name="NVIDIA GH200 480GB"))
        self.powered = FakeNvml(self.clock, FakeGpu("GPU-c", counter=False))
        sliced = FakeGpu("GPU-d", mig_slices=7, mig={"MIG-d": (1, 0, 3), "MIG-e": (2, 0, 4)})
        in_turns = FakeGpu("GPU-f", pids=(100, 7))
        self.shaped = ShapedNvml(
            self.clock, (sliced, Shape(busy={1: 90.0, 2: 0.0})), (in_turns, Shape(processes={100: 60, 7: 20}))
        )
        self.base = base
        self.sensors: Sensors | None = None
        self.opened = contextlib.ExitStack()
        self.ticks = 0
        self.work(0.0)
        self.job = JobBusy(100, self.proc.root)

    def work(self, seconds: float) -> None:
        """Let time pass in which everything works."""
        self.shaped.keep_busy(seconds)
        self.clock.advance(seconds)
        self.ticks += round(200 * seconds)
        self.proc.machine(user=2 * self.ticks)
        self.proc.put(100, 1, user=self.ticks // 2)
        self.proc.put(101, 100, user=self.ticks // 2)
        for pid in (100, 101):
            self.proc.memory(pid, resident=100_000, shared=1000)
        self.powercap.advance(self.package, 40.0 * seconds)
        self.powercap.advance(self.dram, 4.0 * seconds)
        if self.sensors is not None:
            self.sensors.work(seconds)

    def share(self, host: Host, **settings: object) -> CpuShare:
        model = model_for(host, **settings)  # type: ignore[arg-type]
        return CpuShare(model, MachineBusy(self.proc.root), model.threads, self.job, self.clock)

    def rapl(self) -> CpuShare:
        cpu, _ = open_rapl(self.powercap.root, BARE_METAL, self.clock)
        return CpuShare(cpu, MachineBusy(self.proc.root), 12, self.job, self.clock)

    def rapl_with_model(self) -> Meter:
        settings = Settings(powercap_root=self.powercap.root)
        return next(CpuSources(settings, BARE_METAL, self.job, self.proc.root, self.clock).counters())[0]

    def rapl_dram(self) -> Meter:
        _, dram = open_rapl(self.powercap.root, BARE_METAL, self.clock)
        assert dram is not None
        return dram

    def gpus(self, nvml: FakeNvml) -> Meter:
        return open_nvml("all", environ={}, job_pids=tuple, clock=self.clock, library=nvml)

    def part(self, gpu: str) -> Meter:
        """A part of a board: a slice of it, or the job's processes' part."""
        return open_nvml(
            [gpu], environ={}, job_pids=lambda: (100, 101), clock=self.clock, library=self.shaped, proc=self.base / "no"
        )

    def sensed(self, name: str, covers: str) -> Meter:
        """A source that only some machines have, as discovery opens it."""
        candidate = next(candidate for candidate in CANDIDATES if candidate.name == name)
        sensors = self.sensors = self.sensors or Sensors(self.base / "sensors")
        environ = {}
        if name == "zeusd" and sensors.daemon is None:
            # A path of a socket has 107 characters at most.
            folder = self.opened.enter_context(tempfile.TemporaryDirectory())
            sensors.daemon = self.opened.enter_context(zeusd(Path(folder) / "s"))
            sensors.work(0.0)
        if sensors.daemon is not None:
            environ["ZEUSD_SOCK_PATH"] = str(sensors.daemon.path)
        host = dataclasses.replace(BARE_METAL, **{"IOReport": MAC, "EMI": WINDOWS}.get(name, {}))
        around = {"amdsmi": sensors.smi, "events": sensors.events, "pmic": sensors.pmic, "apple": sensors.apple}
        around["emi"] = sensors.emi
        context = MeterContext(
            host, self.job, self.proc.root, sensors.root, environ, self.clock, nvml=FakeNvml(self.clock), **around
        )
        assert candidate.present(context)
        return next(meter for meter, _ in candidate.open(Settings(), context) if covers in meter.covers)

    def ram(self) -> Meter:
        return RamModel(0.375, lambda: self.job.pids, self.proc.root, self.clock)


OPENERS: Mapping[str, Callable[[Machine], Meter]] = {
    "RAPL": Machine.rapl,
    "RAPL with a floor and a model": Machine.rapl_with_model,
    "RAPL dram": Machine.rapl_dram,
    "NVML energy": lambda machine: machine.gpus(machine.nvml),
    "NVML power": lambda machine: machine.gpus(machine.powered),
    "NVML slice by activity": lambda machine: machine.part("MIG-d"),
    "NVML processes by activity": lambda machine: machine.part("GPU-f"),
    "CPU model bare": lambda machine: machine.share(BARE_METAL),
    "CPU model cgroup": lambda machine: machine.share(CONTAINER),
    "CPU model vm": lambda machine: machine.share(CLOUD_VM),
    "CPU model vm of known power": lambda machine: machine.share(CLOUD_VM, cpu_tdp_w=280.0),
    "CPU model thread": lambda machine: machine.share(NAMELESS),
    "CPU model paper": lambda machine: machine.share(BARE_METAL, cpu_model="paper"),
    "CPU model of the machine": lambda machine: CpuShare(
        model_for(BARE_METAL), MachineBusy(machine.proc.root), 12, None, machine.clock
    ),
    "RAM model": Machine.ram,
    "RAM model of the machine": lambda machine: RamModel(0.375, None, machine.proc.root, machine.clock),
    "RAPL dram, once a host": lambda machine: ExclusiveMeter(machine.rapl_dram(), lambda channel: None, machine.clock),
    "AMD SMI": lambda machine: machine.sensed("AMD SMI", "gpu"),
    "amdgpu": lambda machine: machine.sensed("amdgpu", "gpu"),
    "Intel GPU": lambda machine: machine.sensed("Intel GPU", "gpu"),
    "Jetson": lambda machine: machine.sensed("Jetson", "gpu"),
    "Jetson CPU": lambda machine: machine.sensed("Jetson CPU", "cpu"),
    "IOReport": lambda machine: machine.sensed("IOReport", "gpu"),
    "IOReport CPU": lambda machine: machine.sensed("IOReport", "cpu"),
    "IOReport dram": lambda machine: machine.sensed("IOReport", "ram"),
    "perf": lambda machine: machine.sensed("perf", "cpu"),
    "perf dram": lambda machine: machine.sensed("perf", "ram"),
    "amd_energy": lambda machine: machine.sensed("amd_energy", "cpu"),
    "zeusd": lambda machine: machine.sensed("zeusd", "cpu"),
    "EMI": lambda machine: machine.sensed("EMI", "cpu"),
    "EMI dram": lambda machine: machine.sensed("EMI", "ram"),
    "Grace": lambda machine: machine.sensed("Grace", "cpu"),
    "Raspberry Pi PMIC": lambda machine: machine.sensed("Raspberry Pi PMIC", "cpu"),
    "Raspberry Pi PMIC dram": lambda machine: machine.sensed("Raspberry Pi PMIC", "ram"),
    "FakeMeter": lambda machine: FakeMeter(machine.clock, {"cpu": 10.0, "gpu:GPU-a": 100.0}, name="NVML"),
}


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    machine = Machine(tmp_path)
    with machine.opened:
        yield machine


@pytest.fixture(params=OPENERS)
def opener(request: pytest.FixtureRequest) -> Callable[[Machine], Meter]:
    return OPENERS[request.param]


@pytest.fixture
def meter(machine: Machine, opener: Callable[[Machine], Meter]) -> Meter:
    return opener(machine)


def test_a_meter_begins_at_zero(meter: Meter) -> None:
    assert all(joules == 0.0 for joules in meter.read().values())


def test_joules_are_cumulative_and_never_fall(machine: Machine, meter: Meter) -> None:
    before: Mapping[str, float] = meter.read()
    for seconds in (1.0, 0.0, 0.01, 4.0, 0.05, 0.05, 20.0):
        machine.work(seconds)
        now = meter.read()
        assert now.keys() >= before.keys()  # a channel may be absent until its counter has moved
        for channel, joules in now.items():
            assert math.isfinite(joules)
            assert joules >= before.get(channel, 0.0)
        before = now
    assert before
    assert all(joules > 0.0 for joules in before.values())


def test_every_channel_belongs_to_a_component_that_is_covered_and_is_known_by_a_method(meter: Meter) -> None:
    assert meter.covers
    assert meter.covers <= {"cpu", "gpu", "ram"}
    channels = meter.read().keys()
    assert channels <= meter.methods.keys()
    assert {component_of(channel) for channel in channels} <= meter.covers
    for method in meter.methods.values():
        assert isinstance(method, Method)
        assert method.low <= 1.0 <= method.high
        assert method.edge_j >= 0.0
        assert method.attribution
    for device in meter.devices:
        assert f"gpu:{device.uuid}" in meter.methods
        assert device.vendor == device.vendor.lower()


def test_a_meter_says_how_long_it_may_go_unread(meter: Meter) -> None:
    assert meter.max_gap_s > 0.0


def test_a_meter_has_a_name_and_no_failures_where_nothing_fails(machine: Machine, meter: Meter) -> None:
    assert meter.name in {candidate.name for candidate in CANDIDATES}
    machine.work(0.5)
    meter.read()
    assert meter.failures == ()


def test_a_meter_can_be_closed_twice(meter: Meter) -> None:
    meter.close()
    meter.close()


def test_two_meters_of_the_same_thing_agree(machine: Machine, opener: Callable[[Machine], Meter]) -> None:
    first, second = opener(machine), opener(machine)
    machine.work(3.0)
    assert first.read() == pytest.approx(second.read(), rel=1e-6)
    # Read more often in between, a meter says the same as one that was read at the end.
    for _ in range(4):
        machine.work(0.5)
        first.read()
    assert first.read() == pytest.approx(second.read(), rel=0.01)


def test_what_a_meter_counts_is_what_the_hardware_did(machine: Machine) -> None:
    """One second of a job that keeps two of twelve threads busy, on a machine that keeps four busy."""
    meters = {name: opener(machine) for name, opener in OPENERS.items() if "known" not in name}
    for meter in meters.values():
        meter.read()
    machine.work(1.0)
    read = {name: meter.read() for name, meter in meters.items()}
    assert read["RAPL"] == {"cpu": pytest.approx(20.0, rel=1e-3)}
    assert read["RAPL dram"] == read["RAPL dram, once a host"] == {"ram": pytest.approx(4.0)}
    assert read["NVML energy"] == {"gpu:GPU-a": pytest.approx(100.0), "gpu:GPU-b": pytest.approx(100.0)}
    assert read["NVML power"] == {"gpu:GPU-c": pytest.approx(100.0)}
    # By size 3/7 and alike 1/2; by activity all, and 3/4: the middle.
    assert read["NVML slice by activity"] == {"gpu:MIG-d": pytest.approx(100.0 * (3 / 7 + 1) / 2)}
    assert read["NVML processes by activity"] == {"gpu:GPU-f": pytest.approx(100.0 * (1 / 2 + 3 / 4) / 2)}
    gpu = f"gpu:GPU-{'a' * 16}"
    assert read["AMD SMI"] == {gpu: pytest.approx(100.0, abs=1e-3)}
    assert read["amdgpu"] == {gpu: pytest.approx(100.0)}
    assert read["Intel GPU"] == {"gpu:GPU-pci-0000:04:00.0": pytest.approx(100.0)}
    assert read["Jetson"] == {"gpu:GPU-jetson-0": pytest.approx(100.0)}
    assert read["IOReport"] == {"gpu:GPU-apple": pytest.approx(100.0)}
    # The job keeps two of the four busy threads busy.
    for name in ("IOReport CPU", "Jetson CPU", "perf", "amd_energy", "zeusd", "EMI", "Grace", "Raspberry Pi PMIC"):
        assert 20.0 * 2 / 12 < read[name]["cpu"] <= 10.001
    for name in ("perf dram", "EMI dram", "IOReport dram"):
        assert read[name] == {"ram": pytest.approx(2.0, abs=1e-5)}
    assert read["Raspberry Pi PMIC dram"] == {"ram": pytest.approx(2.0)}
    curve = 0.64 * (4 / 12) ** 0.55
    assert read["CPU model bare"] == {"cpu": pytest.approx(65 * (curve / 2 + 0.10 * 2 / 12))}
    assert read["CPU model of the machine"] == {"cpu": pytest.approx(65 * (curve + 0.10))}
    assert read["CPU model vm"] == {"cpu": pytest.approx(2 * 2.02)}
    assert read["CPU model thread"] == {"cpu": pytest.approx(2 * 3.15)}
    assert read["CPU model paper"] == {"cpu": pytest.approx(65 * 2 / 12)}
    assert read["RAM model"] == {"ram": pytest.approx(0.375 * 2 * 99_000 * 4096 / 2**30, rel=1e-6)}


@pytest.mark.parametrize("name", ["RAPL", "RAPL dram"])
def test_a_counter_that_fails_says_so_and_raises_once_nothing_is_left(machine: Machine, name: str) -> None:
    meter = OPENERS[name](machine)
    machine.work(1.0)
    before = meter.read()
    for zone in (machine.package, machine.dram):
        machine.powercap.break_(zone, error=errno.EIO)
    for _ in range(2):
        machine.work(1.0)
        assert meter.read() == before
    machine.work(1.0)
    with pytest.raises(OSError, match="no energy counter"):
        meter.read()
    assert meter.failures
    assert all(failure.startswith("RAPL: ") for failure in meter.failures)


def test_a_board_that_is_lost_is_left_out_and_named(machine: Machine) -> None:
    meter = OPENERS["NVML energy"](machine)
    meter.read()
    machine.nvml.fail("nvmlDeviceGetTotalEnergyConsumption", 15, uuid="GPU-a")  # NVML_ERROR_GPU_IS_LOST
    machine.work(1.0)
    assert meter.read().keys() == {"gpu:GPU-b"}
    assert all(failure.startswith("NVML: ") for failure in meter.failures)
    assert meter.failures


def test_a_source_that_is_not_there_is_unavailable_with_a_reason(machine: Machine, tmp_path: Path) -> None:
    for opening in (
        lambda: open_rapl(tmp_path / "none", BARE_METAL, machine.clock),
        lambda: open_nvml("all", environ={}, clock=machine.clock, library=FakeNvml(machine.clock)),
    ):
        with pytest.raises(MeterUnavailable) as caught:
            opening()
        assert caught.value.reason
