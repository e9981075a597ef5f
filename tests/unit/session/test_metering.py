from __future__ import annotations

import contextlib
import errno
import math
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from eco2ai_callbacks.errors import Eco2AIError, MeterUnavailable
from eco2ai_callbacks.guard import Guard
from eco2ai_callbacks.session.ledger import Ledger
from eco2ai_callbacks.session.metering import FAILED_READS, FAILED_S, HOPELESS, SHORTEST_S, SLOW_S, Metering, MethodsNow
from eco2ai_callbacks.session.siblings import Siblings
from eco2ai_callbacks.testing import Clock, FakeMeter
from eco2ai_callbacks.usage import Method, Reading

SOON_S = 0.02
LATE_S = 10.0


class Counter:
    """A meter of one channel that counts up by a joule at each reading."""

    covers = frozenset({"cpu"})
    devices = ()
    methods: Mapping[str, Method] = {}

    def __init__(self, name: str = "good", max_gap_s: float = math.inf) -> None:
        self.name = name
        self.max_gap_s = max_gap_s
        self.failures: tuple[str, ...] = ()
        self.reads = 0
        self.closed = 0
        self.says: Callable[[], Any] = lambda: {self.name: float(self.reads)}

    def read(self) -> Any:
        self.reads += 1
        return self.says()

    def close(self) -> None:
        self.closed += 1


class Hanging(Counter):
    """Hangs in the thread, at its first reading there, until it is let go; gives 100 J then."""

    def __init__(self, name: str = "hanging") -> None:
        super().__init__(name, SOON_S)
        self.inside, self.go = threading.Event(), threading.Event()
        self.says = self.hang

    def hang(self) -> dict[str, float]:
        if threading.current_thread() is not threading.main_thread():
            self.inside.set()
            assert self.go.wait(LATE_S)
            return {self.name: 100.0}
        return {self.name: 1.0}


@pytest.fixture
def guard() -> Guard:
    return Guard()


def raising(error: Exception) -> Callable[[], Any]:
    def say() -> Any:
        raise error

    return say


def stop(metering: Metering) -> Reading:
    reading = metering.read()
    metering.close()
    return reading


class TestReading:
    def test_it_holds_every_meter_and_the_moment(self, guard: Guard):
        clock = Clock(5.0)
        metering = Metering([Counter("a"), Counter("b")], guard, clock)
        assert metering.read() == Reading(5.0, {"a": 1.0, "b": 1.0})
        clock.advance(1.0)
        assert metering.read() == Reading(6.0, {"a": 2.0, "b": 2.0})
        clock.advance(1.0)
        assert stop(metering) == Reading(7.0, {"a": 3.0, "b": 3.0})

    def test_it_does_not_change_afterwards(self, guard: Guard):
        metering = Metering([Counter("a")], guard)
        first = metering.read()
        metering.read()
        assert first.joules == {"a": 1.0}
        with pytest.raises(TypeError):
            first.joules["a"] = 2.0  # type: ignore[index]

    def test_without_meters_time_passes(self, guard: Guard):
        assert stop(Metering([], guard, Clock(1.0))) == Reading(1.0)

    def test_numbers_of_all_kinds_are_taken(self, guard: Guard):
        meter = Counter("a")
        meter.says = lambda: {"a": 3}
        assert Metering([meter], guard).read().joules == {"a": 3}

    def test_meters_are_closed_once_at_the_end_and_not_read_again(self, guard: Guard):
        meter = Counter("a")
        metering = Metering([meter], guard)
        metering.read()
        last = stop(metering)
        assert (meter.reads, meter.closed) == (2, 1)
        assert metering.read().joules == last.joules
        assert metering.read().retired == frozenset()
        assert meter.reads == 2
        assert stop(metering).joules == last.joules
        assert meter.closed == 1

    def test_a_meter_that_cannot_be_closed_is_named(self, guard: Guard, caplog: pytest.LogCaptureFixture):
        meter = Counter("a")
        meter.close = raising(RuntimeError("stuck"))  # type: ignore[method-assign]
        stop(Metering([meter], guard))
        assert guard.failures == ("a: stuck (RuntimeError)",)


