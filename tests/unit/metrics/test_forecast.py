"""What the whole run will use: by hand where it can be counted, and what must be true of every course."""

from __future__ import annotations

import io
import math
import statistics
import sys

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from logcheck import rows
from steady import steady

from eco2ai_callbacks import Tracker
from eco2ai_callbacks.distributed.messages import RankUsage
from eco2ai_callbacks.errors import Eco2AIError
from eco2ai_callbacks.host.machine import Host
from eco2ai_callbacks.metrics.ahead import DRIFT, PRIOR_SPREAD, PRIOR_WEIGHT
from eco2ai_callbacks.metrics.forecast import RECENT, Forecast, Progress, Span
from eco2ai_callbacks.metrics.scalars import forecast_scalars
from eco2ai_callbacks.record import Record
from eco2ai_callbacks.session.context import Platform, RunContext
from eco2ai_callbacks.sinks.console import Console
from eco2ai_callbacks.testing import Clock
from eco2ai_callbacks.usage import Usage


def usage(joules: float) -> Usage:
    """So many joules, a hundredth of it in seconds and a thousandth in grams."""
    return Usage(joules / 100, {"cpu": joules}, joules / 1000)


def progress(*epochs: tuple[float, float], done: float = 0.0, before: float = 0.0) -> Progress:
    """A session of epochs of so much work and so many joules each, from ``done`` on."""
    total = before
    found = Progress().reached(done, usage(before))
    for work, joules in epochs:
        done, total = done + work, total + joules
        found = found.reached(done, usage(total))
    return found


def joules(found: Forecast | None) -> Span:
    assert found is not None
    assert found.joules is not None
    return found.joules


# --- the expectation -----------------------------------------------------------------------------------------------


@given(
    count=st.integers(1, 40),
    ahead=st.integers(0, 200),
    work=st.floats(1e-3, 1e5),
    cost=st.floats(1e-3, 1e9),
    before=st.floats(0, 1e9),
)
def test_of_constant_epochs_it_is_exact(count: int, ahead: int, work: float, cost: float, before: float) -> None:
    found = progress(*[(work, cost)] * count, before=before).forecast((count + ahead) * work)
    truth = before + cost * (count + ahead)
    assert joules(found).expected == pytest.approx(truth, rel=1e-6)
    assert found.seconds.expected == pytest.approx(truth / 100, rel=1e-6)
    assert found.grams.expected == pytest.approx(truth / 1000, rel=1e-6)


def test_the_first_epoch_counts_into_the_total_and_not_into_what_lies_ahead() -> None:
    # 500 J with compilation, then 100 J an epoch: 500 + 9 x 100.
    assert joules(progress((1, 500), (1, 100)).forecast(10)).expected == pytest.approx(1400)
    assert joules(progress((1, 500), (1, 100), (1, 120)).forecast(10)).expected == pytest.approx(720 + 7 * 110)


def test_after_one_epoch_there_is_nothing_else_to_go_by() -> None:
    assert joules(progress((1, 500)).forecast(10)).expected == pytest.approx(5000)


@given(st.lists(st.integers(1, 1000), min_size=2, max_size=20), st.integers(0, 10_000), st.floats(0.01, 100))
def test_unequal_epochs_are_scaled_by_their_steps(steps: list[int], ahead: int, per_step: float) -> None:
    found = progress(*[(count, count * per_step) for count in steps]).forecast(sum(steps) + ahead)
    assert joules(found).expected == pytest.approx((sum(steps) + ahead) * per_step, rel=1e-6)


def test_a_run_that_ends_within_an_epoch_costs_a_part_of_it() -> None:
    assert joules(progress((10, 100), (10, 100)).forecast(25)).expected == pytest.approx(250)


def test_a_fraction_of_the_run_will_do() -> None:
    assert joules(progress((0.1, 100), (0.1, 100)).forecast(1)).expected == pytest.approx(1000)


