"""Unit tests start no process: what a program of its own must show belongs to ``tests/system``."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

# Python's table of audit events: all ways to start a process.
STARTS = ("subprocess.Popen", "os.fork", "os.posix_spawn", "os.spawn", "os.exec", "os.system", "pty.spawn")


class Watch:
    """Hears of every process that is started, and refuses it while a unit test runs; a hook cannot be taken away."""

    def __init__(self) -> None:
        self.test: str | None = None
        self.heard: list[str] = []
        sys.addaudithook(self._hear)

    def _hear(self, event: str, args: object) -> None:
        if self.test is not None and event.startswith(STARTS):
            self.heard.append(event)
            pytest.fail(f"{self.test} starts a process ({event}): it belongs to tests/system")


@pytest.fixture(scope="session")
def watch() -> Watch:
    return Watch()


@pytest.fixture(autouse=True)
def _no_process(watch: Watch, request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail a test that starts a process, even where what it calls passes over the refusal."""
    watch.test = request.node.nodeid
    watch.heard.clear()
    yield
    watch.test = None
    assert not watch.heard, f"a process was started: {watch.heard}"