class TestBadMeters:
    @pytest.mark.parametrize(
        ("say", "sentence"),
        [
            (raising(MeterUnavailable("taken out")), "bad: taken out (MeterUnavailable)"),
            (raising(Eco2AIError("no longer")), "bad: no longer (Eco2AIError)"),
            (raising(FileNotFoundError(errno.ENOENT, "No such file", "stat")), "bad: No such file (stat)"),
            (raising(OSError(errno.ESRCH, "No such process")), "bad: No such process"),
            (lambda: None, "bad: gave a figure that is none (None)"),
            (lambda: 5.0, "bad: gave a figure that is none (5.0)"),
            (lambda: {"bad": math.nan}, "bad: gave a figure that is none ({'bad': nan})"),
            (lambda: {"bad": math.inf}, "bad: gave a figure that is none ({'bad': inf})"),
            (lambda: {"bad": -1.0}, "bad: gave a figure that is none ({'bad': -1.0})"),
            (lambda: {"bad": 0.5}, "bad: gave a figure that is none ({'bad': 0.5})"),
            (lambda: {"bad": "12"}, "bad: gave a figure that is none ({'bad': '12'})"),
            (lambda: {"bad": True}, "bad: gave a figure that is none ({'bad': True})"),
            (lambda: {"bad": None}, "bad: gave a figure that is none ({'bad': None})"),
            (lambda: {None: 1.0}, "bad: gave a figure that is none ({None: 1.0})"),
            (lambda: {"bad": 10**400}, f"bad: gave a figure that is none ({{'bad': 1{'0' * 71})"),
        ],
    )
    def test_one_that_is_gone_or_talks_nonsense_is_retired_with_one_sentence(
        self, guard: Guard, caplog: pytest.LogCaptureFixture, say: Callable[[], Any], sentence: str
    ):
        bad, good = Counter("bad"), Counter("good")
        metering = Metering([bad, good], guard, Clock())
        before = metering.read()
        bad.says = say
        after = metering.read()
        assert guard.failures == (sentence,)
        assert after.joules == {"bad": 1.0, "good": 2.0}
        assert after.retired == {"bad"}
        assert after.since(before) == {"good": 1.0}
        assert stop(metering).joules["good"] == 3.0
        assert (bad.reads, bad.closed, good.closed) == (2, 1, 1)
        assert len(guard.failures) == len(caplog.records) == 1

    def test_one_that_fails_at_once_is_absent(self, guard: Guard, caplog: pytest.LogCaptureFixture):
        bad = Counter("bad")
        bad.says = raising(OSError("no"))
        assert Metering([bad], guard, Clock()).read() == Reading(0.0)
        assert guard.failures == ("bad: no (OSError)",)

    def test_one_that_drops_a_channel_goes_on_with_the_others(self, guard: Guard, caplog: pytest.LogCaptureFixture):
        meter = Counter()
        meter.says = lambda: {"a": 1.0, "b": 1.0, "c": 1.0}
        metering = Metering([meter], guard, Clock())
        before = metering.read()
        meter.says = lambda: {"b": 5.0}
        after = metering.read()
        assert after.since(before) == {"b": 4.0}
        assert after.retired == {"a", "c"}
        metering.read()
        assert guard.failures == ("good: no longer gives a, c",)

    def test_one_that_says_itself_why_a_channel_is_gone_is_not_named_twice(
        self, guard: Guard, caplog: pytest.LogCaptureFixture
    ):
        meter = Counter()
        meter.says = lambda: {"a": 1.0, "b": 1.0}
        metering = Metering([meter], guard, Clock())
        metering.read()
        meter.says, meter.failures = lambda: {"b": 1.0}, ("good: a fell off",)
        metering.read()
        metering.read()
        assert guard.failures == ("good: a fell off",)

    def test_a_channel_that_its_meter_names_as_behind_is_missing_until_it_has_caught_up(self, guard: Guard):
        clock, meter = Clock(100.0), Counter()
        meter.says = lambda: {"a": clock.now, "b": clock.now}
        metering = Metering([meter], guard, clock)
        first = metering.read()
        clock.advance(10.0)
        meter.says = lambda: {"a": 100.0, "b": clock.now}
        meter.behind = frozenset({"a"})  # type: ignore[attr-defined]
        without = metering.read()
        assert (without.retired, without.last_read) == ({"a"}, {"a": 100.0})
        assert without.since(first) == {"b": 10.0}
        clock.advance(10.0)
        meter.says = lambda: {"a": clock.now, "b": clock.now}
        meter.behind = frozenset()  # type: ignore[attr-defined]
        again = metering.read()
        assert again.since(without) == {"a": 20.0, "b": 10.0}
        assert (again.retired, again.beyond(without)) == (frozenset(), {"a": 10.0})
        assert guard.failures == ()

    def test_a_channel_that_is_behind_from_the_beginning_has_no_time_before(self, guard: Guard):
        meter = Counter()
        meter.says, meter.behind = lambda: {"a": 0.0}, frozenset({"a"})  # type: ignore[attr-defined]
        assert Metering([meter], guard, Clock(5.0)).read().last_read == {"a": 5.0}

    def test_a_channel_that_comes_back_stays_away(self, guard: Guard, caplog: pytest.LogCaptureFixture):
        meter = Counter()
        meter.says = lambda: {"a": 1.0}
        metering = Metering([meter], guard, Clock())
        metering.read()
        meter.says = dict
        without = metering.read()
        meter.says = lambda: {"a": 9.0}
        assert metering.read().since(without) == {}

    @pytest.mark.parametrize(
        ("takes", "failures"),
        [
            ((1.5, 0.5, 1.5, 0.5), ()),
            ((1.5, 0.5, 1.5, 2.5, 1.75, 9.5, 11.0, 9.5), ("slow: took 2.5 s to answer, twice",)),
            ((11.0, 0.5, 11.0, 0.5), ()),
        ],
    )
    def test_one_that_is_slow_twice_in_a_row_is_named_once_and_goes_on(
        self, guard: Guard, caplog: pytest.LogCaptureFixture, takes: tuple[float, ...], failures: tuple[str, ...]
    ):
        clock = Clock()
        took = iter(takes)
        meter = FakeMeter(clock, {"slow": 10.0}, name="slow")
        meter.on_read = lambda joules: (clock.advance(next(took)), meter.joules)[1]
        metering = Metering([meter], guard, clock)
        for _ in takes:
            reading = metering.read()
            assert reading.retired == frozenset()
            assert reading.joules == {"slow": 10.0 * clock.now}
        assert guard.failures == failures

    def test_one_that_is_hopelessly_slow_twice_in_a_row_is_retired(
        self, guard: Guard, caplog: pytest.LogCaptureFixture
    ):
        clock, good = Clock(), Counter("good")
        meter = FakeMeter(clock, {"slow": 10.0}, name="slow")
        meter.on_read = lambda joules: (clock.advance(HOPELESS * SLOW_S + 1.0), joules)[1]
        metering = Metering([meter, good], guard, clock)
        before = metering.read()
        assert before.retired == frozenset()
        after = metering.read()
        assert after.retired == {"slow"}
        assert after.since(before) == {"slow": 110.0, "good": 1.0}
        assert stop(metering).since(after) == {"good": 1.0}
        assert guard.failures == ("slow: took 11.0 s to answer, twice, and is read no more",)
        assert meter.reads == 2

    def test_a_signal_handler_that_reads_inside_a_reading_gets_the_figures_before(self, guard: Guard):
        meter = Counter("a")
        metering = Metering([meter], guard, Clock())
        metering.read()
        inside = []

        def say() -> dict[str, float]:
            if not inside:
                inside.append(metering.read())
            return {"a": 7.0}

        meter.says = say
        assert metering.read().joules == {"a": 7.0}
        assert inside == [Reading(0.0, {"a": 1.0})]
        assert guard.failures == ()


