"""Fixtures of every test: a folder of its own, no settings from outside, and nothing left running."""

from __future__ import annotations

import gc
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest
from nvml_stub import NvmlStub, compile_stub

# Machines differ in speed, and no test is about it.
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")


def pytest_collection_finish() -> None:
    """Leave what is there before the first test out of garbage collections.

    Frameworks are a million objects, and Accelerate collects after each fit of a Trainer.
    """
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def _alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run the test in an empty folder, without the settings of the machine that runs the tests."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in [name for name in os.environ if name.startswith("ECO2AI_")]:
        monkeypatch.delenv(name)
    # The registry of running trackers is in the folder for temporary files.
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))


@pytest.fixture(autouse=True)
def _signals_as_in_a_shell() -> Iterator[None]:
    """A test run in the background, or by nohup, hands ignored signals down to the commands that it starts."""
    usual = {"SIGINT": signal.default_int_handler, "SIGHUP": signal.SIG_DFL, "SIGQUIT": signal.SIG_DFL}
    there = {getattr(signal, name): handler for name, handler in usual.items() if hasattr(signal, name)}
    ignored = [number for number in there if signal.getsignal(number) is signal.SIG_IGN]
    for number in ignored:
        signal.signal(number, there[number])
    yield
    for number in ignored:
        signal.signal(number, signal.SIG_IGN)


@pytest.fixture(autouse=True)
def _nothing_left_running() -> object:
    """Fail a test that leaves a thread of ours alive or a file open that it opened."""
    files = _open_files()
    yield
    ours = [thread for thread in threading.enumerate() if thread.name.startswith("eco2ai")]
    for thread in ours:
        thread.join(timeout=5)  # it was asked to end, and may not have run since
    left = [thread.name for thread in ours if thread.is_alive()]
    assert not left, f"threads left alive: {left}"
    counters = {path for path in _open_files() - files if "powercap" in path or path.endswith(".jsonl")}
    assert not counters, f"files left open: {counters}"


@pytest.fixture(scope="session")
def stub_library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a ``libnvidia-ml.so.1`` that returns what a test scripts."""
    return compile_stub(tmp_path_factory.mktemp("nvml")).parent


@pytest.fixture
def stub(stub_library: Path, tmp_path: Path) -> NvmlStub:
    """Return that library with a script of the test's own."""
    return NvmlStub(stub_library, tmp_path)


def _open_files() -> set[str]:
    folder = Path("/proc/self/fd")
    found = set()
    for link in folder.iterdir() if folder.is_dir() else ():
        try:
            found.add(str(link.readlink()))
        except OSError:
            continue
    return found
