"""The state of boards beside their energy: what the driver reports, what it does not, and what asking costs."""

from __future__ import annotations

import collections
import dataclasses
import os
import threading
from collections.abc import Callable
from typing import Any

import pytest
from nvml_meters import ENERGY, A, B, opened

from eco2ai_callbacks.host.gpu_health import GpuLook
from eco2ai_callbacks.meters.gpu import nvml_health
from eco2ai_callbacks.testing import Clock, FakeGpu, FakeNvml

LOAD, CLOCK, REASONS = nvml_health.LOAD, nvml_health.CLOCK, nvml_health.REASONS
TEMPERATURE, VIOLATION = nvml_health.TEMPERATURE, nvml_health.VIOLATION
LIMIT = "nvmlDeviceGetEnforcedPowerLimit"
EACH_LOOK = {LOAD: 1, CLOCK: 1, REASONS[0]: 1, TEMPERATURE[0]: 1, VIOLATION: 2}


@pytest.fixture
def clock() -> Clock:
    return Clock(1000.0)


def full(uuid: str = A, **fields: Any) -> FakeGpu:
    """A board that reports everything."""
    told: dict[str, Any] = {"load": (90, 40), "clock_mhz": (1400, 1980), "celsius": 66, "reasons": 0x4}
    return FakeGpu(uuid, **{**told, "limit_w": 400.0, "slowed": (0.5, 0.0), **fields})


def test_a_look_has_all_that_the_driver_reports(clock: Clock) -> None:
    meter = opened(FakeNvml(clock, full()), clock)
    clock.advance(2.0)
    assert meter.looks
    assert meter.look() == [
        GpuLook(
            A,
            0,
            (f"gpu:{A}",),
            1002.0,
            busy=0.9,
            memory_busy=0.4,
            clock_mhz=1400,
            max_clock_mhz=1980,
            temperature_c=66,
            power_limit_w=400.0,
            reasons=frozenset({"power cap"}),
            slowed_s={"power cap": 1.0, "thermal limit": 0.0},
        )
    ]


def test_a_look_makes_six_calls_a_board_and_a_read_none_of_them(clock: Clock) -> None:
    nvml = FakeNvml(clock, full(A), full(B))
    meter = opened(nvml, clock)
    opening = nvml.calls.copy()
    assert not opening.keys() & EACH_LOOK.keys()
    meter.look()
    first = nvml.calls - opening
    assert first == collections.Counter({**EACH_LOOK, nvml_health.MAX_CLOCK: 1, LIMIT: 1}) + collections.Counter(
        {**EACH_LOOK, nvml_health.MAX_CLOCK: 1, LIMIT: 1}
    )
    nvml.calls.clear()
    for _ in range(60):
        clock.advance(1.0)
        meter.look()
    assert nvml.calls == {name: 120 * calls for name, calls in EACH_LOOK.items()} | {LIMIT: 2}
    nvml.calls.clear()
    meter.read()
    assert nvml.calls == {ENERGY: 2}


def test_where_a_driver_reports_nothing_it_is_asked_once(clock: Clock) -> None:
    nvml = FakeNvml(clock, FakeGpu(A))
    meter = opened(nvml, clock)
    assert meter.looks
    assert meter.look() == []
    assert not meter.looks
    nvml.calls.clear()
    assert meter.look() == []
    assert not nvml.calls
    assert meter.failures == ()


ONE_BY_ONE: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "load": ({"load": None}, {"busy": None, "memory_busy": None}),
    "clock": ({"clock_mhz": None}, {"clock_mhz": None, "max_clock_mhz": None}),
    "temperature": ({"celsius": None}, {"temperature_c": None}),
    "reasons": ({"reasons": None}, {"reasons": None}),
    "limit": ({"limit_w": None}, {"power_limit_w": None}),
    "counters": ({"slowed": None}, {"slowed_s": {}}),
}


