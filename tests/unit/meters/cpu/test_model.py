from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Callable, Sequence
from typing import ClassVar

import pytest
from calibrations import relative_sweeps
from hypothesis import given, settings
from hypothesis import strategies as st

from eco2ai_callbacks.calibration.solve import least_squares
from eco2ai_callbacks.host.machine import Host
from eco2ai_callbacks.meters.cpu.attribution import CpuShare
from eco2ai_callbacks.meters.cpu.model import CurveModel, PaperModel, ThreadModel, model_for
from eco2ai_callbacks.testing import BARE_METAL, CLOUD_VM, Clock

# i7-8700: 65 W, 12 threads. Two EPYC 7742: 225 W and 128 threads each.
SERVER = dataclasses.replace(
    BARE_METAL,
    cpu_name="AMD EPYC 7742 64-Core Processor",
    cpu_vendor="AuthenticAMD",
    cpu_family=23,
    cpu_number=49,
    threads=256,
    sockets=2,
    allowed_threads=256.0,
)
NAMELESS = dataclasses.replace(BARE_METAL, cpu_name="", cpu_vendor="", cpu_family=None, cpu_number=None)


# --- bare metal -------------------------------------------------------------------------------------------------------


def test_a_known_processor_follows_the_curve_over_its_design_power() -> None:
    model = model_for(BARE_METAL)
    # Half load for 10 s: 0.5^0.55 = 0.683020; 65 x 0.64 x 0.683020 x 10 = 284.136 J active, 65 x 0.10 x 10 = 65 J idle.
    assert model.interval(60.0, 10.0) == (pytest.approx(284.136, rel=1e-5), pytest.approx(65.0))
    assert model.interval(0.0, 10.0) == (0.0, pytest.approx(65.0))
    assert model.interval(120.0, 10.0) == (pytest.approx(416.0), pytest.approx(65.0))  # 0.74 x 65 W at full load
    assert model.method.name == "cpu-model:bare"
    assert model.covers == {"cpu"}
    assert "Intel Core i7-8700" in model.detail


def test_each_socket_counts() -> None:
    assert model_for(SERVER).interval(256.0, 1.0) == (pytest.approx(288.0), pytest.approx(45.0))  # of 450 W


def test_more_load_than_threads_is_full_load() -> None:
    assert model_for(BARE_METAL).interval(999.0, 10.0) == (pytest.approx(416.0), pytest.approx(65.0))


def test_the_user_s_figures_win() -> None:
    assert model_for(BARE_METAL, cpu_tdp_w=100.0).interval(120.0, 10.0)[0] == pytest.approx(640.0)
    assert "setting cpu_tdp_w" in model_for(BARE_METAL, cpu_tdp_w=100.0).detail
    assert model_for(BARE_METAL, cpu_threads=6).interval(60.0, 10.0)[0] == pytest.approx(416.0)
    # Of 24 threads this process may use 12, with half of the power: 32.5 x 0.64 x 0.683020 x 10.
    part = model_for(BARE_METAL, cpu_threads=24)
    assert part.interval(60.0, 10.0)[0] == pytest.approx(142.068, rel=1e-5)
    assert part.method.name == "cpu-model:cgroup"


def test_a_processor_without_a_known_name_follows_the_user_s_power() -> None:
    model = model_for(NAMELESS, cpu_tdp_w=50.0)
    assert model.method.name == "cpu-model:bare"
    assert model.interval(120.0, 10.0) == (pytest.approx(320.0), pytest.approx(50.0))


def test_a_processor_in_no_table_gets_watts_per_thread_and_says_so() -> None:
    model = model_for(NAMELESS)
    assert model.method.name == "cpu-model:thread"
    # 12 threads for 10 s at 0.64 W, and 60 busy seconds x (3.15 - 0.64) W on top.
    assert model.interval(60.0, 10.0) == (pytest.approx(150.6), pytest.approx(76.8))
    assert model.detail == "12 threads at 3.15 W busy and 0.64 W idle (unknown)"
    assert model_for(NAMELESS, cpu_threads=6).interval(60.0, 10.0) == (pytest.approx(150.6), pytest.approx(38.4))


