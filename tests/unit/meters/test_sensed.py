"""The sources that some machines have."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from amd_machines import NAVI, AmdMachine
from fake_machines import FakeMachine, amd, grace, intel, jetson_nano, perf, raspberry_pi
from logcheck import rows
from proc_tree import ProcTree
from zeusd_server import zeusd

from eco2ai_callbacks import Tracker
from eco2ai_callbacks.errors import SettingsError
from eco2ai_callbacks.guard import Guard
from eco2ai_callbacks.meters import sensed
from eco2ai_callbacks.meters.candidate import MeterContext, Opened
from eco2ai_callbacks.meters.cpu.busy import JobBusy
from eco2ai_callbacks.meters.discovery import CANDIDATES, Discovery, discover
from eco2ai_callbacks.settings import Settings
from eco2ai_callbacks.testing import BARE_METAL, Clock, FakeGpu, FakeNvml, HwmonTree, PowercapTree, fake_platform

# The sources that are named on any machine.
EVERYWHERE = {"NVML", "RAPL", "CPU model", "RAM model"}
LXCFS = dataclasses.replace(BARE_METAL, lxcfs=True)


def context(root: Path, **fields: object) -> MeterContext:
    base = root / "processes"
    base.mkdir(parents=True, exist_ok=True)
    proc = ProcTree(base)
    proc.put(100, 1)
    nvml = FakeNvml(Clock())
    return MeterContext(
        BARE_METAL,
        None,
        proc.root,
        root,
        **{"environ": {}, "clock": Clock(), "nvml": nvml, **fields},  # type: ignore[arg-type]
    )


def found(root: Path, around: MeterContext, **settings: object) -> Discovery:
    return discover(Settings(powercap_root=root / "none", **settings), around)  # type: ignore[arg-type]


def used(discovery: Discovery) -> dict[str, tuple[str, ...]]:
    return {source.name: source.covers for source in discovery.sources if source.used}


def test_a_machine_without_such_hardware_names_none_of_them(tmp_path: Path) -> None:
    assert {source.name for source in found(tmp_path, context(tmp_path)).sources} == EVERYWHERE
    assert {candidate.name for candidate in CANDIDATES} > EVERYWHERE


def test_counters_in_powercap_come_before_all_other_ways_to_them(tmp_path: Path) -> None:
    machine = perf(tmp_path)
    HwmonTree(tmp_path).add_chip("amd_energy", energy1_input=3_000_000, energy1_label="Esocket0")
    tree = PowercapTree(tmp_path)
    tree.add_package()
    around = context(tmp_path, **machine.around)
    both = discover(Settings(powercap_root=tree.root), around)
    assert used(both)["RAPL"] == ("cpu",)
    reasons = {source.name: source.reason for source in both.sources}
    assert reasons["perf"] == reasons["amd_energy"] == "not needed: RAPL covers it"
    tree.deny()
    assert used(discover(Settings(powercap_root=tree.root), around))["perf"] in (("cpu",), ("ram",))


def test_a_job_in_a_container_whose_load_is_not_the_machine_s_has_no_part_of_a_sensor(tmp_path: Path) -> None:
    grace(tmp_path)
    around = context(tmp_path)
    job = JobBusy(100, around.proc)
    around = dataclasses.replace(around, host=LXCFS, job=job)
    reasons = {source.name: source.reason for source in found(tmp_path, around).sources}
    assert reasons["Grace"].startswith("not used: under lxcfs the load is the container's")


def test_the_paper_s_formula_displaces_every_sensor(tmp_path: Path) -> None:
    machine = raspberry_pi(tmp_path)
    around = context(tmp_path, **machine.around)
    reasons = {source.name: source.reason for source in found(tmp_path, around, cpu_model="paper").sources}
    assert "cpu_model='paper'" in reasons["Raspberry Pi PMIC"]


def test_gpus_of_two_makers_are_read_side_by_side_and_names_are_nvidia_s(tmp_path: Path) -> None:
    amd(tmp_path)
    nvml = FakeNvml(Clock(), FakeGpu("GPU-n"))
    around = context(tmp_path, nvml=nvml)
    both = used(found(tmp_path, around))
    assert both["NVML"] == both["amdgpu"] == ("gpu",)
    named = found(tmp_path, around, gpus=(0,))
    assert "amdgpu" not in used(named)
    assert {source.name: source.status for source in named.sources}["amdgpu"] == "displaced"


@pytest.mark.parametrize(
    ("make", "open_gpus"), [(amd, sensed.open_amd), (intel, sensed.open_intel)], ids=["amd", "intel"]
)
def test_a_name_that_is_none_is_refused_with_where_it_was_named(
    tmp_path: Path, make: Callable[[Path], FakeMachine], open_gpus: Callable[..., Iterator[Opened]]
) -> None:
    make(tmp_path)
    with pytest.raises(SettingsError, match=r"gpus=\(7,\) \(from argument\): 7 is no GPU of this machine"):
        list(open_gpus(Settings(gpus=(7,)), context(tmp_path, nvml=None)))


def test_no_gpu_selected_reads_none(tmp_path: Path) -> None:
    AmdMachine(tmp_path).add(0x03)
    jetson_nano(tmp_path)
    assert "gpu" not in {
        part for covers in used(found(tmp_path, context(tmp_path), gpus=())).values() for part in covers
    }


def test_the_daemon_is_asked_where_its_socket_is(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("z") / "s"
    around = context(tmp_path, environ={"ZEUSD_SOCK_PATH": str(path)})
    assert not sensed.has_zeusd(around)
    with zeusd(path):
        assert sensed.has_zeusd(around)
        found_here = found(tmp_path, around)
    assert [source.covers for source in found_here.sources if source.name == "zeusd"] == [("cpu",), ("ram",)]


def test_a_jetson_s_gpu_is_hidden_and_named_as_others_are(tmp_path: Path) -> None:
    jetson_nano(tmp_path)
    around = context(tmp_path)
    assert used(found(tmp_path, around, gpus=("GPU-jetson-0",)))["Jetson"] == ("cpu", "gpu")
    hidden = found(tmp_path, dataclasses.replace(around, environ={"CUDA_VISIBLE_DEVICES": ""}))
    reasons = {source.name: source.reason for source in hidden.sources}
    assert reasons["Jetson"] == "no GPU is selected: CUDA_VISIBLE_DEVICES hides them all"
    with pytest.raises(SettingsError, match="1 is no GPU of this machine"):
        list(sensed.open_jetson(Settings(gpus=(1,)), around))


def test_a_run_counts_a_sensor_and_names_the_node_s_beside_it(tmp_path: Path) -> None:
    """A GPU at 100 W and then 300 W for 2 s: 400 J; the node's 412 W are in no sum."""
    machine, clock = AmdMachine(tmp_path), Clock()
    _, chip = machine.add(0x03, unique="a" * 16, target=NAVI, watts=100.0)
    machine.tree.add_chip("power_meter", power1_average=412_000_000, power1_oem_info="Chassis")
    around = context(tmp_path, clock=clock)

    def find(settings: Settings, _: MeterContext, guard: Guard) -> Discovery:
        gpus = [candidate for candidate in CANDIDATES if candidate.name in ("amdgpu", "node sensors")]
        return discover(settings, around, guard, gpus)

    platform = fake_platform(clock, discover=find)
    log = tmp_path / "eco2ai.jsonl"
    with Tracker(platform=platform, region="FR", log_file=log, console=False, sample_s=60.0, heartbeat_s=0.0) as run:
        clock.advance(2.0)
        machine.tree.set(chip, "power1_average", 300.0)
        usage = run.mark(epoch=0)
    assert usage.joules == {f"gpu:GPU-{'a' * 16}": 400.0}
    start, mark, _ = rows(log)
    sources = {source["name"]: source for source in start["sources"]}
    assert sources["amdgpu"]["methods"] == {f"gpu:GPU-{'a' * 16}": "amdgpu-power"}
    assert sources["amdgpu"]["measured"] == ["amdgpu-power"]
    assert sources["node sensors"]["status"] == "displaced"
    assert "power_meter Chassis 412 W" in sources["node sensors"]["reason"]
    assert mark["joules"] == {f"gpu:GPU-{'a' * 16}": 400.0}


def test_a_chip_of_processors_without_sockets_says_so(tmp_path: Path) -> None:
    HwmonTree(tmp_path).add_chip("amd_energy", energy1_input=1, energy1_label="Ecore000")
    reasons = {source.name: source.reason for source in found(tmp_path, context(tmp_path)).sources}
    assert reasons["amd_energy"] == "absent: the chip amd_energy shows no socket"
