"""A tracker's session is opened once, used by one thread at a time, and closed once."""

from __future__ import annotations

import os
import threading
from typing import Any

import pytest
from fake_call import FakeCall
from logcheck import rows

from eco2ai_callbacks.distributed.job import JobTotals
from eco2ai_callbacks.errors import Eco2AIError
from eco2ai_callbacks.guard import Guard
from eco2ai_callbacks.session import gpu_work
from eco2ai_callbacks.session.context import RunContext
from eco2ai_callbacks.session.lifetime import Lifetime
from eco2ai_callbacks.settings import resolve
from eco2ai_callbacks.testing import Clock, FakeMeter, fake_platform


def lifetime(clock: Clock, *meters: FakeMeter, **settings: Any) -> tuple[Lifetime, Guard]:
    guard = Guard()
    resolved = resolve({"region": "FR", "heartbeat_s": 0.0, "console": False, **settings})
    return Lifetime(resolved, fake_platform(clock, *meters), guard, JobTotals(guard)), guard


def test_nothing_is_called_before_the_start() -> None:
    life, _ = lifetime(Clock())
    assert not life.started
    assert not life.call_is_running
    with pytest.raises(Eco2AIError, match=r"^mark\(\) was called before start\(\)$"):
        life.call("mark", lambda session: 1, 0)


def test_between_start_and_end_a_call_gets_the_session_and_afterwards_the_default() -> None:
    clock = Clock()
    life, _ = lifetime(clock, FakeMeter(clock, {"cpu": 10.0}))
    run = life.start(RunContext())
    assert life.running
    assert life.call("read", lambda session: session.identity.id, "") == run.run
    life.end("finished")
    assert life.call("read", lambda session: session.identity.id, "") == ""
    assert (life.running, life.ending, life.started) == (False, True, True)


def test_what_raises_inside_is_recorded_and_gives_the_default() -> None:
    clock = Clock()
    life, guard = lifetime(clock)
    life.start(RunContext())
    assert life.call("read", lambda session: 1 / 0, 7) == 7
    life.end("finished")
    assert guard.failures == ("tracker: division by zero (ZeroDivisionError)",)


def test_the_thread_goes_on_while_a_mark_waits_for_the_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    read_often = threading.Event()
    meter = FakeMeter(clock, {"gpu:GPU-a": 300.0}, max_gap_s=0.01)
    since: list[int] = []

    def wait_for_the_gpu() -> None:
        since.append(meter.reads)
        assert read_often.wait(30)

    def count(joules: dict[str, float]) -> dict[str, float]:
        if since and meter.reads > since[-1] + 5:
            read_often.set()
        return joules

    meter.on_read = count
    life, guard = lifetime(clock, meter)
    life.start(RunContext())
    monkeypatch.setattr(gpu_work, "synchronize", wait_for_the_gpu)
    life.call("mark", lambda session: session.mark("epoch", "train", 0), None)
    monkeypatch.setattr(gpu_work, "synchronize", lambda: None)
    life.end("finished")
    assert guard.failures == ()
    assert len(since) == 1  # reading and writing wait for nothing


def test_only_what_closes_a_segment_waits_for_the_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    life, _ = lifetime(clock)
    life.start(RunContext())
    waited: list[int] = []
    monkeypatch.setattr(gpu_work, "synchronize", lambda: waited.append(1))
    life.call("read", lambda session: session.read(), None, marks=False)
    assert waited == []
    life.call("enter", lambda session: session.enter("train", 0), None)
    assert waited == [1]
    life.end("finished")


def test_calls_of_several_threads_come_one_after_the_other() -> None:
    clock = Clock()
    life, _ = lifetime(clock)
    life.start(RunContext())
    inside: list[int] = []
    seen: list[int] = []

    def use(session: object) -> None:
        inside.append(1)
        seen.append(len(inside))
        inside.pop()

    threads = [threading.Thread(target=lambda: [life.call("read", use, None) for _ in range(200)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    life.end("finished")
    assert seen == [1] * 800


def test_a_second_end_changes_nothing() -> None:
    clock = Clock()
    life, _ = lifetime(clock, FakeMeter(clock, {"cpu": 10.0}))
    life.start(RunContext())
    life.end("finished")
    life.end("interrupted")
    assert [row["ended"] for row in rows() if row["event"] == "stop"] == ["finished"]


def test_a_process_that_has_not_started_does_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    meter = FakeMeter(clock, {"cpu": 10.0})
    life, _ = lifetime(clock, meter)
    life.start(RunContext())
    with monkeypatch.context() as child:
        pid = os.getpid() + 1
        child.setattr("os.getpid", lambda: pid)  # as in a forked child
        assert life.call("read", lambda session: 1, 0) == 0
        life.end("finished")
        life.show_summary()
    assert not meter.closed
    assert life.running
    life.end("finished")


def test_whether_the_call_goes_on_is_what_the_context_says() -> None:
    clock, call = Clock(), FakeCall()
    life, _ = lifetime(clock)
    life.start(RunContext(call=call))
    assert life.call_is_running
    call.end(reported=False)
    assert not life.call_is_running
    life.end("interrupted")


def test_the_end_of_a_call_that_no_hook_reports_ends_the_session() -> None:
    clock, call = Clock(), FakeCall()
    life, guard = lifetime(clock)
    life.start(RunContext(call=call))
    (thread,) = [thread for thread in threading.enumerate() if thread.name == "eco2ai"]
    call.end()
    thread.join(30)
    assert call.forgotten
    assert [row["ended"] for row in rows() if row["event"] == "stop"] == ["interrupted"]
    assert guard.failures == ()


def test_a_start_first_closes_the_trackers_of_this_process_whose_call_is_over() -> None:
    clock, over, runs = Clock(), FakeCall(), FakeCall()
    ended, (outer, _) = lifetime(clock)[0], lifetime(clock)
    ended.start(RunContext(call=over))
    outer.start(RunContext(call=runs))
    over.end(reported=False)
    inner, _ = lifetime(clock)
    inner.start(RunContext())
    assert (ended.ending, outer.running, inner.running) == (True, True, True)
    inner.end("finished")
    outer.end("finished")
    runs_of = {row["writer"]: row["run"] for row in rows()}
    assert len(runs_of) == 3
    parents = [row["parent"] for row in rows() if row["event"] == "start"]
    assert parents[2] == rows()[1]["run"]  # of the two around it, the one that still runs
    assert [row["ended"] for row in rows() if row["event"] == "stop"] == ["interrupted", "finished", "finished"]


def test_where_no_session_can_be_opened_everything_is_quiet(caplog: pytest.LogCaptureFixture) -> None:
    guard = Guard()
    platform = fake_platform(Clock(), discover=lambda *_: 1 / 0)
    life = Lifetime(resolve({"region": "FR"}), platform, guard, JobTotals(guard))
    life.start(RunContext())
    assert (life.started, life.running, life.session) == (True, False, None)
    assert life.call("mark", lambda session: 1, 0) == 0
    life.end("finished")
    life.show_summary()
    assert guard.failures == ("tracker: division by zero (ZeroDivisionError)",)
