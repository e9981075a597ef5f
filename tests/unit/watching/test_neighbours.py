"""Who else is on the devices of a run."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from eco2ai_callbacks.host.machine import process_started
from eco2ai_callbacks.host.registry import Entry, Registry
from eco2ai_callbacks.watching.neighbours import Neighbours, neighbours_of
from eco2ai_callbacks.watching.state import RunState


def enter(registry: Registry, run: str, *devices: str, **fields: Any) -> None:
    started = process_started(os.getpid()) or 0.0
    plain = {"writer": f"w{run}", "host": "h", "pid": os.getpid(), "started": started, "since": 1.0}
    registry.enter(Entry(run=run, devices=devices, **plain | fields))


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return Registry("h", tmp_path / "registry")


def test_processes_of_the_run_and_those_on_its_devices_are_found(registry: Registry) -> None:
    enter(registry, "mine", "GPU-a", "GPU-b")
    enter(registry, "other", "GPU-b")
    enter(registry, "far", "GPU-c")
    enter(registry, "around", "GPU-a", since=0.5)
    enter(registry, "inside", "GPU-a", parent="mine")
    assert neighbours_of(RunState("mine", host="h"), registry, "h") == Neighbours(
        True, (os.getpid(),), (("around", os.getpid()), ("other", os.getpid()))
    )


def test_a_run_around_or_inside_is_no_neighbour(registry: Registry) -> None:
    enter(registry, "outer", "GPU-a")
    enter(registry, "mine", "GPU-a", parent="outer")
    enter(registry, "inner", "GPU-a", parent="mine")
    assert neighbours_of(RunState("mine", host="h"), registry, "h").sharing == ()


def test_a_run_that_was_killed_or_is_elsewhere_has_no_process(registry: Registry) -> None:
    enter(registry, "mine", "GPU-a", started=1.0)
    assert neighbours_of(RunState("mine", host="h"), registry, "h") == Neighbours(True)
    assert neighbours_of(RunState("mine", host="elsewhere"), registry, "h") == Neighbours(False)


def test_a_registry_that_cannot_be_read_shows_nothing(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Registry, "living", refuse)
    assert neighbours_of(RunState("mine", host="h"), registry, "h") == Neighbours()
