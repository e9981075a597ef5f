"""The loads of a calibration are real processes: they are busy as asked for, and none outlives its calibration."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import psutil

from eco2ai_callbacks.calibration import burner
from eco2ai_callbacks.calibration.loads import Load, Workers, usable_cpus

BURNER = burner.__file__


def children() -> list[psutil.Process]:
    return [p for p in psutil.Process().children() if BURNER in p.cmdline()]


def test_a_worker_is_busy_while_it_is_wanted_and_gone_afterwards() -> None:
    cpus = usable_cpus()[:2]
    workers = Workers(cpus)
    try:
        first, *others = sorted(children(), key=lambda process: process.pid)
        idle = [sum(process.cpu_times()[:2]) for process in others]
        workers.put(Load(1))
        before = sum(first.cpu_times()[:2])
        until = time.monotonic() + 60
        # However little of a busy machine it gets.
        while sum(first.cpu_times()[:2]) < before + 0.1 and time.monotonic() < until:
            time.sleep(0.01)
        assert sum(first.cpu_times()[:2]) >= before + 0.1
        assert [sum(process.cpu_times()[:2]) for process in others] == idle
        assert set(first.cpu_affinity()) == {cpus[0]}
    finally:
        workers.close()
    assert children() == []


def test_no_module_of_the_working_folder_takes_one_s_place(tmp_path: Path) -> None:
    """A calibration is run as root, wherever root happens to be."""
    for name in ("hashlib", "zlib", "select"):
        (tmp_path / f"{name}.py").write_text("import pathlib; pathlib.Path('taken').touch()\n")
    Workers(usable_cpus()[:1]).close()  # tests run in that folder
    assert Path.cwd() == tmp_path
    assert not (tmp_path / "taken").exists()


def test_a_worker_ends_with_its_input() -> None:
    worker = subprocess.Popen(
        [sys.executable, "-P", BURNER, "cpu", str(usable_cpus()[0])],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert worker.stdin is not None
    assert worker.stdout is not None
    with worker.stdout:
        assert worker.stdout.readline() == b"ready\n"
        worker.stdin.write(b"1\n")
        worker.stdin.close()
        assert worker.wait(timeout=60) == 0