def test_costs_that_come_in_some_epochs_only_are_part_of_what_all_cost() -> None:
    # Every second epoch is validated: 100, 200, 100, 200, ...
    found = progress((1, 100), *[(1, 200), (1, 100)] * 4).forecast(29)
    assert joules(found).expected == pytest.approx(100 + 28 * 150)


def test_a_clear_trend_goes_on_as_long_as_it_was_seen_and_then_stays() -> None:
    rising = [(1.0, 100.0 * epoch) for epoch in range(1, 7)]
    behind = 100 + sum(cost for _, cost in rising)
    found = progress((1, 100), *rising)
    assert joules(found.forecast(9)).expected == pytest.approx(behind + 700 + 800)
    # Six epochs more of it, 700 to 1200, which lead to 1250 at the end of the last of them.
    six = sum(range(700, 1201, 100))
    assert joules(found.forecast(7 + 6 + 10)).expected == pytest.approx(behind + six + 10 * 1250)


def test_a_trend_is_as_uncertain_as_it_leads_away_from_the_mean() -> None:
    rising = joules(progress((1, 100), *[(1, 100 + epoch) for epoch in range(6)]).forecast(107))
    level = joules(progress((1, 100), *[(1, 102.5)] * 6).forecast(107))
    assert rising.low < level.expected < rising.expected


def test_a_falling_trend_ends_at_nothing() -> None:
    falling = [(1.0, 100.0 * (6 - epoch)) for epoch in range(6)]
    behind = 600 + sum(cost for _, cost in falling)
    # 100 in the last epoch, so 50 at its end: a triangle of half an epoch is all that is left.
    assert joules(progress((1, 600), *falling).forecast(100)).expected == pytest.approx(behind + 12.5)


@pytest.mark.parametrize("odd", [[100, 400, 100, 100, 100, 100], [100, 101, 99, 102, 98, 100]])
def test_odd_epochs_are_no_trend(odd: list[float]) -> None:
    found = progress((1, 100), *[(1, cost) for cost in odd]).forecast(107)
    assert joules(found).expected == pytest.approx(100 + sum(odd) + 100 * statistics.mean(odd))


def test_only_recent_epochs_say_what_comes() -> None:
    found = progress(*[(1, 900)] * 10, *[(1, 100)] * RECENT).forecast(RECENT + 20)
    assert joules(found).expected == pytest.approx(9000 + 100 * RECENT + 1000)


def test_what_follows_the_last_epoch_is_foreseen_from_what_followed_the_others() -> None:
    # 100 J of training, and 20 J of evaluation after each epoch, the last one too.
    found = Progress(0.0)
    total = 0.0
    for epoch in range(3):
        total += 100
        found = found.reached(epoch + 1, usage(total))
        total += 20
        found = found.resumed(usage(total))
    # Known at the end of the third epoch: its evaluation is still to come.
    assert joules(found.forecast(10)).expected == pytest.approx(10 * 120)


def test_what_follows_an_epoch_is_scaled_to_the_whole_job() -> None:
    # This process is one of two alike; it knows its own part alone, and the job's sum at the ends of epochs.
    found = Progress(0.0).reached(1, usage(200), usage(100)).resumed(usage(120))
    found = found.reached(2, usage(440), usage(220))
    assert joules(found.forecast(4)).expected == pytest.approx(4 * 240)


# --- runs that go on, begin anew, or tell nothing ------------------------------------------------------------------


def test_what_earlier_sessions_used_is_in_the_total_and_not_in_the_rate() -> None:
    # 7000 J were burnt for five epochs, one of them in vain; here an epoch takes 100 J.
    found = progress((1, 300), (1, 100), done=4, before=7000).forecast(10)
    assert joules(found).expected == pytest.approx(7000 + 300 + 5 * 100)


def test_a_session_that_does_not_know_where_it_began_learns_it_at_the_first_epochs_end() -> None:
    found = Progress().reached(5, usage(1000))
    assert found.forecast(10) is None
    assert found.epochs == 0
    assert joules(found.reached(6, usage(1100)).forecast(10)).expected == pytest.approx(1500)


