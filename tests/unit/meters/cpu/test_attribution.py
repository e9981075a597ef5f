from __future__ import annotations

import errno
import itertools
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eco2ai_callbacks.meters.cpu import table as cpu_table
from eco2ai_callbacks.meters.cpu.attribution import CpuShare
from eco2ai_callbacks.meters.cpu.floor import IdleFloor, idle_part
from eco2ai_callbacks.meters.cpu.model import CURVE_WINDOW_S, CurveModel, PaperModel, ThreadModel
from eco2ai_callbacks.meters.cpu.processes import TICK_S
from eco2ai_callbacks.meters.cpu.rapl import open_rapl
from eco2ai_callbacks.testing import BARE_METAL, Clock, PowercapTree
from eco2ai_callbacks.usage import Method

FAMILY = cpu_table.Family("test", idle_w=0.5, max_w=2.0, source="this test")


class Busy:
    """A busy time that we set."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def read(self) -> float:
        return self.seconds


class Ticks:
    """A busy time as the kernel shows it: whole ticks of 10 ms."""

    def __init__(self, true: Busy) -> None:
        self._true = true

    def read(self) -> float:
        return int(self._true.seconds * 100 + 1e-9) / 100


class Counter:
    """A hardware counter of the machine: all of its joules are active."""

    name = "RAPL"
    covers = frozenset({"cpu"})
    max_gap_s = 30.0
    method = Method("rapl", 0.95, 1.05, counter=True)

    def __init__(self) -> None:
        self.joules = 0.0
        self.failures: tuple[str, ...] = ()
        self.closed = False
        self.calls: list[tuple[float, float]] = []
        self._read = 0.0

    def interval(self, busy_s: float, seconds: float) -> tuple[float, float]:
        self.calls.append((busy_s, seconds))
        joules, self._read = self.joules - self._read, self.joules
        return joules, 0.0

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def clock() -> Clock:
    return Clock(1000.0)


@pytest.fixture
def machine() -> Busy:
    return Busy()


@pytest.fixture
def job() -> Busy:
    return Busy()


def test_in_a_virtual_machine_the_job_gets_its_core_seconds_times_the_watts_of_a_busy_thread(
    clock: Clock, machine: Busy, job: Busy
) -> None:
    share = CpuShare(ThreadModel(8, FAMILY, "vm"), machine, 8, job, clock)
    clock.advance(10.0)
    machine.seconds, job.seconds = 30.0, 12.0
    # Active 30 s x 1.5 W = 45 J, of which 12/30; idle 8 x 0.5 W x 10 s = 40 J, of which 12/80.
    assert share.read() == {"cpu": pytest.approx(18.0 + 6.0)}
    assert share.read()["cpu"] == pytest.approx(12.0 * 2.0)


def test_on_bare_metal_the_job_gets_its_part_of_the_curve(clock: Clock, machine: Busy, job: Busy) -> None:
    share = CpuShare(CurveModel(100.0, 10, "test", "bare"), machine, 10, job, clock)
    clock.advance(5.0)
    machine.seconds, job.seconds = 25.0, 10.0
    # Load 25 / (10 x 5) = 0.5; 0.5^0.55 = 0.683020. Active 100 x 0.64 x 0.683020 x 5 = 218.566 J, of which 10/25;
    # idle 100 x 0.10 x 5 = 50 J, of which 10/50.
    assert share.read()["cpu"] == pytest.approx(87.4266 + 10.0, rel=1e-5)


def test_of_a_hardware_counter_the_job_gets_its_part_of_the_busy_time(clock: Clock, machine: Busy, job: Busy) -> None:
    counter = Counter()
    share = CpuShare(counter, machine, 64, job, clock)
    clock.advance(2.0)
    machine.seconds, job.seconds, counter.joules = 4.0, 1.0, 300.0
    assert share.read()["cpu"] == pytest.approx(75.0)
    clock.advance(2.0)
    machine.seconds, job.seconds, counter.joules = 5.0, 2.0, 400.0
    assert share.read()["cpu"] == pytest.approx(75.0 + 100.0)


def test_of_eco2ai_s_formula_the_job_gets_its_busy_time(clock: Clock, machine: Busy, job: Busy) -> None:
    share = CpuShare(PaperModel(100.0, 10, "test"), machine, 10, job, clock)
    clock.advance(4.0)
    machine.seconds, job.seconds = 20.0, 8.0
    assert share.read()["cpu"] == pytest.approx(8.0 * 10.0)


@pytest.mark.parametrize("busy_s", [0.0, 30.0], ids=["idle machine", "busy with others"])
def test_a_job_that_does_nothing_gets_nothing(clock: Clock, machine: Busy, job: Busy, busy_s: float) -> None:
    counter = Counter()
    shares = [
        CpuShare(ThreadModel(8, FAMILY, "vm"), machine, 8, job, clock),
        CpuShare(counter, machine, 8, job, clock),
    ]
    clock.advance(60.0)
    machine.seconds, counter.joules = busy_s, 900.0
    assert [share.read()["cpu"] for share in shares] == [0.0, 0.0]
    # And what the machine used meanwhile is not handed to it later.
    clock.advance(1.0)
    machine.seconds, job.seconds, counter.joules = busy_s + 1.0, 1.0, 910.0
    assert [share.read()["cpu"] for share in shares] == [pytest.approx(2.0), pytest.approx(10.0)]


def test_the_whole_machine_is_active_and_idle_together(clock: Clock, machine: Busy) -> None:
    share = CpuShare(ThreadModel(8, FAMILY, "vm"), machine, 8, None, clock)
    clock.advance(10.0)
    machine.seconds = 30.0
    assert share.read()["cpu"] == pytest.approx(30.0 * 1.5 + 8 * 0.5 * 10.0)
    assert share.methods["cpu"].attribution == "whole machine, 2 W per busy thread"


def test_the_attribution_says_whose_energy_it_is(clock: Clock, machine: Busy, job: Busy) -> None:
    for cpu, whose in (
        (ThreadModel(8, FAMILY, "vm"), "job's process tree, 2 W per busy thread"),
        (CurveModel(100.0, 10, "test", "bare"), "job's process tree"),
        (Counter(), "job's process tree"),
    ):
        method = CpuShare(cpu, machine, 8, job, clock).methods["cpu"]
        assert method.attribution == whose
        assert (method.name, method.low, method.high) == (cpu.method.name, cpu.method.low, cpu.method.high)


def test_several_jobs_share_what_is_active_and_leave_what_nobody_uses(clock: Clock, machine: Busy) -> None:
    jobs = [Busy(), Busy(), Busy()]
    shares = [CpuShare(ThreadModel(8, FAMILY, "vm"), machine, 8, job, clock) for job in jobs]
    whole = CpuShare(ThreadModel(8, FAMILY, "vm"), machine, 8, None, clock)
    clock.advance(10.0)
    machine.seconds = 40.0
    for job, seconds in zip(jobs, (20.0, 15.0, 5.0), strict=True):
        job.seconds = seconds
    parts = [share.read()["cpu"] for share in shares]
    assert parts == [pytest.approx(40.0), pytest.approx(30.0), pytest.approx(10.0)]
    # Half of the threads' time was nobody's: 40 s x 0.5 W.
    assert whole.read()["cpu"] - sum(parts) == pytest.approx(20.0)


@pytest.mark.parametrize("step", [0.0, -5.0], ids=["no time has passed", "the clock went back"])
def test_without_time_nothing_is_counted_and_nothing_lost(clock: Clock, machine: Busy, job: Busy, step: float) -> None:
    counter = Counter()
    share = CpuShare(counter, machine, 8, job, clock)
    clock.advance(step)
    machine.seconds, job.seconds, counter.joules = 1.0, 1.0, 50.0
    assert share.read() == {"cpu": 0.0}
    assert counter.calls == []
    clock.advance(2.0 - step)
    assert share.read() == {"cpu": 50.0}


def test_a_job_is_never_charged_for_more_threads_than_there_are(clock: Clock, machine: Busy, job: Busy) -> None:
    share = CpuShare(CurveModel(100.0, 10, "test", "bare"), machine, 10, job, clock)
    clock.advance(1.0)
    job.seconds = 500.0  # as when an old process is adopted
    assert share.read()["cpu"] == pytest.approx(74.0)


def test_a_container_s_own_load_is_all_the_load_that_counts(clock: Clock, job: Busy) -> None:
    """Its part of the machine is its own: the job is its own machine."""
    share = CpuShare(CurveModel(40.0, 4, "test", "cgroup", 64), job, 4, job, clock)
    clock.advance(5.0)
    job.seconds = 10.0
    # Load 0.5: active 40 x 0.64 x 0.683020 x 5 = 87.4266 J, all of it; idle 40 x 0.10 x 5 = 20 J, half of it.
    assert share.read()["cpu"] == pytest.approx(87.4266 + 10.0, rel=1e-5)


def test_what_the_machine_s_meter_says_of_itself_is_passed_on(clock: Clock, machine: Busy, job: Busy) -> None:
    counter = Counter()
    share = CpuShare(counter, machine, 8, job, clock)
    counter.failures = ("RAPL: package-0 was reset",)
    assert (share.name, share.covers, share.max_gap_s) == ("RAPL", frozenset({"cpu"}), 30.0)
    assert share.refresh_s == TICK_S
    assert share.failures == ("RAPL: package-0 was reset",)
    share.close()
    assert counter.closed


def test_real_counters_are_shared(clock: Clock, machine: Busy, job: Busy, tmp_path: Path) -> None:
    tree = PowercapTree(tmp_path)
    packages = [tree.add_package(0, energy_uj=262143000000), tree.add_package(1)]
    cpu, _ = open_rapl(tree.root, BARE_METAL, clock)
    share = CpuShare(cpu, machine, 12, job, clock)
    clock.advance(10.0)
    for package in packages:
        tree.advance(package, 200.0)  # over the end of the first one's range
    machine.seconds, job.seconds = 40.0, 10.0
    assert share.read()["cpu"] == pytest.approx(100.0, rel=1e-4)
    method = share.methods["cpu"]
    assert method.counter
    assert method.attribution == "job's process tree"


# --- the idle floor of a counter --------------------------------------------------------------------------------------


class Server:
    """A machine of 64 threads whose counter shows 90 W without work, and a job among others."""

    def __init__(self, clock: Clock, jobs: int = 1) -> None:
        self.clock = clock
        self.machine, self.jobs, self.counted_j = Busy(), [Busy() for _ in range(jobs)], 0.0
        self.shares = [self._share(job) for job in self.jobs]
        self.whole = self._share(None)

    def _share(self, job: Busy | None) -> CpuShare:
        floor, server = IdleFloor(64), self

        class Split(Counter):
            def interval(self, busy_s: float, seconds: float) -> tuple[float, float]:
                self.joules = server.counted_j
                return floor.split(sum(super().interval(busy_s, seconds)), busy_s, seconds)

        return CpuShare(Split(), self.machine, 64, job, self.clock, floor)

    def work(self, *threads: float, others: float = 0.0, seconds: float = 100.0, idle_w: float = 90.0) -> None:
        """Let each job keep so many threads busy; each takes 3 W on top."""
        for _ in range(round(seconds)):
            self.clock.advance(1.0)
            for job, busy in zip(self.jobs, threads, strict=True):
                job.seconds += busy
            self.machine.seconds += sum(threads) + others
            self.counted_j += idle_w + 3.0 * (sum(threads) + others)
            for share in (*self.shares, self.whole):
                share.read()

    def watts(self, seconds: float = 100.0) -> list[tuple[float, float, float]]:
        """Figure and band of each job, in watts."""
        found = []
        for share in self.shares:
            joules = share.read()["cpu"]
            method = share.methods["cpu"]
            found.append((joules / seconds, joules * method.low / seconds, joules * method.high / seconds))
        return found


def test_an_idle_server_s_power_is_not_the_busiest_job_s(clock: Clock) -> None:
    """It sleeps and wakes a little, as a GPU training's main thread does: 2 % of one thread."""
    server = Server(clock)
    server.work(0.02)
    ((figure, low, high),) = server.watts()
    # Its part of all threads' time, 0.02 / 64 of 90.06 W: all of that is idle power at such a load.
    assert figure == pytest.approx(0.02 / 64 * 90.06)
    assert low == pytest.approx(0.0, abs=1e-9)  # none of the idle power
    assert high == pytest.approx(90.06 * 1.05)  # all of it: it is alone


