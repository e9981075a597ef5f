"""Which sources of the processor's energy open on which machine, and what they then count."""

from __future__ import annotations

import dataclasses
import errno
import math
import os
from pathlib import Path
from typing import Any

import pytest
from calibrations import CPU_ENTRY, MACHINE, write
from proc_tree import ProcTree

from eco2ai_callbacks.calibration.store import user_file
from eco2ai_callbacks.errors import MeterUnavailable
from eco2ai_callbacks.host.machine import Host
from eco2ai_callbacks.meters.cpu.busy import JobBusy
from eco2ai_callbacks.meters.cpu.sources import CpuSources, topmost, unseen
from eco2ai_callbacks.meters.exclusive import ExclusiveMeter
from eco2ai_callbacks.meters.meter import Meter
from eco2ai_callbacks.settings import Settings
from eco2ai_callbacks.testing import BARE_METAL, CLOUD_VM, Clock, PowercapTree

GVISOR = dataclasses.replace(CLOUD_VM, sandbox="gVisor")
LXCFS = dataclasses.replace(BARE_METAL, lxcfs=True)
NAMELESS = dataclasses.replace(BARE_METAL, cpu_name="", cpu_vendor="")


class Machine:
    """A machine in a folder whose job is process 100; 12 threads, 4 of them busy, 2 with the job."""

    def __init__(self, base: Path) -> None:
        self.clock = Clock()
        self.proc = ProcTree(base)
        self.tree = PowercapTree(base)
        self.package = self.tree.add_package(0)
        self.proc.put(100, 1)
        self.seconds = 0.0

    def sources(self, host: Host, *, scope: str = "process", **settings: Any) -> CpuSources:
        job = JobBusy(100, self.proc.root, clock=self.clock) if scope == "process" else None
        wanted = Settings(scope=scope, powercap_root=self.tree.root, **settings)
        return CpuSources(wanted, host, job, self.proc.root, self.clock)

    def counters(self, host: Host = BARE_METAL, **settings: Any) -> Meter:
        return next(self.sources(host, **settings).counters())[0]

    def work(self, *spans: float) -> None:
        for seconds in spans:
            self.seconds += seconds
            self.clock.advance(seconds)
            self.proc.machine(user=round(400 * self.seconds))
            self.proc.put(100, 1, user=round(200 * self.seconds))
            self.tree.advance(self.package, 50.0 * seconds)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_counters_are_split_by_an_idle_floor(machine: Machine) -> None:
    meter = machine.counters()
    machine.work(10.0)
    # Load 1/3: idle power is 0.10 / (0.10 + 0.64 x (1/3 - 0.01)^0.55) = 22.4 % of it, of which 2 of 12 threads.
    idle_w = 50.0 * 0.10 / (0.10 + 0.64 * (1 / 3 - 0.01) ** 0.55)
    figure = meter.read()["cpu"]
    assert figure == pytest.approx(10 * ((50.0 - idle_w) / 2 + idle_w / 6))
    method = meter.methods["cpu"]
    assert method.name == "rapl"
    assert method.high * figure == pytest.approx(10 * 25.0 * 1.05)
    assert method.low < 0.95


@pytest.mark.parametrize("allowed", [12.0, 3.0], ids=["whole", "container"])
def test_the_machine_s_model_takes_over_with_the_job_s_part_of_it(machine: Machine, allowed: float) -> None:
    meter = machine.counters(dataclasses.replace(BARE_METAL, allowed_threads=allowed))
    machine.work(10.0)
    before = meter.read()["cpu"]
    machine.tree.deny()
    for _ in range(3):
        machine.work(1.0)
        figure = meter.read()["cpu"]
    # The counter's attribution goes on: active by the job's half of the load, idle by 2 of 12 threads.
    curve = 0.64 * (4 / 12) ** 0.55
    assert figure - before == pytest.approx(3 * 65 * (curve / 2 + 0.10 / 6))
    assert meter.methods["cpu"].name == "cpu-model:bare"
    assert meter.methods["cpu"].attribution == "job's process tree"


def test_the_user_s_own_power_is_the_one_that_takes_over(machine: Machine) -> None:
    meter = machine.counters(scope="machine", cpu_tdp_w=200.0)
    machine.tree.deny()
    for _ in range(3):
        machine.work(1.0)
        meter.read()
    assert meter.read()["cpu"] == pytest.approx(3 * 200 * (0.64 * (4 / 12) ** 0.55 + 0.10))
    assert meter.methods["cpu"].attribution == "whole machine"


