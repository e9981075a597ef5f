"""The health of a session's GPUs: by segment, by epoch and in all, from looks that are a second apart."""

from __future__ import annotations

import collections
import math
import threading
from pathlib import Path
from typing import Any

import pytest
from nvml_meters import ENERGY, A, opened

from eco2ai_callbacks import Tracker
from eco2ai_callbacks.host.gpu_health import GpuLook
from eco2ai_callbacks.runlog.read import records
from eco2ai_callbacks.runlog.verify import verify
from eco2ai_callbacks.session.gpu_health import LOOK_S, HealthLedger
from eco2ai_callbacks.testing import Clock, FakeGpu, FakeMeter, FakeNvml, fake_platform
from eco2ai_callbacks.usage import Reading

CHANNEL = "gpu:GPU-a"


class Machine:
    """A GPU whose looks and joules a test states."""

    def __init__(self) -> None:
        self.t = self.joules = 0.0
        self.slowed_s = {"power cap": 0.0}
        self.ledger = HealthLedger(self.reading, lambda: True)

    @property
    def reading(self) -> Reading:
        return Reading(self.t, {CHANNEL: self.joules, "cpu": 3.0 * self.t})

    def spend(self, seconds: float, watts: float, slowed: float = 0.0) -> None:
        self.t += seconds
        self.joules += watts * seconds
        self.slowed_s = {"power cap": self.slowed_s["power cap"] + slowed * seconds}

    def look(self, busy: float | None = None, **fields: Any) -> None:
        look = GpuLook("GPU-a", 0, (CHANNEL,), self.t, busy, **fields)
        self.ledger.take(self.reading, [look])


def test_shares_and_idle_energy_are_those_of_the_time_that_the_looks_stand_for() -> None:
    machine = Machine()
    for busy, watts in ((1.0, 300.0), (0.5, 200.0), (0.0, 60.0), (0.0, 50.0)):
        machine.spend(1.0, watts)
        machine.look(busy, memory_busy=busy / 2, clock_mhz=1000 + 100 * busy, temperature_c=60 + 10 * busy)
    found = machine.ledger.mark(machine.reading)["GPU-a"]
    assert (found.seconds, found.busy, found.memory_busy, found.idle, found.idle_j) == (4.0, 0.375, 0.1875, 0.5, 110.0)
    assert (found.clock_mhz, found.temperature_c, found.hottest_c) == (1037.5, 63.75, 70.0)
    assert found.throttled is None


def test_a_mark_closes_a_segment_and_an_epoch_has_all_since_the_one_before() -> None:
    machine = Machine()
    shares = []
    for busy in (1.0, 0.0, 0.0):
        machine.spend(1.0, 100.0)
        machine.look(busy)
        shares.append(machine.ledger.mark(machine.reading)["GPU-a"].busy)
    assert shares == [1.0, 0.0, 0.0]
    recent = machine.ledger.recent()["GPU-a"]
    assert (recent.seconds, recent.idle_j) == (3.0, 200.0)
    assert machine.ledger.recent() == {}
    assert machine.ledger.total["GPU-a"] == recent


def test_a_segment_without_a_look_has_no_health_and_its_energy_is_in_no_other() -> None:
    machine = Machine()
    machine.spend(0.4, 1000.0)
    assert machine.ledger.mark(machine.reading) == {}
    machine.spend(0.6, 50.0)
    machine.look(0.0)
    found = machine.ledger.mark(machine.reading)["GPU-a"]
    assert (found.seconds, found.idle_j) == (pytest.approx(0.6), pytest.approx(30.0))


def test_a_look_after_a_long_time_says_nothing_of_it() -> None:
    machine = Machine()
    machine.spend(1.0, 100.0)
    machine.look(1.0)
    machine.spend(3600.0, 100.0)
    machine.look(0.0)
    assert machine.ledger.mark(machine.reading)["GPU-a"].idle == 0.0


