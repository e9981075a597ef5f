"""A session is put together in one place, and whatever goes wrong on the way, every meter is closed."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from logcheck import rows

from eco2ai_callbacks import Tracker
from eco2ai_callbacks.distributed.messages import RankStart
from eco2ai_callbacks.guard import Guard
from eco2ai_callbacks.host.registry import Registry
from eco2ai_callbacks.meters.discovery import Discovery
from eco2ai_callbacks.meters.gpu.nvml import open_nvml
from eco2ai_callbacks.record import Record
from eco2ai_callbacks.runlog.aggregate import jobs
from eco2ai_callbacks.runlog.read import records
from eco2ai_callbacks.session.assembly import open_session
from eco2ai_callbacks.session.context import Platform, RunContext, propose_run
from eco2ai_callbacks.session.identity import Checkpoint
from eco2ai_callbacks.session.worker import Worker
from eco2ai_callbacks.settings import Settings, resolve
from eco2ai_callbacks.testing import CLOUD_VM, Clock, FakeGpu, FakeMeter, FakeNvml, fake_platform

QUIET = {"region": "FR", "heartbeat_s": 0.0, "console": False}


class Stop(BaseException):
    """As a KeyboardInterrupt: nothing catches it."""


class Spoilt(FakeMeter):
    """A meter of which one attribute cannot be read any more after the discovery."""

    def __init__(self, clock: Clock, attribute: str, error: BaseException) -> None:
        super().__init__(clock, {"ram": 1.0}, name="spoilt")
        self.attribute, self.error = attribute, error

    def __getattribute__(self, name: str) -> Any:
        if name not in ("attribute", "error", "__dict__") and name == self.__dict__.get("attribute"):
            raise self.error
        return super().__getattribute__(name)


def with_nvml(clock: Clock, *others: FakeMeter) -> tuple[FakeNvml, Platform]:
    """A platform whose first meter is NVML's: what it leaves open shows in the library."""
    nvml = FakeNvml(clock, FakeGpu("GPU-a", name="NVIDIA L4"))

    def discover(*_: object) -> Discovery:
        return Discovery((open_nvml("all", job_pids=tuple, clock=clock, library=nvml), *others), (), ())

    return nvml, fake_platform(clock, discover=discover)


@pytest.mark.parametrize("error", [RuntimeError("no"), Stop()], ids=["an error", "an interrupt"])
@pytest.mark.parametrize("attribute", ["devices", "methods", "max_gap_s", "covers", "read"])
def test_whatever_raises_before_the_first_reading_every_meter_is_closed(
    attribute: str, error: BaseException, tmp_path: Path
) -> None:
    clock = Clock()
    spoilt, beside = Spoilt(clock, attribute, error), FakeMeter(clock, {"cpu": 1.0})
    nvml, platform = with_nvml(clock, spoilt, beside)
    run = Tracker(platform=platform, **QUIET)
    if isinstance(error, Stop):
        with pytest.raises(Stop):
            run.start()
    else:
        run.start()
        run.stop()
    assert not nvml.initialised
    assert spoilt.__dict__["closed"]
    assert beside.closed
    assert Registry(CLOUD_VM.hash).living() == []
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("eco2ai")]


@pytest.mark.parametrize("failing", [1, 2])
def test_where_the_ranks_cannot_meet_every_meter_is_closed(failing: int) -> None:
    clock = Clock()
    nvml, platform = with_nvml(clock)
    calls = []

    def gather(message: object) -> list[object]:
        calls.append(message)
        if len(calls) == failing:
            raise ConnectionError("a rank is gone")
        return [message]

    with pytest.raises(ConnectionError):
        Tracker(platform=platform, **QUIET).start(RunContext(rank=(0, 2), gather=gather))
    assert not nvml.initialised


def test_a_sink_that_was_opened_is_closed_too() -> None:
    class Keeps:
        name = "keeps"
        closed = 0

        def write(self, record: Record) -> None: ...

        def close(self) -> None:
            self.closed += 1

    clock, keeps = Clock(), Keeps()
    spoilt = Spoilt(clock, "devices", RuntimeError("no"))
    Tracker(platform=fake_platform(clock, spoilt, sources=(), sinks=(lambda *_: keeps,)), **QUIET).start().stop()
    assert keeps.closed == 1


