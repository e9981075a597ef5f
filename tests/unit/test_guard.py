from __future__ import annotations

import errno
import logging
import threading

import pytest

from eco2ai_callbacks import guard as module
from eco2ai_callbacks.guard import MAX_FAILURES, Guard, Outcome


def raising(error: BaseException):
    def call() -> None:
        raise error

    return call


def test_what_succeeds_gives_its_result_and_leaves_no_trace(caplog: pytest.LogCaptureFixture):
    guard = Guard()
    assert guard.call("meter", lambda: 42, 0) == 42
    assert guard.failures == ()
    assert caplog.records == []


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (ValueError("no such thing"), "meter: no such thing (ValueError)"),
        (ValueError("first line\nsecond line"), "meter: first line (ValueError)"),
        (ValueError(), "meter: ValueError"),
        (OSError(errno.ENOSPC, "No space left on device"), "meter: No space left on device"),
        (OSError(errno.EACCES, "Permission denied", "/x"), "meter: Permission denied (/x)"),
        (OSError("only words"), "meter: only words (OSError)"),
    ],
)
def test_a_failure_is_one_sentence_that_names_its_source(error: Exception, sentence: str):
    guard = Guard()
    assert guard.call("meter", raising(error), "absent") == "absent"
    assert guard.failures == (sentence,)


def test_an_exception_that_cannot_say_what_it_is_is_contained_too():
    class Mute(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    guard = Guard()
    assert guard.call("meter", raising(Mute()), None) is None
    assert guard.failures == ("meter: Mute",)


def test_a_caller_that_reports_failures_itself_gets_the_clause_without_the_source(caplog: pytest.LogCaptureFixture):
    guard = Guard()
    assert guard.attempt("meter", lambda: None) == Outcome(None, None)
    assert guard.attempt("meter", raising(ValueError("no such thing"))) == Outcome(None, "no such thing (ValueError)")
    assert guard.failures == ("meter: no such thing (ValueError)",)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(3)])
def test_what_ends_a_program_passes_through(error: BaseException):
    guard = Guard()
    with pytest.raises(type(error)):
        guard.call("meter", raising(error), None)
    assert guard.failures == ()


def test_a_failure_is_logged_once_with_its_traceback(caplog: pytest.LogCaptureFixture):
    guard = Guard()
    for _ in range(3):
        guard.call("meter", raising(ValueError("broken")), None)
    (logged,) = caplog.records
    assert logged.getMessage() == "meter: broken (ValueError); training goes on"
    assert logged.exc_info is not None
    assert logged.levelno == logging.WARNING


def test_what_the_machine_refuses_is_logged_without_a_traceback(caplog: pytest.LogCaptureFixture):
    Guard().call("log file", raising(OSError(errno.ENOSPC, "No space left on device")), None)
    assert not caplog.records[0].exc_info


def test_failures_keep_the_order_in_which_they_appeared():
    guard = Guard()
    for name in ("b", "a", "b", "c"):
        guard.record(f"{name}: broken")
    assert guard.failures == ("b: broken", "a: broken", "c: broken")


def test_failures_that_differ_each_time_do_not_grow_without_end(caplog: pytest.LogCaptureFixture):
    guard = Guard()
    for number in range(10 * MAX_FAILURES):
        guard.record(f"meter: broken at {number}")
    assert len(guard.failures) == len(caplog.records) == MAX_FAILURES + 1
    assert guard.failures[-1] == "further failures are not listed"


def test_a_log_handler_that_raises_does_not_reach_the_training():
    class Broken(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            raise RuntimeError

    handler = Broken()
    module.logger.addHandler(handler)
    try:
        guard = Guard()
        assert guard.call("meter", raising(ValueError("broken")), 0) == 0
    finally:
        module.logger.removeHandler(handler)
    assert guard.failures == ("meter: broken (ValueError)",)


def test_two_threads_lose_no_failure():
    guard = Guard()
    ready = threading.Barrier(2)

    def note(name: str) -> None:
        ready.wait()
        for number in range(20):
            guard.record(f"{name}: {number}")

    threads = [threading.Thread(target=note, args=(name,)) for name in ("a", "b")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(guard.failures) == len(set(guard.failures)) == 40


def test_what_failed_in_other_processes_is_named_and_not_logged_again(caplog: pytest.LogCaptureFixture):
    guard = Guard()
    guard.record("RAPL: gone")
    guard.add_remote(["RAPL: gone", "NVML: lost (rank 1)"])
    assert guard.failures == ("RAPL: gone", "NVML: lost (rank 1)")
    assert guard.local_failures == ("RAPL: gone",)
    assert len(caplog.records) == 1


def test_other_processes_cannot_fill_the_records(caplog: pytest.LogCaptureFixture):
    guard = Guard()
    guard.add_remote(f"NVML: lost {number}" for number in range(10 * MAX_FAILURES))
    guard.record("RAPL: gone")
    assert len(guard.failures) == MAX_FAILURES + 1
