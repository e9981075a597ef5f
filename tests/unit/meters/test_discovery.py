from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from logcheck import rows
from proc_tree import ProcTree

from eco2ai_callbacks import Tracker
from eco2ai_callbacks.guard import Guard
from eco2ai_callbacks.host.machine import Host
from eco2ai_callbacks.meters.cpu import rapl
from eco2ai_callbacks.meters.cpu.busy import JobBusy
from eco2ai_callbacks.meters.discovery import (
    CANDIDATES,
    Candidate,
    Discovery,
    MeterContext,
    Opened,
    Source,
    discover,
)
from eco2ai_callbacks.meters.meter import Device
from eco2ai_callbacks.session.context import Platform
from eco2ai_callbacks.settings import Settings
from eco2ai_callbacks.testing import BARE_METAL, CLOUD_VM, Clock, FakeGpu, FakeNvml, PowercapTree
from eco2ai_callbacks.usage import Method

LXCFS = dataclasses.replace(BARE_METAL, lxcfs=True)


@dataclasses.dataclass
class Machine:
    """A machine in a folder: process table, energy counters, boards."""

    proc: ProcTree
    powercap: PowercapTree
    clock: Clock
    nvml: FakeNvml
    base: Path

    def discover(
        self,
        host: Host,
        *,
        scope: str = "process",
        guard: Guard | None = None,
        candidates: Iterable[Candidate] = CANDIDATES,
        **settings: Any,
    ) -> Discovery:
        job = JobBusy(100, self.proc.root) if scope == "process" else None
        around = MeterContext(host, job, self.proc.root, self.base, environ={}, clock=self.clock, nvml=self.nvml)
        wanted = Settings(scope=scope, powercap_root=self.powercap.root, **settings)
        return discover(wanted, around, guard, candidates)


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Machine]:
    def make(*gpus: FakeGpu) -> Machine:
        clock = Clock()
        proc = ProcTree(tmp_path)
        proc.put(100, 1)
        return Machine(proc, PowercapTree(tmp_path), clock, FakeNvml(clock, *gpus), tmp_path)

    return make


def sources(found: Discovery) -> dict[str, Source]:
    return {source.name: source for source in found.sources}


def used(found: Discovery) -> list[tuple[str, ...]]:
    return [(source.name, *source.covers) for source in found.sources if source.used]


# --- which sources are used -------------------------------------------------------------------------------------------


def test_a_virtual_machine_s_figure_holds_the_memory_so_nothing_counts_it_again(make: Callable[..., Machine]) -> None:
    found = make().discover(CLOUD_VM)
    assert used(found) == [("CPU model", "cpu", "ram")]
    assert sources(found)["RAPL"].reason.startswith("absent: virtual machine")
    assert sources(found)["NVML"].reason == "the driver lists no GPU"
    assert sources(found)["RAM model"].reason == "not needed: CPU model covers it"
    assert [dict(meter.methods)["cpu"].name for meter in found.meters] == ["cpu-model:vm"]


def test_a_board_that_is_not_there_is_named_with_where_its_number_came_from(make: Callable[..., Machine]) -> None:
    guard = Guard()
    found = make(FakeGpu("GPU-a")).discover(CLOUD_VM, guard=guard, gpus=(7,), origin={"gpus": "ECO2AI_GPUS"})
    said = "gpus=(7,) (from ECO2AI_GPUS): 7 is no GPU of this machine"
    assert sources(found)["NVML"].reason.startswith(said)
    assert guard.failures[0].startswith(f"NVML: {said}")
    assert used(found) == [("CPU model", "cpu", "ram")]


def test_bare_metal_without_counters_has_a_model_of_each(make: Callable[..., Machine]) -> None:
    found = make().discover(BARE_METAL)
    assert used(found) == [("CPU model", "cpu"), ("RAM model", "ram")]
    assert sources(found)["RAPL"].reason.startswith("absent: ")


def test_counters_displace_the_models(make: Callable[..., Machine]) -> None:
    machine = make()
    package = machine.powercap.add_package(0)
    machine.powercap.add_dram(package)
    found = machine.discover(BARE_METAL)
    assert used(found) == [("RAPL", "cpu"), ("RAPL", "ram")]
    assert sources(found)["CPU model"].reason == "not needed: RAPL covers it"
    assert sources(found)["RAM model"].reason == "not needed: RAPL covers it"