def opened(
    clock: Clock, *meters: FakeMeter, context: RunContext | None = None, **settings: Any
) -> tuple[Any, Settings, Guard]:
    platform, guard = fake_platform(clock, *meters), Guard()
    resolved = resolve({**QUIET, **settings})
    context = context or RunContext()
    run = propose_run(resolved, platform, context)
    return open_session(resolved, platform, context, guard, run), resolved, guard


def test_what_was_not_begun_leaves_no_trace() -> None:
    clock = Clock()
    meter = FakeMeter(clock, {"cpu": 1.0})
    prepared, _, guard = opened(clock, meter)
    with prepared:
        assert not meter.closed
    assert meter.closed
    assert meter.reads == 0
    assert not Path("eco2ai.jsonl").exists()
    assert Registry(CLOUD_VM.hash).living() == []
    assert guard.failures == ()


def test_what_has_begun_is_the_sessions_to_close() -> None:
    clock = Clock()
    meter = FakeMeter(clock, {"cpu": 10.0})
    prepared, _, guard = opened(clock, meter)
    worker = Worker(guard)
    with prepared:
        session = prepared.begin([prepared.start], worker)
    assert not meter.closed
    clock.advance(2.0)
    worker.run(lambda: session.stop("finished"), None)
    session.close()
    assert meter.closed
    assert session.total.joules == {"cpu": 20.0}
    assert [row["event"] for row in rows()] == ["start", "stop"]


def test_a_rank_sends_what_the_others_must_know() -> None:
    clock = Clock(7.0)
    prepared, _, _ = opened(clock, FakeMeter(clock, {"gpu:GPU-a": 1.0}), context=RunContext(rank=(2, 3)))
    with prepared:
        start = prepared.start
    assert isinstance(start, RankStart)
    assert start.entry is not None
    assert (start.entry.rank, start.entry.devices, start.entry.channels) == (2, ("GPU-a",), ("gpu:GPU-a",))


@pytest.mark.parametrize("rank", [0, 1])
@pytest.mark.parametrize("whose", [None, 0, 1], ids=["the job's", "rank 0's", "rank 1's"])
@pytest.mark.parametrize("gather", [None, lambda message: [message] * 2], ids=["each for itself", "together"])
def test_what_a_checkpoint_alone_knows_is_counted_by_one_rank(
    gather: Callable[[Any], list[Any]] | None, whose: int | None, rank: int
) -> None:
    clock = Clock()
    context = RunContext(checkpoint=Checkpoint("r", 1.0, 0.5, 60.0, whose), rank=(rank, 2), gather=gather)
    prepared, _, _ = opened(clock, FakeMeter(clock, {"cpu": 10.0}), context=context)
    with prepared:
        session = prepared.begin([prepared.start] * 2, Worker(Guard()))
    counts = rank == (0 if gather is not None else whose or 0)
    assert session.total.energy_kwh == (1.0 if counts else None)
    session.close()


@pytest.mark.parametrize("lost", [False, True], ids=["with the log", "where the log is lost"])
def test_ranks_that_exchange_nothing_resume_without_counting_each_other_again(lost: bool) -> None:
    """The first rank writes the checkpoint, and both restore it."""
    clock = Clock()
    watts = (10.0, 2.0)

    def fit(rank: int, checkpoint: Checkpoint | None, seconds: float) -> Tracker:
        platform = fake_platform(clock, FakeMeter(clock, {"cpu": watts[rank]}))
        settings = {} if checkpoint else {"run_id": "job"}
        run = Tracker(platform=platform, **QUIET, **settings).start(RunContext(rank=(rank, 2), checkpoint=checkpoint))
        clock.advance(seconds)
        run.stop()
        return run

    first = fit(0, None, 100.0)
    fit(1, None, 100.0)
    assert first.checkpoint is not None
    saved = Checkpoint.from_dict(first.checkpoint.to_dict())
    assert saved is not None
    assert saved.rank == 0
    if lost:
        Path("eco2ai.jsonl").unlink()
    for rank in range(2):
        fit(rank, saved, 10.0)
    total = jobs(records(Path("eco2ai.jsonl")))["job"].total.total_j
    assert total == pytest.approx(1000.0 + (0.0 if lost else 200.0) + 100.0 + 20.0)
    carried = [row["carried"] for row in rows() if row["event"] == "start"]
    assert [each is not None for each in carried] == ([True, False] if lost else [False] * 4)