@pytest.mark.parametrize("name", ["AMD EPYC", "Intel(R) Xeon(R) CPU @ 2.20GHz", "QEMU Virtual CPU version 2.5+"])
def test_a_name_that_identifies_no_model_gets_no_model_s_power(name: str) -> None:
    assert model_for(dataclasses.replace(BARE_METAL, cpu_name=name)).method.name == "cpu-model:thread"


# --- a virtual machine ------------------------------------------------------------------------------------------------


def test_a_virtual_machine_gets_watts_per_hardware_thread_of_its_family() -> None:
    model = model_for(CLOUD_VM)
    # EPYC of the third generation: 2.02 W busy, 0.45 W idle. Two threads busy for 10 s:
    active, idle = model.interval(20.0, 10.0)
    assert (active, idle) == (pytest.approx(31.4), pytest.approx(9.0))
    assert active + idle == pytest.approx(20 * 2.02)
    assert model.method.name == "cpu-model:vm"
    assert model.covers == {"cpu", "ram"}  # whole servers' figures: memory is in them


def test_a_two_thread_machine_draws_a_few_watts_where_a_socket_draws_hundreds() -> None:
    active, idle = model_for(CLOUD_VM).interval(2.0, 1.0)
    low, high = model_for(CLOUD_VM).method.band(active + idle)
    assert 1.0 < low < active + idle < high < 20.0
    assert model_for(dataclasses.replace(CLOUD_VM, cpu_name=SERVER.cpu_name)).interval(2.0, 1.0) == (
        pytest.approx(2 * (1.69 - 0.47)),
        pytest.approx(2 * 0.47),
    )


@pytest.mark.parametrize("sockets", [1, 2, 16])
def test_a_guest_s_sockets_mean_nothing(sockets: int) -> None:
    host = dataclasses.replace(CLOUD_VM, sockets=sockets)
    assert model_for(host).interval(2.0, 1.0) == model_for(CLOUD_VM).interval(2.0, 1.0)
    own = model_for(host, cpu_tdp_w=280.0, cpu_threads=128)
    assert own.interval(2.0, 1.0) == model_for(CLOUD_VM, cpu_tdp_w=280.0, cpu_threads=128).interval(2.0, 1.0)


def test_a_guest_is_the_part_of_the_chip_that_the_user_names() -> None:
    # Two of 128 threads of 280 W: 4.375 W. Full load 0.64 of it, idle 0.10.
    model = model_for(CLOUD_VM, cpu_tdp_w=280.0, cpu_threads=128)
    assert model.interval(2.0, 1.0) == (pytest.approx(2.8), pytest.approx(0.4375))
    assert model.method.name == "cpu-model:vm"
    assert model.covers == {"cpu"}
    # The chip's threads come from the table where its name is known, else the guest is the chip.
    known = dataclasses.replace(CLOUD_VM, cpu_name=SERVER.cpu_name)
    assert model_for(known, cpu_tdp_w=256.0).interval(0.0, 1.0)[1] == pytest.approx(0.4)
    assert model_for(CLOUD_VM, cpu_tdp_w=280.0).interval(0.0, 1.0)[1] == pytest.approx(28.0)
    assert model_for(CLOUD_VM, cpu_tdp_w=280.0, cpu_threads=1).interval(0.0, 1.0)[1] == pytest.approx(28.0)


def test_how_many_threads_the_chip_below_has_is_nothing_to_a_guest_without_its_power() -> None:
    assert model_for(CLOUD_VM, cpu_threads=64).interval(2.0, 1.0) == model_for(CLOUD_VM).interval(2.0, 1.0)


C7A = dataclasses.replace(
    CLOUD_VM, cpu_name="AMD EPYC 9R14", cpu_number=17, vendor="Amazon EC2 c7a.xlarge", threads=4, allowed_threads=4.0
)
# 360 W for 96 cores.
CORE_W = 3.75


def test_an_instance_type_gives_the_chip_s_part_and_its_band_holds_what_a_core_draws() -> None:
    model = model_for(C7A, threads_per_core=1)
    assert model.method.name == "cpu-model:instance"
    assert model.interval(4.0, 1.0) == (pytest.approx(4 * CORE_W * 0.64), pytest.approx(4 * CORE_W * 0.10))
    low, high = model.method.band(sum(model.interval(4.0, 1.0)))
    assert low < 4 * CORE_W < high
    assert "4 of its 96 vCPUs by c7a.xlarge; Amazon EC2 User Guide" in model.detail
    assert model.covers == {"cpu"}