def test_counters_without_memory_leave_it_to_the_model(make: Callable[..., Machine]) -> None:
    machine = make()
    machine.powercap.add_package(0)
    assert used(machine.discover(BARE_METAL)) == [("RAPL", "cpu"), ("RAM model", "ram")]


def test_counters_that_may_not_be_read_say_why_and_how_to_change_that(make: Callable[..., Machine]) -> None:
    machine = make()
    machine.powercap.add_package(0)
    machine.powercap.deny()
    found = machine.discover(BARE_METAL)
    rapl = sources(found)["RAPL"]
    assert not rapl.used
    assert rapl.reason.startswith("unreadable: no permission")
    assert rapl.hint is not None
    assert "systemd-tmpfiles" in rapl.hint
    assert used(found) == [("CPU model", "cpu"), ("RAM model", "ram")]


def test_eco2ai_s_formula_is_used_even_where_there_are_counters(make: Callable[..., Machine]) -> None:
    machine = make()
    machine.powercap.add_dram(machine.powercap.add_package(0))
    found = machine.discover(BARE_METAL, cpu_model="paper")
    assert used(found) == [("CPU model", "cpu"), ("RAM model", "ram")]
    assert "cpu_model='paper'" in sources(found)["RAPL"].reason
    assert found.meters[0].methods["cpu"].name == "cpu-model:paper"


def test_under_lxcfs_a_counter_of_the_whole_machine_is_not_shared_out(make: Callable[..., Machine]) -> None:
    machine = make()
    machine.powercap.add_package(0)
    assert used(machine.discover(LXCFS)) == [("CPU model", "cpu"), ("RAM model", "ram")]
    assert "lxcfs" in sources(machine.discover(LXCFS))["RAPL"].reason
    assert used(machine.discover(LXCFS, scope="machine"))[0] == ("RAPL", "cpu")


def test_gpus_stand_beside_the_rest(make: Callable[..., Machine]) -> None:
    machine = make(FakeGpu("GPU-a"), FakeGpu("GPU-b"))
    found = machine.discover(CLOUD_VM, gpus="all")
    assert used(found) == [("NVML", "gpu"), ("CPU model", "cpu", "ram")]
    nvml = sources(found)["NVML"]
    assert "0: NVIDIA A100-SXM4-80GB (energy counter" in nvml.reason
    assert nvml.methods == {"gpu:GPU-a": "nvml-energy", "gpu:GPU-b": "nvml-energy"}
    for meter in found.meters:
        meter.close()
    assert not machine.nvml.initialised


def test_the_boards_of_the_job_are_those_on_which_its_processes_compute(make: Callable[..., Machine]) -> None:
    machine = make(FakeGpu("GPU-a"), FakeGpu("GPU-b", pids=(101,)))
    machine.proc.put(101, 100)
    found = machine.discover(CLOUD_VM)
    assert sources(found)["NVML"].methods == {"gpu:GPU-b": "nvml-energy"}
    found = machine.discover(CLOUD_VM, scope="machine")
    assert set(sources(found)["NVML"].methods or ()) == {"gpu:GPU-a", "gpu:GPU-b"}


def test_a_module_whose_counter_holds_its_processor_leaves_nothing_to_the_others(make: Callable[..., Machine]) -> None:
    machine = make(FakeGpu("GPU-a", name="NVIDIA GH200 480GB"))
    machine.powercap.add_package(0)
    found = machine.discover(BARE_METAL)
    assert used(found) == [("NVML", "cpu", "gpu", "ram")]
    for name in ("RAPL", "CPU model", "RAM model"):
        assert sources(found)[name].reason == "not needed: NVML covers it"


class Other:
    """A meter of some components, which counts how often it was closed."""

    name = "other"
    max_gap_s = math.inf
    failures: tuple[str, ...] = ()
    devices: tuple[Device, ...] = ()

    def __init__(self, *covers: str) -> None:
        self.covers = frozenset(covers)
        self.methods = {component: Method("other", 0.9, 1.1) for component in covers}
        self.closed = 0

    def read(self) -> dict[str, float]:
        return dict.fromkeys(self.methods, 0.0)

    def close(self) -> None:
        self.closed += 1


def opens(*meters: Other) -> Callable[[Settings, MeterContext], Iterator[Opened]]:
    return lambda settings, context: iter([(meter, "made up") for meter in meters])


