from __future__ import annotations

import errno
import itertools
import logging
import signal
import string
import threading
from types import FrameType
from typing import Any

import pytest

from eco2ai_callbacks import guard as module
from eco2ai_callbacks.guard import MAX_FAILURES, MAX_PER_SOURCE, RESERVED, Guard, Outcome

FURTHER = "further failures are not listed"
# Words without a number: sentences that differ by one of them are of different kinds.
WORDS = ["".join(letters) for letters in itertools.product(string.ascii_lowercase, repeat=2)]


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
    for source, word in itertools.product(WORDS[: 2 * MAX_FAILURES], WORDS[: 2 * MAX_PER_SOURCE]):
        guard.record(f"{source}: broken at {word}")
    assert len(guard.failures) == len(caplog.records) == MAX_FAILURES + 1
    assert guard.failures[-1] == FURTHER
    assert [record.getMessage() for record in caplog.records].count(f"{FURTHER}; training goes on") == 1


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (
            "RAPL: package-0 was reset (3 times), 9.3 s not measured",
            "RAPL: package-0 was reset (4 times), 12 s not measured",
        ),
        ("slow: took 2.5 s to answer, twice", "slow: took 12 s to answer, twice"),
        ("meter: gave -1.0", "meter: gave 2e-05"),
        ("meter: no such object <A at 0x7f00ab>", "meter: no such object <A at 0x7E0012>"),
        ("log file: no such commit 5ea691ef", "log file: no such commit 680c3c5e"),
        (
            "log file: no such run 123e4567-e89b-12d3-a456-426614174000",
            "log file: no such run deadbeef-e89b-12d3-a456-4266141740ff",
        ),
        ("tracker: 'fit' is no stage", "tracker: 'a b' is no stage"),
        ('tracker: no key "a"', 'tracker: no key "b c"'),
        ("log file: Permission denied (/a b/c)", "log file: Permission denied (/d)"),
        ("log file: Permission denied (C:\\a\\b)", "log file: Permission denied (D:/c)"),
        ("log file: /a/b is locked", "log file: /c is locked"),
        ("rank 1: NVML: lost after 3 s", "rank 1: NVML: lost after 5 s"),
    ],
)
def test_the_latest_failure_of_a_kind_takes_the_place_of_the_one_before(
    one: str, other: str, caplog: pytest.LogCaptureFixture
):
    guard = Guard()
    for failure in (one, "other: broken", other):
        guard.record(failure)
    assert guard.failures == guard.local_failures == (other, "other: broken")
    assert [record.getMessage() for record in caplog.records] == [
        f"{failure}; training goes on" for failure in (one, "other: broken")
    ]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("RAPL: package-0 was reset", "RAPL: package-0 was suspended"),
        ("RAPL: package-0 was reset", "RAPL: package-1 was reset"),
        ("RAPL: package-0-die-0 was reset", "RAPL: package-0-die-1 was reset"),
        ("NVML: GPU 1 (A100): the GPU is lost", "NVML: GPU 12 (A100): the GPU is lost"),
        ("NVML: GPU-5ea691ef-0000 came into use", "NVML: GPU-680c3c5e-0000 came into use"),
        ("ranks: rank 1 is gone", "ranks: rank 2 is gone"),
        ("rank 1: NVML: lost", "rank 2: NVML: lost"),
        ("RAPL: gone after 3 s", "NVML: gone after 3 s"),
        ("ticker: can't start new thread", "ticker: can't read it's state"),
        ("nothing can be measured", "the budget is not watched"),
    ],
)
def test_failures_of_different_kinds_sources_or_devices_both_stand(one: str, other: str):
    guard = Guard()
    for failure in (one, other, one):
        guard.record(failure)
    assert guard.failures == (one, other)


def test_a_thousand_failures_of_one_kind_leave_room_for_the_next(caplog: pytest.LogCaptureFixture):
    guard = Guard()
    for number in range(1000):
        guard.record(f"RAPL: package-0 came and went, {number / 10} s not measured")
    guard.call("log file", raising(OSError(errno.ENOSPC, "No space left on device")), None)
    assert guard.failures == (
        "RAPL: package-0 came and went, 99.9 s not measured",
        "log file: No space left on device",
    )
    assert len(caplog.records) == 2


