"""A run whose energy counters are lost on the way: each record names what counted, and nothing counts twice."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from logcheck import rows
from proc_tree import ProcTree

from eco2ai_callbacks import Tracker
from eco2ai_callbacks.guard import Guard
from eco2ai_callbacks.host.machine import Host
from eco2ai_callbacks.meters.cpu.busy import JobBusy
from eco2ai_callbacks.meters.discovery import Discovery, MeterContext, discover
from eco2ai_callbacks.session.context import Platform
from eco2ai_callbacks.settings import Settings
from eco2ai_callbacks.testing import BARE_METAL, CLOUD_VM, Clock, PowercapTree

# 65 W of the Core i7-8700, 2 of 12 threads busy, all with the job: active x 1, idle x 2/12.
MODEL_W = 65 * (0.64 * (2 / 12) ** 0.55 + 0.10 * 2 / 12)


class Machine:
    """A machine whose package draws 60 W, of which the job's two busy threads are all the load."""

    def __init__(self, base: Path) -> None:
        self.base, self.clock = base, Clock()
        self.proc, self.tree = ProcTree(base), PowercapTree(base)
        self.package = self.tree.add_package(0)
        self.seconds = 0.0

    def work(self, *spans: float) -> None:
        for seconds in spans:
            self.seconds += seconds
            self.clock.advance(seconds)
            self.proc.put(100, 1, user=round(200 * self.seconds))
            self.proc.machine(user=round(200 * self.seconds))
            self.tree.advance(self.package, 60.0 * seconds)

    def tracker(self, host: Host = BARE_METAL, **settings: Any) -> Tracker:
        self.proc.put(100, 1)

        def find(wanted: Settings, around: MeterContext, guard: Guard) -> Discovery:
            job = around.job and JobBusy(100, self.proc.root, clock=self.clock)
            around = dataclasses.replace(around, proc=self.proc.root, root=self.base, job=job)
            return discover(wanted, around, guard)

        platform = Platform(
            clock=self.clock,
            host=lambda: host,
            discover=find,
            environ={},
            root=self.base,
            registry=self.base / "registry",
        )
        wanted: dict[str, Any] = {"region": "FR", "gpus": (), "heartbeat_s": 0.0, "console": False}
        wanted["powercap_root"] = self.tree.root
        return Tracker(platform=platform, **(wanted | settings))


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    monkeypatch.chdir(tmp_path)
    return Machine(tmp_path)


def log(path: str = "eco2ai.jsonl") -> list[dict[str, Any]]:
    return rows(Path(path))


def test_every_record_names_what_counted_and_the_totals_hold_both(machine: Machine) -> None:
    with machine.tracker() as run:
        machine.work(10.0)
        counted = run.mark(epoch=0).joules["cpu"]
        machine.tree.deny()
        machine.work(1.0)
        waiting = run.mark(epoch=1).joules["cpu"]
        machine.work(1.0)
        run.mark(epoch=2)
        machine.work(1.0)
        seam = run.mark(epoch=3).joules["cpu"]
        machine.work(5.0)
        modelled = run.mark(epoch=4).joules["cpu"]
    assert 0 < counted < 600
    assert waiting == pytest.approx(MODEL_W)  # the counter may still come back and tell more exactly
    assert seam == pytest.approx(MODEL_W)
    assert modelled == pytest.approx(5 * MODEL_W)
    records = log()
    names = {record["epoch"]: record["method"].get("cpu") for record in records if record["event"] == "epoch"}
    assert names == {0: "rapl"} | dict.fromkeys((1, 2, 3, 4), "cpu-model:bare")
    shares = {record["epoch"]: record["measured_share"] for record in records if record["event"] == "epoch"}
    assert shares[0] > 0.9
    assert shares[4] == 0.0
    said = (
        "RAPL: package-0 was given up after 3 failed reads: from 10.0 s after the start on the CPU model counts in its "
        "place"
    )
    for record in records:
        if record["epoch"] in (3, 4):
            assert said in record["failures"]
            assert record["covers"]["cpu"] == ["cpu"]
    joules = sum(record["joules"].get("cpu", 0.0) for record in records if record["event"] in ("epoch", "stop"))
    assert joules == pytest.approx(counted + 8 * MODEL_W)


def test_a_range_that_is_too_small_costs_a_run_nothing(machine: Machine) -> None:
    machine.tree.reset(machine.package, 65_532_000_000)
    (machine.tree.root / machine.package / "max_energy_range_uj").write_text("65532610987\n")
    with machine.tracker(scope="machine", heartbeat_s=0.0) as run:
        machine.work(5.0)
        for epoch in range(20):
            machine.work(5.0)
            run.mark(epoch=epoch)
        assert run.read().joules["cpu"] == 0.0
        total = run.total.joules["cpu"]
    assert total == pytest.approx(105 * 60.0)
    names = [record["method"]["cpu"] for record in log() if record["event"] == "epoch"]
    assert names == ["cpu-model:bare"] * 3 + ["rapl"] * 17


def test_memory_that_never_moves_is_absent_and_named(machine: Machine) -> None:
    machine.tree.add_dram(machine.package)
    with machine.tracker() as run:
        for epoch in range(5):
            machine.work(4.0)
            run.mark(epoch=epoch)
    records = log()
    assert all("ram" not in record["joules"] for record in records)
    assert "RAPL: no energy counter can be read any more: package-0 dram stands still" in records[-1]["failures"]


def test_memory_that_stands_at_0_is_the_model_s(machine: Machine) -> None:
    machine.tree.add_dram(machine.package, energy_uj=0)
    machine.proc.memory(100, resident=300_000, shared=0)
    with machine.tracker() as run:
        machine.work(4.0)
        usage = run.mark(epoch=0)
    assert usage.joules["ram"] > 0
    assert [record["method"]["ram"] for record in log()[:2]] == ["ram-model"] * 2


def test_a_sandbox_names_what_a_whole_machine_s_figure_lacks(machine: Machine) -> None:
    host = dataclasses.replace(CLOUD_VM, sandbox="gVisor")
    with machine.tracker(host, scope="machine", powercap_root="none") as run:
        machine.work(1.0)
        run.mark(epoch=0)
    assert all(record["not_covered"] == ["CPU load outside of this gVisor sandbox"] for record in log())


def test_a_guest_s_counters_are_used(machine: Machine) -> None:
    with machine.tracker(CLOUD_VM, scope="machine") as run:
        machine.work(4.0)
        assert run.mark(epoch=0).joules["cpu"] == pytest.approx(240.0)
    epoch = log()[1]
    assert epoch["method"]["cpu"] == "rapl"
    assert epoch["band"]["cpu"] == [pytest.approx(80.0), pytest.approx(360.0)]