def test_an_instance_of_two_chips_has_the_power_of_both() -> None:
    host = dataclasses.replace(C7A, vendor="Amazon EC2 c7a.48xlarge", threads=192)
    assert model_for(host).interval(0.0, 1.0)[1] == pytest.approx(72.0)


def test_a_hyper_thread_s_instance_has_half_a_core() -> None:
    host = dataclasses.replace(C7A, cpu_name="AMD EPYC 7R13 Processor", vendor="Amazon EC2 c6a.xlarge")
    thread, core = model_for(host, threads_per_core=2), model_for(host, threads_per_core=1)
    assert thread.method.name == core.method.name == "cpu-model:instance"
    assert core.interval(0.0, 1.0)[1] == pytest.approx(2 * thread.interval(0.0, 1.0)[1])


def test_a_guest_of_unknown_threads_holds_both_a_thread_and_a_core() -> None:
    host = dataclasses.replace(C7A, vendor="QEMU", cpu_name="AMD EPYC-Genoa Processor")
    unknown, thread = model_for(host, threads_per_core=1), model_for(host, threads_per_core=2)
    assert unknown.interval(1.0, 1.0) == thread.interval(1.0, 1.0)
    low, high = unknown.method.band(sum(unknown.interval(4.0, 1.0)))
    assert low < 4 * 1.67 < 4 * CORE_W < high
    assert thread.method.band(sum(thread.interval(4.0, 1.0)))[1] < 4 * CORE_W
    assert unknown.detail.endswith("; each may be a whole core, which draws twice as much: the band includes that")
    # Without a table's power, a known core has that of two threads.
    core = model_for(dataclasses.replace(host, vendor="Amazon EC2 m7a.large"))
    assert core.method.name == "cpu-model:vm"
    assert core.interval(4.0, 1.0) == pytest.approx([2 * joules for joules in thread.interval(4.0, 1.0)])
    assert core.method.high == 2.0


def test_the_user_says_what_a_guest_s_thread_is_by_the_threads_of_its_chip() -> None:
    host = dataclasses.replace(C7A, vendor="QEMU")
    core, thread = model_for(host, cpu_threads=96), model_for(host, cpu_threads=192)
    assert core.method.name == thread.method.name == "cpu-model:instance"
    assert core.interval(0.0, 1.0)[1] == pytest.approx(4 * CORE_W * 0.10)
    assert thread.interval(0.0, 1.0)[1] == pytest.approx(2 * CORE_W * 0.10)
    assert "by the setting cpu_threads" in core.detail
    assert model_for(host, cpu_threads=50).method.name == "cpu-model:vm"
    assert model_for(C7A, cpu_threads=50).method.name == "cpu-model:instance"


def test_arm_s_figures_are_a_core_s_already() -> None:
    host = dataclasses.replace(CLOUD_VM, cpu_name="Neoverse-N1", cpu_vendor="ARM", vendor="Amazon EC2 m6g.large")
    model = model_for(host, threads_per_core=1)
    assert model.method.name == "cpu-model:vm"
    assert model.method.high == 2.0
    assert sum(model.interval(2.0, 1.0)) == pytest.approx(2 * 1.69)


def test_a_container_in_a_virtual_machine_is_counted_by_its_busy_threads_too() -> None:
    host = dataclasses.replace(CLOUD_VM, threads=8, allowed_threads=1.5)
    assert isinstance(model_for(host), ThreadModel)
    assert model_for(host).interval(1.0, 1.0) == (pytest.approx(1.57), pytest.approx(3.6))


# --- a container ------------------------------------------------------------------------------------------------------


def test_a_container_s_part_of_a_machine_has_that_part_of_its_power() -> None:
    host = dataclasses.replace(SERVER, allowed_threads=16.0)
    model = model_for(host)
    # 16 of 256 threads of 450 W: 28.125 W.
    assert model.interval(16.0, 1.0) == (pytest.approx(18.0), pytest.approx(2.8125))
    assert model.interval(8.0, 1.0) == (pytest.approx(18.0 * 0.683020, rel=1e-5), pytest.approx(2.8125))
    assert model.method.name == "cpu-model:cgroup"
    assert model.max_gap_s == 5.0
    assert "16 of 256 threads" in model.detail