@pytest.mark.parametrize("lacking", ONE_BY_ONE)
def test_each_value_may_be_missing_alone_and_costs_no_other_and_no_energy(clock: Clock, lacking: str) -> None:
    changed, missing = ONE_BY_ONE[lacking]
    meter = opened(FakeNvml(clock, full(**changed)), clock)
    whole = opened(FakeNvml(clock, full()), clock).look()[0]
    assert meter.look() == [dataclasses.replace(whole, **missing)]
    clock.advance(10.0)
    assert meter.read() == {f"gpu:{A}": 1000.0}
    assert meter.failures == ()


@pytest.mark.parametrize("function", [LOAD, CLOCK, REASONS[0], TEMPERATURE[0], VIOLATION])
@pytest.mark.parametrize("code", [3, 4, 13, 15, 999], ids=str)
def test_a_call_that_fails_is_missing_in_that_look_and_the_energy_goes_on(
    clock: Clock, function: str, code: int
) -> None:
    nvml = FakeNvml(clock, full())
    meter = opened(nvml, clock)
    whole = meter.look()[0]
    nvml.fail(function, code)
    found = meter.look()[0]
    names = [each.name for each in dataclasses.fields(found)]
    lacking = [name for name in names if getattr(found, name) != getattr(whole, name)]
    assert len(lacking) == (2 if function == LOAD else 1)
    clock.advance(10.0)
    assert meter.read() == {f"gpu:{A}": 1000.0}
    assert meter.failures == ()


def test_what_fails_for_a_while_is_asked_again_and_what_fails_for_good_is_not(clock: Clock) -> None:
    nvml = FakeNvml(clock, full())
    meter = opened(nvml, clock)
    nvml.fail(LOAD, 4, times=3)
    assert [meter.look()[0].busy for _ in range(4)] == [None, None, None, 0.9]
    nvml.fail(CLOCK, 4)
    for _ in range(20):
        meter.look()
    nvml.calls.clear()
    meter.look()
    assert CLOCK not in nvml.calls
    assert nvml.calls[LOAD] == 1


def test_an_older_driver_or_binding_names_the_reasons_otherwise(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    nvml = FakeNvml(clock, full(reasons=0x20))
    nvml.fail(REASONS[0], 13)  # NVML_ERROR_FUNCTION_NOT_FOUND
    monkeypatch.setattr(nvml, REASONS[1], lambda handle: 0x40, raising=False)
    meter = opened(nvml, clock)
    assert [meter.look()[0].reasons for _ in range(3)] == [{"thermal limit"}] * 3
    assert nvml.calls[REASONS[0]] == 1


@pytest.mark.parametrize(
    ("bits", "reasons"),
    [
        (0x0, set()),
        (0x1, set()),  # idle
        (0x2 | 0x100, set()),  # a clock that a person has set
        (0x4, {"power cap"}),
        (0x8, {"hardware slowdown"}),
        (0x8 | 0x40, {"thermal limit"}),
        (0x8 | 0x80, {"power brake"}),
        (0x10, {"sync boost"}),
        (0x20 | 0x40, {"thermal limit"}),
        (0x4 | 0x20, {"power cap", "thermal limit"}),
        (0x200, {"board limit"}),
        (0x400, {"reliability limit"}),
        (2**40, set()),  # one that is not known yet
    ],
)
def test_reasons_by_their_bits(clock: Clock, bits: int, reasons: set[str]) -> None:
    assert opened(FakeNvml(clock, full(reasons=bits)), clock).look()[0].reasons == reasons


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"load": (2**32 - 1, 40)}, "busy"),
        ({"load": (101, 40)}, "busy"),
        ({"clock_mhz": (2**32 - 1, 1980)}, "clock_mhz"),
        ({"clock_mhz": (1400, 0)}, "max_clock_mhz"),
        ({"celsius": 2**32 - 1}, "temperature_c"),
        ({"celsius": 3000}, "temperature_c"),
        ({"limit_w": 0.0}, "power_limit_w"),
        ({"reasons": 2**64 - 1}, "reasons"),
    ],
    ids=lambda value: (
        value
        if isinstance(value, str)
        else "-".join(map(str, *value.values()))
        if isinstance(next(iter(value.values())), tuple)
        else str(next(iter(value.values())))
    ),
)
def test_an_answer_that_cannot_be_is_none(clock: Clock, fields: dict[str, Any], name: str) -> None:
    assert getattr(opened(FakeNvml(clock, full(**fields)), clock).look()[0], name) is None


