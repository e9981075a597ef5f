"""Whose processes compute on a GPU."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import psutil
import pytest
from nvml_meters import A, B, opened

from eco2ai_callbacks.meters.gpu.sharing import is_shared, own_processes, sees_host_pids
from eco2ai_callbacks.testing import Clock, FakeGpu, FakeNvml

FIRST, ANOTHER = "pid:[4026531836]", "pid:[4026532761]"


def namespace(proc: Path, name: str | None) -> Path:
    """A procfs whose process is in a PID namespace; ``None`` where it cannot be read."""
    (proc / "self/ns").mkdir(parents=True)
    (proc / "stat").touch()
    if name is not None:
        (proc / "self/ns/pid").symlink_to(name)
    return proc


def test_the_job_is_this_process_and_its_children() -> None:
    assert os.getpid() in own_processes()
    assert os.getppid() not in own_processes()


def test_where_children_cannot_be_listed_the_job_is_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise psutil.AccessDenied

    monkeypatch.setattr(psutil.Process, "children", refuse)
    assert own_processes() == {os.getpid()}


@pytest.mark.parametrize(("name", "same"), [(FIRST, True), (ANOTHER, False), (None, False)])
def test_ids_are_the_host_s_in_the_first_namespace_only(tmp_path: Path, name: str | None, same: bool) -> None:
    assert sees_host_pids(namespace(tmp_path, name)) is same


def test_a_system_without_procfs_has_no_namespaces(tmp_path: Path) -> None:
    assert sees_host_pids(tmp_path)


@pytest.mark.parametrize(
    ("computing", "job", "host_pids", "shared"),
    [
        ({7}, set(), True, False),
        ({os.getpid()}, {os.getpid()}, True, False),
        ({os.getpid(), os.getppid()}, {os.getpid()}, True, True),
        ({os.getpid()}, {os.getpid()}, False, False),
        ({os.getpid(), os.getppid()}, {os.getpid(), os.getppid()}, False, True),
        (set(), {os.getpid()}, False, False),
    ],
    ids=["machine", "own", "another", "one of a host", "two of a host", "none of a host"],
)
def test_in_a_container_only_the_number_of_processes_counts(
    computing: set[int], job: set[int], host_pids: bool, shared: bool
) -> None:
    assert is_shared(frozenset(computing), frozenset(job), host_pids=host_pids) is shared


@pytest.mark.parametrize(("name", "rule"), [(FIRST, "auto: processes"), (ANOTHER, "auto: visible")])
def test_a_host_s_process_with_the_number_of_one_of_ours_chooses_no_board(tmp_path: Path, name: str, rule: str) -> None:
    clock = Clock(1000.0)
    nvml = FakeNvml(clock, FakeGpu(A), FakeGpu(B, pids=(7, 4711)))
    meter = opened(nvml, clock, "auto", job_pids=lambda: (7,), proc=namespace(tmp_path, name))
    assert meter.rule == rule
    assert list(meter.methods) == ([f"gpu:{B}"] if rule == "auto: processes" else [f"gpu:{A}", f"gpu:{B}"])
    # Two processes are on it, of which one at most is ours.
    assert meter.methods[f"gpu:{B}"].attribution == "whole device, shared with other processes"