def test_a_quota_may_be_a_part_of_a_thread() -> None:
    model = model_for(dataclasses.replace(SERVER, allowed_threads=0.5))
    assert model.interval(0.5, 1.0) == (pytest.approx(450 / 512 * 0.64), pytest.approx(450 / 512 * 0.10))


def test_the_user_s_figures_win_in_a_container_too() -> None:
    host = dataclasses.replace(SERVER, allowed_threads=16.0)
    assert model_for(host, cpu_tdp_w=100.0).interval(16.0, 1.0)[0] == pytest.approx(200 * 16 / 256 * 0.64)
    assert model_for(host, cpu_threads=64).interval(16.0, 1.0)[0] == pytest.approx(450 * 16 / 128 * 0.64)


def test_a_job_that_keeps_more_threads_busy_than_it_seemed_to_be_allowed_gets_its_due() -> None:
    """A main thread that is bound to one core (OMP_PROC_BIND) says nothing of the threads beside it."""
    model = model_for(dataclasses.replace(SERVER, allowed_threads=1.0))
    whole = model_for(SERVER)
    assert model.interval(256.0, 1.0) == pytest.approx(whole.interval(256.0, 1.0))
    assert model.interval(999.0, 1.0) == pytest.approx(whole.interval(999.0, 1.0))
    assert model.interval(4.0, 1.0) == (pytest.approx(450 * 4 / 256 * 0.64), pytest.approx(450 * 4 / 256 * 0.10))


def test_the_whole_machine_is_whole_inside_a_container() -> None:
    host = dataclasses.replace(SERVER, allowed_threads=16.0)
    assert model_for(host, scope="machine").method.name == "cpu-model:bare"
    assert model_for(host, scope="machine").interval(256.0, 1.0)[0] == pytest.approx(288.0)


@pytest.mark.parametrize("scope", ["process", "machine"])
def test_under_lxcfs_a_container_sees_its_own_threads_and_is_not_charged_the_whole_chip(scope: str) -> None:
    host = dataclasses.replace(SERVER, threads=4, sockets=1, allowed_threads=4.0, lxcfs=True)
    model = model_for(host, scope=scope)
    assert model.method.name == "cpu-model:cgroup"
    assert model.interval(4.0, 1.0)[0] == pytest.approx(225 * 4 / 128 * 0.64)
    # A chip that the table does not know is taken to be as large as what is seen.
    assert model_for(host, scope=scope, cpu_threads=4).method.name == "cpu-model:bare"


# --- eco2AI's formula -------------------------------------------------------------------------------------------------


def test_eco2ai_s_formula_is_design_power_times_utilisation() -> None:
    model = model_for(BARE_METAL, cpu_model="paper")
    assert model.interval(60.0, 10.0) == (pytest.approx(65 * 0.5 * 10), 0.0)
    assert model.method.name == "cpu-model:paper"
    assert model.covers == {"cpu"}
    assert model_for(SERVER, cpu_model="paper").interval(256.0, 1.0)[0] == pytest.approx(450.0)


def test_eco2ai_s_formula_takes_100_watts_for_what_it_does_not_know() -> None:
    model = model_for(NAMELESS, cpu_model="paper")
    assert model.interval(12.0, 1.0)[0] == pytest.approx(100.0)
    assert "eco2AI's figure" in model.detail


def test_eco2ai_s_formula_takes_the_user_s_figures() -> None:
    model = model_for(BARE_METAL, cpu_model="paper", cpu_tdp_w=120.0, cpu_threads=24)
    assert model.interval(12.0, 1.0)[0] == pytest.approx(60.0)


def test_eco2ai_s_formula_charges_a_guest_for_whole_sockets_and_its_band_says_so() -> None:
    model = model_for(dataclasses.replace(CLOUD_VM, sockets=2), cpu_model="paper")
    joules, _ = model.interval(2.0, 1.0)
    assert joules == pytest.approx(200.0)
    low, high = model.method.band(joules)
    truth = sum(model_for(CLOUD_VM).interval(2.0, 1.0))
    assert low < truth < joules < high
    assert model_for(BARE_METAL, cpu_model="paper").method.low == 0.2


# --- all of them ------------------------------------------------------------------------------------------------------

