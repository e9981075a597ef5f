"""One board: its energy by its counter or its power, and what is said where it cannot be read."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from nvml_meters import ENERGY, POWER, A, B, opened

from eco2ai_callbacks.errors import Eco2AIError, MeterUnavailable
from eco2ai_callbacks.meters.gpu.nvml import NvmlMeter
from eco2ai_callbacks.testing import Clock, FakeGpu, FakeNvml


@pytest.fixture
def clock() -> Clock:
    return Clock(1000.0)


def test_power_is_integrated_by_trapezoids(clock: Clock) -> None:
    gpu = FakeGpu(A, watts=100.0, counter=False)
    nvml = FakeNvml(clock, gpu)
    meter = opened(nvml, clock, sample_s=0.5)
    assert meter.max_gap_s == 0.5
    clock.advance(0.5)
    gpu.watts = 300.0
    assert meter.read()[f"gpu:{A}"] == pytest.approx((100 + 300) / 2 * 0.5)
    clock.advance(0.25)
    assert meter.read()[f"gpu:{A}"] == pytest.approx(100.0 + 300 * 0.25)
    assert meter.failures == ()


GAP = "NVML: GPU 0 (NVIDIA A100-SXM4-80GB): its power was not sampled for "


@pytest.mark.parametrize(
    ("limit_w", "most_w"), [(250.0, 250.0), (None, 300.0)], ids=["its limit is known", "its limit is not known"]
)
def test_a_gap_in_the_samples_is_counted_and_named_and_widens_the_band(
    clock: Clock, limit_w: float | None, most_w: float
) -> None:
    gpu = FakeGpu(A, watts=50.0, counter=False, limit_w=limit_w)
    meter = opened(FakeNvml(clock, gpu), clock, sample_s=0.5)
    clock.advance(30.0)  # before the first read: no record holds it
    before_j = meter.read()[f"gpu:{A}"]
    for _ in range(16):
        clock.advance(0.5)
        meter.read()
    method = meter.methods[f"gpu:{A}"]
    assert (method.gap_j, meter.failures) == ((0.0, 0.0), ())
    clock.advance(12.0)
    joules = meter.read()[f"gpu:{A}"] - before_j
    assert joules == pytest.approx(50.0 * 20.0)
    assert meter.failures == (
        f"{GAP}12.0 s in all, for 12.0 s at a time; its band is as wide as what it may have drawn then",
    )
    low, high = meter.methods[f"gpu:{A}"].band(joules)
    assert low == pytest.approx(50.0 * 8.0 * 0.85 - 2 * 5.0)
    assert high == pytest.approx(50.0 * 8.0 * 1.15 + most_w * 12.0 + 2 * 5.0)
    clock.advance(3.0)
    meter.read()
    assert [failure.removeprefix(GAP)[:22] for failure in meter.failures] == ["15.0 s in all, for 12."]


def test_a_gap_s_limit_is_that_of_what_it_was_seen_to_draw_where_that_is_more(clock: Clock) -> None:
    meter = opened(FakeNvml(clock, FakeGpu(A, watts=200.0, counter=False)), clock, sample_s=0.5)
    meter.read()
    clock.advance(10.0)
    joules = meter.read()[f"gpu:{A}"]
    assert meter.methods[f"gpu:{A}"].band(joules)[1] == pytest.approx(3 * 200.0 * 10.0 + 2 * 20.0)


def test_a_slice_has_its_part_of_a_gap(clock: Clock) -> None:
    gpu = FakeGpu(A, watts=70.0, counter=False, limit_w=140.0, mig_slices=7, mig={"MIG-1": (1, 0, 3)})
    meter = opened(FakeNvml(clock, gpu), clock, ["MIG-1"], sample_s=0.5)
    meter.read()
    clock.advance(10.0)
    joules = meter.read()["gpu:MIG-1"]
    edge_j = 2 * 70.0 * 0.1 * 3 / 7
    assert meter.methods["gpu:MIG-1"].band(joules) == pytest.approx((0.0, 1400.0 * 3 / 7 + edge_j))


def test_a_counter_has_no_gaps(clock: Clock) -> None:
    meter = opened(FakeNvml(clock, FakeGpu(A)), clock)
    meter.read()
    clock.advance(3600.0)
    meter.read()
    assert (meter.methods[f"gpu:{A}"].gap_j, meter.failures) == ((0.0, 0.0), ())


def test_an_edge_is_a_step_of_the_counter_at_the_power_last_seen(clock: Clock) -> None:
    gpu = FakeGpu(A, watts=60.0)
    meter = opened(FakeNvml(clock, gpu), clock)
    assert meter.methods[f"gpu:{A}"].edge_j == pytest.approx(6.0)
    meter.read()
    gpu.watts = 400.0
    for _ in range(4):  # shorter than a mean needs, one by one
        clock.advance(0.3)
        meter.read()
    assert meter.methods[f"gpu:{A}"].edge_j == pytest.approx(40.0)


def test_a_driver_without_power_readings_has_no_edge_yet(clock: Clock) -> None:
    meter = opened(FakeNvml(clock, FakeGpu(A, power=False)), clock)
    assert meter.methods[f"gpu:{A}"].edge_j == 0.0


@pytest.mark.parametrize(
    ("energy", "power", "reason"),
    [
        (3, 3, "it tells neither its energy nor its power"),
        (13, 4, "insufficient permissions"),
        (4, 3, "insufficient permissions"),
    ],
)
def test_a_board_that_tells_nothing_says_why(clock: Clock, energy: int, power: int, reason: str) -> None:
    nvml = FakeNvml(clock, FakeGpu(A, "NVIDIA T4"), FakeGpu(B))
    nvml.fail(ENERGY, energy, uuid=A)
    nvml.fail(POWER, power, uuid=A)
    with pytest.raises(MeterUnavailable) as refused:
        opened(nvml, clock, [0])
    assert refused.value.reason == f"GPU 0 (NVIDIA T4): {reason}"
    both = opened(nvml, clock, [0, 1])
    assert list(both.read()) == [f"gpu:{B}"]
    assert both.failures == (f"NVML: GPU 0 (NVIDIA T4): {reason}",)


@pytest.mark.parametrize("code", [3, 4, 13])
def test_without_the_counter_power_is_the_next_method(clock: Clock, code: int) -> None:
    nvml = FakeNvml(clock, FakeGpu(A))
    nvml.fail(ENERGY, code)
    assert opened(nvml, clock).methods[f"gpu:{A}"].name == "nvml-power"


@pytest.mark.parametrize("answer", [None, "12", 2**64 - 1], ids=["none", "text", "not available"])
def test_a_counter_that_gives_no_figure_at_opening_is_none(
    clock: Clock, monkeypatch: pytest.MonkeyPatch, answer: Any
) -> None:
    nvml = FakeNvml(clock, FakeGpu(A))
    monkeypatch.setattr(nvml, ENERGY, lambda handle: answer)
    assert opened(nvml, clock).methods[f"gpu:{A}"].name == "nvml-power"


# What can fail while running


@pytest.mark.parametrize(
    ("code", "why"), [(15, "the GPU is lost"), (16, "the GPU needs a reset"), (4, "insufficient permissions")]
)
def test_a_board_that_goes_is_left_out_and_the_others_go_on(clock: Clock, code: int, why: str) -> None:
    nvml = FakeNvml(clock, FakeGpu(A, watts=100.0), FakeGpu(B, watts=10.0))
    nvml.fail(ENERGY, code, after=2, uuid=A)
    meter = opened(nvml, clock)
    clock.advance(1.0)
    assert meter.read() == pytest.approx({f"gpu:{A}": 100.0, f"gpu:{B}": 10.0})
    clock.advance(1.0)
    assert meter.read() == pytest.approx({f"gpu:{B}": 20.0})
    assert meter.failures == (f"NVML: GPU 0 (NVIDIA A100-SXM4-80GB): {why}; its energy is missing from here on",)
    nvml.calls.clear()
    meter.read()
    assert nvml.calls == {ENERGY: 1}


def test_a_lost_grace_hopper_takes_its_processor_s_energy_with_it(clock: Clock) -> None:
    nvml = FakeNvml(clock, FakeGpu(A, "NVIDIA GH200 480GB"))
    meter = opened(nvml, clock)
    nvml.fail(ENERGY, 15)
    with pytest.raises(Eco2AIError):
        meter.read()
    assert "its energy, with that of its processor and memory, is missing" in meter.failures[0]


@pytest.mark.parametrize("code", [10, 999])
def test_a_passing_fault_is_tried_once_more(clock: Clock, code: int) -> None:
    nvml = FakeNvml(clock, FakeGpu(A, watts=100.0))
    meter = opened(nvml, clock)
    clock.advance(2.0)
    nvml.fail(ENERGY, code, times=1)
    assert meter.read() == pytest.approx({f"gpu:{A}": 200.0})
    assert meter.failures == ()


@pytest.mark.parametrize("counter", [True, False])
def test_what_a_failed_read_missed_is_in_the_next(clock: Clock, counter: bool) -> None:
    nvml = FakeNvml(clock, FakeGpu(A, watts=100.0, counter=counter))
    meter = opened(nvml, clock)
    nvml.fail(ENERGY if counter else POWER, 10, times=2)
    clock.advance(2.0)
    assert meter.read() == {f"gpu:{A}": 0.0}
    clock.advance(1.0)
    assert meter.read() == pytest.approx({f"gpu:{A}": 300.0})
    assert meter.failures == (
        "NVML: GPU 0 (NVIDIA A100-SXM4-80GB): a read failed twice (no answer in time), "
        "what was used then is in a later read",
    )


def test_a_board_is_given_up_after_many_failed_reads_over_a_minute(clock: Clock) -> None:
    nvml = FakeNvml(clock, FakeGpu(A, watts=100.0), FakeGpu(B))
    meter = opened(nvml, clock)
    nvml.fail(ENERGY, 999, uuid=A, times=2 * 12)
    for _ in range(12):  # marks may be milliseconds apart
        clock.advance(0.001)
        assert f"gpu:{A}" in meter.read()
        assert meter.behind == {f"gpu:{A}"}
    clock.advance(1.0)
    assert meter.read()[f"gpu:{A}"] == pytest.approx(101.2)
    assert meter.behind == frozenset()
    nvml.fail(ENERGY, 999, uuid=A)
    clock.advance(600.0)
    reads = []
    for _ in range(11):
        clock.advance(7.0)
        reads.append(f"gpu:{A}" in meter.read())
    assert reads == [True] * 9 + [False] * 2
    assert meter.failures[-1].endswith("an unknown error, 10 times in a row; its energy is missing from here on")
    assert meter.behind == frozenset()


@pytest.mark.parametrize("answer", [None, "12", -1, 2**64 - 1, b"12"], ids=["none", "text", "less", "absent", "bytes"])
@pytest.mark.parametrize("counter", [True, False])
def test_an_answer_that_is_no_figure_is_a_read_that_failed(
    clock: Clock, monkeypatch: pytest.MonkeyPatch, counter: bool, answer: Any
) -> None:
    nvml = FakeNvml(clock, FakeGpu(A, watts=100.0, counter=counter), FakeGpu(B, watts=10.0))
    meter = opened(nvml, clock)
    function = ENERGY if counter else POWER
    works = getattr(nvml, function)
    monkeypatch.setattr(nvml, function, lambda handle: answer if handle == A else works(handle))
    clock.advance(1.0)
    assert meter.read() == pytest.approx({f"gpu:{A}": 0.0, f"gpu:{B}": 10.0})
    assert meter.behind == {f"gpu:{A}"}
    monkeypatch.undo()
    clock.advance(1.0)
    assert meter.read() == pytest.approx({f"gpu:{A}": 200.0, f"gpu:{B}": 20.0})


@pytest.mark.parametrize("error", [TypeError("no"), AttributeError("no"), OSError("no"), ValueError("no")], ids=repr)
def test_a_binding_that_raises_what_it_likes_costs_its_board_alone(
    clock: Clock, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    nvml = FakeNvml(clock, FakeGpu(A, watts=100.0), FakeGpu(B, watts=10.0))
    meter = opened(nvml, clock)
    works = nvml.nvmlDeviceGetTotalEnergyConsumption

    def fail(handle: str) -> int:
        if handle == A:
            raise error
        return works(handle)

    monkeypatch.setattr(nvml, ENERGY, fail)
    clock.advance(1.0)
    assert meter.read() == pytest.approx({f"gpu:{A}": 0.0, f"gpu:{B}": 10.0})
    assert "the installed pynvml gives no answer that can be used" in meter.failures[0]


def test_an_exception_of_a_signal_handler_is_not_the_board_s(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    nvml = FakeNvml(clock, FakeGpu(A, watts=100.0))
    meter = opened(nvml, clock)

    def interrupted(handle: str) -> int:
        raise RuntimeError("DataLoader worker is killed")

    with monkeypatch.context() as patch:
        patch.setattr(nvml, ENERGY, interrupted)
        with pytest.raises(RuntimeError, match="DataLoader"):
            meter.read()
    clock.advance(1.0)
    assert meter.read() == pytest.approx({f"gpu:{A}": 100.0})


def test_power_above_what_any_board_draws_is_no_figure(clock: Clock) -> None:
    gpu = FakeGpu(A, watts=100.0, counter=False)
    meter = opened(FakeNvml(clock, gpu), clock)
    gpu.watts = 2**32 / 1000.0
    clock.advance(0.5)
    assert meter.read() == {f"gpu:{A}": 0.0}
    gpu.watts = 100.0
    clock.advance(0.5)
    assert meter.read() == pytest.approx({f"gpu:{A}": 100.0})


def test_a_binding_without_the_counter_s_function_reads_the_power_and_says_so(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    nvml = FakeNvml(clock, FakeGpu(A))
    monkeypatch.setattr(FakeNvml, ENERGY, None)
    meter = opened(nvml, clock)
    assert meter.methods[f"gpu:{A}"].name == "nvml-power"
    assert meter.failures == (
        "NVML: GPU 0 (NVIDIA A100-SXM4-80GB): its energy counter is not read "
        "(the installed pynvml has no function for it), its power is instead",
    )


def test_a_counter_that_steps_back_loses_that_stretch_only(clock: Clock) -> None:
    gpu = FakeGpu(A, watts=100.0)
    meter = opened(FakeNvml(clock, gpu), clock)
    clock.advance(1.0)
    meter.read()
    gpu.base_j = 0.0  # the driver was loaded anew
    clock.advance(5.0)
    assert meter.read() == pytest.approx({f"gpu:{A}": 100.0})
    clock.advance(2.0)
    assert meter.read() == pytest.approx({f"gpu:{A}": 300.0})
    assert meter.failures == (
        "NVML: GPU 0 (NVIDIA A100-SXM4-80GB): its energy counter was reset, "
        "what it used since the read before is not counted",
    )


def test_a_counter_that_jumps_is_not_believed(clock: Clock) -> None:
    gpu = FakeGpu(A, watts=100.0)
    meter = opened(FakeNvml(clock, gpu), clock)
    gpu.base_j += 1e6
    clock.advance(1.0)
    assert meter.read() == {f"gpu:{A}": 0.0}
    clock.advance(1.0)
    assert meter.read() == pytest.approx({f"gpu:{A}": 100.0})
    assert "its energy counter jumped" in meter.failures[0]


class Slow(FakeNvml):
    """Its energy calls for one board take ``took_s``, and then answer or fail."""

    took_s = 0.0

    def nvmlDeviceGetTotalEnergyConsumption(self, handle: str) -> int:
        if handle == A:
            self._clock.advance(self.took_s)
        return super().nvmlDeviceGetTotalEnergyConsumption(handle)


SLOW = "NVML: GPU 0 (NVIDIA A100-SXM4-80GB): "
LATER = "what it used while it did not answer is in a later read"


def test_one_slow_call_changes_nothing(clock: Clock) -> None:
    nvml = Slow(clock, FakeGpu(A, watts=100.0), FakeGpu(B, watts=10.0))
    meter = opened(nvml, clock)
    nvml.took_s = 9.0
    assert meter.read()[f"gpu:{A}"] == pytest.approx(900.0)  # an answer that came late is an answer
    nvml.took_s = 0.0
    clock.advance(1.0)
    assert meter.read()[f"gpu:{A}"] == pytest.approx(1000.0)
    assert (meter.failures, meter.behind) == ((), frozenset())


@pytest.mark.parametrize(("took_s", "calls"), [(1.2, 2), (12.0, 1)], ids=["twice", "ten times as long"])
def test_a_slow_board_is_called_from_another_thread_until_it_answers_in_time(
    clock: Clock, took_s: float, calls: int
) -> None:
    nvml = Slow(clock, FakeGpu(A, watts=100.0), FakeGpu(B, watts=10.0))
    meter = opened(nvml, clock)
    by = called_by(nvml)
    nvml.took_s = took_s
    for _ in range(calls):
        meter.read()
    nvml.took_s = 0.0
    meter.read()
    clock.advance(1.0)
    joules = meter.read()
    assert by == [threading.current_thread().name] * calls + ["eco2ai-aside", threading.current_thread().name]
    assert joules[f"gpu:{A}"] == pytest.approx(100.0 * (took_s * calls + 1.0))
    assert meter.behind == frozenset()
    how = "two calls in a row took over 1 s" if calls == 2 else "a call took 12.0 s"
    assert meter.failures == (f"{SLOW}{how}; {LATER}",)


def called_by(nvml: FakeNvml) -> list[str]:
    """The threads that ask for the energy of the first board, one after the other."""
    by: list[str] = []
    works = nvml.nvmlDeviceGetTotalEnergyConsumption

    def call(handle: str) -> int:
        if handle == A:
            by.append(threading.current_thread().name)
        return works(handle)

    nvml.nvmlDeviceGetTotalEnergyConsumption = call  # type: ignore[method-assign]
    return by


@pytest.fixture
def hanging(clock: Clock) -> Iterator[tuple[FakeNvml, NvmlMeter, threading.Event]]:
    """A board whose calls hang until an event, after one that was slow enough to ask it aside."""
    nvml = Slow(clock, FakeGpu(A, watts=100.0), FakeGpu(B, watts=10.0))
    meter = opened(nvml, clock)
    nvml.took_s = 12.0
    meter.read()
    nvml.took_s = 0.0
    answered = threading.Event()
    works = nvml.nvmlDeviceGetTotalEnergyConsumption

    def hang(handle: str) -> int:
        assert handle != A or answered.wait(60.0)
        return works(handle)

    nvml.nvmlDeviceGetTotalEnergyConsumption = hang  # type: ignore[method-assign]
    yield nvml, meter, answered
    answered.set()
    for thread in threading.enumerate():
        if thread.name == "eco2ai-aside":
            thread.join(60.0)


def test_a_board_that_hangs_is_behind_and_comes_back_with_all_its_energy(
    clock: Clock, hanging: tuple[FakeNvml, NvmlMeter, threading.Event]
) -> None:
    nvml, meter, answered = hanging
    nvml.calls.clear()
    for _ in range(3):
        clock.advance(1.0)
        joules = meter.read()
        assert meter.behind == {f"gpu:{A}"}
        assert joules[f"gpu:{A}"] == pytest.approx(1200.0)
    assert joules[f"gpu:{B}"] == pytest.approx(150.0)
    assert nvml.calls == {ENERGY: 3}  # B's; A's one call has not returned
    answered.set()
    assert meter._boards[0].pending is not None
    assert meter._boards[0].pending.wait(60.0)
    # The call has taken three seconds by the clock: the next one is made aside too, and answers.
    clock.advance(1.0)
    assert meter.read()[f"gpu:{A}"] == pytest.approx(1600.0)
    assert meter.behind == frozenset()


def test_closing_waits_for_no_board_that_hangs(hanging: tuple[FakeNvml, NvmlMeter, threading.Event]) -> None:
    nvml, meter, answered = hanging
    meter.read()
    meter.close()
    assert nvml.initialised
    pending = meter._boards[0].pending
    assert pending is not None
    shut = threading.Event()
    closes = nvml.nvmlShutdown

    def close() -> None:
        closes()
        shut.set()

    nvml.nvmlShutdown = close  # type: ignore[method-assign]
    answered.set()
    assert shut.wait(60.0)
    assert not nvml.initialised


def test_a_reading_belongs_to_the_middle_of_its_call(clock: Clock) -> None:
    class SlowPower(FakeNvml):
        def nvmlDeviceGetPowerUsage(self, handle: str) -> int:
            clock.advance(slow_s)
            return super().nvmlDeviceGetPowerUsage(handle)

    slow_s = 0.0
    meter = opened(SlowPower(clock, FakeGpu(A, watts=100.0, counter=False)), clock)
    slow_s = 0.8
    assert meter.read() == pytest.approx({f"gpu:{A}": 40.0})