def test_beside_others_the_band_holds_no_more_than_its_part_of_what_runs(clock: Clock) -> None:
    server = Server(clock)
    server.work(0.02, others=1.0)
    ((figure, low, high),) = server.watts()
    assert 0 < low < figure < high
    assert figure < 1.0
    assert high == pytest.approx((90 + 3.06) * 0.02 / 1.02 * 1.05)


def test_a_job_alone_at_full_load_gets_the_whole_package(clock: Clock) -> None:
    server = Server(clock)
    server.work(64.0)
    ((figure, low, high),) = server.watts()
    assert figure == pytest.approx(90 + 192)
    assert high == pytest.approx((90 + 192) * 1.05)
    assert low == pytest.approx((90 + 192) * (1 - idle_part(1.0)) * 0.95)


def test_a_quiet_moment_of_the_run_makes_the_figure_sure(clock: Clock) -> None:
    server = Server(clock)
    server.work(0.0, seconds=10)
    server.work(8.0)
    ((figure, low, high),) = server.watts()
    assert figure == pytest.approx(8 * 3 + 90 * 8 / 64)
    assert low == pytest.approx(8 * 3 * 0.95)
    assert high == pytest.approx((90 + 24) * 1.05)


def test_the_whole_machine_is_the_counter_and_its_band_is_the_counter_s(clock: Clock) -> None:
    server = Server(clock)
    server.work(0.02)
    assert server.whole.read()["cpu"] == pytest.approx(server.counted_j)
    method = server.whole.methods["cpu"]
    assert (method.low, method.high, method.scope) == (0.95, 1.05, "machine")