MODELS = [
    pytest.param(model_for(BARE_METAL), id="bare"),
    pytest.param(model_for(dataclasses.replace(SERVER, allowed_threads=16.0)), id="cgroup"),
    pytest.param(model_for(CLOUD_VM), id="vm"),
    pytest.param(model_for(CLOUD_VM, cpu_tdp_w=280.0), id="vm, power known"),
    pytest.param(model_for(NAMELESS), id="thread"),
    pytest.param(model_for(BARE_METAL, cpu_model="paper"), id="paper"),
]


@pytest.mark.parametrize("model", MODELS)
def test_every_figure_has_a_band_around_it_and_says_that_it_is_no_counter(
    model: ThreadModel | CurveModel | PaperModel,
) -> None:
    method = model.method
    assert not method.counter
    assert method.low < 1.0 < method.high
    low, high = method.band(100.0)
    assert low < 100.0 * method.low  # a tick at each edge of the stretch
    assert high > 100.0 * method.high
    assert method.attribution.startswith("whole machine")
    assert (model.name, model.failures) == ("CPU model", ())
    model.close()


@pytest.mark.parametrize(
    ("model", "low", "high"),
    [
        (model_for(BARE_METAL), 0.25, 2.5),
        (model_for(CLOUD_VM), 1 / 3, 4.0),
        (model_for(CLOUD_VM, threads_per_core=2), 1 / 3, 2.0),
        (model_for(NAMELESS), 1 / 3, 2.0),
        (model_for(BARE_METAL, cpu_model="paper"), 0.2, 2.5),
    ],
)
def test_the_bands_are_those_that_are_documented(
    model: ThreadModel | CurveModel | PaperModel, low: float, high: float
) -> None:
    assert (model.method.low, model.method.high) == (low, high)


SWEEPS = relative_sweeps()


@pytest.mark.parametrize("formula", ["auto", "paper"])
def test_a_point_s_band_holds_90_percent_of_the_published_sweeps(formula: str) -> None:
    model = model_for(BARE_METAL, cpu_model=formula)
    inside = []
    for load, part in itertools.chain(*SWEEPS.values()):
        low, high = model.method.low, model.method.high
        joules = sum(model.interval(load * 12, 1.0))
        inside.append(joules * low <= part * 65.0 <= joules * high)
    assert len(inside) == 64
    assert sum(inside) / len(inside) >= 0.9


def test_the_curve_s_band_holds_90_percent_of_the_points_of_machines_that_it_was_not_fit_to() -> None:
    inside = []
    for left_out, points in SWEEPS.items():
        others = [point for machine, own in SWEEPS.items() if machine != left_out for point in own]
        fits = []
        for power in (n / 20 for n in range(6, 41)):
            rows = [(1.0, load**power) for load, _ in others]
            found = least_squares(rows, [part for _, part in others])
            assert found is not None
            misfit = math.fsum(
                (found[0] + found[1] * row[1] - part) ** 2 for row, (_, part) in zip(rows, others, strict=True)
            )
            fits.append((misfit, found, power))
        _, (idle, active), power = min(fits)
        low, high = model_for(BARE_METAL).method.low, model_for(BARE_METAL).method.high
        inside += [low <= part / max(1e-9, idle + active * load**power) <= high for load, part in points]
    assert sum(inside) / len(inside) >= 0.9


def test_a_tick_of_a_busy_thread_is_the_edge_of_a_stretch() -> None:
    assert model_for(CLOUD_VM).method.edge_j == pytest.approx(0.01 * 2.02)
    assert model_for(BARE_METAL).method.edge_j == pytest.approx(0.01 * 65 / 12)


def test_read_once_the_concave_curve_reads_28_percent_too_high_and_every_5_seconds_it_does_not() -> None:
    """Half of the time idle, half of it at full load; 65 W x (0.10 + 0.64 u^0.55)."""
    model = model_for(BARE_METAL)
    truth = 65 * (0.10 * 600 + 0.64 * 300)
    once = sum(model.interval(12 * 300.0, 600.0))
    often = sum(sum(model.interval(12 * 5.0 if second >= 300 else 0.0, 5.0)) for second in range(0, 600, 5))
    assert once / truth == pytest.approx(1.28, abs=0.01)
    assert often == pytest.approx(truth)
    assert model.max_gap_s == 5.0


