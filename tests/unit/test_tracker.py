"""The tracker: its life, its marks, and that nothing of it reaches the program around it."""

from __future__ import annotations

import asyncio
import gc
import json
import math
import signal
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from logcheck import by_run, by_writer, close, epochs, rows, stage_sum

from eco2ai_callbacks import Tracker, Usage, track
from eco2ai_callbacks.errors import Eco2AIError, SettingsError
from eco2ai_callbacks.meters.discovery import Discovery
from eco2ai_callbacks.record import FIELDS
from eco2ai_callbacks.runlog.read import records
from eco2ai_callbacks.runlog.read import total as log_total
from eco2ai_callbacks.runlog.verify import verify
from eco2ai_callbacks.session.blocks import Blocks
from eco2ai_callbacks.session.context import RunContext
from eco2ai_callbacks.session.identity import Checkpoint
from eco2ai_callbacks.testing import Clock, FakeMeter, fake_platform
from eco2ai_callbacks.tracker import _Track


@pytest.fixture
def clock() -> Clock:
    return Clock(1000.0)


@pytest.fixture
def meter(clock: Clock) -> FakeMeter:
    return FakeMeter(clock, {"cpu": 10.0, "gpu:GPU-a": 100.0})


def tracker(clock: Clock, *meters: Any, **settings: Any) -> Tracker:
    args = {"region": "FR", "heartbeat_s": 0.0, "console": False, **settings}
    return Tracker(platform=fake_platform(clock, *meters), **args)


# --- marks ---------------------------------------------------------------------------------------------------------


def test_marks_partition_the_time_and_make_the_total(clock: Clock, meter: FakeMeter) -> None:
    run = tracker(clock, meter).start()
    clock.advance(5)  # set-up counts into the first mark of a program of one's own
    assert run.mark(epoch=0) == Usage(5.0, {"cpu": 50.0, "gpu:GPU-a": 500.0}, pytest.approx(550 / 3.6e6 * 41.44))
    clock.advance(2)
    assert run.read().seconds == 2.0
    assert run.read().joules["cpu"] == 20.0
    clock.advance(1)
    assert run.mark(epoch=1).seconds == 3.0
    clock.advance(4)
    total = run.stop()
    assert total.seconds == 12.0
    assert total.joules == {"cpu": 120.0, "gpu:GPU-a": 1200.0}
    assert total.energy_kwh == pytest.approx(1320 / 3.6e6)
    assert meter.closed
    found = rows()
    assert [(row["event"], row["stage"], row["epoch"], row["seconds"]) for row in found] == [
        ("start", "other", None, 0.0),
        ("epoch", "train", 0, 5.0),
        ("epoch", "train", 1, 3.0),
        ("stop", "other", None, 4.0),
    ]


def test_stages_nest_and_are_never_mixed_into_the_epoch(clock: Clock, meter: FakeMeter) -> None:
    with tracker(clock, meter) as run:
        for epoch in range(2):
            clock.advance(10)
            assert run.enter("validate").seconds == 10.0
            clock.advance(3)
            assert run.leave().seconds == 3.0
            clock.advance(2)
            scalars = run.end_epoch(epoch).scalars
            assert scalars["eco2ai/energy_kwh"] == pytest.approx(12 * 110 / 3.6e6)
            assert scalars["eco2ai/val_energy_kwh"] == pytest.approx(3 * 110 / 3.6e6)
            assert scalars["eco2ai/total_energy_kwh"] == pytest.approx((epoch + 1) * 15 * 110 / 3.6e6)
    found = rows()
    assert stage_sum(found, "train", 1, "seconds") == 12.0
    assert stage_sum(found, "validate", 0, "seconds") == 3.0
    assert [row["epoch_total"]["seconds"] for row in epochs(found)] == [12.0, 12.0]


def test_epochs_count_up_by_themselves(clock: Clock, meter: FakeMeter) -> None:
    with tracker(clock, meter) as run:
        for _ in range(3):
            clock.advance(1)
            run.mark()
    assert [row["epoch"] for row in epochs(rows())] == [0, 1, 2]


def test_an_epoch_done_again_is_another_attempt(clock: Clock, meter: FakeMeter) -> None:
    with tracker(clock, meter) as run:
        for epoch in (0, 1, 1):
            clock.advance(1)
            run.mark(epoch=epoch)
    assert [(row["epoch"], row["attempt"]) for row in epochs(rows())] == [(0, 1), (1, 1), (1, 2)]
    assert [row["epoch_total"]["seconds"] for row in epochs(rows())] == [1.0, 1.0, 1.0]