def test_what_is_found_covered_once_it_is_open_is_closed_again(make: Callable[..., Machine]) -> None:
    """As a source of the processor would be that turns out to hold the memory, behind another's memory."""
    both = Other("cpu", "ram")
    by_name = {candidate.name: candidate for candidate in CANDIDATES}
    candidates = (
        by_name["RAM model"],
        Candidate("OTHER", frozenset({"cpu"}), opens(both)),
        by_name["CPU model"],
    )
    found = make().discover(BARE_METAL, candidates=candidates)
    assert both.closed == 1
    other = sources(found)["OTHER"]
    assert (other.status, other.reason) == ("displaced", "not needed: RAM model covers ram")
    assert used(found) == [("RAM model", "ram"), ("CPU model", "cpu")]


def test_gpus_of_two_makers_are_two_domains_and_those_of_one_maker_are_one(make: Callable[..., Machine]) -> None:
    amd, again, nvidia = Other("gpu"), Other("gpu"), Other("gpu")
    found = make().discover(
        BARE_METAL,
        candidates=[
            Candidate("AMD", frozenset({"gpu:amd"}), opens(amd)),
            Candidate("AMD again", frozenset({"gpu:amd"}), opens(again)),
            Candidate("NVIDIA", frozenset({"gpu:nvidia"}), opens(nvidia)),
        ],
    )
    assert found.meters == (amd, nvidia)
    assert [source.status for source in found.sources] == ["used", "displaced", "used"]
    assert sources(found)["AMD again"].reason == "not needed: AMD covers it"


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_whatever_ends_the_search_closes_what_was_opened(
    make: Callable[..., Machine], error: type[BaseException]
) -> None:
    first, second = Other("gpu"), Other("cpu")

    def interrupted(*_: Any) -> Iterator[Opened]:
        raise error

    candidates = [
        Candidate("first", frozenset({"gpu:nvidia"}), opens(first)),
        Candidate("second", frozenset({"cpu"}), opens(second)),
        Candidate("third", frozenset({"ram"}), interrupted),
    ]
    machine = make()
    with pytest.raises(error):
        machine.discover(BARE_METAL, candidates=candidates)
    assert (first.closed, second.closed) == (1, 1)
    candidates.pop()
    assert machine.discover(BARE_METAL, candidates=candidates).meters == (first, second)
    assert (first.closed, second.closed) == (1, 1)  # once all are found, they are the caller's to close


def test_a_meter_that_does_not_say_how_it_knows_is_closed_and_not_used(make: Callable[..., Machine]) -> None:
    class Mute(Other):
        methods = property(lambda self: 1 / 0, lambda self, value: None)  # type: ignore[assignment]

    mute = Mute("ram")
    by_name = {candidate.name: candidate for candidate in CANDIDATES}
    candidates = [Candidate("MUTE", frozenset({"ram"}), opens(mute)), by_name["RAM model"]]
    found = make().discover(BARE_METAL, candidates=candidates)
    assert mute.closed == 1
    assert sources(found)["MUTE"].status == "failed"
    assert used(found) == [("RAM model", "ram")]


def test_a_machine_is_measured_whole_where_no_job_is_named(make: Callable[..., Machine]) -> None:
    machine = make()
    found = machine.discover(CLOUD_VM, scope="machine")
    (meter,) = found.meters
    machine.clock.advance(10.0)
    machine.proc.machine(user=500)
    # 5 busy seconds x 1.57 W and two threads x 0.45 W x 10 s.
    assert meter.read()["cpu"] == pytest.approx(7.85 + 9.0)


def test_a_job_in_a_virtual_machine_is_measured_by_its_busy_time(make: Callable[..., Machine]) -> None:
    machine = make()
    (meter,) = machine.discover(CLOUD_VM).meters
    machine.clock.advance(10.0)
    machine.proc.machine(user=1500)
    machine.proc.put(100, 1, user=200)
    machine.proc.put(101, 100, user=300)
    assert meter.read()["cpu"] == pytest.approx(5 * 2.02)


def test_a_container_s_job_is_measured_against_its_own_part(make: Callable[..., Machine]) -> None:
    machine = make()
    cpu = machine.discover(dataclasses.replace(BARE_METAL, allowed_threads=3.0)).meters[0]
    assert cpu.methods["cpu"].name == "cpu-model:cgroup"
    machine.clock.advance(5.0)
    machine.proc.machine(user=6000)  # others keep the whole host busy
    machine.proc.put(100, 1, user=750)
    # Half of its 3 of 12 threads of 65 W: 16.25 x 5 x (0.64 x 0.683020 + 0.10 / 2).
    assert cpu.read()["cpu"] == pytest.approx(16.25 * 5 * (0.64 * 0.683020 + 0.05), rel=1e-5)