@pytest.mark.parametrize("host", [NAMELESS, CLOUD_VM], ids=["unknown processor", "guest"])
def test_whole_servers_watts_take_no_processor_s_place(machine: Machine, host: Host) -> None:
    """They hold the memory, which the memory's own meter counts."""
    meter = machine.counters(host)
    machine.tree.break_(machine.package, error=errno.EIO)
    for _ in range(2):
        machine.work(1.0)
        meter.read()
    machine.work(1.0)
    with pytest.raises(FileNotFoundError):
        meter.read()


def test_memory_that_stands_at_0_is_named(machine: Machine) -> None:
    machine.tree.add_dram(machine.package, energy_uj=0)
    ((_, detail),) = machine.sources(BARE_METAL).counters()
    assert detail == f"energy counters in {machine.tree.root}; package-0 dram (stands at 0) not used"


# -- Views of a machine that are none.


@pytest.mark.parametrize(("host", "view"), [(LXCFS, "lxcfs"), (GVISOR, "gVisor")], ids=["lxcfs", "gVisor"])
def test_a_counter_of_a_machine_whose_load_is_hidden_is_not_shared_out(machine: Machine, host: Host, view: str) -> None:
    with pytest.raises(MeterUnavailable, match=f"under {view} the load is the container's") as caught:
        machine.counters(host)
    assert not caught.value.wanted
    meter = machine.counters(host, scope="machine")
    machine.work(2.0)
    assert meter.read() == {"cpu": pytest.approx(100.0)}