def test_a_job_that_does_nothing_has_the_counter_s_band(clock: Clock) -> None:
    server = Server(clock)
    server.work(0.0)
    method = server.shares[0].methods["cpu"]
    assert (server.shares[0].read()["cpu"], method.low, method.high) == (0.0, 0.95, 1.05)


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(st.lists(st.integers(0, 21), min_size=3, max_size=3), st.integers(1, 8), st.integers(0, 120)),
        min_size=1,
        max_size=10,
    )
)
def test_jobs_on_an_idle_floor_never_get_more_than_the_counter_not_even_at_the_end_of_their_bands(
    phases: list[tuple[list[int], int, int]],
) -> None:
    server = Server(Clock(), jobs=3)
    before = [0.0, 0.0, 0.0]
    for threads, seconds, idle_w in phases:
        server.work(*map(float, threads), seconds=seconds, idle_w=idle_w)
        figures = [share.read()["cpu"] for share in server.shares]
        assert all(now >= earlier for now, earlier in zip(figures, before, strict=True))
        assert sum(figures) <= server.counted_j * (1 + 1e-9)
        highs = [share.methods["cpu"].high / 1.05 for share in server.shares]
        most = sum(figure * high for figure, high in zip(figures, highs, strict=True))
        assert sum(figures) * (1 - 1e-9) <= most <= server.counted_j * (1 + 1e-9)
        before = figures