def test_a_source_cannot_take_the_places_of_others(caplog: pytest.LogCaptureFixture):
    guard = Guard()
    for word in WORDS[:MAX_FAILURES]:
        guard.record(f"RAPL: broken at {word}")
    guard.record("log file: No space left on device")
    assert len(guard.failures) == len(caplog.records) == MAX_PER_SOURCE + 2
    assert guard.failures[-2:] == ("log file: No space left on device", FURTHER)


def test_the_last_places_are_for_sources_that_have_none():
    guard = Guard()
    for source, word in itertools.product("abc", WORDS[:MAX_PER_SOURCE]):
        guard.record(f"{source}: broken at {word}")
    late = [f"{word}: broken" for word in WORDS[:RESERVED]]
    for failure in late:
        guard.record(failure)
    assert guard.failures[-RESERVED - 1 :] == (*late, FURTHER)
    assert len(guard.failures) == MAX_FAILURES + 1


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
        for word in WORDS[:20]:
            guard.record(f"{name} {word}: broken")

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
    guard.add_remote(f"rank {number}: NVML: lost" for number in range(10 * MAX_FAILURES))
    for word in WORDS[:RESERVED]:
        guard.record(f"{word}: gone")
    assert len(guard.failures) == MAX_FAILURES + 1
    assert guard.failures[-1] == FURTHER
    assert guard.local_failures == tuple(f"{word}: gone" for word in WORDS[:RESERVED])
    assert len(caplog.records) == RESERVED


def test_what_other_processes_repeat_is_updated_in_its_place():
    guard = Guard()
    guard.add_remote(["rank 1: RAPL: package-0 was reset, 1.0 s not measured", "rank 2: NVML: lost"])
    guard.add_remote(["rank 1: RAPL: package-0 was reset (2 times), 2.0 s not measured"])
    guard.add_remote(["rank 1: RAPL: package-0 was reset (3 times), 3.0 s not measured"])
    assert guard.failures == (
        "rank 1: RAPL: package-0 was reset, 1.0 s not measured",
        "rank 2: NVML: lost",
        "rank 1: RAPL: package-0 was reset (3 times), 3.0 s not measured",
    )
    assert guard.local_failures == ()


def test_a_failure_of_this_process_is_logged_and_stays_its_own(caplog: pytest.LogCaptureFixture):
    guard = Guard()
    guard.add_remote(["RAPL: gone after 1 s"])
    guard.record("RAPL: gone after 2 s")
    guard.add_remote(["RAPL: gone after 3 s"])
    assert guard.failures == guard.local_failures == ("RAPL: gone after 2 s",)
    assert len(caplog.records) == 1


class Handler:
    """A signal handler in one of the forms that programs install."""

    def __call__(self, number: int, frame: FrameType | None) -> None:
        raise RuntimeError("DataLoader worker is killed")

    def method(self, number: int, frame: FrameType | None) -> None:
        self(number, frame)


def function(number: int, frame: FrameType | None) -> None:
    Handler()(number, frame)


@pytest.mark.parametrize("handler", [function, Handler().method, Handler()], ids=["function", "method", "object"])
def test_what_a_signal_handler_raises_in_the_middle_is_the_program_s(handler: Any) -> None:
    guard, before = Guard(), signal.getsignal(signal.SIGALRM)
    signal.signal(signal.SIGALRM, handler)
    try:
        with pytest.raises(RuntimeError, match=r"^DataLoader worker is killed$"):
            guard.call("meter", lambda: signal.raise_signal(signal.SIGALRM), None)
    finally:
        signal.signal(signal.SIGALRM, before)
    assert guard.failures == ()


def test_what_a_handler_s_function_raises_elsewhere_is_a_failure_like_any_other() -> None:
    guard = Guard()
    assert guard.call("meter", lambda: function(0, None), 7) == 7
    assert guard.failures == ("meter: DataLoader worker is killed (RuntimeError)",)