def test_a_training_that_begins_anew_within_the_session_forgets_its_laps_and_no_joule() -> None:
    found = progress((8, 100), (8, 100)).reached(0, usage(250))
    assert found.epochs == 0
    found = found.reached(4, usage(350)).reached(8, usage(400))
    assert joules(found.forecast(16)).expected == pytest.approx(500)


def test_an_epoch_without_progress_leaves_all_as_it_is() -> None:
    found = progress((1, 100), (1, 100))
    assert found.reached(2, usage(300)) is found


def test_before_the_first_epoch_goes_on_nothing_lies_between() -> None:
    found = Progress(0.0)
    assert found.resumed(usage(100)) is found


@pytest.mark.parametrize("planned", [None, 0, -1, math.inf, math.nan])
def test_without_a_known_end_there_is_none(planned: float | None) -> None:
    assert progress((1, 100), (1, 100)).forecast(planned) is None


def test_without_an_epoch_there_is_none() -> None:
    assert Progress().forecast(10) is None
    assert Progress(0.0).forecast(10) is None


def test_beyond_the_plan_nothing_lies_ahead() -> None:
    found = joules(progress((1, 100), (1, 100), (1, 100)).forecast(2))
    assert found == Span(300, 300, 300)


def test_of_what_is_not_measured_nothing_is_expected() -> None:
    found = Progress(0.0).reached(1, Usage(10.0)).reached(2, Usage(20.0)).forecast(4)
    assert (found.joules, found.grams) == (None, None)
    assert found.seconds.expected == pytest.approx(40)
    assert forecast_scalars(found.to_dict(), level="all").keys() == {
        "eco2ai/forecast_seconds",
        "eco2ai/forecast_low_seconds",
        "eco2ai/forecast_high_seconds",
    }


# --- the band ------------------------------------------------------------------------------------------------------


@given(count=st.integers(2, 30), more=st.integers(1, 20), cost=st.floats(1, 1e6))
def test_the_more_epochs_the_narrower(count: int, more: int, cost: float) -> None:
    planned = count + more + 1
    early = joules(progress(*[(1, cost)] * count).forecast(planned))
    late = joules(progress(*[(1, cost)] * (count + more)).forecast(planned))
    assert late.high - late.low < early.high - early.low
    assert early.low < early.expected < early.high


@given(pattern=st.lists(st.floats(20, 200), min_size=2, max_size=5), times=st.integers(1, 3))
def test_epochs_of_the_same_spread_are_the_surer_the_more_there_are(pattern: list[float], times: int) -> None:
    def width(repeated: int) -> float:
        costs = [100.0, *pattern * repeated]
        found = joules(progress(*[(1, cost) for cost in costs]).forecast(len(costs) + 50))
        return found.high - found.low

    # Below that, what is taken for granted of any training outweighs what was seen; and one more repetition may look
    # like the beginning of a trend, six times as many do not.
    assume(statistics.pstdev(pattern) > 0.25 * statistics.fmean(pattern))
    assert width(6 * times) < width(times)


@given(
    epochs=st.lists(st.tuples(st.floats(0.01, 1e4), st.floats(0, 1e9)), min_size=1, max_size=40),
    ahead=st.floats(0, 1e5),
    before=st.floats(0, 1e9),
    low=st.floats(0.1, 1),
    high=st.floats(1, 3),
)
def test_it_is_never_below_what_is_used(
    epochs: list[tuple[float, float]], ahead: float, before: float, low: float, high: float
) -> None:
    found = progress(*epochs, before=before)
    forecast = found.forecast(found.done + ahead, (low, high), (low, high))
    for span, used in ((forecast.seconds, found.total.seconds), (forecast.joules, found.total.total_j)):
        if span is not None:
            assert span.expected >= used
            assert span.low <= span.expected <= span.high
    assert forecast.seconds.low >= found.total.seconds
    if forecast.joules is not None:
        assert forecast.joules.low >= found.total.total_j * low * (1 - 1e-12)