def test_a_sandbox_as_a_whole_is_what_its_processes_use(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """gVisor's /proc/stat counts nothing: all that it can be is the load of the processes that are shown."""
    proc = machine.proc
    proc.put(1, 0)
    proc.put(7, 1, user=50)  # the one that measures; another runs beside it
    monkeypatch.setattr(os, "getpid", lambda: 7)
    ((meter, _),) = machine.sources(GVISOR, scope="machine").model()
    machine.clock.advance(10.0)
    proc.put(7, 1, user=350)
    proc.put(100, 1, user=500)
    # 3 and 5 busy seconds x (2.02 - 0.45) W, and two idle threads x 0.45 W.
    assert meter.read()["cpu"] == pytest.approx(8 * 1.57 + 2 * 10 * 0.45)


def test_what_a_sandbox_hides_is_named_where_the_whole_machine_is_asked_for() -> None:
    assert unseen(GVISOR, "machine") == ("CPU load outside of this gVisor sandbox",)
    assert unseen(GVISOR, "process") == unseen(CLOUD_VM, "machine") == ()


def test_the_topmost_ancestor_is_the_last_that_procfs_shows(tmp_path: Path) -> None:
    proc = ProcTree(tmp_path)
    proc.put(1, 0)
    proc.put(5, 1, name="a (b) c")
    proc.put(9, 5)
    assert topmost(9, proc.root) == topmost(1, proc.root) == 1
    proc.put(30, 0)  # entered from outside, as by docker exec
    proc.put(31, 30)
    proc.put(41, 40)  # whose parent is hidden
    assert (topmost(31, proc.root), topmost(41, proc.root), topmost(77, proc.root)) == (30, 41, 77)


# -- Several ranks.


def test_what_takes_over_a_machine_s_counter_is_counted_by_the_rank_that_counted_it(machine: Machine) -> None:
    taken: dict[str, float] = {"cpu": -math.inf}  # by rank 0
    first, second = (
        ExclusiveMeter(machine.counters(scope="machine"), owner.get, machine.clock) for owner in ({}, taken)
    )

    def both(*spans: float) -> tuple[float, float]:
        for seconds in spans:
            machine.work(seconds)
            found = first.read().get("cpu", 0.0), second.read().get("cpu", 0.0)
        return found

    assert both(4.0) == (pytest.approx(200.0), 0.0)
    machine.tree.deny()
    model_w = 65 * (0.64 * (4 / 12) ** 0.55 + 0.10)
    assert both(1.0, 1.0, 1.0) == (pytest.approx(200.0 + 3 * model_w), 0.0)
    assert first.methods["cpu"].name == "cpu-model:bare"
    assert second.methods == {}
    taken.clear()  # rank 0 has ended: from its next reading on, rank 1 counts the same machine
    assert both(1.0)[1] == 0.0
    assert both(2.0)[1] == pytest.approx(2 * model_w)
    assert second.methods["cpu"].name == "cpu-model:bare"


def test_ranks_that_share_a_counter_share_the_model_that_takes_over(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    machine.proc.put(200, 1)
    jobs = [JobBusy(pid, machine.proc.root, clock=machine.clock) for pid in (100, 200)]
    settings = Settings(powercap_root=machine.tree.root)
    ranks = [
        next(CpuSources(settings, BARE_METAL, job, machine.proc.root, machine.clock).counters())[0] for job in jobs
    ]
    whole = machine.counters(scope="machine")
    for second in range(1, 11):
        if second == 5:
            machine.tree.deny()
        machine.work(1.0)
        machine.proc.put(200, 1, user=100 * second)
        parts = [rank.read()["cpu"] for rank in ranks]
        assert 0 <= sum(parts) <= whole.read()["cpu"] * (1 + 1e-9)
        assert parts[0] == pytest.approx(2 * parts[1])
    assert [rank.methods["cpu"].name for rank in ranks] == ["cpu-model:bare"] * 2


# --- the machine's own calibration ------------------------------------------------------------------------------------

# As read where sysfs shows neither a governor nor turbo.
PLAIN = dataclasses.replace(CPU_ENTRY, machine=dataclasses.replace(MACHINE, governor="", turbo=""))


@pytest.fixture
def calibrated(machine: Machine, tmp_path: Path) -> Machine:
    write(user_file(tmp_path), PLAIN)
    return machine


def model(machine: Machine, host: Host = BARE_METAL, **settings: Any) -> tuple[str, str]:
    sources = dataclasses.replace(machine.sources(host, **settings), root=machine.proc.root.parent)
    [(meter, detail)] = sources.model()
    return meter.methods["cpu"].name, detail


def test_a_machine_that_was_calibrated_is_estimated_by_its_own_power(calibrated: Machine) -> None:
    assert model(calibrated)[0] == "cpu-model:calibrated"
    # A container's part too: the machine's busy time and its power are known, and the job's share of both.
    assert model(calibrated, dataclasses.replace(BARE_METAL, allowed_threads=3.0))[0] == "cpu-model:calibrated"


@pytest.mark.parametrize(
    ("settings", "method"),
    [
        ({"cpu_model": "paper"}, "cpu-model:paper"),
        ({"cpu_tdp_w": 100.0}, "cpu-model:bare"),
        ({"cpu_threads": 12}, "cpu-model:bare"),
    ],
    ids=["paper", "power", "threads"],
)
def test_the_user_s_figures_come_before_a_calibration(
    calibrated: Machine, settings: dict[str, Any], method: str
) -> None:
    assert model(calibrated, **settings)[0] == method


def test_one_that_no_longer_matches_is_not_used_and_named(machine: Machine, tmp_path: Path) -> None:
    write(user_file(tmp_path), CPU_ENTRY)
    name, detail = model(machine)
    assert name == "cpu-model:bare"
    assert "; its calibration is not used: governor is '', was 'performance', turbo is '', was 'on'" in detail


def test_a_damaged_store_costs_nothing_but_itself(machine: Machine, tmp_path: Path) -> None:
    write(user_file(tmp_path), "{", CPU_ENTRY.line()[:100])
    assert model(machine)[0] == "cpu-model:bare"


def test_counters_that_are_lost_are_replaced_by_the_calibrated_power(calibrated: Machine) -> None:
    sources = dataclasses.replace(calibrated.sources(BARE_METAL, scope="machine"), root=calibrated.proc.root.parent)
    meter = next(sources.counters())[0]
    calibrated.work(10.0)
    meter.read()
    calibrated.tree.deny()
    calibrated.work(5.0, 5.0)
    meter.read()
    assert "cpu-model:calibrated" in meter.methods["cpu"].name


def test_a_guest_s_counters_that_move_are_measured_with_a_wider_band(machine: Machine) -> None:
    meter = machine.counters(CLOUD_VM, scope="machine")
    machine.work(10.0)
    meter.read()
    method = meter.methods["cpu"]
    assert (method.name, method.measured, method.low, method.high) == ("rapl", True, pytest.approx(1 / 3), 1.5)