def test_an_entered_train_stage_ends_with_its_epoch(clock: Clock, meter: FakeMeter) -> None:
    run = tracker(clock, meter).start(RunContext(base="other"))
    clock.advance(1)
    run.enter("train", 0)
    clock.advance(2)
    run.mark("epoch", 0)
    clock.advance(4)
    run.stop()
    assert [(row["stage"], row["seconds"]) for row in rows()[1:]] == [("other", 1.0), ("train", 2.0), ("other", 4.0)]


def test_leaving_without_having_entered_does_nothing(clock: Clock, meter: FakeMeter) -> None:
    with tracker(clock, meter) as run:
        clock.advance(1)
        assert run.leave() == Usage()
        run.mark(epoch=0)
    assert len(rows()) == 3


def test_an_unknown_stage_is_counted_as_other_and_named(clock: Clock, meter: FakeMeter) -> None:
    with tracker(clock, meter) as run:
        clock.advance(1)
        run.mark("stage", stage="warm-up")
    assert rows()[1]["stage"] == "other"
    assert "'warm-up' is no stage" in rows()[-1]["failures"][0]


def test_samples_tokens_and_metrics_stand_in_the_record(clock: Clock, meter: FakeMeter) -> None:
    with tracker(clock, meter, scalars="all") as run:
        clock.advance(1)
        found = run.end_epoch(0, samples=10, tokens=100, metrics={"loss": 0.5}).train
        assert found["eco2ai/j_per_sample"] == pytest.approx(11.0)
        assert found["eco2ai/j_per_token"] == pytest.approx(1.1)
    assert (rows()[1]["samples"], rows()[1]["tokens"], rows()[1]["metrics"]) == (10, 100, {"loss": 0.5})


def test_a_line_of_metrics_adds_nothing_and_closes_nothing(clock: Clock, meter: FakeMeter) -> None:
    with tracker(clock, meter) as run:
        clock.advance(3)
        run.write("metrics", {"loss": 0.25}, epoch=0)
        clock.advance(1)
        assert run.mark(epoch=0).seconds == 4.0
    assert rows()[1]["metrics"] == {"loss": 0.25}
    assert (rows()[1]["seconds"], rows()[1]["joules"]) == (0.0, {})


class Scalar:
    """As NumPy's and torch's: a number that only its own methods tell."""

    def __init__(self, value: float) -> None:
        self.value = value

    def item(self) -> float:
        return self.value


@pytest.mark.parametrize("kind", [int, float, Scalar, Decimal, lambda value: Scalar(float(value))])
def test_whole_numbers_of_any_kind_are_numbers(clock: Clock, meter: FakeMeter, kind: Callable[[int], Any]) -> None:
    with tracker(clock, meter, scalars="all") as run:
        clock.advance(1)
        run.mark(epoch=kind(0), samples=kind(64), tokens=kind(1000))
        run.enter("validate", kind(1))
        clock.advance(1)
        run.leave()
        run.write("metrics", {"loss": 0.5}, kind(1))
        clock.advance(1)
        assert run.end_epoch(kind(1), samples=kind(10)).train["eco2ai/j_per_sample"] == pytest.approx(11.0)
    found = records(Path("eco2ai.jsonl"))
    assert log_total(found).total_j == run.total.total_j == 330.0
    assert verify(Path("eco2ai.jsonl")).whole
    assert [(record.epoch, record.samples, record.tokens) for record in found[1:-1]] == [
        (0, 64, 1000),
        (1, None, None),
        (1, None, None),
        (1, 10, None),
    ]
    assert run.guard.failures == ()