@pytest.mark.parametrize("model", [model_for(CLOUD_VM), model_for(NAMELESS), model_for(BARE_METAL, cpu_model="paper")])
@settings(deadline=None)
@given(parts=st.lists(st.tuples(st.floats(0.0, 2.0), st.floats(0.01, 100.0)), min_size=1, max_size=20))
def test_what_is_linear_in_the_load_need_not_be_read_in_between(
    model: ThreadModel | PaperModel, parts: list[tuple[float, float]]
) -> None:
    assert model.max_gap_s == math.inf
    once = model.interval(math.fsum(load * s for load, s in parts), math.fsum(s for _, s in parts))
    often = [model.interval(load * s, s) for load, s in parts]
    assert once[0] == pytest.approx(sum(active for active, _ in often))
    assert once[1] == pytest.approx(sum(idle for _, idle in often))


# --- a job's part of the curve ----------------------------------------------------------------------------------------


class Busy:
    """A busy time that is an exact function of the clock, or whole ticks of it."""

    def __init__(self, clock: Clock, seconds: Callable[[float], float], tick_s: float = 0.0) -> None:
        self._clock, self._seconds, self._tick_s = clock, seconds, tick_s

    def read(self) -> float:
        seconds = self._seconds(self._clock())
        return math.floor(seconds / self._tick_s + 1e-9) * self._tick_s if self._tick_s else seconds


def bursts(period: float, duty: float, threads: float) -> Callable[[float], float]:
    """The busy core-seconds of so many threads that are busy for a part of each period."""

    def at(t: float) -> float:
        whole, rest = divmod(t, period)
        return threads * (whole * period * duty + min(rest, period * duty))

    return at


def joules(
    gap: float | Sequence[float],
    job: Callable[[float], float],
    others: Callable[[float], float] = lambda _: 0.0,
    seconds: float = 600.0,
) -> float:
    """The joules of a job on a machine of 200 W and 16 threads, read at these intervals."""
    clock = Clock()
    machine = Busy(clock, lambda t: job(t) + others(t), 0.01)
    share = CpuShare(CurveModel(200.0, 16, "test", "bare"), machine, 16, Busy(clock, job), clock)
    gaps = itertools.cycle([gap] if isinstance(gap, float) else gap)
    before = total = 0.0
    while clock() < seconds - 1e-9:
        clock.advance(next(gaps))
        before, total = total, share.read()["cpu"]
        assert total >= before
    return total


@pytest.mark.parametrize("others", [0.0, 4.0], ids=["alone", "with others"])
@pytest.mark.parametrize(
    ("period", "duty", "threads"), [(0.02, 0.3, 1), (1.0, 0.3, 8), (2.5, 0.8, 16)], ids=["20 ms", "1 s", "2.5 s"]
)
def test_how_often_a_meter_is_read_does_not_change_a_job_s_joules(
    period: float, duty: float, threads: float, others: float
) -> None:
    job = bursts(period, duty, threads)
    once = joules(5.0, job, lambda t: others * t)
    for gap in (1.0, 0.1, 0.03):
        assert joules(gap, job, lambda t: others * t) == pytest.approx(once, rel=0.03)
    assert joules([0.7, 0.02, 3.1, 1.18], job, lambda t: others * t) == pytest.approx(once, rel=0.03)


def test_marks_between_the_thread_s_reads_do_not_change_what_long_bursts_cost() -> None:
    """Half of the time full load, half of it none, in stretches of 30 s: the curve is applied to each by itself."""
    job = bursts(60.0, 0.5, 16)
    truth = 200 * 0.5 * 600 * (0.64 + 0.10)
    assert joules(5.0, job) == pytest.approx(truth, rel=0.01)
    assert joules(0.5, job) == pytest.approx(truth, rel=0.02)
    assert joules([1.0, 4.0], job) == pytest.approx(truth, rel=0.01)


