"""The one thread of a tracker: whole calls, one after the other, and somebody to take over where one is stuck."""

from __future__ import annotations

import queue
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType

import pytest

from eco2ai_callbacks.guard import Guard
from eco2ai_callbacks.session.worker import HOPELESS, Worker

SOON_S = 0.02
LATE_S = 30.0


class Stuck:
    """Something that does not return until it is let go."""

    def __init__(self) -> None:
        self.inside, self.go = threading.Event(), threading.Event()
        self.threads: list[threading.Thread] = []

    def __call__(self) -> None:
        self.threads.append(threading.current_thread())
        if len(self.threads) == 1:
            self.inside.set()
            assert self.go.wait(LATE_S)

    def let_go(self) -> None:
        self.go.set()
        for thread in self.threads[:1]:
            thread.join(LATE_S)
            assert not thread.is_alive()


@pytest.fixture
def guard() -> Guard:
    return Guard()


def serving(guard: Guard, patience_s: float) -> Iterator[Worker]:
    worker = Worker(guard, patience_s)
    worker.start()
    yield worker
    worker.run(worker.retire, None)
    worker.join()


@pytest.fixture
def worker(guard: Guard) -> Iterator[Worker]:
    yield from serving(guard, SOON_S)
    assert not [thread for thread in threading.enumerate() if thread.name == "eco2ai"]


@pytest.fixture
def patient(guard: Guard) -> Iterator[Worker]:
    yield from serving(guard, LATE_S)


@pytest.fixture
def waiting(guard: Guard) -> Iterator[Worker]:
    """A worker whose callers look for signals every half second: one that comes just before they wait is seen then."""
    yield from serving(guard, 0.5)


@pytest.fixture
def stuck() -> Iterator[Stuck]:
    stuck = Stuck()
    yield stuck
    stuck.let_go()


def interrupt_when(ready: threading.Event) -> threading.Thread:
    """Send this process a SIGALRM, once it is ready."""

    def send() -> None:
        assert ready.wait(LATE_S)
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGALRM)

    thread = threading.Thread(target=send)
    thread.start()
    return thread


@pytest.fixture
def on_alarm() -> Iterator[Callable[[Callable[[], None]], None]]:
    before = signal.getsignal(signal.SIGALRM)

    def install(fn: Callable[[], None]) -> None:
        def handler(number: int, frame: FrameType | None) -> None:
            fn()

        signal.signal(signal.SIGALRM, handler)

    yield install
    signal.signal(signal.SIGALRM, before)


def test_calls_run_in_one_thread_one_after_the_other(patient: Worker) -> None:
    inside: list[int] = []
    seen: set[tuple[str, int]] = set()

    def call() -> int:
        inside.append(1)
        seen.add((threading.current_thread().name, len(inside)))
        inside.pop()
        return 7

    results: list[int] = []
    callers = [threading.Thread(target=lambda: results.extend(patient.run(call, 0) for _ in range(100))) for _ in "abc"]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert results == [7] * 300
    assert seen == {("eco2ai", 1)}


@pytest.mark.parametrize(
    "error", [ValueError("no"), KeyboardInterrupt(), SystemExit(3)], ids=lambda e: type(e).__name__
)
def test_what_a_call_raises_its_caller_gets_and_the_next_call_runs(patient: Worker, error: BaseException) -> None:
    def call() -> None:
        raise error

    with pytest.raises(type(error)) as caught:
        patient.run(call, None)
    assert caught.value is error
    assert patient.run(lambda: 1, 0) == 1


def test_a_caller_that_is_interrupted_leaves_its_call_whole(
    waiting: Worker, on_alarm: Callable[[Callable[[], None]], None]
) -> None:
    begun, done = threading.Event(), threading.Event()
    interrupted = threading.Event()

    def call() -> None:
        begun.set()
        assert interrupted.wait(LATE_S)
        done.set()

    def ctrl_c() -> None:
        raise KeyboardInterrupt

    on_alarm(ctrl_c)
    sender = interrupt_when(begun)
    with pytest.raises(KeyboardInterrupt):
        waiting.run(call, None)
    interrupted.set()
    assert waiting.run(lambda: done.is_set(), False)
    sender.join()


def test_a_call_of_a_signal_handler_has_its_turn_after_the_one_that_it_came_into(
    waiting: Worker, on_alarm: Callable[[Callable[[], None]], None]
) -> None:
    order: list[str] = []
    begun, asked = threading.Event(), threading.Event()

    def outer() -> str:
        begun.set()
        assert asked.wait(LATE_S)
        order.append("outer")
        return "outer's"

    def handler() -> None:
        threading.Timer(SOON_S, asked.set).start()
        assert waiting.run(lambda: order.append("inner") or "inner's", "") == "inner's"  # type: ignore[func-returns-value]

    on_alarm(handler)
    sender = interrupt_when(begun)
    assert waiting.run(outer, "") == "outer's"
    assert order == ["outer", "inner"]
    sender.join()