@pytest.mark.parametrize("bad", [1.5, "3", True, -1, math.nan, [1], object()], ids=range(7))
def test_what_is_no_whole_number_is_left_out_and_named(clock: Clock, meter: FakeMeter, bad: Any) -> None:
    with tracker(clock, meter) as run:
        for call in (run.mark, run.end_epoch):
            clock.advance(1)
            call(epoch=bad, samples=bad, tokens=bad)
        run.enter("validate", bad)
        run.write("metrics", {"loss": 0.5}, bad)
        clock.advance(1)
        run.leave()
    found = records(Path("eco2ai.jsonl"))
    assert [record.epoch for record in found if record.event == "epoch"] == [0, 1]
    assert {(record.samples, record.tokens) for record in found} == {(None, None)}
    assert log_total(found).seconds == 3.0
    assert log_total(found).total_j == run.total.total_j == 330.0
    assert verify(Path("eco2ai.jsonl")).whole
    assert [failure.partition("=")[0] for failure in found[-1].failures] == [
        "tracker: epoch",
        "tracker: samples",
        "tracker: tokens",
    ]
    assert all(failure.endswith("is no whole number from 0 on; it is left out") for failure in found[-1].failures)


def test_metrics_that_are_no_mapping_cost_no_record(clock: Clock, meter: FakeMeter) -> None:
    loop: dict[str, Any] = {}
    loop["itself"] = loop
    with tracker(clock, meter) as run:
        for bad in (5, loop, {"big": 10**5000}):
            clock.advance(1)
            run.mark(metrics=bad)  # type: ignore[arg-type]
        run.write("metrics", None)  # type: ignore[arg-type]
    found = records(Path("eco2ai.jsonl"))
    assert [record.event for record in found] == ["start", "epoch", "epoch", "epoch", "metrics", "stop"]
    assert log_total(found).total_j == 330.0
    assert verify(Path("eco2ai.jsonl")).whole
    named, *others = found[-1].failures
    assert named.startswith("tracker: metrics are left out: 'int' object is not iterable")
    assert all(failure.startswith("log file: metrics is left out: ") for failure in others)
    assert len(others) == 2


def test_a_number_that_is_none_raises_nothing_where_nothing_is_measured(clock: Clock, meter: FakeMeter) -> None:
    run = tracker(clock, meter).start()
    run.stop()
    assert run.end_epoch("x").scalars.keys() == {"eco2ai/total_energy_kwh", "eco2ai/total_co2_kg"}  # type: ignore[arg-type]


# --- life ----------------------------------------------------------------------------------------------------------


def test_a_second_start_does_nothing_and_a_second_stop_says_the_same(clock: Clock, meter: FakeMeter) -> None:
    run = tracker(clock, meter).start()
    assert run.start() is run
    clock.advance(1)
    total = run.stop()
    clock.advance(9)
    assert run.stop() == total == run.total
    assert len(by_writer(rows())) == 1


def test_marking_before_the_start_raises(clock: Clock, meter: FakeMeter) -> None:
    run = tracker(clock, meter)
    for call in (run.mark, run.read, run.leave, lambda: run.enter("validate")):
        with pytest.raises(Eco2AIError, match=r"before start\(\)"):
            call()
    assert run.run_id is None
    assert run.checkpoint is None
    assert run.stop() == Usage()


def test_marking_after_the_stop_is_harmless(clock: Clock, meter: FakeMeter) -> None:
    run = tracker(clock, meter).start()
    run.stop()
    assert run.mark(epoch=3) == Usage()
    assert not run.running
    assert len(rows()) == 2


def test_the_context_manager_says_how_it_ended(clock: Clock, meter: FakeMeter) -> None:
    with pytest.raises(KeyError, match="theirs"), tracker(clock, meter):
        raise KeyError("theirs")
    assert rows()[-1]["ended"] == "interrupted"


def test_every_field_is_in_every_record_and_no_number_is_made_up(clock: Clock) -> None:
    with tracker(clock) as run:
        clock.advance(1)
        run.mark(epoch=0)
        assert run.end_epoch(0).scalars == {}
    for row in rows():
        assert set(row) == set(FIELDS)
        assert row["energy_kwh"] is None
        assert row["co2_kg"] is None
        assert row["joules"] == {}
        assert row["measured_share"] is None


def test_a_wrong_setting_is_refused_at_construction() -> None:
    for call in (lambda: Tracker(region="Atlantis"), lambda: track(region="Atlantis")):
        with pytest.raises(SettingsError, match="region='Atlantis'"):
            call()
    with pytest.raises(SettingsError, match="price"):
        Tracker(price={"8:00-20:00": 0.2})


