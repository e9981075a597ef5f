"""A unit test that starts a process fails."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

CONFTEST = Path(__file__).parents[1] / "unit/conftest.py"

# What each test below does to start a process; none of them gets so far. The last two pass over the refusal.
TESTS = """
import multiprocessing, os, pty, subprocess, sys, threading

import pytest

def swallow(call):
    try:
        call()
    except BaseException:
        pass

def in_a_thread(call):
    thread = threading.Thread(target=swallow, args=(call,))
    thread.start()
    thread.join()

PYTHON = [sys.executable, "-c", "open('started', 'w')"]
STARTS = [
    lambda: subprocess.run(PYTHON),
    lambda: os.fork() or os._exit(0),
    lambda: os.posix_spawn(sys.executable, PYTHON, {}),
    lambda: os.system("touch started"),
    lambda: pty.fork()[0] or os._exit(0),
    lambda: os.execv(sys.executable, PYTHON),
    lambda: multiprocessing.get_context("fork").Process(target=print).start(),
    lambda: swallow(lambda: os.system("touch started")),
    lambda: in_a_thread(lambda: os.system("touch started")),
]

def test_before():
    pass

@pytest.mark.parametrize("start", STARTS)
def test_that_starts(start):
    start()

def test_after():
    assert not os.path.exists("started")
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
def test_a_unit_test_that_starts_a_process_fails_and_the_others_go_on(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(CONFTEST.read_text(encoding="utf-8"))
    pytester.makepyfile(TESTS)
    # In a process of its own, which may start none.
    found = pytester.runpytest_subprocess("-p", "no:cacheprovider", timeout=60)
    found.assert_outcomes(passed=4, failed=7, errors=9)
    found.stdout.fnmatch_lines(["*test_that_starts*starts a process (subprocess.Popen): it belongs to tests/system"])