def test_the_spread_of_few_epochs_is_what_is_usual() -> None:
    # One epoch of 100 J behind that counts, eight ahead: t(4) = 2.1318, standard deviation 5 J.
    span = joules(progress((1, 100), (1, 100)).forecast(10))
    drift = DRIFT * 100 * 8 * math.sqrt(8 / 9)
    off = 2.1318 * math.hypot(PRIOR_SPREAD * 100 * math.sqrt(8 + 64 / 1), drift)
    assert span.expected - span.low == pytest.approx(off, rel=2e-3)
    assert span.high - span.expected == pytest.approx(off, rel=2e-3)


def test_the_spread_of_many_epochs_is_their_own() -> None:
    # 90 and 110 J by turns, ten of them behind and ten ahead: t(13) = 1.7709.
    span = joules(progress((1, 100), *[(1, 90), (1, 110)] * 5).forecast(21))
    variance = (PRIOR_WEIGHT * (PRIOR_SPREAD * 100) ** 2 + 10 * 10**2) / (PRIOR_WEIGHT + 9)
    off = 1.7709 * math.sqrt(variance * (10 + 100 / 10) + (DRIFT * 100 * 10) ** 2 * 10 / 20)
    assert span.high - span.expected == pytest.approx(off, rel=1e-3)


def test_what_is_measured_badly_is_foreseen_badly() -> None:
    exact = joules(progress((1, 100), (1, 100)).forecast(10))
    found = progress((1, 100), (1, 100)).forecast(10, (0.5, 2.0), (0.4, 3.0))
    off = exact.high - exact.expected
    assert joules(found).low == pytest.approx(1000 - math.hypot(500, off))
    assert joules(found).high == pytest.approx(1000 + math.hypot(1000, off))
    assert found.grams.high == pytest.approx(1 + math.hypot(2.0, off / 1000))
    assert found.seconds.high == pytest.approx(10 + off / 100)


# --- on the way to loggers, log and console ------------------------------------------------------------------------


def test_records_and_scalars_hold_it_in_their_units() -> None:
    found = Forecast(Span(60, 50, 70), Span(3.6e6, 1.8e6, 7.2e6), Span(400, 200, 800), 2, 20, 100)
    assert found.to_dict() == {
        "energy_kwh": 1.0,
        "energy_band_kwh": (0.5, 2.0),
        "co2_kg": 0.4,
        "co2_band_kg": (0.2, 0.8),
        "seconds": 60,
        "seconds_band": (50, 70),
        "epochs": 2,
        "done": 20,
        "planned": 100,
    }
    assert forecast_scalars(found.to_dict()) == {
        "eco2ai/forecast_energy_kwh": 1.0,
        "eco2ai/forecast_co2_kg": 0.4,
        "eco2ai/forecast_seconds": 60,
    }
    assert forecast_scalars(found.to_dict(), level="all") == {
        "eco2ai/forecast_energy_kwh": 1.0,
        "eco2ai/forecast_energy_low_kwh": 0.5,
        "eco2ai/forecast_energy_high_kwh": 2.0,
        "eco2ai/forecast_co2_kg": 0.4,
        "eco2ai/forecast_co2_low_kg": 0.2,
        "eco2ai/forecast_co2_high_kg": 0.8,
        "eco2ai/forecast_seconds": 60,
        "eco2ai/forecast_low_seconds": 50,
        "eco2ai/forecast_high_seconds": 70,
    }