def test_the_intensity_is_the_users_own_where_given(clock: Clock, meter: FakeMeter) -> None:
    with tracker(clock, meter, g_per_kwh=100.0, pue=1.5) as run:
        clock.advance(36)
        assert run.mark(epoch=0).grams == pytest.approx(0.0011 * 100 * 1.5)
    assert rows()[1]["intensity"]["dataset"] == "user"
    assert rows()[1]["pue"] == 1.5
    assert rows()[1]["energy_kwh"] == pytest.approx(0.0011)  # the IT energy, without the overhead


def test_the_cost_is_in_the_totals_the_scalars_and_goes_on_with_a_run(clock: Clock, meter: FakeMeter) -> None:
    with tracker(clock, meter, price=0.5) as run:
        clock.advance(10.0)
        report = run.end_epoch(0)
        clock.advance(10.0)
    first = rows()[-1]["total"]["cost"]
    assert report.scalars["eco2ai/cost"] == rows()[1]["epoch_total"]["cost"] == rows()[1]["cost"] > 0
    assert report.scalars["eco2ai/total_cost"] == rows()[1]["total"]["cost"]
    assert first == pytest.approx(sum(row["cost"] for row in rows()[1:]), rel=1e-12)
    with tracker(clock, meter, price=0.5, run_id=run.run_id) as again:
        clock.advance(10.0)
    assert again.total.cost == pytest.approx(first * 1.5, rel=1e-9)
    assert rows()[-1]["total"]["cost"] == again.total.cost


def test_scalars_in_watt_hours_and_grams(clock: Clock, meter: FakeMeter) -> None:
    with tracker(clock, meter, units="Wh") as run:
        clock.advance(10.0)
        report = run.end_epoch(0)
        assert run.figures.totals().keys() == report.total.keys()
        assert run.figures.stage(run.read(), "test").keys() == {"eco2ai/test_energy_wh", "eco2ai/test_co2_g"}
    epoch = rows()[1]["epoch_total"]
    assert report.train == {
        "eco2ai/energy_wh": pytest.approx(epoch["energy_kwh"] * 1e3),
        "eco2ai/co2_g": pytest.approx(epoch["co2_kg"] * 1e3),
    }
    assert report.total.keys() == {"eco2ai/total_energy_wh", "eco2ai/total_co2_g"}
    with pytest.raises(SettingsError, match=r"units='J'.*'kWh' or 'Wh'"):
        Tracker(units="J")  # type: ignore[arg-type]


def test_an_epoch_record_holds_the_whole_epoch_beside_what_it_adds(clock: Clock, meter: FakeMeter) -> None:
    with tracker(clock, meter) as run:
        run.enter("train", 0)
        clock.advance(90.0)
        run.enter("validate", 0)
        clock.advance(10.0)
        run.leave()
        clock.advance(10.0)
        run.end_epoch(0)
    found = rows()
    epoch = next(row for row in found if row["event"] == "epoch")
    assert epoch["epoch_energy_kwh"] == pytest.approx(10 * epoch["energy_kwh"])
    assert epoch["epoch_co2_kg"] == pytest.approx(10 * epoch["co2_kg"])
    assert epoch["epoch_energy_kwh"] == epoch["epoch_total"]["energy_kwh"]
    assert [row["epoch_energy_kwh"] for row in found if row["event"] != "epoch"] == [None] * (len(found) - 1)
    assert sum(row["energy_kwh"] or 0.0 for row in found) == pytest.approx(found[-1]["total"]["energy_kwh"])


def test_a_price_gives_the_cost_with_the_overhead(clock: Clock, meter: FakeMeter) -> None:
    with tracker(clock, meter, price=0.5, pue=2.0) as run:
        clock.advance(36)
        run.mark(epoch=0)
    assert rows()[1]["cost"] == pytest.approx(0.0011 * 2.0 * 0.5)