def test_a_counter_that_moves_gives_the_share_and_one_that_stands_still_leaves_it_to_the_looks() -> None:
    cap = frozenset({"power cap"})
    still, moving = Machine(), Machine()
    for machine, slowed in ((still, 0.0), (moving, 0.25)):
        machine.look(1.0, reasons=frozenset(), slowed_s=machine.slowed_s)
        for reasons in (cap, cap, frozenset[str](), cap):
            machine.spend(1.0, 100.0, slowed)
            machine.look(1.0, reasons=reasons, slowed_s=machine.slowed_s)
    found = still.ledger.mark(still.reading)["GPU-a"]
    assert (found.throttled, found.throttle) == (0.75, {"power cap": 0.75})
    found = moving.ledger.mark(moving.reading)["GPU-a"]
    assert (found.throttled, found.throttle) == (0.25, {"power cap": 0.25})
    # From then on it is the counter that counts, also where it stands still.
    moving.spend(1.0, 100.0)
    moving.look(1.0, reasons=cap, slowed_s=moving.slowed_s)
    assert moving.ledger.mark(moving.reading)["GPU-a"].throttled == 0.0


@pytest.mark.parametrize("slowed", [1e3, -5.0], ids=["in another unit", "backwards"])
def test_a_counter_that_cannot_be_is_not_believed(slowed: float) -> None:
    machine = Machine()
    machine.look(1.0, reasons=frozenset(), slowed_s=machine.slowed_s)
    machine.spend(1.0, 100.0, slowed)
    machine.look(1.0, reasons=frozenset({"thermal limit"}), slowed_s=machine.slowed_s)
    assert machine.ledger.mark(machine.reading)["GPU-a"].throttle == {"thermal limit": 1.0}


def test_a_counter_alone_is_enough_and_a_driver_that_reports_neither_says_nothing() -> None:
    machine = Machine()
    machine.look(1.0, slowed_s=machine.slowed_s)
    machine.spend(2.0, 100.0, 0.5)
    machine.look(1.0, slowed_s=machine.slowed_s)
    assert machine.ledger.mark(machine.reading)["GPU-a"].throttled == 0.5
    machine.spend(1.0, 100.0)
    machine.look(1.0)
    assert machine.ledger.mark(machine.reading)["GPU-a"].throttled is None


def test_energy_that_could_not_be_read_is_no_idle_energy_of_0() -> None:
    machine = Machine()
    machine.t = 1.0
    machine.ledger.take(Reading(1.0, {"cpu": 3.0}), [GpuLook("GPU-a", 0, (CHANNEL,), 1.0, 0.0)])
    found = machine.ledger.mark(machine.reading)["GPU-a"]
    assert (found.idle, found.idle_j) == (1.0, None)


@pytest.mark.parametrize(("wanted", "period_s"), [(True, LOOK_S), (False, math.inf)])
def test_looks_are_taken_only_where_there_is_something_to_see(wanted: bool, period_s: float) -> None:
    assert HealthLedger(Reading(0.0), lambda: wanted).period_s == period_s


# --- in a session ---------------------------------------------------------------------------------------------------


def tick(run: Tracker, clock: Clock, seconds: int) -> None:
    """Let time pass, with the looks of the tracker's own thread."""
    for _ in range(seconds):
        clock.advance(1.0)
        session = run._lifetime.session
        assert session is not None
        run._lifetime._worker.run(session.sample, None)


def full(clock: Clock, **fields: Any) -> tuple[FakeNvml, FakeGpu]:
    gpu = FakeGpu(A, watts=300.0, load=(100, 40), clock_mhz=(1400, 1980), celsius=66, reasons=4, **fields)
    return FakeNvml(clock, gpu), gpu


