from __future__ import annotations

import errno
import io
from typing import Any

import pytest

from eco2ai_callbacks.calibration import loads
from eco2ai_callbacks.calibration.loads import Load, WorkerError, Workers, usable_cpus


class FakeWorker:
    """A worker process that only remembers what it is sent."""

    started: list[FakeWorker]
    ready = b"ready\n"

    def __init__(self, command: list[str], **kwargs: Any) -> None:
        self.args = command
        self.stdin: Any = io.BytesIO()
        self.stdout = io.BytesIO(self.ready)
        self.killed = self.waited = False
        self.sent = ""
        self.started.append(self)

    def kill(self) -> None:
        self.killed = True

    def wait(self) -> int:
        self.waited = True
        self.sent = self.stdin.getvalue().decode() if isinstance(self.stdin, io.BytesIO) else ""
        return 0


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[FakeWorker]:
    FakeWorker.started, FakeWorker.ready = [], b"ready\n"
    monkeypatch.setattr(loads.subprocess, "Popen", FakeWorker)
    return FakeWorker.started


def test_as_many_workers_as_wanted_get_the_part_and_the_others_none(started: list[FakeWorker]) -> None:
    workers = Workers([0, 2, 1], gpu=True)
    workers.put(Load(2, 0.5))
    workers.put(Load(gpu=1.0))
    workers.close()
    assert [worker.args[-2:] for worker in started[:3]] == [["cpu", "0"], ["cpu", "2"], ["cpu", "1"]]
    assert started[3].args[-1] == "gpu"
    assert [worker.sent.split() for worker in started] == [["0.5", "0"], ["0.5", "0"], ["0", "0"], ["0", "1"]]
    assert all(worker.killed and worker.waited and worker.stdout.closed for worker in started)


def test_a_worker_that_does_not_start_ends_the_others(started: list[FakeWorker]) -> None:
    FakeWorker.ready = b""
    with pytest.raises(WorkerError, match="a worker of the load did not start"):
        Workers([0, 1])
    assert len(started) == 2
    assert all(worker.killed for worker in started)


def test_a_system_without_room_for_a_process_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: Any, **kwargs: Any) -> None:
        raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")

    monkeypatch.setattr(loads.subprocess, "Popen", full)
    with pytest.raises(WorkerError, match="cannot be started: Resource temporarily unavailable"):
        Workers([0])


def test_a_worker_that_has_ended_is_named(started: list[FakeWorker]) -> None:
    class Broken:
        def write(self, content: bytes) -> None:
            raise BrokenPipeError

        def close(self) -> None:
            raise BrokenPipeError

    workers = Workers([0])
    started[0].stdin = Broken()
    with pytest.raises(WorkerError, match="a worker of the load has ended"):
        workers.put(Load(1))
    workers.close()


def test_first_threads_of_cores_come_before_second_ones(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    for number, siblings in enumerate(["0,4", "1,5", "2-3", "2-3", "0,4", "odd"]):
        folder = tmp_path / f"cpu{number}/topology"
        folder.mkdir(parents=True)
        (folder / "thread_siblings_list").write_text(f"{siblings}\n")
    monkeypatch.setattr(loads, "_CPUS", tmp_path)
    monkeypatch.setattr(loads.os, "sched_getaffinity", lambda pid: {0, 1, 2, 3, 4, 5, 9})
    assert usable_cpus() == [0, 1, 2, 5, 9, 3, 4]


def test_loads_are_named() -> None:
    assert [load.label for load in (Load(), Load(1), Load(8, 0.5), Load(8, gpu=0.5))] == [
        "idle",
        "1 thread",
        "8 threads at 50 %",
        "8 threads and GPU at 50 %",
    ]