class TestFailedReads:
    """A read that fails leaves the channel out, and the next that does not takes all of it in."""

    @pytest.fixture
    def clock(self) -> Clock:
        return Clock()

    @pytest.fixture
    def meter(self, clock: Clock) -> FakeMeter:
        return FakeMeter(clock, {"cpu": 10.0}, name="model")

    @pytest.mark.parametrize(
        ("fault", "sentence"),
        [
            (OSError(errno.EMFILE, "Too many open files", "/proc/stat"), "model: Too many open files (/proc/stat)"),
            (OSError(errno.EIO, "Input/output error"), "model: Input/output error"),
            (PermissionError(errno.EACCES, "Permission denied"), "model: Permission denied"),
            (MemoryError(), "model: MemoryError"),
            (RuntimeError("not now"), "model: not now (RuntimeError)"),
        ],
    )
    def test_marks_add_up_to_all_that_was_used(
        self,
        guard: Guard,
        clock: Clock,
        meter: FakeMeter,
        caplog: pytest.LogCaptureFixture,
        fault: Exception,
        sentence: str,
    ):
        metering = Metering([meter], guard, clock)
        ledger = Ledger(metering.read(), lambda joules, seconds: joules)
        marks = []
        for failing in (None, fault, fault, None, fault, None):
            meter.fault = failing
            clock.advance(1.0)
            marks.append(dict(ledger.mark(metering.read(), "epoch").joules))
        assert marks == [{"cpu": 10.0}, {}, {}, {"cpu": 30.0}, {}, {"cpu": 20.0}]
        assert ledger.total.joules == meter.joules
        assert ledger.total.grams == 60.0
        assert guard.failures == (sentence,)
        assert len(caplog.records) == 1

    def test_what_was_read_between_a_mark_and_the_failure_is_the_mark_s(
        self, guard: Guard, clock: Clock, meter: FakeMeter, caplog: pytest.LogCaptureFixture
    ):
        metering = Metering([meter], guard, clock)
        first = metering.read()
        clock.advance(3.0)
        metering.read()
        meter.fault = OSError(errno.EMFILE, "Too many open files")
        clock.advance(2.0)
        second = metering.read()
        assert second.since(first) == {"cpu": 30.0}
        assert second.retired == {"cpu"}
        meter.fault = None
        clock.advance(1.0)
        assert metering.read().since(second) == {"cpu": 30.0}

    def test_one_that_fails_at_the_start_counts_from_its_opening(
        self, guard: Guard, clock: Clock, meter: FakeMeter, caplog: pytest.LogCaptureFixture
    ):
        meter.fault = OSError(errno.EMFILE, "Too many open files")
        metering = Metering([meter], guard, clock)
        first = metering.read()
        assert first == Reading(0.0)
        meter.fault = None
        clock.advance(1.0)
        assert metering.read().since(first) == {"cpu": 10.0}

    def test_one_that_fails_many_times_and_for_long_is_given_up(
        self, guard: Guard, clock: Clock, meter: FakeMeter, caplog: pytest.LogCaptureFixture
    ):
        metering = Metering([meter], guard, clock)
        before = metering.read()
        meter.fault = OSError(errno.EIO, "Input/output error")
        for _ in range(FAILED_READS):
            metering.read()
            clock.advance(FAILED_S / FAILED_READS)
        metering.read()
        meter.fault = None
        assert metering.read().since(before) == {}
        assert stop(metering).retired == {"cpu"}
        assert meter.reads == FAILED_READS + 2
        assert meter.closed
        assert guard.failures == ("model: Input/output error",)

    @pytest.mark.parametrize(
        ("reads", "every_s"), [(10 * FAILED_READS, FAILED_S / 1000), (FAILED_READS - 1, 2 * FAILED_S)]
    )
    def test_neither_many_marks_in_a_moment_nor_a_few_in_a_long_time_give_it_up(
        self,
        guard: Guard,
        clock: Clock,
        meter: FakeMeter,
        caplog: pytest.LogCaptureFixture,
        reads: int,
        every_s: float,
    ):
        metering = Metering([meter], guard, clock)
        before = metering.read()
        for _ in range(2):  # what works in between begins the count anew
            meter.fault = OSError(errno.EIO, "Input/output error")
            for _ in range(reads):
                clock.advance(every_s)
                metering.read()
            meter.fault = None
            assert metering.read().since(before) == {"cpu": pytest.approx(10.0 * clock.now)}