def test_an_unknown_place_is_the_world_with_one_warning(
    clock: Clock, meter: FakeMeter, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    machine = replace(fake_platform(clock, meter), root=tmp_path)
    with Tracker(platform=machine, console=False, heartbeat_s=0.0) as run:
        clock.advance(1)
        run.mark(epoch=0)
    assert [record.message for record in caplog.records if "place" in record.message] == [
        "the place of this machine is not known, so CO2 is counted with the world's average of 458 g/kWh; "
        "set region= or ECO2AI_REGION, such as FR, US-CA or aws:eu-west-3"
    ]
    grid = rows()[1]["intensity"]
    assert grid["found_by"] == "unknown"
    assert grid["low"] < 100 < 700 < grid["high"]
    low, high = rows()[-1]["total"]["co2_band_kg"]
    assert 0 < low < rows()[-1]["total"]["co2_kg"] / 5
    assert high > rows()[-1]["total"]["co2_kg"] * 1.5


# --- failures ------------------------------------------------------------------------------------------------------


def test_a_meter_that_fails_keeps_what_it_counted_and_is_named_ever_after(clock: Clock, meter: FakeMeter) -> None:
    other = FakeMeter(clock, {"ram": 1.0})
    with tracker(clock, meter, other) as run:
        clock.advance(10)
        run.mark(epoch=0)
        meter.fault = OSError(5, "Input/output error")
        clock.advance(10)
        run.mark(epoch=1)
        clock.advance(10)
        run.mark(epoch=2)
    first, second, third = epochs(rows())
    assert first["joules"] == {"cpu": 100.0, "gpu:GPU-a": 1000.0, "ram": 10.0}
    assert second["joules"] == third["joules"] == {"ram": 10.0}
    assert first["failures"] == []
    assert second["failures"] == third["failures"] == ["constant: Input/output error"]
    assert rows()[-1]["total"]["energy_kwh"] == pytest.approx(1130 / 3.6e6)
    assert meter.reads == 5  # it may come back


def test_a_log_that_cannot_be_written_costs_nothing_but_the_log(
    clock: Clock, meter: FakeMeter, caplog: pytest.LogCaptureFixture
) -> None:
    Path("taken").write_text("a file where a folder should be")
    with tracker(clock, meter, log_file="taken/eco2ai.jsonl") as run:
        for epoch in range(3):
            clock.advance(1)
            assert run.mark(epoch=epoch).joules["cpu"] == 10.0
    assert sum("log file" in record.message for record in caplog.records) == 1
    assert run.total.joules["cpu"] == 30.0


def test_what_could_not_be_written_is_written_at_the_next_chance(clock: Clock, meter: FakeMeter) -> None:
    Path("logs").write_text("in the way")
    with tracker(clock, meter, log_file="logs/eco2ai.jsonl") as run:
        clock.advance(1)
        run.mark(epoch=0)
        Path("logs").unlink()
        clock.advance(1)
        run.mark(epoch=1)
    found = rows("logs/eco2ai.jsonl")
    assert [row["event"] for row in found] == ["start", "epoch", "epoch", "stop"]


def test_a_start_that_fails_leaves_a_tracker_that_does_nothing(clock: Clock) -> None:
    def broken(*_: Any) -> Discovery:
        raise RuntimeError("no such machine")

    run = Tracker(platform=replace(fake_platform(clock), discover=broken), console=False)
    with run:
        assert run.mark(epoch=0) == Usage()
        assert run.enter("validate") == Usage()
        assert run.end_epoch(0).scalars == {}
    assert run.guard.failures == ("tracker: no such machine (RuntimeError)",)
    assert run.total == Usage()


# --- resuming ------------------------------------------------------------------------------------------------------


def test_a_run_goes_on_by_its_id(clock: Clock, meter: FakeMeter) -> None:
    with tracker(clock, meter) as first:
        clock.advance(10)
        first.mark(epoch=0)
        clock.advance(5)
    again = FakeMeter(clock, {"cpu": 10.0, "gpu:GPU-a": 100.0})
    with tracker(clock, again, run_id=first.run_id) as second:
        assert second.total == first.total
        clock.advance(10)
        second.mark(epoch=0)
        clock.advance(10)
        second.mark(epoch=1)
    found = rows()
    assert len(by_run(found)) == 1
    check_seconds = sum(row["seconds"] for row in found if row["event"] in ("epoch", "stop"))
    assert second.total.seconds == check_seconds == 35.0
    assert [(row["epoch"], row["attempt"]) for row in epochs(found)] == [(0, 1), (0, 2), (1, 1)]
    assert by_writer(found)[1][0]["continues"]["writer"] == by_writer(found)[0][0]["writer"]


@pytest.mark.parametrize("kept", [True, False], ids=["log kept", "log lost"])
def test_a_checkpoint_and_the_log_never_count_twice(clock: Clock, meter: FakeMeter, kept: bool) -> None:
    with tracker(clock, meter) as first:
        clock.advance(10)
        first.mark(epoch=0)
        saved = first.checkpoint
        clock.advance(5)
    assert saved is not None
    assert Checkpoint.from_dict(json.loads(json.dumps(saved.to_dict()))) == saved
    if not kept:
        Path("eco2ai.jsonl").unlink()
    second = tracker(clock, FakeMeter(clock, {"cpu": 10.0})).start(RunContext(checkpoint=saved))
    clock.advance(1)
    total = second.stop()
    before = 15 if kept else 10  # what was burnt after the checkpoint is known to the log alone
    assert total.seconds == pytest.approx(before + 1)
    assert total.energy_kwh == pytest.approx((before * 110 + 10) / 3.6e6)
    carried = rows()[-2]["carried"]
    assert carried is None if kept else close(carried["energy_kwh"], 1100 / 3.6e6)


# --- threads, processes, signals -----------------------------------------------------------------------------------


def test_one_thread_runs_until_the_stop(clock: Clock, meter: FakeMeter) -> None:
    before = threading.active_count()
    with tracker(clock, meter, FakeMeter(clock, {"ram": 1.0}, max_gap_s=10.0)):
        assert threading.active_count() == before + 1
    assert threading.active_count() == before


def test_no_signal_handler_is_touched(clock: Clock, meter: FakeMeter) -> None:
    known = [s for s in signal.valid_signals() if s not in (signal.SIGKILL, signal.SIGSTOP)]
    before = {number: signal.getsignal(number) for number in known}
    with tracker(clock, meter, heartbeat_s=1.0):
        assert {number: signal.getsignal(number) for number in known} == before
    assert {number: signal.getsignal(number) for number in known} == before


# --- track ---------------------------------------------------------------------------------------------------------


def test_the_decorator_measures_each_call() -> None:
    @track(region="FR", console=False)
    def double(number: int) -> int:
        """Twice."""
        return number * 2

    assert [double(2), double(3)] == [4, 6]
    assert double.__doc__ == "Twice."
    assert len(by_run(rows())) == 2
    assert [found[-1]["ended"] for found in by_run(rows()).values()] == ["finished"] * 2


def test_the_bare_decorator_and_coroutines_work_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ECO2AI_REGION", "FR")
    monkeypatch.setenv("ECO2AI_CONSOLE", "no")

    @track
    def plain() -> str:
        return "plain"

    @track
    async def later() -> str:
        await asyncio.sleep(0)
        return "later"

    assert plain() == "plain"
    assert asyncio.run(later()) == "later"
    assert len(by_run(rows())) == 2


@pytest.mark.parametrize("given", ["demo", {"project": "demo"}, 3], ids=["text", "mapping", "number"])
def test_settings_by_position_are_refused_in_one_sentence(given: Any) -> None:
    for call in (track, Tracker):
        with pytest.raises(SettingsError, match=rf"^{call.__name__} takes settings by name, such as .* without one\.$"):
            call(given)


def test_an_exception_passes_the_decorator_unchanged() -> None:
    error = ValueError("theirs")

    @track(region="FR", console=False)
    def fails() -> None:
        raise error

    with pytest.raises(ValueError, match="theirs") as raised:
        fails()
    assert raised.value is error
    assert rows()[-1]["ended"] == "interrupted"


def tracked(clock: Clock, meter: FakeMeter) -> _Track:
    return _Track.on_platform(fake_platform(clock, meter), region="FR", heartbeat_s=0.0, console=False)


def stops() -> list[tuple[float, str]]:
    return [(row["total"]["seconds"], row["ended"]) for row in rows() if row["event"] == "stop"]


def test_a_generator_is_measured_to_its_end(clock: Clock, meter: FakeMeter) -> None:
    @tracked(clock, meter)
    def batches() -> Iterator[int]:
        for number in range(3):
            clock.advance(2)
            yield number

    found = batches()
    clock.advance(5)  # before the first step
    assert list(found) == [0, 1, 2]
    clock.advance(5)
    assert stops() == [(6.0, "finished")]


def test_an_async_generator_is_measured_to_its_end(clock: Clock, meter: FakeMeter) -> None:
    @tracked(clock, meter)
    async def batches() -> AsyncIterator[int]:
        for number in range(3):
            await asyncio.sleep(0)
            clock.advance(2)
            yield number

    async def all_of_them() -> list[int]:
        return [number async for number in batches()]

    assert asyncio.run(all_of_them()) == [0, 1, 2]
    assert stops() == [(6.0, "finished")]


def test_a_generator_that_is_abandoned_is_interrupted(clock: Clock, meter: FakeMeter) -> None:
    @tracked(clock, meter)
    def batches() -> Iterator[int]:
        yield 1
        yield 2

    for _ in batches():
        clock.advance(4)
        break
    assert stops() == [(4.0, "interrupted")]
    assert meter.closed


def test_threads_share_a_track_and_each_has_its_own_tracker(clock: Clock, meter: FakeMeter) -> None:
    measured = tracked(clock, meter)
    entered, other_left = threading.Event(), threading.Event()
    running: list[bool] = []

    def outer() -> None:
        with measured as run:
            entered.set()
            other_left.wait(5)
            running.append(run.running)
        running.append(run.running)

    thread = threading.Thread(target=outer)
    thread.start()
    entered.wait(5)
    with measured as other:
        clock.advance(1)
    assert not other.running
    other_left.set()
    thread.join()
    assert running == [True, False]
    assert len(by_run(rows())) == 2


def test_tasks_share_a_track_and_each_has_its_own_tracker(clock: Clock, meter: FakeMeter) -> None:
    measured = tracked(clock, meter)

    async def work(steps: int) -> bool:
        with measured as run:
            for _ in range(steps):
                await asyncio.sleep(0)
            alive = run.running
        return alive and not run.running

    async def main() -> list[bool]:
        with measured:
            return await asyncio.gather(work(1), work(5), work(3))

    assert asyncio.run(main()) == [True] * 3
    assert [ended for _, ended in stops()] == ["finished"] * 4


def test_a_block_that_is_interrupted_before_it_is_entered_leaves_no_run_behind(
    clock: Clock, meter: FakeMeter, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(blocks: object, opened: object, frame: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Blocks, "enter", interrupt)
    with pytest.raises(KeyboardInterrupt), tracked(clock, meter):
        raise AssertionError("the block was entered")
    assert [ended for _, ended in stops()] == ["interrupted"]
    assert not [thread for thread in threading.enumerate() if thread.name == "eco2ai"]


def test_a_tracker_that_is_interrupted_before_its_block_is_entered_leaves_no_run_behind(
    clock: Clock, meter: FakeMeter, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = Tracker.start

    def interrupt(tracker: Tracker, *context: Any) -> None:
        start(tracker, *context)
        raise KeyboardInterrupt

    monkeypatch.setattr(Tracker, "start", interrupt)
    with pytest.raises(KeyboardInterrupt), tracker(clock, meter):
        raise AssertionError("the block was entered")
    assert [ended for _, ended in stops()] == ["interrupted"]
    assert not [thread for thread in threading.enumerate() if thread.name == "eco2ai"]


@pytest.mark.parametrize("kind", ["tracker", "track", "track that was left"])
def test_a_run_that_nobody_can_stop_any_more_ends_as_interrupted(clock: Clock, meter: FakeMeter, kind: str) -> None:
    """What stands when a signal handler raises just before ``__exit__`` stops the run, or as it begins to."""
    if kind == "tracker":
        tracker(clock, meter).__enter__()
    else:
        measured = tracked(clock, meter)
        measured.__enter__()
        if kind == "track that was left":
            assert measured._blocks.leave(sys._getframe(0)) is not None
        del measured
    gc.collect()
    until = time.monotonic() + 30
    while any(thread.name == "eco2ai" for thread in threading.enumerate()) and time.monotonic() < until:
        time.sleep(0.001)
    assert [ended for _, ended in stops()] == ["interrupted"]


def test_a_tracker_that_was_started_without_a_block_measures_on_when_it_is_let_go(
    clock: Clock, meter: FakeMeter
) -> None:
    log = tracker(clock, meter).start()._lifetime
    gc.collect()
    assert log.running
    log.end("finished")
    assert [ended for _, ended in stops()] == ["finished"]


def test_a_track_inside_of_itself_measures_both(clock: Clock, meter: FakeMeter) -> None:
    measured = tracked(clock, meter)
    with measured as outer:
        clock.advance(1)
        with measured as inner:
            clock.advance(2)
        assert (inner.running, outer.running) == (False, True)
        clock.advance(1)
    assert [seconds for seconds, _ in stops()] == [2.0, 4.0]
    measured.__exit__(None, None, None)  # nothing is open
