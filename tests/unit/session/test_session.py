"""Reading, marking and closing, without a tracker."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from logcheck import rows

from eco2ai_callbacks import Tracker
from eco2ai_callbacks.distributed.messages import RankStart
from eco2ai_callbacks.guard import Guard
from eco2ai_callbacks.phases.ledger import LOOK_S
from eco2ai_callbacks.session.assembly import open_session
from eco2ai_callbacks.session.context import RunContext, propose_run
from eco2ai_callbacks.session.session import Session
from eco2ai_callbacks.session.worker import Worker
from eco2ai_callbacks.settings import resolve
from eco2ai_callbacks.testing import Clock, FakeMeter, fake_platform
from eco2ai_callbacks.usage import Reading, Usage

R = TypeVar("R")


def session(
    clock: Clock, meter: FakeMeter, *, heartbeat_s: float = 0.0, base: str = "other"
) -> tuple[Session, Callable[[Callable[[], R]], R | None]]:
    """Return a session, and what runs a call and writes its records."""
    platform, guard, context = fake_platform(clock, meter), Guard(), RunContext(base=base)
    settings = resolve({"region": "FR", "console": False, "heartbeat_s": heartbeat_s, "g_per_kwh": 360.0})
    with open_session(settings, platform, context, guard, propose_run(settings, platform, context)) as prepared:
        worker = Worker(guard)  # it is not started: its calls run here
        return prepared.begin([RankStart()], worker), lambda call: worker.run(call, None)


def test_a_mark_closes_the_time_since_the_last_and_reading_closes_nothing() -> None:
    clock = Clock()
    run, written = session(clock, FakeMeter(clock, {"cpu": 10.0}))
    clock.advance(2.0)
    assert run.read() == run.read() == Usage(2.0, {"cpu": 20.0}, 20.0 / 3.6e6 * 360.0)
    assert run.total == Usage()
    assert run.mark("stage", "test", None) == Usage(2.0, {"cpu": 20.0}, 20.0 / 3.6e6 * 360.0)
    assert run.total.joules == {"cpu": 20.0}
    written(lambda: run.stop("finished"))
    run.close()


def test_an_epoch_s_end_returns_its_training_its_validation_and_the_run() -> None:
    clock = Clock()
    run, written = session(clock, FakeMeter(clock, {"cpu": 10.0}))
    clock.advance(1.0)
    run.enter("train", 4)
    clock.advance(5.0)
    run.enter("validate", None)
    clock.advance(2.0)
    run.leave()
    clock.advance(0.5)
    ended = run.end_epoch(4, samples=8, tokens=None)
    assert (ended.epoch, ended.usage.seconds, ended.speaks) == (4, 0.5, True)
    assert ended.rank.train is not None
    assert ended.rank.validation is not None
    assert (ended.rank.train.seconds, ended.rank.validation.seconds, ended.rank.total.seconds) == (5.5, 2.0, 8.5)
    assert ended.rank.samples == 8
    assert ended.total["energy_kwh"] == run.total.energy_kwh
    assert ended.total["energy_band_kwh"][0] < run.total.energy_kwh
    written(lambda: run.stop("finished"))
    run.close()


def test_next_to_no_time_between_two_stages_is_left_for_what_follows() -> None:
    clock = Clock()
    run, written = session(clock, FakeMeter(clock, {"cpu": 10.0}))
    clock.advance(0.0005)
    assert run.enter("train", 0) == Usage()
    clock.advance(1.0)
    assert run.end_epoch(0, samples=None, tokens=None).usage.seconds == 1.0005
    written(lambda: run.stop("finished"))
    run.close()


def test_a_heartbeat_is_due_after_its_period_and_closes_nothing() -> None:
    clock = Clock()
    # The thread looks every 10 s: at 50 s the next look might come too late.
    run, written = session(clock, FakeMeter(clock, {"cpu": 10.0}, max_gap_s=10.0), heartbeat_s=60.0)

    def beat(t: float) -> int:
        written(lambda: run.heartbeat(Reading(t, {"cpu": 10.0 * t})))
        return sum(row["event"] == "heartbeat" for row in rows())

    assert [beat(t) for t in (0.0, 30.0, 50.0, 52.0, 100.0, 105.0)] == [0, 0, 0, 1, 1, 2]
    assert run.total == Usage()
    clock.advance(120.0)
    written(lambda: run.stop("finished"))
    run.close()


def test_without_heartbeats_none_is_written() -> None:
    clock = Clock()
    run, written = session(clock, FakeMeter(clock, {"cpu": 10.0}))
    written(lambda: run.heartbeat(Reading(1000.0, {"cpu": 1.0})))
    written(lambda: run.stop("interrupted"))
    run.close()
    assert [row["event"] for row in rows()] == ["start", "stop"]
    assert rows()[-1]["ended"] == "interrupted"


def test_a_note_adds_nothing_up() -> None:
    clock = Clock()
    run, written = session(clock, FakeMeter(clock, {"cpu": 10.0}))
    clock.advance(1.0)
    run.note("metrics", {"loss": 0.5}, 3)
    assert run.read().seconds == 1.0
    written(lambda: run.stop("finished"))
    run.close()
    assert (rows()[1]["event"], rows()[1]["epoch"], rows()[1]["joules"]) == ("metrics", 3, {})


def test_a_second_stop_writes_nothing_and_nothing_is_sampled_afterwards() -> None:
    clock = Clock()
    run, written = session(clock, FakeMeter(clock, {"cpu": 10.0}), heartbeat_s=1.0)
    for _ in range(2):
        written(lambda: run.stop("finished"))
        clock.advance(5.0)
        written(run.sample)
        run.close()
    assert [row["event"] for row in rows()] == ["start", "stop"]


def test_next_to_no_time_between_two_stages_reads_no_meter() -> None:
    clock = Clock()
    meter = FakeMeter(clock, {"cpu": 10.0})
    run, written = session(clock, meter)
    reads: list[float] = []
    read = meter.read
    meter.read = lambda: reads.append(clock()) or read()  # type: ignore[method-assign]
    run.enter("train", 0)
    assert reads == []
    clock.advance(1.0)
    run.enter("validate", None)
    assert len(reads) == 1
    written(lambda: run.stop("finished"))
    run.close()


def test_a_meter_that_must_be_read_more_often_from_now_on_is() -> None:
    clock = Clock()
    meter = FakeMeter(clock, {"cpu": 10.0})
    run, written = session(clock, meter, heartbeat_s=60.0)
    assert run.period_s == 60.0
    meter.max_gap_s = 5.0
    written(run.sample)
    assert run.period_s == 5.0
    meter.max_gap_s = 100.0
    written(lambda: run.mark("stage", "other", None))
    assert run.period_s == 60.0
    written(lambda: run.stop("finished"))
    run.close()


def test_what_a_gpu_used_is_split_at_each_look() -> None:
    clock, joules = Clock(), {"gpu:GPU-a": 0.0}
    meter = FakeMeter(clock, {"gpu:GPU-a": 0.0}, on_read=lambda _: dict(joules))
    run = Tracker(platform=fake_platform(clock, meter), region="FR", console=False, heartbeat_s=7.0).start()
    inside = run._lifetime.session
    assert inside is not None
    run.phase.switch("data")
    run.mark("stage", stage="other")
    assert inside.period_s == LOOK_S
    clock.advance(5.0)
    joules["gpu:GPU-a"] += 50.0
    inside.sample()
    run.phase.switch("train")
    clock.advance(5.0)
    joules["gpu:GPU-a"] += 1000.0
    inside.sample()
    run.mark()
    run.stop()
    phases = [(row["event"], row["phases"]) for row in rows() if row["phases"]]
    whole = {"train": [5.0, 1000.0], "data": [5.0, 50.0]}
    assert phases == [("heartbeat", whole), ("epoch", whole)]
