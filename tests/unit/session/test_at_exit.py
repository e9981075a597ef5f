"""What ends a run when its process exits; tests/system/test_tracker_processes.py has real children."""

from __future__ import annotations

import atexit
import sys
import types
from collections.abc import Callable
from contextlib import ExitStack
from multiprocessing import util
from typing import Any

import pytest

from eco2ai_callbacks.session.at_exit import end_at_exit


@pytest.fixture
def registered(monkeypatch: pytest.MonkeyPatch) -> list[Callable[[], Any]]:
    held: list[Callable[[], Any]] = []
    monkeypatch.setattr(atexit, "register", held.append)
    monkeypatch.setattr(atexit, "unregister", held.remove)
    return held


def end() -> None:
    raise AssertionError("the process does not exit")


def test_it_is_called_at_exit_until_that_is_undone(registered: list[Callable[[], Any]]) -> None:
    undo = ExitStack()
    end_at_exit(end, undo)
    assert registered == [end]
    undo.close()
    undo.close()
    assert registered == []


def test_a_child_of_multiprocessing_ends_by_its_own_list(
    registered: list[Callable[[], Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    processes = types.SimpleNamespace(parent_process=lambda: "the parent")
    monkeypatch.setitem(sys.modules, "multiprocessing.process", processes)
    before, undo = len(util._finalizer_registry), ExitStack()  # type: ignore[attr-defined]
    end_at_exit(end, undo)
    assert len(util._finalizer_registry) == before + 1  # type: ignore[attr-defined]
    undo.close()
    assert len(util._finalizer_registry) == before  # type: ignore[attr-defined]