@pytest.mark.parametrize(
    "gaps", [[5.02, 4.97, 5.01, 4.99], [5.0], [0.003], [4.0, 1.0]], ids=["thread", "exact", "dense", "marks"]
)
def test_windows_are_as_long_as_they_are_said_to_be(gaps: list[float]) -> None:
    """A thread that reads a little early once does not double a window, and marks in between do not shorten one."""

    class Recording(CurveModel):
        spans: ClassVar[list[float]] = []

        def interval(self, busy_s: float, seconds: float) -> tuple[float, float]:
            self.spans.append(seconds)
            return super().interval(busy_s, seconds)

    Recording.spans.clear()
    clock = Clock()
    busy = Busy(clock, lambda t: t)
    share = CpuShare(Recording(200.0, 16, "test", "bare"), busy, 16, busy, clock)
    steps = list(itertools.islice(itertools.cycle(gaps), int(60.0 * len(gaps) / sum(gaps))))
    for step in steps:
        clock.advance(step)
        share.read()
    # A window begins with a span of one step: the span before it is whole.
    spans = Recording.spans
    whole = [spans[i] for i in range(len(steps) - 1) if spans[i + 1] == pytest.approx(steps[i + 1])]
    assert 11 <= len(whole) <= 12
    assert whole == [pytest.approx(5.0, abs=0.11)] * len(whole)


def test_a_window_that_has_just_begun_is_charged_by_its_load_so_far() -> None:
    clock = Clock()
    job = Busy(clock, lambda t: 8.0 * t)
    share = CpuShare(CurveModel(200.0, 16, "test", "bare"), job, 16, job, clock)
    clock.advance(1.0)
    # 200 x 0.64 x 0.5^0.55 and half of 20 W idle.
    assert share.read()["cpu"] == pytest.approx(200 * 0.64 * 0.683020 + 10.0, rel=1e-5)
    clock.advance(1.5)
    assert share.read()["cpu"] == pytest.approx(2.5 * (200 * 0.64 * 0.683020 + 10.0), rel=1e-5)


def test_a_job_s_figure_holds_until_a_busier_window_has_caught_up() -> None:
    """Its price per core-second falls with the others' load; the figure must not, and is exact windows later."""
    clock = Clock()
    job, others = [0.0], [0.0]
    own = Busy(clock, lambda _: job[0])
    share = CpuShare(CurveModel(200.0, 16, "test", "bare"), Busy(clock, lambda _: job[0] + others[0]), 16, own, clock)
    clock.advance(1.0)
    job[0] = 1.0
    first = share.read()["cpu"]
    clock.advance(3.0)
    others[0] = 40.0
    assert share.read()["cpu"] == first
    for _ in range(10):
        clock.advance(5.0)
        job[0] += 5.0
        others[0] += 50.0
        share.read()
    full = CurveModel(200.0, 16, "test", "bare").interval
    active, idle = full(55.0, 5.0)
    begun, begun_idle = full(96.0, 9.0)  # the first window ended at the first of these reads
    expected = begun * 6 / 96 + begun_idle * 6 / (16 * 9) + 9 * (active * 5 / 55 + idle / 16)
    assert share.read()["cpu"] == pytest.approx(expected)


@pytest.mark.parametrize("ranks", [1, 2, 4, 8])
def test_the_ranks_of_a_container_get_together_what_one_process_with_the_same_threads_gets(ranks: int) -> None:
    host = dataclasses.replace(SERVER, allowed_threads=8.0)
    clock = Clock()
    group = Busy(clock, lambda t: 6.0 * t)
    model = model_for(host)
    shares = [
        CpuShare(model_for(host), group, model.threads, Busy(clock, lambda t: 6.0 / ranks * t), clock)
        for _ in range(ranks)
    ]
    for _ in range(20):
        clock.advance(5.0)
        together = sum(share.read()["cpu"] for share in shares)
    # 6 of 8 threads of 256 of 450 W: 14.0625 W.
    assert together / clock() == pytest.approx(450 * 8 / 256 * (0.64 * 0.75**0.55 + 0.10 * 0.75))


@settings(deadline=None)
@given(
    host=st.sampled_from([BARE_METAL, SERVER, CLOUD_VM, NAMELESS]),
    busy=st.floats(0.0, 1e4),
    more=st.floats(0.0, 1e3),
    seconds=st.floats(1e-3, 1e4),
)
def test_more_work_never_costs_less_and_nothing_is_negative(
    host: Host, busy: float, more: float, seconds: float
) -> None:
    for model in (model_for(host), model_for(host, cpu_model="paper"), model_for(host, cpu_tdp_w=50.0)):
        active, idle = model.interval(busy, seconds)
        assert 0.0 <= active <= model.interval(busy + more, seconds)[0]
        assert idle >= 0.0