def test_each_record_of_a_fit_has_its_own_and_the_log_holds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    nvml, gpu = full(clock)
    log = tmp_path / "log.jsonl"
    platform = fake_platform(clock, opened(nvml, clock))
    with Tracker(platform=platform, region="FR", log_file=log, scalars="all") as run:
        tick(run, clock, 30)
        gpu.load, gpu.watts, gpu.reasons = (0, 0), 60.0, 1
        run.enter("validate")
        tick(run, clock, 10)
        run.leave()
        report = run.end_epoch(0)
    assert verify(log).whole
    by_stage = [(r.event, r.stage, (r.gpu_health or {}).get(A, {}).get("busy")) for r in records(log)]
    assert by_stage == [
        ("start", "other", None),
        ("stage", "train", 1.0),
        ("stage", "validate", 0.0),
        ("epoch", "train", None),
        ("stop", "other", None),
    ]
    # An epoch's row holds all that was seen since the one before.
    assert {name: value for name, value in report.train.items() if "gpu_" in name and name != "eco2ai/gpu_kwh"} == {
        "eco2ai/gpu_busy": 0.75,
        "eco2ai/gpu_memory_busy": pytest.approx(0.3),
        "eco2ai/gpu_throttled": 0.75,
        "eco2ai/gpu_idle": 0.25,
        "eco2ai/gpu_clock_share": pytest.approx(1400 / 1980),
        "eco2ai/gpu_hottest_c": 66.0,
        "eco2ai/gpu_idle_kwh": pytest.approx(600 / 3.6e6),
    }
    line = capsys.readouterr().err
    assert "GPU 0: throttled 75% of the time (power cap) | GPU 0: idle 25% of the time, 167 mWh" in line


def test_a_mark_calls_the_driver_for_energy_alone_and_a_tick_six_times_more(tmp_path: Path) -> None:
    clock = Clock()
    nvml, _ = full(clock, slowed=(0.5, 0.0), limit_w=400.0)
    platform = fake_platform(clock, opened(nvml, clock))
    with Tracker(platform=platform, region="FR", log_file=tmp_path / "log.jsonl", console=False) as run:
        tick(run, clock, 1)
        nvml.calls.clear()
        for epoch in range(5):
            clock.advance(0.1)
            run.end_epoch(epoch)
        assert nvml.calls == {ENERGY: 5}
        nvml.calls.clear()
        tick(run, clock, 10)
        per_tick = collections.Counter({name: calls / 10 for name, calls in nvml.calls.items()})
        assert per_tick.pop(ENERGY) == 1
        assert sum(per_tick.values()) == 6


def test_without_a_gpu_nothing_is_looked_at_and_no_record_changes(tmp_path: Path) -> None:
    clock = Clock()
    log = tmp_path / "log.jsonl"
    meter = FakeMeter(clock, {"cpu": 10.0})
    platform = fake_platform(clock, meter)
    with Tracker(platform=platform, region="FR", log_file=log, console=False, scalars="all", heartbeat_s=0.0) as run:
        session = run._lifetime.session
        assert session is not None
        assert session.period_s == math.inf
        clock.advance(5.0)
        assert not [name for name in run.end_epoch(0).train if "gpu" in name]
    assert "gpu_health" not in log.read_text()


def test_a_meter_whose_look_raises_costs_no_energy_and_is_named_once(tmp_path: Path) -> None:
    class Broken(FakeMeter):
        looks = True

        def look(self) -> list[GpuLook]:
            raise ValueError("no such thing")

    clock = Clock()
    log = tmp_path / "log.jsonl"
    platform = fake_platform(clock, Broken(clock, {CHANNEL: 100.0}))
    with Tracker(platform=platform, region="FR", log_file=log, console=False) as run:
        tick(run, clock, 3)
    last = records(log)[-1]
    assert last.joules == {CHANNEL: 300.0}
    assert last.failures == ("GPU health: no such thing (ValueError)",)


def test_a_look_that_hangs_costs_no_mark_its_energy(tmp_path: Path) -> None:
    class Hanging(FakeMeter):
        looks = True
        hangs, go = threading.Event(), threading.Event()

        def look(self) -> list[GpuLook]:
            self.hangs.set()
            assert self.go.wait(30.0)
            return []

    clock = Clock()
    log = tmp_path / "log.jsonl"
    meter = Hanging(clock, {CHANNEL: 100.0})
    with Tracker(platform=fake_platform(clock, meter), region="FR", log_file=log, console=False) as run:
        assert meter.hangs.wait(30.0)
        clock.advance(5.0)
        usage = run.end_epoch(0).usage
        meter.go.set()
    assert usage.joules == {CHANNEL: 500.0}
    assert records(log)[-1].failures == ()
