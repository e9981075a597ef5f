"""Unit tests start no process: what a program of its own must show belongs to ``tests/system``."""

from __future__ import annotations

import functools
import os
import pty
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import pytest

# All ways to start a process. An audit hook would hear of them too, but also of each trace function that coverage sets
# in a thread; while it runs, CPython 3.11 refuses another thread's.
STARTS: tuple[tuple[Any, str], ...] = (
    (subprocess.Popen, "__init__"),
    (pty, "spawn"),
    *((os, name) for name in dir(os) if name in ("fork", "forkpty", "system")),
    *((os, name) for name in dir(os) if name.startswith(("posix_spawn", "spawn", "exec"))),
)


class Watch:
    """Hears of every process that is started, and refuses it while a unit test runs."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.test: str | None = None
        self.heard: list[str] = []
        for owner, name in STARTS:
            said = f"subprocess.{owner.__name__}" if name == "__init__" else f"{owner.__name__}.{name}"
            patch.setattr(owner, name, self._refusing(said, getattr(owner, name)))

    def _refusing(self, what: str, start: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(start)
        def refuse(*args: Any, **kwargs: Any) -> Any:
            if self.test is not None:
                self.heard.append(what)
                pytest.fail(f"{self.test} starts a process ({what}): it belongs to tests/system")
            return start(*args, **kwargs)

        return refuse


@pytest.fixture(scope="session")
def watch() -> Iterator[Watch]:
    with pytest.MonkeyPatch.context() as patch:
        yield Watch(patch)


@pytest.fixture(autouse=True)
def _no_process(watch: Watch, request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail a test that starts a process, even where what it calls passes over the refusal."""
    watch.test = request.node.nodeid
    watch.heard.clear()
    yield
    watch.test = None
    assert not watch.heard, f"a process was started: {watch.heard}"