def test_a_call_of_the_thread_itself_has_its_turn_afterwards(patient: Worker) -> None:
    order: list[str] = []

    def outer() -> int:
        inner = patient.run(lambda: order.append("inner") or 1, 0)  # type: ignore[func-returns-value]
        order.append("outer")
        return inner

    assert patient.run(outer, -1) == 0
    patient.run(lambda: None, None)
    assert order == ["outer", "inner"]


class TestStuck:
    def test_in_a_driver_a_successor_repeats_the_call_and_it_counts_once(self, worker: Worker, stuck: Stuck) -> None:
        counted: list[str] = []

        def mark() -> str:
            with worker.outside():
                stuck()
            counted.append(threading.current_thread().name)
            return "marked"

        assert worker.run(mark, "") == "marked"
        assert len(stuck.threads) == 2
        stuck.let_go()
        worker.run(lambda: None, None)
        assert len(counted) == 1

    def test_no_successor_comes_before_it_is_hopeless(self, guard: Guard) -> None:
        worker = Worker(guard, SOON_S)
        worker.start()
        inside, tried = threading.Event(), threading.Event()
        waits: list[float] = []

        class Noting:
            """The lock for which a caller waits: each wait is noted, and the last one brings the answer."""

            def acquire(self, timeout: float = -1) -> bool:
                waits.append(timeout)
                if len(waits) == HOPELESS - 1:
                    tried.set()
                    return bool(inside.wait(LATE_S)) and answered.wait(LATE_S)
                return False

        answered = threading.Event()
        threads: set[str] = set()

        def call() -> int:
            threads.add(threading.current_thread().name)
            with worker.outside():
                inside.set()
                assert tried.wait(LATE_S)
            answered.set()
            return 1

        from eco2ai_callbacks.session import worker as module

        made = module.Call(call, 0, False)
        real, made.done = made.done, Noting()  # type: ignore[assignment]
        made.done.release = lambda: None  # type: ignore[method-assign]
        worker._calls.put(made)
        worker._wait(made)
        assert made.outcome() == 1
        assert worker._thread is not None
        worker.run(worker.retire, None)
        worker.join()
        assert len(waits) == HOPELESS - 1
        assert real.locked()

    def test_in_a_call_of_its_own_a_successor_serves_the_next(self, worker: Worker, stuck: Stuck) -> None:
        def sample() -> None:
            with worker.outside():
                stuck()

        worker.run(lambda: worker.every(lambda: SOON_S, sample), None)
        assert stuck.inside.wait(LATE_S)
        assert worker.run(lambda: 1, 0) == 1

    def test_in_a_delivery_its_caller_goes_on_and_others_do_not_wait_for_it(self, worker: Worker, stuck: Stuck) -> None:
        worker.run(lambda: worker.after_each(stuck), None)
        assert stuck.inside.is_set()
        assert [worker.run(lambda number=number: number, -1) for number in range(5)] == [0, 1, 2, 3, 4]  # type: ignore[misc]
        assert len(set(stuck.threads)) == 2
        assert not stuck.go.is_set()

    def test_while_it_changes_something_nobody_takes_over_and_it_is_waited_for_once(
        self, worker: Worker, stuck: Stuck, guard: Guard, caplog: pytest.LogCaptureFixture
    ) -> None:
        assert worker.run(stuck, "default") == "default"  # type: ignore[arg-type]
        assert guard.failures == (f"tracker: a call did not return within {HOPELESS * SOON_S:g} s",)
        assert worker.run(lambda: 1, 0) == 0
        assert worker._calls.empty()
        stuck.go.set()
        while worker.run(lambda: 1, 0) == 0:
            pass
        assert len(stuck.threads) == 1
        stuck.threads.clear()

    def test_a_call_that_keeps_its_turn_is_not_repeated(
        self, worker: Worker, stuck: Stuck, caplog: pytest.LogCaptureFixture
    ) -> None:
        def begin() -> str:
            with worker.outside():
                stuck()
            return "begun"

        assert worker.run(begin, "default", keeps_turn=True) == "default"
        assert len(stuck.threads) == 1
        stuck.go.set()
        while worker.run(lambda: 1, 0) == 0:
            pass
        stuck.threads.clear()