# --- short stretches --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("failing", ["machine", "job"])
def test_a_read_that_fails_changes_nothing_and_the_next_takes_all_in(
    clock: Clock, machine: Busy, job: Busy, failing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    share = CpuShare(ThreadModel(4, FAMILY, "vm"), machine, 4, job, clock)
    whole = CpuShare(ThreadModel(4, FAMILY, "vm"), machine, 4, job, clock)

    def short() -> float:
        raise OSError(errno.EMFILE, "Too many open files")

    def second() -> None:
        clock.advance(1.0)
        machine.seconds += 2.0
        job.seconds += 1.0

    second()
    share.read()
    second()
    with monkeypatch.context() as patch:
        patch.setattr({"machine": machine, "job": job}[failing], "read", short)
        for _ in range(2):
            with pytest.raises(OSError, match="Too many open files"):
                share.read()
    second()
    assert share.read() == whole.read() == {"cpu": pytest.approx(6.0)}


def _marks(share: CpuShare, clock: Clock, advance: Callable[[float], None], step: float, count: int) -> list[float]:
    readings = []
    for _ in range(count):
        clock.advance(step)
        advance(step)
        readings.append(share.read()["cpu"])
    return readings


@pytest.mark.parametrize("step", [0.003, 0.01, 0.05, 0.7])
def test_ticks_of_the_machine_cost_a_job_in_a_virtual_machine_nothing(clock: Clock, step: float) -> None:
    """Its joules follow from its own core-seconds, which are known in nanoseconds."""
    true, job = Busy(), Busy()
    share = CpuShare(ThreadModel(2, FAMILY, "vm"), Ticks(true), 2, job, clock)

    def advance(seconds: float) -> None:
        job.seconds += 0.7 * seconds
        true.seconds += 0.7 * seconds

    readings = _marks(share, clock, advance, step, 300)
    steps = [later - before for before, later in itertools.pairwise([0.0, *readings])]
    assert steps == [pytest.approx(0.7 * step * 2.0, rel=1e-3)] * 300


@pytest.mark.parametrize("step", [0.003, 0.01, 0.05, 0.7])
def test_however_short_the_stretches_a_job_gets_no_more_of_a_counter_than_its_part(clock: Clock, step: float) -> None:
    """The job is a quarter of what keeps the machine busy; a tick more or less in 3 ms must not become energy."""
    true, job, counter = Busy(), Busy(), Counter()
    share = CpuShare(counter, Ticks(true), 4, job, clock)

    def advance(seconds: float) -> None:
        job.seconds += 0.5 * seconds
        true.seconds += 2.0 * seconds
        counter.joules += 80.0 * seconds

    readings = _marks(share, clock, advance, step, 1000)
    assert readings == sorted(readings)
    assert readings[-1] == pytest.approx(20.0 * 1000 * step, rel=0.03)


# --- whatever happens -------------------------------------------------------------------------------------------------

# In whole milliseconds, hundredths and joules: what is far below them is no machine's.
_LONG = st.integers(210, 100_000).map(lambda ms: ms / 1000)
_SHORT = st.integers(0, 200).map(lambda ms: ms / 1000)
_LOADS = st.lists(st.integers(0, 100).map(lambda percent: percent / 100), min_size=3, max_size=3)
_JOULES = st.integers(0, 10_000).map(float)


@settings(deadline=None)
@given(st.lists(st.tuples(_LONG, _LOADS, _JOULES), min_size=1, max_size=12))
def test_the_jobs_of_a_machine_never_get_more_than_the_machine_has_used(
    stretches: list[tuple[float, list[float], float]],
) -> None:
    clock, machine = Clock(), Busy()
    jobs = [Busy(), Busy()]
    threads = 3
    models = [
        lambda: ThreadModel(threads, FAMILY, "vm"),
        lambda: CurveModel(90.0, threads, "test", "bare"),
        lambda: PaperModel(90.0, threads, "test"),
    ]
    groups = [
        (
            CpuShare(model(), machine, threads, None, clock),
            [CpuShare(model(), machine, threads, j, clock) for j in jobs],
        )
        for model in models
    ]
    counters = [Counter() for _ in range(3)]
    groups.append(
        (
            CpuShare(counters[2], machine, threads, None, clock),
            [CpuShare(counters[i], machine, threads, jobs[i], clock) for i in range(2)],
        )
    )
    before = [0.0] * len(groups)
    for seconds, loads, joules in stretches:
        clock.advance(seconds)
        for job, load in zip(jobs, loads, strict=False):
            job.seconds += load * seconds
        machine.seconds += sum(loads) * seconds
        for counter in counters:
            counter.joules += joules
        for number, (whole, parts) in enumerate(groups):
            together = sum(part.read()["cpu"] for part in parts)
            # A curve's window that has just begun is provisional: at most its energy is in two jobs' figures.
            provisional_j = 90.0 * CURVE_WINDOW_S if number == 1 else 0.0
            assert before[number] <= together <= whole.read()["cpu"] * (1 + 1e-9) + 1e-9 + provisional_j
            before[number] = together


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.one_of(_SHORT, _LONG), _LOADS, _JOULES), min_size=1, max_size=40),
    st.booleans(),
)
def test_the_joules_never_fall_and_never_exceed_the_machine_s(
    stretches: list[tuple[float, list[float], float]], ticks: bool
) -> None:
    clock, true, job, counter = Clock(), Busy(), Busy(), Counter()
    machine = Ticks(true) if ticks else true
    share = CpuShare(counter, machine, 3, job, clock)
    before = 0.0
    for seconds, loads, joules in stretches:
        clock.advance(seconds)
        job.seconds += loads[0] * seconds
        true.seconds += sum(loads) * seconds
        counter.joules += joules
        now = share.read()["cpu"]
        assert before <= now <= counter.joules * (1 + 1e-9) + 1e-9
        before = now
