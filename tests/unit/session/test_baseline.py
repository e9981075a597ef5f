"""What the machine uses while it waits before a run, and the energy of a run above it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from nvml_meters import A, opened
from threaded_job import DEVICE, JOB, Job, draws

from eco2ai_callbacks import Tracker
from eco2ai_callbacks.guard import Guard
from eco2ai_callbacks.record import Record
from eco2ai_callbacks.runlog.read import records
from eco2ai_callbacks.runlog.verify import verify
from eco2ai_callbacks.session.baseline import Baseline, measure_baseline
from eco2ai_callbacks.session.context import RunContext
from eco2ai_callbacks.session.metering import Metering
from eco2ai_callbacks.session.presence import Presence
from eco2ai_callbacks.testing import Clock, FakeGpu, FakeMeter, FakeNvml, fake_platform
from eco2ai_callbacks.usage import Usage

IDLE = {"cpu": 10.0, "gpu:GPU-a": 50.0}
BUSY = {"cpu": 100.0, "gpu:GPU-a": 300.0}
KWH = 3.6e6


class Growing(FakeMeter):
    """A meter whose power may change: the joules so far stay."""

    def __init__(self, clock: Clock, watts: dict[str, float], **fields: Any) -> None:
        super().__init__(clock, watts, **fields)
        self.before = dict.fromkeys(watts, 0.0)

    def draw(self, watts: dict[str, float]) -> None:
        self.before = self.joules_now
        self._opened = self.clock()
        self.watts = watts

    @property
    def joules_now(self) -> dict[str, float]:
        return {channel: self.before[channel] + joules for channel, joules in super().joules.items()}

    def read(self) -> Any:
        self.reads += 1
        return self.joules_now


def fit(tmp_path: Path, meter: Growing, clock: Clock, **fields: Any) -> list[Record]:
    """100 s of training at full power after the wait, and 10 s at idle power."""
    log = tmp_path / "log.jsonl"
    settings = {"region": "FR", "log_file": log, "console": False, "baseline_s": 5, **fields}
    platform = fake_platform(clock, meter, sleep=settings.pop("sleep", clock.advance))
    with Tracker(platform=platform, **settings) as run:
        meter.draw(BUSY)
        clock.advance(100.0)
        run.end_epoch(0)
        meter.draw(IDLE)
        clock.advance(10.0)
    assert verify(log).whole
    return records(log)


def test_a_segment_s_energy_above_idle_is_what_it_used_beyond_the_waiting_machine() -> None:
    baseline = Baseline(5.0, {"cpu": 10.0, "gpu:a": 50.0})
    assert baseline.above_j(Usage(10.0, {"cpu": 300.0, "gpu:a": 1000.0})) == 700.0
    assert baseline.above_j(Usage(10.0, {"cpu": 90.0})) == -10.0
    assert baseline.above_j(Usage(10.0)) is None
    assert baseline.above_j(Usage(10.0, {"cpu": 300.0, "new": 1.0})) is None
    # A channel whose joules are of a longer time was idle for longer.
    assert baseline.above_j(Usage(10.0, {"cpu": 300.0}, beyond_s={"cpu": 5.0})) == 150.0
    assert baseline.of({"cpu"}) == Baseline(5.0, {"cpu": 10.0})


def test_records_hold_it_beside_their_energy_and_the_wait_is_no_part_of_the_run(tmp_path: Path) -> None:
    clock = Clock()
    began = clock()
    start, epoch, stop = fit(tmp_path, Growing(clock, IDLE), clock)
    assert clock() - began == pytest.approx(115.0)
    assert start.beside == {}
    assert epoch.joules == pytest.approx({"cpu": 10_000.0, "gpu:GPU-a": 30_000.0})
    assert epoch.beside == {"above_idle_kwh": pytest.approx((90 + 250) * 100.0 / KWH)}
    assert stop.beside == {"above_idle_kwh": pytest.approx(0.0)}
    assert stop.total is not None
    assert stop.total["seconds"] == pytest.approx(110.0)
    for record in (start, epoch, stop):
        assert record.basis == {"baseline": {"seconds": 5.0, "watts": pytest.approx(IDLE)}}
        assert record.failures == ()


def test_without_the_setting_nothing_waits_and_no_record_changes(tmp_path: Path) -> None:
    clock = Clock()

    def sleep(seconds: float) -> None:
        raise AssertionError(f"waits for {seconds} s")

    found = fit(tmp_path, Growing(clock, IDLE), clock, baseline_s=0, sleep=sleep)
    assert all(record.beside == {} and record.basis is None for record in found)
    assert "baseline" not in (tmp_path / "log.jsonl").read_text()


def test_an_evaluation_outside_of_a_fit_does_not_wait() -> None:
    clock = Clock()
    platform = fake_platform(clock, FakeMeter(clock, IDLE), sleep=lambda _: pytest.fail("waits"))
    run = Tracker(platform=platform, region="FR", log_file=None, console=False, baseline_s=5)
    run._lifetime.start(RunContext(alone=True))
    run.stop()


def test_a_power_that_is_sampled_is_read_as_often_as_it_must_be() -> None:
    clock = Clock()
    meter = FakeMeter(clock, IDLE, max_gap_s=0.5)
    Tracker(platform=fake_platform(clock, meter), log_file=None, console=False, baseline_s=5).start().stop()
    rare = FakeMeter(clock, IDLE)
    Tracker(platform=fake_platform(clock, rare), log_file=None, console=False, baseline_s=5).start().stop()
    assert (meter.reads - rare.reads, rare.reads >= 6) == (5, True)


def test_the_line_at_the_end_has_the_run_s_energy_above_idle(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = Clock()
    fit(tmp_path, Growing(clock, IDLE), clock, console=True)
    assert capsys.readouterr().err.endswith(" | 9.44 Wh of it above idle (60 W)\n")


# --- where the machine is not idle ----------------------------------------------------------------------------------


def refused(tmp_path: Path, clock: Clock, meter: Any, **platform: Any) -> str:
    """Start a run whose baseline is refused, and return why."""
    log = tmp_path / "log.jsonl"
    with Tracker(
        platform=fake_platform(clock, meter, **platform), region="FR", log_file=log, console=False, baseline_s=5
    ) as run:
        clock.advance(10.0)
        run.end_epoch(0)
    *_, last = records(log)
    assert (last.beside, last.basis) == ({}, None)
    assert last.total is not None
    assert last.total["energy_kwh"] > 0
    (failure,) = last.failures
    return failure


def test_a_process_that_computes_already_has_no_baseline(tmp_path: Path) -> None:
    clock = Clock()
    why = refused(tmp_path, clock, FakeMeter(clock, IDLE), cpu_ns=lambda: round(2.4e9 * clock()))
    assert why == "baseline: this process used 2.4 cores while it was measured, so energy above idle is not known"


def test_a_gpu_that_computes_already_has_no_baseline(tmp_path: Path) -> None:
    clock = Clock()
    meter = opened(FakeNvml(clock, FakeGpu(A, load=(43, 10))), clock)
    assert refused(tmp_path, clock, meter) == (
        "baseline: GPU 0 was busy for 43% of the time while it was measured, so energy above idle is not known"
    )


def test_a_gpu_that_another_run_measures_has_no_baseline_and_nothing_waits() -> None:
    clock, guard = Clock(), Guard()
    found = measure_baseline(
        5.0,
        Metering([FakeMeter(clock, IDLE)], guard, clock),
        Direct(),
        guard,
        sleep=lambda _: pytest.fail("waits"),
        cpu_ns=lambda: 0,
        others=("abc", "def"),
    )
    assert found is None
    assert guard.failures == ("baseline: run abc uses the same devices, so energy above idle is not known",)


def test_meters_that_do_not_answer_give_no_baseline() -> None:
    clock, guard = Clock(), Guard()
    metering = Metering([FakeMeter(clock, IDLE)], guard, clock)
    found = measure_baseline(5.0, metering, Stuck(), guard, sleep=clock.advance, cpu_ns=lambda: 0)
    assert found is None
    assert guard.failures == (
        "baseline: the meters did not answer while it was measured, so energy above idle is not known",
    )


def test_a_meter_that_fails_while_the_machine_waits_leaves_its_channel_without_a_baseline(tmp_path: Path) -> None:
    clock = Clock()
    lost = FakeMeter(clock, {"ram": 2.0}, name="lost")
    log = tmp_path / "log.jsonl"

    def sleep(seconds: float) -> None:
        clock.advance(seconds)
        lost.fault = OSError("away")

    platform = fake_platform(clock, FakeMeter(clock, {"cpu": 10.0}), lost, sleep=sleep)
    with Tracker(platform=platform, region="FR", log_file=log, console=False, baseline_s=5) as run:
        lost.fault = None
        clock.advance(10.0)
        run.end_epoch(0)
    epoch = records(log)[1]
    assert epoch.joules.keys() == {"cpu", "ram"}
    assert epoch.basis == {"baseline": {"seconds": 5.0, "watts": {"cpu": 10.0}}}
    assert epoch.beside == {}


class Direct:
    """Runs calls where they are made."""

    def run(self, fn: Callable[[], Any], default: Any, /) -> Any:
        return fn()

    def retire(self) -> None:
        raise AssertionError("ended")

    def join(self) -> None:
        raise AssertionError("ended")


class Stuck(Direct):
    """Does not return in time."""

    def run(self, fn: Callable[[], Any], default: Any, /) -> Any:
        return default


# --- a Ctrl-C ---------------------------------------------------------------------------------------------------------


def test_a_ctrl_c_while_it_waits_begins_nothing_and_leaves_nothing_open(tmp_path: Path) -> None:
    clock = Clock()
    meter = FakeMeter(clock, IDLE)
    before = threading.active_count()

    def sleep(seconds: float) -> None:
        raise KeyboardInterrupt

    log = tmp_path / "log.jsonl"
    run = Tracker(
        platform=fake_platform(clock, meter, sleep=sleep), region="FR", log_file=log, console=False, baseline_s=5
    )
    with pytest.raises(KeyboardInterrupt):
        run.start()
    assert meter.closed
    assert threading.active_count() == before
    assert not log.exists()
    assert run.stop() == Usage()


# --- ranks, and other runs --------------------------------------------------------------------------------------------


def test_each_rank_has_the_baseline_of_the_channels_that_it_counts(tmp_path: Path) -> None:
    def meters(rank: int, clock: Clock) -> list[FakeMeter]:
        return [draws(clock, {"cpu": (10.0 + rank, JOB), "gpu:GPU-a": (50.0, DEVICE)})]

    job = Job(2, meters, log_file=tmp_path / "log.jsonl", baseline_s=5).start()
    job.epoch(0, 100.0)
    job.all(lambda tracker, rank: tracker.stop())
    epochs = {record.rank: record for record in records(tmp_path / "log.jsonl") if record.event == "epoch"}
    watts = {rank: (record.basis or {})["baseline"]["watts"] for rank, record in epochs.items()}
    assert watts == {0: pytest.approx({"cpu": 10.0, "gpu:GPU-a": 50.0}), 1: pytest.approx({"cpu": 11.0})}
    assert [record.beside["above_idle_kwh"] for record in epochs.values()] == pytest.approx([0.0, 0.0], abs=1e-9)


def test_another_run_on_the_same_gpu_is_found_by_the_registry(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(Presence, "shared_with", lambda self: ("abc",))
    clock = Clock()
    why = refused(tmp_path, clock, FakeMeter(clock, IDLE), sleep=lambda _: pytest.fail("waits"))
    assert why == "baseline: run abc uses the same devices, so energy above idle is not known"


def test_a_run_around_waits_too_so_that_a_run_inside_has_its_baseline(tmp_path: Path) -> None:
    clock = Clock()
    platform = fake_platform(clock, FakeMeter(clock, IDLE))
    settings: Any = {"region": "FR", "console": False, "platform": platform}
    with (
        Tracker(log_file=tmp_path / "outer.jsonl", **settings),
        Tracker(log_file=tmp_path / "inner.jsonl", baseline_s=5, **settings),
    ):
        clock.advance(10.0)
    inner, outer = (records(tmp_path / f"{name}.jsonl")[-1] for name in ("inner", "outer"))
    assert inner.beside == {"above_idle_kwh": pytest.approx(0.0)}
    # The wait is a part of the run around.
    assert outer.total is not None
    assert outer.total["seconds"] == pytest.approx(15.0)