class TestHanging:
    """A thread that was succeeded hangs in a meter, and its successor reads without it."""

    @pytest.fixture
    def meter(self) -> Iterator[Hanging]:
        meter = Hanging()
        yield meter
        meter.go.set()

    def hanging(self, metering: Metering, meter: Hanging) -> threading.Thread:
        thread = threading.Thread(target=metering.read)
        thread.start()
        assert meter.inside.wait(LATE_S)
        return thread

    def test_a_mark_waits_for_it_once_and_training_goes_on_without(
        self, guard: Guard, meter: Hanging, caplog: pytest.LogCaptureFixture
    ):
        good = Counter("good")
        metering = Metering([meter, good], guard, slow_s=SOON_S)
        before = metering.read()
        thread = self.hanging(metering, meter)
        after = metering.read()
        assert guard.failures == ("hanging: did not answer within 0.02 s",)
        assert after.retired == {"hanging"}
        assert after.since(before).keys() == {"good"}
        began = time.monotonic()
        for _ in range(100):
            metering.read()
        assert time.monotonic() - began < 100 * SOON_S
        assert stop(metering).joules["good"] > after.joules["good"]
        assert meter.closed == 0
        meter.go.set()
        thread.join(LATE_S)
        assert meter.closed == 1
        assert metering.read().joules["hanging"] == 1.0
        assert len(guard.failures) == 1

    def test_its_channel_comes_back_once_it_answers_with_all_that_was_used_meanwhile(
        self, guard: Guard, meter: Hanging, caplog: pytest.LogCaptureFixture
    ):
        metering = Metering([meter], guard, slow_s=SOON_S)
        ledger = Ledger(metering.read(), lambda joules, seconds: joules)
        thread = self.hanging(metering, meter)
        assert ledger.mark(metering.read(), "epoch").joules == {}
        assert ledger.mark(metering.read(), "epoch").joules == {}
        meter.says = lambda: {"hanging": 101.0}
        meter.go.set()
        thread.join(LATE_S)
        back = metering.read()
        assert back.retired == frozenset()
        assert ledger.mark(back, "epoch").joules == {"hanging": 100.0}
        assert ledger.total.joules == {"hanging": 100.0}
        stop(metering)
        assert guard.failures == ("hanging: did not answer within 0.02 s",)
        assert meter.closed == 1

    @pytest.mark.parametrize(("waited", "patience_s"), [(True, 0.5), (False, 0.5 * HOPELESS)])
    def test_where_nobody_waits_more_patience_is_had(self, guard: Guard, waited: bool, patience_s: float):
        waits: list[float] = []

        class Noting:
            def acquire(self, blocking: bool = True, timeout: float = -1.0) -> bool:
                if blocking:
                    waits.append(timeout)
                return blocking

            def release(self) -> None:
                pass

        metering = Metering([Counter()], guard, slow_s=0.5)
        metering._slots[0]._lock = Noting()  # type: ignore[assignment]
        metering.read(waited=waited)
        assert waits == [patience_s]


