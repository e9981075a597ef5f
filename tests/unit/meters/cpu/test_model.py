from __future__ import annotations

import dataclasses
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eco2ai_callbacks.host.machine import Host
from eco2ai_callbacks.meters.cpu.model import CurveModel, PaperModel, ThreadModel, model_for
from eco2ai_callbacks.testing import BARE_METAL, CLOUD_VM

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
    assert model.detail == "3.15 W per busy thread, 0.64 W per idle thread of 12 (unknown)"
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
    assert 1.0 < low < active + idle < high < 10.0
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
    assert model_for(BARE_METAL, cpu_model="paper").method.low == 0.5


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
        (model_for(BARE_METAL), 0.5, 1.5),
        (model_for(CLOUD_VM), 1 / 3, 2.0),
        (model_for(NAMELESS), 1 / 3, 2.0),
    ],
)
def test_the_bands_are_those_that_are_documented(model: ThreadModel | CurveModel, low: float, high: float) -> None:
    assert (model.method.low, model.method.high) == (low, high)


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