def test_a_container_s_load_is_that_of_all_its_processes(make: Callable[..., Machine]) -> None:
    """Two ranks of a container of three threads: each has half of what one process with both's load would have."""
    machine = make()
    status = machine.proc.root / "self/status"
    status.parent.mkdir()
    status.write_text("Cpus_allowed_list:\t0-2\n")

    def load(ticks: int) -> None:
        lines = [f"cpu  {ticks * 9} 0 0 0 0 0 0 0 0 0", *(f"cpu{n} {ticks} 0 0 0 0 0 0 0 0 0" for n in range(12))]
        (machine.proc.root / "stat").write_text("\n".join(lines) + "\n")

    load(0)
    cpu = machine.discover(dataclasses.replace(BARE_METAL, allowed_threads=3.0)).meters[0]
    machine.clock.advance(5.0)
    load(250)
    machine.proc.put(100, 1, user=375)
    # Half of its 3 of 12 threads of 65 W are busy, half of that with this job.
    assert cpu.read()["cpu"] == pytest.approx(16.25 * 5 * (0.64 * 0.683020 / 2 + 0.10 / 4), rel=1e-5)


def test_the_user_s_thread_count_is_the_one_that_is_shared_by(make: Callable[..., Machine]) -> None:
    machine = make()
    nameless = dataclasses.replace(BARE_METAL, cpu_name="", cpu_vendor="")
    (cpu,) = machine.discover(nameless, cpu_threads=6).meters
    machine.clock.advance(10.0)
    machine.proc.machine(user=500)
    machine.proc.put(100, 1, user=500)
    assert cpu.read()["cpu"] == pytest.approx(5 * 3.15)


def test_the_longest_gap_is_the_meter_s(make: Callable[..., Machine]) -> None:
    machine = make(FakeGpu("GPU-a", counter=False))
    gaps = {meter.name: meter.max_gap_s for meter in machine.discover(BARE_METAL, sample_s=0.2).meters}
    assert gaps == {"NVML": 0.2, "CPU model": 5.0, "RAM model": 60.0}
    assert machine.discover(CLOUD_VM, gpus=()).meters[0].max_gap_s == math.inf


# --- what goes wrong --------------------------------------------------------------------------------------------------


class Unexpected(FakeNvml):
    """A driver whose binding fails in a way that is nobody's plan."""

    def nvmlDeviceGetCount(self) -> int:
        raise RuntimeError("the binding is broken\nand says more")


def test_a_source_that_fails_in_a_way_of_its_own_is_named_and_the_others_are_used(
    make: Callable[..., Machine], caplog: pytest.LogCaptureFixture
) -> None:
    machine = make()
    machine.nvml = Unexpected(machine.clock)
    guard = Guard()
    found = machine.discover(CLOUD_VM, guard=guard)
    assert used(found) == [("CPU model", "cpu", "ram")]
    assert sources(found)["NVML"].reason == "the binding is broken (RuntimeError)"
    assert guard.failures == ("NVML: the binding is broken (RuntimeError)",)
    assert len(caplog.records) == 1
    assert not machine.nvml.initialised  # given back what was opened


def test_a_failure_that_is_no_longer_listed_still_leaves_a_reason(make: Callable[..., Machine]) -> None:
    machine = make()
    machine.nvml = Unexpected(machine.clock)
    guard = Guard()
    for number in range(60):
        guard.record(f"sink: failed in way {number}")
    nvml = sources(machine.discover(CLOUD_VM, guard=guard))["NVML"]
    assert (nvml.status, nvml.reason) == ("failed", "the binding is broken (RuntimeError)")


def test_a_board_that_is_not_there_breaks_nothing_once_a_run_has_begun(make: Callable[..., Machine]) -> None:
    guard = Guard()
    found = make(FakeGpu("GPU-a")).discover(CLOUD_VM, gpus=(7,), guard=guard)
    assert used(found) == [("CPU model", "cpu", "ram")]
    assert not sources(found)["NVML"].used
    assert [failure.partition(":")[0] for failure in guard.failures] == ["NVML"]


