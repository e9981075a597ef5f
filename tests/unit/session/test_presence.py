"""What a tracker finds of the others on its host."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from eco2ai_callbacks.guard import Guard
from eco2ai_callbacks.host.machine import process_started
from eco2ai_callbacks.host.registry import Entry, Registry
from eco2ai_callbacks.session.identity import SessionIdentity
from eco2ai_callbacks.session.presence import Presence, living, runs_around, unfinished_runs
from eco2ai_callbacks.session.siblings import Siblings
from eco2ai_callbacks.settings import resolve
from eco2ai_callbacks.testing import CLOUD_VM, Clock, fake_platform

HERE = os.getpid()
PARENT = os.getppid()


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return Registry("host", tmp_path / "trackers")


def presence(
    registry: Registry, writer: str = "w0", run: str = "run", guard: Guard | None = None, **who: object
) -> Presence:
    identity = SessionIdentity(id=run, writer=writer, host="host", pid=HERE, **who)  # type: ignore[arg-type]
    return Presence(registry, identity, 5.0, guard or Guard(), Siblings().enter(run, ("host", None)))


def entry(writer: str, run: str = "run", pid: int = PARENT, host: str = "host", **fields: object) -> Entry:
    return Entry(writer, run, host, pid, process_started(pid) or 0.0, 1.0, **fields)  # type: ignore[arg-type]


def test_it_is_there_from_the_announcement_to_the_withdrawal(registry: Registry) -> None:
    mine = presence(registry)
    mine.measures(["GPU-a"], ["gpu:GPU-a"])
    assert registry.living() == []
    mine.announce(9.0)
    (found,) = registry.living()
    assert (found.writer, found.since, found.devices, found.channels) == ("w0", 9.0, ("GPU-a",), ("gpu:GPU-a",))
    mine.withdraw()
    assert registry.living() == []


def test_siblings_are_the_processes_that_measure_themselves_for_the_same_run(registry: Registry) -> None:
    mine = presence(registry)
    mine.announce(9.0)
    registry.enter(entry("w1"))
    registry.enter(entry("w2", run="another"))
    registry.enter(entry("w3", pid=HERE))
    assert mine.siblings() == [PARENT]
    assert {other.writer for other in mine.same_run()} == {"w1", "w3"}


def test_where_ranks_have_exchanged_themselves_the_registry_is_not_asked(registry: Registry) -> None:
    mine = presence(registry)
    registry.enter(entry("w9"))
    gone = Entry("w2", "run", "host", PARENT, -1.0, 1.0)
    mine.joins([mine.entry, entry("w1", host="elsewhere"), gone])
    assert mine.siblings() == []
    mine.joins([mine.entry, entry("w1")])
    assert mine.siblings() == [PARENT]


def test_other_runs_on_the_same_device_are_named_but_not_those_around_or_inside(registry: Registry) -> None:
    mine = presence(registry, around=("around",))
    mine.measures(["GPU-a"], [])
    mine.announce(9.0)
    registry.enter(entry("w1", run="stranger", devices=("GPU-a", "GPU-b")))
    registry.enter(entry("w2", run="elsewhere", devices=("GPU-b",)))
    registry.enter(entry("w3", run="around", devices=("GPU-a",)))
    registry.enter(entry("w4", run="inside", devices=("GPU-a",), parent="run"))
    registry.enter(entry("w5", run="beside", pid=HERE, devices=("GPU-a",)))
    assert mine.shared_with() == ("stranger",)


def test_who_measures_no_device_shares_none(registry: Registry) -> None:
    mine = presence(registry)
    registry.enter(entry("w1", run="stranger", devices=("GPU-a",)))
    assert mine.shared_with() == ()


def test_the_run_around_is_that_of_the_nearest_ancestor(registry: Registry) -> None:
    guard = Guard()
    assert runs_around(registry, "run", guard) == ()
    registry.enter(entry("w0", run="beside", pid=HERE))
    registry.enter(entry("w1", run="around"))
    assert runs_around(registry, "run", guard) == ("around",)
    assert runs_around(registry, "around", guard) == ()


def test_a_registry_that_cannot_be_used_is_named_and_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    guard = Guard()
    broken = Registry("host", tmp_path / "file" / "below")
    mine = presence(broken, guard=guard)
    mine.announce(1.0)
    mine.withdraw()
    assert living(broken, guard) == []
    assert guard.failures
    assert all(failure.startswith("registry: ") for failure in guard.failures)


def test_unfinished_runs_are_those_without_an_end_and_a_writer(tmp_path: Path) -> None:
    from sessions import Written

    log = tmp_path / "eco2ai.jsonl"
    Written(log, "over", host=CLOUD_VM.hash).stop()
    Written(log, "open", host=CLOUD_VM.hash).mark()
    platform = fake_platform(Clock())
    settings = resolve({"region": "FR", "log_file": log, "project": "demo"})
    assert unfinished_runs(settings, platform) == ["open"]
    assert unfinished_runs(resolve({"region": "FR", "log_file": None}), platform) == []


def test_once_the_run_around_has_ended_the_next_one_around_is_the_parent(registry: Registry) -> None:
    mine = presence(registry, around=("inner", "outer"))
    for writer, run in (("w1", "inner"), ("w2", "outer")):
        registry.enter(entry(writer, run))
    assert (mine.parent(), mine.parent_has_ended()) == ("inner", False)
    registry.leave("w1")
    assert (mine.parent(), mine.parent_has_ended()) == ("inner", True)
    mine.leave_ended_parents()
    assert (mine.parent(), mine.parent_has_ended()) == ("outer", False)
    registry.leave("w2")
    mine.leave_ended_parents()
    assert (mine.parent(), mine.parent_has_ended()) == (None, False)


def test_where_the_registry_cannot_be_read_the_parent_stays(
    registry: Registry, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    mine = presence(registry, around=("outer",))

    def refuse() -> list[Entry]:
        raise PermissionError("no")

    monkeypatch.setattr(registry, "entries", refuse)
    assert not mine.parent_has_ended()
    mine.leave_ended_parents()
    assert mine.parent() == "outer"


def test_whether_sharers_live_is_looked_up_once_a_second_and_at_each_change(
    registry: Registry, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    clock = Clock()
    identity = SessionIdentity(id="run", writer="w0", host="host", pid=HERE)
    mine = Presence(registry, identity, 5.0, Guard(), Siblings().enter("run", ("host", None)), clock)
    mine.measures(["GPU-a"], [])
    mine.announce(9.0)
    registry.enter(entry("w1", run="stranger", devices=("GPU-a",)))
    os.utime(tmp_path / "trackers", (1e9, 1e9))  # it has changed long ago
    looks: list[object] = []
    living = registry.living
    monkeypatch.setattr(registry, "living", lambda keep=None: looks.append(keep) or living(keep))
    assert [mine.shared_with() for _ in range(5)] == [("stranger",)] * 5
    assert len(looks) == 1
    clock.advance(1.0)
    assert mine.shared_with() == ("stranger",)
    assert len(looks) == 2
    registry.leave("w1")
    assert mine.shared_with() == ()