@pytest.mark.parametrize(
    ("gaps", "heartbeat_s", "period_s"),
    [
        ((math.inf, 60.0), math.inf, 60.0),
        ((0.5, 60.0), 10.0, 0.5),
        ((math.inf,), 10.0, 10.0),
        ((), math.inf, math.inf),
        ((0.0,), math.inf, SHORTEST_S),
    ],
)
def test_the_period_is_the_smallest_gap_that_a_meter_or_the_heartbeat_needs(
    guard: Guard, gaps: tuple[float, ...], heartbeat_s: float, period_s: float
):
    assert Metering([Counter(max_gap_s=gap) for gap in gaps], guard).period_s(heartbeat_s) == period_s


def test_figures_have_changed_once_those_of_the_slowest_meter_have(guard: Guard):
    slow = Counter()
    slow.refresh_s = 0.1  # type: ignore[attr-defined]
    assert Metering([Counter(), slow], guard).refresh_s == 0.1
    assert Metering([], guard).refresh_s == 0.0


def test_a_meter_may_be_slow_where_nobody_waits(guard: Guard):
    clock, meter = Clock(), Counter("slow", SOON_S)

    def say() -> dict[str, float]:
        clock.advance(5.0)
        return {"slow": float(meter.reads)}

    meter.says = say
    metering = Metering([meter], guard, clock)
    for _ in range(4):
        metering.read(waited=False)
    assert guard.failures == ()