def test_a_counter_that_fails_leaves_its_component_to_the_model(
    make: Callable[..., Machine], monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = make()

    def broken(*_: Any) -> Any:
        raise KeyError("zone")

    monkeypatch.setattr(rapl, "of_zones", broken)
    assert used(machine.discover(BARE_METAL)) == [("CPU model", "cpu"), ("RAM model", "ram")]


def test_a_session_starts_beside_a_source_that_fails_and_its_records_name_the_failure(tmp_path: Path) -> None:
    clock = Clock()
    tree = PowercapTree(tmp_path)

    def find(settings: Settings, around: MeterContext, guard: Guard) -> Discovery:
        return discover(settings, dataclasses.replace(around, nvml=Unexpected(clock)), guard)

    platform = Platform(host=lambda: CLOUD_VM, discover=find, registry=tmp_path / "registry", environ={})
    log = tmp_path / "run.jsonl"
    with Tracker(platform=platform, log_file=log, console=False, region="FR", powercap_root=tree.root) as tracker:
        tracker.mark(epoch=0)
    start, epoch, stop = rows(log)
    assert {source["name"]: source["reason"] for source in start["sources"] if source["name"] == "NVML"} == {
        "NVML": "the binding is broken (RuntimeError)"
    }
    for record in (start, epoch, stop):
        assert record["failures"] == ["NVML: the binding is broken (RuntimeError)"]
    assert stop["joules"].keys() == {"cpu"}


# --- what cannot be read ----------------------------------------------------------------------------------------------


def test_accelerators_that_nothing_here_can_read_are_named(make: Callable[..., Machine]) -> None:
    machine = make()
    assert machine.discover(CLOUD_VM).not_covered == ()
    (machine.base / "dev").mkdir()
    (machine.base / "dev/kfd").touch()
    assert machine.discover(CLOUD_VM).not_covered == ("AMD GPU (ROCm)",)


def test_a_source_is_plain_values_in_a_record() -> None:
    gpu = Device("nvidia", 0, "GPU-a", "NVIDIA L4")
    source = Source(
        "NVML", "used", "0: NVIDIA L4", "a hint", {"gpu:GPU-a": "nvml-power"}, ("gpu",), (gpu,), ("nvml-power",)
    )
    assert source.to_dict() == {
        "name": "NVML",
        "used": True,
        "reason": "0: NVIDIA L4",
        "methods": {"gpu:GPU-a": "nvml-power"},
        "covers": ["gpu"],
        "status": "used",
        "measured": ["nvml-power"],
        "devices": [{"vendor": "nvidia", "index": 0, "uuid": "GPU-a", "name": "NVIDIA L4"}],
    }
    assert json.dumps(Source("NVML", "unavailable", "no driver").to_dict()) == (
        '{"name": "NVML", "used": false, "reason": "no driver", "methods": null, "covers": [], '
        '"status": "unavailable", "measured": [], "devices": []}'
    )


# --- what kind of reason ----------------------------------------------------------------------------------------------


def test_a_source_that_another_or_a_setting_replaces_is_displaced(make: Callable[..., Machine]) -> None:
    machine = make()
    machine.powercap.add_package(0)
    assert sources(machine.discover(BARE_METAL))["CPU model"].status == "displaced"
    for host, settings in ((BARE_METAL, {"cpu_model": "paper"}), (LXCFS, {})):
        rapl = sources(machine.discover(host, **settings))["RAPL"]
        assert (rapl.status, rapl.used) == ("displaced", False)


@pytest.mark.parametrize("code", [3, 4, 9])  # NVML_ERROR_NOT_SUPPORTED, NO_PERMISSION, DRIVER_NOT_LOADED
def test_a_source_that_cannot_be_used_is_unavailable_whatever_its_reason_sounds_like(
    make: Callable[..., Machine], code: int
) -> None:
    machine = make(FakeGpu("GPU-a"))
    machine.nvml.fail("nvmlInit", code)
    assert sources(machine.discover(CLOUD_VM))["NVML"].status == "unavailable"


def test_what_reads_hardware_is_named_and_so_are_its_devices(make: Callable[..., Machine]) -> None:
    machine = make(FakeGpu("GPU-a"), FakeGpu("GPU-b", counter=False))
    machine.powercap.add_package(0)
    found = sources(machine.discover(BARE_METAL))
    assert found["NVML"].measured == ("nvml-energy", "nvml-power")
    assert [(device.vendor, device.uuid) for device in found["NVML"].devices] == [
        ("nvidia", "GPU-a"),
        ("nvidia", "GPU-b"),
    ]
    assert (found["RAPL"].measured, found["RAPL"].devices) == (("rapl",), ())
    assert (found["RAM model"].measured, found["RAM model"].devices) == ((), ())