def test_slices_have_the_state_of_their_board(clock: Clock) -> None:
    gpu = full(mig_slices=7, mig={"MIG-a": (1, 0, 3), "MIG-b": (2, 0, 2)}, load=None)
    meter = opened(FakeNvml(clock, gpu), clock, ["MIG-a", "MIG-b"])
    (look,) = meter.look()
    assert (look.uuid, look.channels, look.busy) == (A, ("gpu:MIG-a", "gpu:MIG-b"), None)


def test_a_board_that_is_lost_is_not_looked_at(clock: Clock) -> None:
    nvml = FakeNvml(clock, full(A), full(B))
    meter = opened(nvml, clock)
    nvml.fail(ENERGY, 15, uuid=A)
    meter.read()
    assert [look.uuid for look in meter.look()] == [B]


def test_nobody_looks_after_the_close_and_in_a_forked_child(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    nvml = FakeNvml(clock, full())
    meter = opened(nvml, clock)
    monkeypatch.setattr(os, "getpid", lambda: -1)
    assert list(meter.look()) == []
    monkeypatch.undo()
    meter.close()
    nvml.calls.clear()
    assert list(meter.look()) == []
    assert not meter.looks
    assert not nvml.calls


def during_a_look(nvml: FakeNvml, function: str, what: Callable[[], None], monkeypatch: pytest.MonkeyPatch) -> None:
    """Do something while a call of the driver is under way."""
    call = getattr(nvml, function)

    def hanging(*arguments: Any) -> Any:
        what()
        return call(*arguments)

    monkeypatch.setattr(nvml, function, hanging)


def test_while_a_look_hangs_energy_is_read_and_no_other_look_begins(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    nvml = FakeNvml(clock, full())
    meter = opened(nvml, clock)
    found: list[Any] = []

    def meanwhile() -> None:
        clock.advance(5.0)
        found.append((meter.read(), list(meter.look())))

    during_a_look(nvml, CLOCK, meanwhile, monkeypatch)
    assert len(meter.look()) == 1
    assert found == [({f"gpu:{A}": 500.0}, [])]


def test_the_library_is_shut_down_once_a_look_that_hangs_has_returned(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    nvml = FakeNvml(clock, full())
    meter = opened(nvml, clock)
    hangs, go = threading.Event(), threading.Event()

    def hang() -> None:
        hangs.set()
        assert go.wait(10.0)

    during_a_look(nvml, LOAD, hang, monkeypatch)
    thread = threading.Thread(target=meter.look)
    thread.start()
    assert hangs.wait(10.0)
    meter.close()
    assert nvml.initialised
    go.set()
    thread.join(10.0)
    assert not nvml.initialised


def test_after_a_slow_look_some_are_left_out(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    nvml = FakeNvml(clock, full())
    meter = opened(nvml, clock)
    during_a_look(nvml, CLOCK, lambda: clock.advance(1.5), monkeypatch)
    assert [len(meter.look()) for _ in range(13)] == [1, *[0] * 10, 1, 0]
    assert meter.looks
    assert meter.failures == ()


def test_a_look_that_took_very_long_is_the_last_and_is_named(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    nvml = FakeNvml(clock, full())
    meter = opened(nvml, clock)
    during_a_look(nvml, CLOCK, lambda: clock.advance(12.0), monkeypatch)
    meter.look()
    assert not meter.looks
    assert list(meter.look()) == []
    (failure,) = meter.failures
    assert failure == (
        "NVML: GPU 0 (NVIDIA A100-SXM4-80GB): a look at its load and clock took 12.0 s, and none is taken any more"
    )
    assert meter.read() == {f"gpu:{A}": 1200.0}