def test_meters_are_read_and_closed_where_somebody_else_may_take_over(guard: Guard):
    places: list[str] = []

    @contextlib.contextmanager
    def outside() -> Iterator[None]:
        places.append("outside")
        yield
        places.append("inside")

    meter = Counter()
    meter.says = lambda: places.append("read") or {"good": 1.0}  # type: ignore[func-returns-value]
    stop(Metering([meter], guard, outside=outside))
    assert places == ["outside", "read", "inside", "outside", "inside"]


def test_the_methods_are_the_same_object_until_a_meter_changes_its_own() -> None:
    model, counter = Method("cpu-model:vm", 0.5, 2.0), Method("rapl", 0.9, 1.1, counter=True)
    one, other = Counter(), Counter("late")
    one.methods = own = {"cpu": model}
    methods = MethodsNow([one, other])
    first = methods()
    one.methods = {"cpu": Method("cpu-model:vm", 0.5, 2.0)}
    assert methods() is first == {"cpu": model}
    one.methods = own
    own["cpu"] = counter  # the same mapping, changed
    assert methods() == {"cpu": counter}
    assert first == {"cpu": model}
    other.methods = {"late": model}
    assert methods() == {"cpu": counter, "late": model}


@pytest.mark.parametrize("figure", [True, "1", None, math.nan, math.inf, -1.0, 1j], ids=str)
def test_a_figure_that_is_none_retires_the_meter(figure: Any) -> None:
    guard, counter = Guard(), Counter()
    counter.says = lambda: {"good": figure}
    reading = Metering([counter], guard).read()
    assert not reading.joules
    assert [failure.partition(" (")[0] for failure in guard.failures] == ["good: gave a figure that is none"]


def test_where_others_share_a_reading_is_the_trackers_own_part_and_its_meters_are_read_as_they_are() -> None:
    clock = Clock()
    one, two = (Metering([FakeMeter(clock, {"cpu": 10.0})], Guard(), clock) for _ in range(2))
    siblings = Siblings()
    members = [siblings.enter(run, ("host", None)) for run in ("one",)]
    with ThreadPoolExecutor(1) as pool:  # not inside the first, which has not begun yet
        members.append(pool.submit(siblings.enter, "two", ("host", None)).result())
    for member, metering in zip(members, (one, two), strict=True):
        member.begin(metering)
    clock.advance(2.0)
    assert (one.read().joules, two.read().joules, one.own(True).joules) == ({"cpu": 10.0}, {"cpu": 10.0}, {"cpu": 20.0})
    members[1].leave()
    two.read()
    clock.advance(2.0)
    assert (one.read().joules, two.read().joules) == ({"cpu": 30.0}, {"cpu": 10.0})