def test_a_tracker_tells_it_in_each_epoch_and_writes_it_from_the_second_on(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    run = steady(clock, console=True).start(RunContext(base="other"))
    clock.advance(30)  # set-up
    told = []
    for epoch in range(4):
        run.enter("train", epoch)
        clock.advance(20 if epoch == 0 else 8)
        run.enter("validate", epoch)
        clock.advance(2)
        run.leave()
        told.append(run.end_epoch(epoch, planned=4).forecast)
    run.stop()
    # The first epoch, with its set-up, is all that is known of the others.
    assert told[0]["eco2ai/forecast_seconds"] == pytest.approx(4 * 52)
    # 30 s of set-up, 22 s for the first epoch, 10 s for each other: 82 s at 100 W and 0.01 g/s. At the end the total.
    for found in told[1:]:
        assert found["eco2ai/forecast_seconds"] == pytest.approx(82)
        assert found["eco2ai/forecast_energy_kwh"] == pytest.approx(8200 / 3.6e6)
        assert found["eco2ai/forecast_co2_kg"] == pytest.approx(0.82e-3)
    lines = [row for row in rows() if row["event"] == "forecast"]
    assert [row["epoch"] for row in lines] == [1, 2]
    assert all(row["seconds"] == 0.0 and not row["joules"] for row in lines)
    assert lines[-1]["metrics"]["energy_kwh"] == pytest.approx(rows()[-1]["total"]["energy_kwh"])
    low, high = lines[-1]["metrics"]["energy_band_kwh"]  # the measurement's own, and a little for what is to come
    assert 0.89 < low / (8200 / 3.6e6) < 0.9
    assert 1.1 < high / (8200 / 3.6e6) < 1.11
    assert sum(row["seconds"] for row in rows()) == pytest.approx(82)
    shown = capsys.readouterr().err.splitlines()
    assert len(shown) == 2
    assert shown[0].startswith("eco2ai: forecast of the whole run after 2 epochs (50% of it): 2.28 Wh (")
    assert " CO2e, 82 s (" in shown[0]


def test_the_evaluation_after_the_last_epoch_is_foreseen() -> None:
    clock = Clock()
    run = steady(clock).start(RunContext(base="other"))
    for epoch in range(2):
        run.enter("train", epoch)
        clock.advance(10)
        found = run.end_epoch(epoch, done=10 * (epoch + 1), planned=50).forecast
        run.enter("validate", epoch)
        clock.advance(3)
        run.leave()
    run.stop()
    assert found["eco2ai/forecast_seconds"] == pytest.approx(5 * 13)


def test_a_run_that_goes_on_counts_what_it_had_used() -> None:
    clock = Clock()
    with steady(clock, log_file="a.jsonl") as first:
        clock.advance(1000)
        first.mark(epoch=0)
    run = steady(clock, log_file="a.jsonl", run_id=first.run_id).start()
    run.figures.training_begins(1)
    clock.advance(40)
    assert run.end_epoch(1, done=2, planned=4).forecast["eco2ai/forecast_seconds"] == pytest.approx(1000 + 3 * 40)
    clock.advance(10)
    assert run.end_epoch(2, done=3, planned=4).forecast["eco2ai/forecast_seconds"] == pytest.approx(1000 + 40 + 10 + 10)
    run.stop()


def test_the_whole_jobs_total_is_what_is_foreseen() -> None:
    clock = Clock()
    run = steady(clock).start(RunContext(gather=lambda told: [told] * 3))
    for epoch in range(2):
        run.enter("train", epoch)
        clock.advance(10)
        found = run.end_epoch(epoch, planned=10).forecast
        clock.advance(2)
    # Also after the last epoch 2 s will follow.
    assert found["eco2ai/forecast_energy_kwh"] == pytest.approx(3 * 12_000 / 3.6e6)
    assert found["eco2ai/forecast_seconds"] == pytest.approx(120)
    run.stop()


def test_before_the_ranks_have_told_each_other_nothing_is_foreseen() -> None:
    clock = Clock()
    with steady(clock) as first:
        clock.advance(1000)
    run = steady(clock, run_id=first.run_id, forecast_after=1).start(RunContext(gather=lambda told: [told] * 2))
    run.figures.training_begins(4)  # what the job had used before, this rank does not know
    told = []
    for epoch in range(4, 6):
        clock.advance(10)
        told.append(run.end_epoch(epoch, planned=10).forecast)
    assert told[0] == {}
    assert told[1]["eco2ai/forecast_energy_kwh"] == pytest.approx(2 * (1000 + 20 + 40) * 100 / 3.6e6)
    run.stop()


def test_a_rank_that_measures_nothing_foresees_the_same() -> None:
    clock = Clock()

    def broken() -> Host:
        raise RuntimeError("no host")

    told: list[RankUsage] = []

    def beside(mine: object) -> list[object]:
        """The other rank's part, which measures."""
        if isinstance(mine, RankUsage):
            told.append(mine)
            return [RankUsage(total=Usage(10.0 * len(told), {"cpu": 1000.0 * len(told)}, 0.1 * len(told))), mine]
        return [mine]

    run = Tracker(platform=Platform(clock=clock, host=broken), log_file=None).start(
        RunContext(rank=(1, 2), gather=beside)
    )
    for epoch in range(2):
        run.enter("train", epoch)
        found = run.end_epoch(epoch, planned=10).forecast
    assert found == {
        "eco2ai/forecast_energy_kwh": pytest.approx(10_000 / 3.6e6),
        "eco2ai/forecast_co2_kg": pytest.approx(1e-3),
        "eco2ai/forecast_seconds": pytest.approx(100),
    }
    run.stop()


def test_what_no_forecast_can_be_made_of_reaches_no_training() -> None:
    with steady(Clock()) as run:
        assert run.end_epoch(0, done="three", planned=10).forecast == {}  # type: ignore[arg-type]
        assert "forecast" not in [row["event"] for row in rows()]
    assert run.end_epoch(1, done=3, planned=10).forecast == {}
    with pytest.raises(Eco2AIError, match="before start"):
        steady(Clock()).end_epoch(1, planned=2)


@pytest.mark.parametrize(("after", "first"), [(0, None), (1, 0), (3, 2)])
def test_the_setting_says_after_how_many_epochs_it_is_written(after: int, first: int | None) -> None:
    clock = Clock()
    told = []
    with steady(clock, forecast_after=after) as run:
        for epoch in range(4):
            clock.advance(10)
            told.append(bool(run.end_epoch(epoch, planned=8).forecast))
    assert told == [after > 0] * 4
    written = [row["epoch"] for row in rows() if row["event"] == "forecast"]
    assert written == ([] if first is None else list(range(first, 4)))


def test_with_an_open_end_nothing_is_told_or_written() -> None:
    clock = Clock()
    with steady(clock) as run:
        for epoch in range(4):
            clock.advance(10)
            assert run.end_epoch(epoch, planned=None).forecast == {}
    assert "forecast" not in [row["event"] for row in rows()]


def test_only_the_first_rank_writes_and_shows_it(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    run = steady(clock, console=True).start(RunContext(rank=(1, 2)))
    for epoch in range(2):
        clock.advance(10)
        found = run.end_epoch(epoch, planned=4).forecast
    run.stop()
    assert found
    assert "forecast" not in [row["event"] for row in rows("eco2ai.jsonl")]
    assert capsys.readouterr().err == ""


def test_where_nothing_is_measured_the_time_is_still_told(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    with steady(clock, measured=False, console=True) as run:
        for epoch in range(2):
            clock.advance(10)
            found = run.end_epoch(epoch, planned=6).forecast
    assert found == {"eco2ai/forecast_seconds": pytest.approx(60)}
    assert "after 2 epochs (33% of it): 60 s (" in capsys.readouterr().err


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_on_a_terminal_it_has_a_line_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delitem(sys.modules, "tqdm.std", raising=False)
    screen = Terminal()
    found = Forecast(Span(60, 50, 70), Span(3.6e6, 1.8e6, 7.2e6), Span(400, 200, 800), 1, 10, 100)
    record = Record(run="r", writer="w", event="forecast", metrics=found.to_dict())
    console = Console(screen)
    console.write(record)
    console.write(record)  # shown once
    assert screen.getvalue() == (
        "\r\033[Keco2ai: forecast of the whole run after 1 epoch (10% of it): "
        "1 kWh (500 Wh to 2 kWh), 400 g (200 g to 800 g) CO2e, 60 s (50 s to 70 s)\n"
    )