def test_what_is_delivered_is_delivered_after_each_call_before_its_caller_goes_on(patient: Worker) -> None:
    delivered: list[int] = []
    patient.run(lambda: patient.after_each(lambda: delivered.append(1)), None)
    for number in range(2, 5):
        patient.run(lambda: None, None)
        assert len(delivered) == number


def test_a_delivery_that_fails_is_named_and_changes_nothing(
    patient: Worker, guard: Guard, caplog: pytest.LogCaptureFixture
) -> None:
    patient.run(lambda: patient.after_each(lambda: 1 / 0), None)  # type: ignore[arg-type, return-value]
    assert patient.run(lambda: 1, 0) == 1
    assert guard.failures == ("thread: division by zero (ZeroDivisionError)",)


def test_its_own_calls_come_by_the_clock_each_in_its_period(patient: Worker) -> None:
    often, seldom = threading.Event(), threading.Event()
    calls: list[str] = []

    def call() -> None:
        calls.append("often")
        if len(calls) == 4:
            often.set()
        raise RuntimeError("and failures do not end them")

    def add() -> None:
        patient.every(lambda: SOON_S, call)
        patient.every(lambda: 3600.0, seldom.set)
        patient.every(lambda: float("inf"), seldom.set)

    patient.run(add, None)
    assert often.wait(LATE_S)
    assert not seldom.is_set()


def test_a_period_that_shrinks_counts_from_the_last_call_on(patient: Worker) -> None:
    """As that of a meter that has lost its counter: what waits for an hour does not wait on."""
    called = threading.Event()
    period_s = 3600.0
    patient.run(lambda: patient.every(lambda: period_s, called.set), None)
    assert not called.wait(SOON_S)
    period_s = SOON_S
    patient.run(lambda: None, None)  # the call in which it is noticed
    assert called.wait(LATE_S)


def test_a_period_of_a_thousand_years_is_no_trouble(patient: Worker) -> None:
    patient.run(lambda: patient.every(lambda: 3e10, lambda: None), None)
    assert patient.run(lambda: 1, 0) == 1


def test_once_it_has_retired_callers_do_the_work_and_those_that_wait_are_served(guard: Guard) -> None:
    worker = Worker(guard, LATE_S)
    worker.start()
    served: list[str] = []

    def last() -> None:
        worker.run(lambda: served.append("left over"), None)
        worker.retire()

    worker.run(last, None)
    worker.join()
    assert served == ["left over"]
    assert worker.run(lambda: threading.current_thread().name, "") == threading.current_thread().name


class Late:
    """A queue that the first thread comes to late, as on a machine that has no time for it."""

    def __init__(self, calls: queue.SimpleQueue[object]) -> None:
        self.put, self.empty, self._calls = calls.put, calls.empty, calls
        self.first, self.go = threading.Event(), threading.Event()
        self.late: threading.Thread | None = None

    def get(self, timeout: float = LATE_S) -> object:
        if self.late is None:
            self.late = threading.current_thread()
        if self.late is threading.current_thread():
            assert self.go.wait(LATE_S)
            self.first.set()
        return self._calls.get(timeout=timeout)


def test_a_thread_that_was_succeeded_while_it_waited_ends_with_its_successor(guard: Guard) -> None:
    worker = Worker(guard, SOON_S)
    calls = worker._calls = Late(worker._calls)  # type: ignore[assignment, arg-type]
    worker.start()
    assert worker.run(lambda: 1, 0) == 1  # by the successor
    calls.go.set()
    assert calls.first.wait(LATE_S)
    worker.run(worker.retire, None)
    worker.join()
    assert calls.late is not None
    calls.late.join(LATE_S / 10)
    assert not calls.late.is_alive()


def test_where_no_thread_can_be_started_callers_do_the_work(
    guard: Guard, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    worker, delivered = Worker(guard), []
    with monkeypatch.context() as context:
        context.setattr(threading.Thread, "start", refuse)
        worker.start()
    worker.after_each(lambda: delivered.append(1))

    def call() -> str:
        with worker.outside():
            return worker.run(lambda: threading.current_thread().name, "")

    assert worker.run(call, "") == threading.current_thread().name
    assert delivered == [1, 1]
    assert guard.failures == ("thread: can't start new thread (RuntimeError)",)


def test_a_later_thread_with_the_number_of_the_ended_one_is_not_taken_for_it(
    guard: Guard, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = Worker(guard, LATE_S)
    worker.start()
    number = worker.run(threading.get_ident, 0)
    worker.run(worker.retire, None)
    worker.join()
    monkeypatch.setattr(threading, "get_ident", lambda: number)  # numbers are used again
    with worker.outside():
        assert worker.run(lambda: 5, 0) == 5
    assert guard.failures == ()
